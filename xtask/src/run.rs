//! Running other programs, visibly.

use std::ffi::{OsStr, OsString};
use std::fmt::{self, Display};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;

/// Why a command of ours cannot go on.
#[derive(Debug)]
pub(crate) struct Failed(pub(crate) String);

impl Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A program to run, shown before it runs.
#[derive(Debug)]
pub(crate) struct Step {
    command: Command,
    /// What is set for it, for the line that shows it.
    settings: String,
}

/// Cargo with arguments of ours, then those that the user passed on.
pub(crate) fn cargo(
    ours: impl IntoIterator<Item = &'static str>,
    passed_on: impl IntoIterator<Item = OsString>,
) -> Step {
    // Cargo tells the programs it runs which cargo that is.
    let mut step = Step::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    step.command.args(ours).args(passed_on);
    step
}

impl Step {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        Self { command: Command::new(program), settings: String::new() }
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.command.args(arguments);
        self
    }

    pub(crate) fn in_folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    pub(crate) fn set(mut self, name: &str, value: &OsStr) -> Self {
        self.command.env(name, value);
        self.settings.push_str(&format!("{name}={} ", value.display()));
        self
    }

    pub(crate) fn unset(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Runs it and returns its exit code.
    pub(crate) fn status(self) -> Result<ExitCode, Failed> {
        Ok(exit_code(self.wait()?))
    }

    /// Runs it; anything but success is an error.
    pub(crate) fn succeed(self) -> Result<(), Failed> {
        let shown = self.to_string();
        let status = self.wait()?;
        if status.success() { Ok(()) } else { Err(Failed(format!("`{shown}` failed: {status}"))) }
    }

    pub(crate) fn wait(mut self) -> Result<ExitStatus, Failed> {
        eprintln!("$ {self}");
        self.command.status().map_err(|error| Failed(format!("cannot run `{self}`: {error}")))
    }

    /// Runs it, and gives each line that it prints to `on_line` besides.
    pub(crate) fn observe(mut self, mut on_line: impl FnMut(&str)) -> Result<ExitStatus, Failed> {
        eprintln!("$ {self}");
        let failed = |error: io::Error| Failed(format!("cannot run a program: {error}"));
        let mut child = self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
        let (sender, lines) = mpsc::channel();
        if let Some(output) = child.stdout.take() {
            relay(output, io::stdout(), sender.clone());
        }
        if let Some(output) = child.stderr.take() {
            relay(output, io::stderr(), sender);
        }
        // Until both have ended.
        for line in lines {
            on_line(&line);
        }
        child.wait().map_err(failed)
    }

    /// Runs it and returns what it prints.
    pub(crate) fn output(mut self) -> Result<String, Failed> {
        eprintln!("$ {self}");
        let output = self
            .command
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| Failed(format!("cannot run `{self}`: {error}")))?;
        if !output.status.success() {
            return Err(Failed(format!("`{self}` failed: {}", output.status)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.settings)?;
        let program = Path::new(self.command.get_program());
        let name = program.file_name().unwrap_or(program.as_os_str());
        write!(f, "{}", name.display())?;
        for argument in self.command.get_args() {
            write!(f, " {}", argument.display())?;
        }
        Ok(())
    }
}

/// Copies lines as they come, in the background.
fn relay(from: impl Read + Send + 'static, mut to: impl Write + Send + 'static, lines: mpsc::Sender<String>) {
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            // Whoever does not want to see it any more still wants the result.
            let _ = to.write_all(&line);
            if lines.send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
                break;
            }
            line.clear();
        }
    });
}

fn exit_code(status: ExitStatus) -> ExitCode {
    // A program that a signal ended has no code.
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}
