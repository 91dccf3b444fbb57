//! The private directory of one server.

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::{Builder, TempDir};

use crate::Error;
use crate::account::Account;

/// The longest path of a Unix socket on macOS; Linux allows four bytes more.
const SOCKET_PATH_LIMIT: usize = 103;

/// What follows the directory in the path of a socket.
const SOCKET_NAME: &str = "/.s.PGSQL.65535";

/// Free memory-backed space below which a cluster goes to disk, in KiB. A cluster takes 40 MB, a database 8 MB.
const MEMORY_NEEDED: u64 = 2 * 1024 * 1024;

/// A new directory that only the servers' account can open, and that account if it is not the current one.
pub(crate) fn create(prefix: &str, parent: Option<&Path>) -> Result<(TempDir, Option<Account>), Error> {
    let candidates = match parent {
        Some(parent) => vec![parent.to_owned()],
        None => usual_parents(),
    };
    let mut problem = None;
    for parent in candidates {
        match create_in(&parent, prefix) {
            Ok(created) => return Ok(created),
            Err(error) => problem = problem.or(Some(error)),
        }
    }
    Err(problem.unwrap_or_else(|| Error::new("no temporary folder")))
}

fn usual_parents() -> Vec<PathBuf> {
    let mut parents = Vec::new();
    // Copying a template takes a tenth of the time in memory on a slow disk. A folder that someone chose comes first.
    if env::var_os("TMPDIR").is_none() {
        parents.extend(memory_folder());
    }
    // The last is for a temporary folder with a long path, or one inside root's home.
    parents.extend([env::temp_dir(), PathBuf::from("/tmp")]);
    parents
}

/// Linux's folder in memory, if it has room: containers often limit it to 64 MB.
fn memory_folder() -> Option<PathBuf> {
    let folder = "/dev/shm";
    let output = Command::new("df").args(["-P", "-k", folder]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    // File system, size, used, available, in the second line.
    let available: u64 = text.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
    (available >= MEMORY_NEEDED).then(|| PathBuf::from(folder))
}

fn create_in(parent: &Path, prefix: &str) -> Result<(TempDir, Option<Account>), Error> {
    let dir = Builder::new()
        .prefix(prefix)
        .permissions(fs::Permissions::from_mode(0o700))
        .tempdir_in(parent)
        .map_err(|error| Error::with(format!("cannot create a directory in {}", parent.display()), error))?;
    if dir.path().as_os_str().len() + SOCKET_NAME.len() > SOCKET_PATH_LIMIT {
        return Err(Error::new(format!("{} is too long a path for a Unix socket", dir.path().display())));
    }
    let account = Account::for_servers(dir.path())?;
    if let Some(account) = &account {
        chown(dir.path(), Some(account.uid), Some(account.gid))
            .map_err(|error| Error::with(format!("cannot hand a directory to {}", account.name), error))?;
        require(dir.path(), "-w", account)?;
    }
    Ok((dir, account))
}

/// Fails when another account cannot reach a file, for example because it is below root's home.
pub(crate) fn require(path: &Path, test: &str, account: &Account) -> Result<(), Error> {
    let reached = Command::new("test")
        .arg(test)
        .arg(path)
        .current_dir("/")
        .uid(account.uid)
        .gid(account.gid)
        .stdin(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if reached {
        Ok(())
    } else {
        Err(Error::new(format!(
            "the account {}, which runs PostgreSQL because root may not, cannot reach {}",
            account.name,
            path.display()
        )))
    }
}

/// Gives a folder to the account, which is also who removes it.
pub(crate) fn hand_over(folder: &Path, account: &Account) -> io::Result<()> {
    chown(folder, Some(account.uid), Some(account.gid))
}

/// Whether a server listens on this socket.
pub(crate) fn socket_accepts(socket: &Path) -> bool {
    UnixStream::connect(socket).is_ok()
}
