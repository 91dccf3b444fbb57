//! The processor time of a server process, and how to keep it on one core.

use std::fs;
use std::path::PathBuf;
use std::process::{self, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::Result;

/// What the time of a statement is taken from.
#[derive(Debug)]
pub(crate) enum Clock {
    /// The scheduler's count of nanoseconds that one process has run. Work of other processes does not show in it.
    Process(PathBuf),
    /// The time of day, where the system does not tell. Includes the client and everything else that runs.
    Wall,
}

impl Clock {
    /// The clock of a process on this machine.
    pub(crate) fn of_process(pid: &str) -> Self {
        let path = PathBuf::from(format!("/proc/{pid}/schedstat"));
        let clock = Self::Process(path);
        if clock.read().is_ok() { clock } else { Self::Wall }
    }

    /// What a report says about it.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Process(_) => "processor time of the server process",
            Self::Wall => "wall time (this system does not tell a process's time)",
        }
    }

    /// The time so far. Only differences mean something.
    pub(crate) fn read(&self) -> Result<Duration> {
        match self {
            Self::Process(path) => {
                let text = fs::read_to_string(path)?;
                let nanoseconds = text.split_whitespace().next().unwrap_or_default();
                Ok(Duration::from_nanos(nanoseconds.parse()?))
            }
            Self::Wall => {
                static START: OnceLock<Instant> = OnceLock::new();
                Ok(START.get_or_init(Instant::now).elapsed())
            }
        }
    }
}

/// Pins this process to one core, and so everything it starts from now on. Returns whether that worked.
pub(crate) fn pin(core: usize) -> bool {
    Command::new("taskset")
        .args(["-c", "-p", &core.to_string(), &process::id().to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
