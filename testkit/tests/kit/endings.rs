//! Nothing is left of a private server, however its process ends.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use crate::owner::{Owner, command, entries, eventually, is_alive, kill, temporary_folder};

fn nothing_is_left_after(end: impl FnOnce(&mut Owner)) {
    let mut owner = Owner::start(|_| {});
    let postmaster = owner.postmaster();
    assert!(is_alive(&postmaster));
    end(&mut owner);
    owner.wait_until_nothing_is_left(&[postmaster]);
}

#[test]
fn returning_from_main() {
    nothing_is_left_after(|owner| assert!(owner.order("return").success()));
}

#[test]
fn process_exit_as_the_test_harness_calls_it() {
    nothing_is_left_after(|owner| assert_eq!(owner.order("exit").code(), Some(3)));
}

#[test]
fn a_panic() {
    nothing_is_left_after(|owner| assert_eq!(owner.order("panic").code(), Some(101)));
}

#[test]
fn an_abort() {
    nothing_is_left_after(|owner| assert_eq!(owner.order("abort").signal(), Some(6)));
}

#[test]
fn sigkill() {
    nothing_is_left_after(|owner| {
        owner.child.kill().unwrap();
        assert_eq!(owner.child.wait().unwrap().signal(), Some(9));
    });
}

#[test]
fn sigterm() {
    nothing_is_left_after(|owner| {
        owner.signal_group("TERM");
        assert_eq!(owner.ended().signal(), Some(15));
    });
}

#[test]
fn ctrl_c_to_the_whole_process_group() {
    nothing_is_left_after(|owner| {
        owner.signal_group("INT");
        assert_eq!(owner.ended().signal(), Some(2));
    });
}

#[test]
fn sigkill_takes_the_pooler_too() {
    let mut owner = Owner::start(|command| {
        command.arg("pgbouncer");
    });
    assert!(owner.owned.contains_key("pooler"));
    let postmaster = owner.postmaster();
    owner.child.kill().unwrap();
    owner.child.wait().unwrap();
    owner.wait_until_nothing_is_left(&[postmaster]);
}

#[test]
fn sigkill_while_the_cluster_is_still_being_created() {
    let temporary = temporary_folder();
    let mut child = command(&temporary).spawn().unwrap();
    eventually("initdb has begun", || entries(temporary.path()).iter().any(|dir| dir.join("data").exists()));
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("the directory is removed", || entries(temporary.path()).is_empty());
}

#[test]
fn a_ctrl_c_that_the_owner_survives_does_not_reach_its_server() {
    let mut owner = Owner::start(|command| {
        // An ignored signal stays ignored in the program that the shell becomes.
        let program = command.get_program().to_owned();
        let temporary =
            command.get_envs().find_map(|(name, value)| (name == "TMPDIR").then(|| value.unwrap().to_owned())).unwrap();
        *command = std::process::Command::new("sh");
        command.args(["-c", "trap '' INT; exec \"$0\""]).arg(program);
        command.env_remove("DATABASE_URL").env("TMPDIR", temporary);
        command.stdin(std::process::Stdio::piped());
        command.stdout(std::process::Stdio::piped());
        std::os::unix::process::CommandExt::process_group(command, 0);
    });
    let postmaster = owner.postmaster();
    owner.signal_group("INT");
    assert!(kill("0", &owner.child.id().to_string()));
    // Still answering: a second process can talk to it.
    let server = threadline_testkit::Server::at(&owner.owned["url"]).unwrap();
    drop(server);
    assert!(owner.order("return").success());
    owner.wait_until_nothing_is_left(&[postmaster]);
}

#[test]
fn examples_of_documentation_share_a_server_until_their_program_ends() {
    let temporary = temporary_folder();
    // The program's folder, as rustdoc makes one.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let example = folder.path().join("examples");
    fs::copy(command(&temporary).get_program(), &example).unwrap();
    let mut program = Command::new("sh")
        .args(["-c", "echo return | \"$0\"; echo return | \"$0\"; read -r _"])
        .arg(&example)
        .env_remove("DATABASE_URL")
        .env("TMPDIR", temporary.path())
        .env("RUSTDOC_DOCTEST_RUN_NB_TEST", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(program.stdout.take().unwrap()).lines().map(Result::unwrap);
    let urls: Vec<String> = lines.filter_map(|line| line.strip_prefix("url ").map(str::to_owned)).take(2).collect();
    let [one, other] = urls.iter().map(|url| url.rsplit_once('/').unwrap()).collect::<Vec<_>>()[..] else {
        panic!("{urls:?}")
    };
    assert_eq!(one.0, other.0, "one server");
    assert_ne!(one.1, other.1, "a database each");
    let server = format!("{}/postgres", one.0);
    drop(threadline_testkit::Server::at(&server).unwrap());
    drop(program.stdin.take());
    assert!(!program.wait().unwrap().success(), "`read` is told of the end");
    eventually("the directory is removed", || entries(temporary.path()).is_empty());
    assert!(threadline_testkit::Server::at(&server).is_err());
}
