//! The one clear screen.

use std::process::{Command, Output};

fn owner(configure: impl FnOnce(&mut Command)) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_threadline-testkit-owner"));
    command.env_remove("DATABASE_URL");
    configure(&mut command);
    let Output { status, stderr, .. } = command.output().unwrap();
    assert_eq!(status.code(), Some(1));
    String::from_utf8(stderr).unwrap()
}

fn is_the_screen(text: &str) {
    for advice in ["apt-get install postgresql", "brew install", "docker run", "export DATABASE_URL="] {
        assert!(text.contains(advice), "{advice} is missing in:\n{text}");
    }
    let lines = text.lines().count();
    assert!(lines <= 24, "{lines} lines are more than a screen:\n{text}");
    let widest = text.lines().map(str::len).max().unwrap();
    assert!(widest <= 120, "{widest} columns:\n{text}");
}

#[test]
fn a_folder_that_is_named_but_holds_no_server() {
    let screen = owner(|command| {
        command.env("THREADLINE_PG_BIN", "/nonexistent/bin");
    });
    is_the_screen(&screen);
    assert!(screen.contains("THREADLINE_PG_BIN is /nonexistent/bin"), "{screen}");
}

#[test]
fn a_database_url_that_nobody_answers_is_shown_without_its_password() {
    let screen = owner(|command| {
        command.env("DATABASE_URL", "postgres://me:hunter2@127.0.0.1:1/db");
    });
    is_the_screen(&screen);
    assert!(screen.contains("postgres://me:***@127.0.0.1:1/db"), "{screen}");
    assert!(!screen.contains("hunter2"), "{screen}");
}
