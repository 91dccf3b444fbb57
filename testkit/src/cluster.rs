//! A private, throwaway PostgreSQL.

use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use crate::watchdog::Watchdog;
use crate::{Error, Options, workdir};

/// Durability is off: the cluster does not outlive its process. Two-phase commit is on for tests that need it.
const SETTINGS: [(&str, &str); 5] = [
    ("fsync", "off"),
    ("synchronous_commit", "off"),
    ("full_page_writes", "off"),
    ("max_connections", "200"),
    ("max_prepared_transactions", "20"),
];

/// A socket's directory is private, so its number is free; a TCP port is not.
const SOCKET_PORT: u16 = 5432;

/// How often a TCP port is chosen again when someone else takes it first.
pub(crate) const PORT_ATTEMPTS: u32 = 5;

#[derive(Debug)]
pub(crate) struct Cluster {
    watchdog: Watchdog,
    bin_dir: PathBuf,
    port: u16,
    tcp: bool,
}

impl Cluster {
    /// One that stops when this process has ended, and the process `outlive` too.
    pub(crate) fn start(bin_dir: PathBuf, options: &Options, outlive: Option<u32>) -> Result<Self, Error> {
        let tcp = options.tcp;
        let mut attempt = 1;
        loop {
            let port = if tcp { free_port()? } else { SOCKET_PORT };
            match launch(&bin_dir, options, port, outlive, None) {
                Ok(watchdog) => {
                    return Ok(Self { watchdog, bin_dir, port, tcp });
                }
                Err(error) if tcp && attempt < PORT_ATTEMPTS && is_port_taken(&error) => {
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// A copy of this one that follows it, reachable through a socket.
    pub(crate) fn standby(&self) -> Result<Self, Error> {
        let options = Options { parent_dir: self.dir().parent().map(Path::to_owned), ..Options::default() };
        let watchdog = launch(&self.bin_dir, &options, SOCKET_PORT, None, Some(self))?;
        Ok(Self { watchdog, bin_dir: self.bin_dir.clone(), port: SOCKET_PORT, tcp: false })
    }

    pub(crate) fn bin_dir(&self) -> &Path {
        &self.bin_dir
    }

    pub(crate) fn dir(&self) -> &Path {
        self.watchdog.dir()
    }

    /// The address of the maintenance database.
    pub(crate) fn url(&self) -> String {
        if self.tcp {
            format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
        } else {
            format!("postgres://postgres@{}:{}/postgres", socket_host(self.dir()), self.port)
        }
    }
}

/// Starts a new server, or the standby of one.
fn launch(
    bin_dir: &Path,
    options: &Options,
    port: u16,
    outlive: Option<u32>,
    primary: Option<&Cluster>,
) -> Result<Watchdog, Error> {
    let (dir, account) = workdir::create("threadline-pg-", options.parent_dir.as_deref())?;
    if let Some(account) = &account {
        workdir::require(&bin_dir.join("postgres"), "-x", account)?;
    }
    let conf = configuration(dir.path(), options, port);
    fs::write(dir.path().join("settings.conf"), conf)
        .map_err(|error| Error::with("cannot write the server's settings", error))?;
    let script = match primary {
        None => include_str!("cluster.sh"),
        Some(_) => include_str!("standby.sh"),
    };
    let mut command: Vec<OsString> =
        vec!["sh".into(), "-c".into(), script.into(), "threadline-cluster".into(), bin_dir.into(), dir.path().into()];
    if let Some(primary) = primary {
        command.extend([primary.dir().into(), primary.port.to_string().into()]);
    }
    // QUIT is the immediate shutdown: there is nothing worth a checkpoint.
    let watchdog = Watchdog::start(dir, account.as_ref(), "QUIT", outlive, &command)?;
    let pid_file = watchdog.dir().join("data/postmaster.pid");
    let server = format!("PostgreSQL ({})", bin_dir.display());
    watchdog.until_ready(&server, || is_ready(&pid_file))?;
    Ok(watchdog)
}

/// Line 8 of postmaster.pid is the server's state, written for `pg_ctl --wait`.
fn is_ready(pid_file: &Path) -> bool {
    fs::read_to_string(pid_file).is_ok_and(|text| text.lines().nth(7).is_some_and(|line| line.trim() == "ready"))
}

/// A file rather than `-c` options, so that tests can change settings with `ALTER SYSTEM`.
fn configuration(dir: &Path, options: &Options, port: u16) -> String {
    let fixed = [
        ("listen_addresses", if options.tcp { "127.0.0.1" } else { "" }.to_owned()),
        ("unix_socket_directories", dir.display().to_string()),
        ("port", port.to_string()),
    ];
    let mut conf = String::new();
    let defaults = SETTINGS.iter().map(|(name, value)| (*name, *value));
    let fixed = fixed.iter().map(|(name, value)| (*name, value.as_str()));
    let chosen = options.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    // The last line for a setting wins.
    for (name, value) in defaults.chain(chosen).chain(fixed) {
        let value = value.replace('\\', "\\\\").replace('\'', "''");
        conf.push_str(&format!("{name} = '{value}'\n"));
    }
    conf
}

/// A directory of sockets as the host of a URL. All of libpq, sqlx and tokio-postgres read this form alike, which they
/// do not for a `host` parameter.
pub(crate) fn socket_host(dir: &Path) -> String {
    let mut host = String::new();
    for byte in dir.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(byte) {
            host.push(char::from(*byte));
        } else {
            host.push_str(&format!("%{byte:02X}"));
        }
    }
    host
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> Result<u16, Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| Error::with("cannot find a free port on 127.0.0.1", error))
}

pub(crate) fn is_port_taken(error: &Error) -> bool {
    error.to_string().contains("in use")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_may_hold_quotes_and_backslashes() {
        let options = Options { settings: vec![("application_name".into(), r"it's a\b".into())], ..Options::default() };
        let conf = configuration(Path::new("/tmp/x"), &options, 5432);
        assert!(conf.contains("application_name = 'it''s a\\\\b'\n"), "{conf}");
    }

    #[test]
    fn a_socket_directory_is_escaped_as_a_host() {
        assert_eq!(socket_host(Path::new("/tmp/a b")), "%2Ftmp%2Fa%20b");
    }
}
