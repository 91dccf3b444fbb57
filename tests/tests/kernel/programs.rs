//! PostgreSQL's client programs, for tests that dump, restore, or read what only a client is told.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use threadline_testkit::{Database, Server};
use threadline_tests::cannot_run;

use crate::session::Session;

/// The programs that fit a server.
pub(crate) struct Programs {
    folder: Option<PathBuf>,
}

/// What a program said.
pub(crate) struct Said {
    pub(crate) ok: bool,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl Programs {
    /// The programs beside the server, else those on `PATH` if they are not older than it.
    ///
    /// None, said aloud, only for a server that the environment chose and that has no programs: the versions of
    /// `cargo xtask pg-matrix`.
    #[track_caller]
    pub(crate) fn of(server: &Server) -> Option<Self> {
        let beside = server.bin_dir().map(Path::to_path_buf).filter(|folder| folder.join("pg_dump").exists());
        let this = Self { folder: beside };
        let major = this.major();
        if major.is_some_and(|major| major >= server.version().major) {
            return Some(this);
        }
        cannot_run(&format!(
            "the server is {}, pg_dump {}: install the client programs of the server's version",
            server.version(),
            major.map_or("is missing".to_owned(), |major| format!("is {major}"))
        ));
        None
    }

    fn major(&self) -> Option<u32> {
        let output = self.command("pg_dump").arg("--version").output().ok()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let digits: String =
            said.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    }

    fn command(&self, program: &str) -> Command {
        Command::new(self.folder.as_ref().map_or_else(|| program.into(), |folder| folder.join(program)))
    }

    pub(crate) fn run(&self, program: &str, arguments: &[&str], input: &[u8]) -> Said {
        let mut child = self
            .command(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program} does not start: {error}"));
        let mut stdin = child.stdin.take().expect("the input is a pipe");
        let input = input.to_vec();
        let writer = std::thread::spawn(move || {
            // A program that stops reading says why itself.
            let _ = stdin.write_all(&input);
        });
        let output = child.wait_with_output().expect("the program ends");
        writer.join().expect("the writer ends");
        Said {
            ok: output.status.success(),
            out: output.stdout,
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs a script in `psql`; notices and errors are in `err`.
    pub(crate) fn psql(&self, url: &str, script: &str) -> Said {
        self.run("psql", &["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--dbname", url], script.as_bytes())
    }

    /// `pg_dump` with these options, which must succeed.
    #[track_caller]
    pub(crate) fn dump(&self, database: &Database, options: &[&str]) -> Vec<u8> {
        let mut arguments = vec!["--dbname", database.url()];
        arguments.extend(options);
        let said = self.run("pg_dump", &arguments, b"");
        assert!(said.ok, "pg_dump: {}", said.err);
        // Newer releases write a random key into every dump.
        if options.contains(&"--format=custom") {
            return said.out;
        }
        let text = String::from_utf8(said.out).expect("a dump is UTF-8");
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| {
                !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict") && !line.starts_with("-- Dumped")
            })
            .collect();
        lines.join("\n").into_bytes()
    }

    /// `pg_dump` as text.
    #[track_caller]
    pub(crate) fn dump_text(&self, database: &Database, options: &[&str]) -> String {
        String::from_utf8(self.dump(database, options)).expect("a dump is UTF-8")
    }
}

/// Whether the server has these extensions. If not, that is said, or the test fails.
#[track_caller]
pub(crate) fn has_extensions(session: &mut Session, names: &[&str]) -> bool {
    let missing: Vec<String> = names
        .iter()
        .filter(|name| {
            session.value(&format!("SELECT count(*) FROM pg_available_extensions WHERE name = '{name}'")) == "0"
        })
        .map(|name| (*name).to_owned())
        .collect();
    if missing.is_empty() {
        return true;
    }
    cannot_run(&format!(
        "the server lacks the extensions {}: install PostgreSQL's contributed modules",
        missing.join(", ")
    ));
    false
}
