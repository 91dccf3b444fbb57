//! Stopping a server when its owner ends, for whatever reason.
//!
//! Destructors do not run when a test harness calls `process::exit`, at Ctrl-C or at SIGKILL. So each server is the
//! child of a small shell script that reads a pipe of ours: when this process ends, the kernel closes the pipe, and the
//! script stops the server and removes its directory.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::Error;
use crate::account::Account;

/// Generous: a machine that runs many tests at once may take seconds to create a cluster.
const START_LIMIT: Duration = Duration::from_secs(120);

const POLL: Duration = Duration::from_millis(5);

/// A running server and the script that watches over it. Dropping it stops the server and waits for that.
#[derive(Debug)]
pub(crate) struct Watchdog {
    dir: PathBuf,
    script: Child,
    owner: Option<ChildStdin>,
}

impl Watchdog {
    /// Starts `command` in `dir`, which belongs to the watchdog from then on. `signal` is what stops the server, when this
    /// process has ended and the process `outlive` too.
    pub(crate) fn start(
        dir: TempDir,
        account: Option<&Account>,
        signal: &str,
        outlive: Option<u32>,
        command: &[OsString],
    ) -> Result<Self, Error> {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", include_str!("watchdog.sh"), "threadline-watchdog"])
            .arg(dir.path())
            .arg(signal)
            .arg(outlive.map_or_else(String::new, |process| process.to_string()))
            .args(command)
            .current_dir(dir.path())
            // Ctrl-C in a terminal goes to a whole process group; the script must survive it to clear up.
            .process_group(0)
            .stdin(Stdio::piped())
            // A pipe that reads the test's output must not stay open because of us.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .env("LC_ALL", "C")
            .env("TZ", "UTC");
        for (name, _) in env::vars_os() {
            // PGPORT, PGDATA, PGOPTIONS and the like change what a server does.
            if name.to_str().is_some_and(|name| name.starts_with("PG")) {
                shell.env_remove(name);
            }
        }
        if let Some(account) = account {
            shell.uid(account.uid).gid(account.gid);
        }
        let mut script = shell.spawn().map_err(|error| Error::with("cannot run `sh`", error))?;
        let owner = script.stdin.take();
        Ok(Self { dir: dir.keep(), script, owner })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Waits until `ready` says so; fails when the server ends before that.
    pub(crate) fn until_ready(&self, server: &str, mut ready: impl FnMut() -> bool) -> Result<(), Error> {
        let deadline = Instant::now() + START_LIMIT;
        while !ready() {
            if self.dir.join("exit").exists() {
                return Err(Error::new(format!("{server} did not start; its log ends with:\n{}", self.log_tail())));
            }
            if Instant::now() > deadline {
                return Err(Error::new(format!(
                    "{server} was not ready after {} s; its log ends with:\n{}",
                    START_LIMIT.as_secs(),
                    self.log_tail()
                )));
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// The last lines of what the server has written.
    fn log_tail(&self) -> String {
        let log = fs::read(self.dir.join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let start = lines.len().saturating_sub(15);
        lines.get(start..).unwrap_or_default().join("\n")
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.owner.take());
        // The script's exit code says nothing about a server that is gone.
        let _ = self.script.wait();
    }
}
