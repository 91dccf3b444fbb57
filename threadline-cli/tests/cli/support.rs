//! A database with a small trail, and the program run on it.

use std::process::{Command, Stdio};

use serde_json::Value;
use threadline_core::{Schema, kernel};
use threadline_testkit::{Database, require_server};

/// The tables of the story.
const TABLES: &str = r#"
CREATE TABLE posts (id bigint PRIMARY KEY, title text NOT NULL, author_email text, price numeric, note text);
CREATE SCHEMA billing;
CREATE TABLE billing.lines (invoice text, line int, amount numeric NOT NULL, PRIMARY KEY (invoice, line));
CREATE SCHEMA "Odd ""name""";
CREATE TABLE "Odd ""name"""."T; DROP TABLE posts; --" ("The ""id""" uuid PRIMARY KEY, "Größe" int);
CREATE TABLE plain (id int PRIMARY KEY, note text);
"#;

/// What happened to them.
const STORY: &str = r#"
SELECT threadline.enable_capture('posts', '{"mask": ["author_email"]}');
SELECT threadline.enable_capture('billing.lines');
SELECT threadline.enable_capture('"Odd ""name"""."T; DROP TABLE posts; --"');
COMMIT;

BEGIN;
SELECT threadline.set_context('{"type": "user", "id": "42"}', '{"correlation_id": "corr-1", "request_id": "req-1", "source": "http"}');
SELECT threadline.record_action('{"name": "post.drafted"}');
INSERT INTO posts VALUES (7, 'Draft', 'ada@secret.example', 1.50, NULL);
INSERT INTO billing.lines VALUES ('A-1', 1, 10.00), ('A-1', 2, 20.00);
COMMIT;

BEGIN;
SELECT threadline.set_context('{"type": "admin", "id": "7", "on_behalf_of": {"type": "user", "id": "42"}}', '{"correlation_id": "corr-2"}');
SELECT threadline.record_action('{"name": "post.published", "reason": "editor approved"}');
UPDATE posts SET title = 'Ship it', price = 2.00, author_email = 'bob@secret.example' WHERE id = 7;
COMMIT;

BEGIN;
SELECT threadline.set_context('{"type": "job", "id": "nightly"}', '{"job_id": "job-9"}');
DELETE FROM billing.lines WHERE line = 2;
INSERT INTO "Odd ""name"""."T; DROP TABLE posts; --" VALUES ('0190163d-8694-739b-aea5-966c26f8ad91', 3);
COMMIT;

BEGIN;
UPDATE posts SET note = E'\x1b[2J\u009b gone \u202e' WHERE id = 7;
COMMIT;
"#;

/// An empty database.
pub(crate) fn empty() -> Database {
    require_server().database().unwrap()
}

/// A database with the kernel and the tables, none of them captured.
pub(crate) fn installed() -> Database {
    let setup = format!("{}\n{TABLES}", kernel::install_script(&Schema::default()));
    require_server().database_from("cli installed", &setup).unwrap()
}

/// A database in which the story has happened.
pub(crate) fn story() -> Database {
    let install = kernel::install_script(&Schema::default());
    let setup = format!("BEGIN;\n{install}\n{TABLES}\n{STORY}");
    require_server().database_from("cli story", &setup).unwrap()
}

/// What a run left.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the program without any database named.
pub(crate) fn bare(arguments: &[&str]) -> Run {
    run(command(arguments))
}

/// Runs the program on this database.
pub(crate) fn on(database: &Database, arguments: &[&str]) -> Run {
    let mut command = command(arguments);
    command.env("DATABASE_URL", database.url());
    run(command)
}

/// The database's URL, for sessions with a setting of their own.
pub(crate) fn with_setting(database: &Database, setting: &str, value: &str) -> String {
    let separator = if database.url().contains('?') { '&' } else { '?' };
    format!("{}{separator}options=-c%20{setting}%3D{value}", database.url())
}

/// The program, away from the tester's terminal and settings.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_threadline"));
    command.args(arguments).stdin(Stdio::null());
    for name in ["DATABASE_URL", "COLUMNS", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    command
}

pub(crate) fn run(mut command: Command) -> Run {
    let output = command.output().unwrap();
    Run {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Run {
    /// The text on stdout of a run that worked.
    #[track_caller]
    pub(crate) fn text(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout
    }

    /// The one document on stdout of a run that worked.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{self:?}");
        serde_json::from_str(&self.stdout).unwrap()
    }

    /// What a run that did not work said, once its code is checked.
    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (Some(code), ""), "{self:?}");
        self.stderr
    }
}

/// Text with what differs from run to run replaced: instants, and the role that the tests connect as.
pub(crate) fn steady(text: &str, database: &Database) -> String {
    let mut steady = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if is_instant(rest) {
            steady.push_str("[instant]");
            rest = &rest[INSTANT.len()..];
        } else {
            steady.push(character);
            rest = &rest[character.len_utf8()..];
        }
    }
    let role = database.query_text("SELECT session_user").unwrap();
    let role = role[0][0].as_deref().unwrap();
    let line_of_role = |line: &str| line.trim_start().starts_with("role ") && line.ends_with(role);
    let steady: String = steady
        .split_inclusive('\n')
        .map(|line| if line_of_role(line.trim_end()) { line.replace(role, "[role]") } else { line.to_owned() })
        .collect();
    steady
        .replace(&format!("role {role}"), "role [role]")
        .replace(&format!(r#""session_role": "{role}""#), r#""session_role": "[role]""#)
}

const INSTANT: &str = "0000-00-00 00:00:00.000000Z";

fn is_instant(text: &str) -> bool {
    text.len() >= INSTANT.len()
        && INSTANT.bytes().zip(text.bytes()).all(|(form, byte)| match form {
            b'0' => byte.is_ascii_digit(),
            b' ' => matches!(byte, b' ' | b'T'),
            _ => byte == form,
        })
}

/// A document for a snapshot: readable, without database transaction ids and cursors.
pub(crate) fn pretty(mut document: Value, database: &Database) -> String {
    forget(&mut document);
    steady(&serde_json::to_string_pretty(&document).unwrap(), database)
}

fn forget(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if (name == "xid" || name == "next") && !value.is_null() {
                    *value = format!("[{name}]").into();
                }
                forget(value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(forget),
        _ => {}
    }
}
