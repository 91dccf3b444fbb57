//! Starting and ending `threadline-testkit-owner`, and looking at what it leaves.

use std::collections::HashMap;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub(crate) struct Owner {
    pub(crate) child: Child,
    pub(crate) owned: HashMap<String, String>,
    stdin: ChildStdin,
    temporary: TempDir,
}

/// The owner's command: no running server to use, a temporary folder of its own, a process group of its own.
pub(crate) fn command(temporary: &TempDir) -> Command {
    // Open to all: root hands the servers to another account.
    fs::set_permissions(temporary.path(), Permissions::from_mode(0o777)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_threadline-testkit-owner"));
    command
        .env_remove("DATABASE_URL")
        .env("TMPDIR", temporary.path())
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

pub(crate) fn temporary_folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    tempfile::Builder::new().prefix("own-").tempdir_in(parent).unwrap()
}

impl Owner {
    pub(crate) fn start(configure: impl FnOnce(&mut Command)) -> Self {
        let temporary = temporary_folder();
        let mut command = command(&temporary);
        configure(&mut command);
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        let mut owned = HashMap::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if line == "ready" {
                break;
            }
            let (name, value) = line.split_once(' ').unwrap();
            owned.insert(name.to_owned(), value.to_owned());
        }
        assert!(owned.contains_key("url"), "the owner did not start");
        Self { child, owned, stdin, temporary }
    }

    pub(crate) fn order(&mut self, how_to_end: &str) -> ExitStatus {
        writeln!(self.stdin, "{how_to_end}").unwrap();
        self.child.wait().unwrap()
    }

    /// To the whole process group, as a terminal does at Ctrl-C.
    pub(crate) fn signal_group(&self, signal: &str) {
        kill(signal, &format!("-{}", self.child.id()));
    }

    /// How it ended of a signal, if it does: a program that is started with the signal ignored ignores it too.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        eventually(
            "the owner ends of the signal (were the tests started with it ignored, as `nohup ..&` does?)",
            || {
                status = self.child.try_wait().unwrap();
                status.is_some()
            },
        );
        status.unwrap()
    }

    /// The process id of PostgreSQL, as it wrote it itself.
    pub(crate) fn postmaster(&self) -> String {
        let file = Path::new(&self.owned["dir"]).join("data/postmaster.pid");
        let text = fs::read_to_string(file).unwrap();
        text.lines().next().unwrap().to_owned()
    }

    pub(crate) fn wait_until_nothing_is_left(&self, processes: &[String]) {
        eventually("the directory is removed", || entries(self.temporary.path()).is_empty());
        for process in processes {
            eventually("the server is gone", || !is_alive(process));
        }
    }
}

pub(crate) fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

pub(crate) fn kill(signal: &str, target: &str) -> bool {
    Command::new("kill").args(["-s", signal, "--", target]).stderr(Stdio::null()).status().unwrap().success()
}

pub(crate) fn is_alive(process: &str) -> bool {
    kill("0", process)
}

pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "not within 30 s: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
