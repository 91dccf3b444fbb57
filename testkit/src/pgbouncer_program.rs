//! Which PgBouncer to run.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::account::Account;
use crate::{Error, PreparedStatements, find, workdir};

/// Names a program of 1.21 or newer.
const VARIABLE: &str = "THREADLINE_PGBOUNCER";

/// Where packages put a program that is not meant for users.
const FOLDERS: [&str; 4] = ["/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin", "/usr/local/bin"];

/// Where `cargo xtask pgbouncer` puts its own, from the root of the repository: a program beside its libraries.
const UNPACKED: &str = "target/pgbouncer/pgbouncer";

/// The first version that keeps the prepared statements of its clients apart.
const RECENT: (u32, u32) = (1, 21);

/// The program that packages install.
pub(crate) fn installed() -> Option<PathBuf> {
    find::program("pgbouncer", &FOLDERS)
}

pub(crate) fn find(prepared_statements: PreparedStatements) -> Result<PathBuf, Error> {
    match prepared_statements {
        PreparedStatements::Supported => recent(),
        PreparedStatements::AsInstalled | PreparedStatements::Unsupported => installed().ok_or_else(|| {
            Error::new(
                "PgBouncer is not installed: apt-get install pgbouncer (Debian, Ubuntu), \
                 dnf install pgbouncer (Fedora), brew install pgbouncer (macOS)",
            )
        }),
    }
}

fn recent() -> Result<PathBuf, Error> {
    if let Some(named) = env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
        let named = PathBuf::from(named);
        let version = version(&named)?;
        return if is_recent(&version) {
            Ok(named)
        } else {
            Err(Error::new(format!("{VARIABLE} names PgBouncer {version}; 1.21 or newer is needed")))
        };
    }
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(|root| root.join(UNPACKED));
    for program in installed().into_iter().chain(unpacked.filter(|program| program.exists())) {
        if is_recent(&version(&program)?) {
            return Ok(program);
        }
    }
    Err(Error::new(format!(
        "PgBouncer 1.21 or newer is not here: `cargo xtask pgbouncer` unpacks Debian's (it needs debootstrap and root), \
         or name a program in {VARIABLE}"
    )))
}

pub(crate) fn version(program: &Path) -> Result<String, Error> {
    let doing = || format!("cannot run {} --version", program.display());
    let output = Command::new(program).arg("--version").output().map_err(|error| Error::with(doing(), error))?;
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .find_map(|line| line.strip_prefix("PgBouncer "))
        .map(|version| version.trim().to_owned())
        .ok_or_else(|| Error::new(doing()))
}

pub(crate) fn is_recent(version: &str) -> bool {
    let mut numbers = version.split('.').map_while(|part| part.parse().ok());
    numbers.next().zip(numbers.next()).is_some_and(|version: (u32, u32)| version >= RECENT)
}

/// The program, or a copy of it and its libraries in `dir` when the account that runs it cannot reach it: a clone in
/// root's home is closed to others.
pub(crate) fn within_reach(program: &Path, dir: &Path, account: Option<&Account>) -> Result<PathBuf, Error> {
    let Some(account) = account else {
        return Ok(program.to_owned());
    };
    let reached = workdir::require(program, "-x", account);
    match (reached, program.parent()) {
        (Err(_), Some(folder)) if program.ends_with(UNPACKED) => {
            let copy = dir.join("program");
            copy_folder(folder, &copy, account)
                .map_err(|error| Error::with(format!("cannot copy {}", folder.display()), error))?;
            Ok(copy.join("pgbouncer"))
        }
        (reached, _) => reached.map(|()| program.to_owned()),
    }
}

fn copy_folder(from: &Path, to: &Path, account: &Account) -> io::Result<()> {
    fs::create_dir(to)?;
    workdir::hand_over(to, account)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target, account)?;
        } else {
            // Follows links and keeps the permissions.
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        for (version, recent) in
            [("1.18.0", false), ("1.20.1", false), ("1.21.0", true), ("1.24.1", true), ("2.0", true)]
        {
            assert_eq!(is_recent(version), recent, "{version}");
        }
        assert!(!is_recent("odd"));
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_is_copied_whole() {
        use std::os::unix::fs::MetadataExt;
        let root = tempfile::tempdir().unwrap();
        let from = root.path().join("from");
        fs::create_dir_all(from.join("lib")).unwrap();
        fs::write(from.join("pgbouncer"), "program").unwrap();
        fs::write(from.join("lib/libc.so"), "library").unwrap();
        let to = root.path().join("to");
        let own = fs::metadata(&from).unwrap();
        let account = Account { name: "own", uid: own.uid(), gid: own.gid() };
        copy_folder(&from, &to, &account).unwrap();
        assert_eq!(fs::read_to_string(to.join("lib/libc.so")).unwrap(), "library");
        assert_eq!(fs::read_to_string(to.join("pgbouncer")).unwrap(), "program");
    }
}
