//! Finding PostgreSQL's programs on this machine.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names a folder with `initdb` and `postgres`, before any that would be found.
const BIN_VARIABLE: &str = "THREADLINE_PG_BIN";

/// Where installers put PostgreSQL. `*` stands for the part that holds the version.
const INSTALL_FOLDERS: [&str; 8] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
    "/usr/libexec/postgresql*",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql/bin",
];

/// Whether someone named a folder, so that no other place may be used.
#[cfg(feature = "embedded")]
pub(crate) fn is_folder_named() -> bool {
    env::var_os(BIN_VARIABLE).is_some_and(|value| !value.is_empty())
}

/// The folder whose programs to use, or the reason why there is none.
pub(crate) fn server_programs() -> Result<PathBuf, String> {
    if let Some(folder) = env::var_os(BIN_VARIABLE).filter(|value| !value.is_empty()) {
        let folder = PathBuf::from(folder);
        return if is_server_folder(&folder) {
            Ok(folder)
        } else {
            Err(format!(
                "{BIN_VARIABLE} is {}, which does not hold the programs initdb and postgres.",
                folder.display()
            ))
        };
    }
    on_path()
        .chain(pg_config())
        .chain(INSTALL_FOLDERS.into_iter().flat_map(newest_first))
        .find(|folder| is_server_folder(folder))
        .map(|folder| behind_links(&folder))
        .ok_or_else(|| {
            format!(
                "DATABASE_URL and {BIN_VARIABLE} are not set, and no folder holds both initdb and postgres. Looked in \
                 PATH,\n`pg_config --bindir`, {}.",
                INSTALL_FOLDERS.join(", ")
            )
        })
}

/// The first program of this name on `PATH` or in one of `also`.
pub(crate) fn program(name: &str, also: &[&str]) -> Option<PathBuf> {
    on_path().chain(also.iter().map(PathBuf::from)).map(|folder| folder.join(name)).find(|file| is_program(file))
}

/// The folder that `postgres` really is in: the links of a folder on `PATH` need not include the client programs.
fn behind_links(folder: &Path) -> PathBuf {
    fs::canonicalize(folder.join("postgres"))
        .ok()
        .and_then(|file| Some(file.parent()?.to_owned()))
        .filter(|real| is_server_folder(real))
        .unwrap_or_else(|| folder.to_owned())
}

pub(crate) fn is_server_folder(folder: &Path) -> bool {
    is_program(&folder.join("initdb")) && is_program(&folder.join("postgres"))
}

fn is_program(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|metadata| metadata.is_file() && is_executable(&metadata))
}

#[cfg(unix)]
fn is_executable(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &fs::Metadata) -> bool {
    true
}

fn on_path() -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).filter(|folder| folder.is_absolute()).collect::<Vec<_>>().into_iter()
}

/// The folder that `pg_config` reports. Client-only installations have one too, without a server in it.
fn pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    let folder = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(folder.trim()))
}

/// The folders that match a pattern with at most one `*`, the highest version first.
fn newest_first(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else {
        return vec![PathBuf::from(pattern)];
    };
    let (parent, prefix) = before.rsplit_once('/').unwrap_or(("", before));
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let name = entry.ok()?.file_name();
            let version = version_of(name.as_os_str(), prefix)?;
            let folder = PathBuf::from(parent).join(&name);
            let tail = after.trim_start_matches('/');
            Some((version, if tail.is_empty() { folder } else { folder.join(tail) }))
        })
        .collect();
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    found.into_iter().map(|(_, folder)| folder).collect()
}

/// 17 in `postgresql@17`, `pgsql-17`, `17` and `17.2`.
fn version_of(name: &OsStr, prefix: &str) -> Option<u32> {
    let rest = name.to_str()?.strip_prefix(prefix)?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn programs(folder: &Path) {
        fs::create_dir_all(folder).unwrap();
        for name in ["initdb", "postgres"] {
            let file = folder.join(name);
            fs::write(&file, "").unwrap();
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
    }

    #[test]
    fn the_highest_version_comes_first_by_number_not_by_letter() {
        let root = tempfile::tempdir().unwrap();
        for version in ["9", "16", "17.2", "notes"] {
            programs(&root.path().join(format!("pgsql-{version}/bin")));
        }
        let pattern = format!("{}/pgsql-*/bin", root.path().display());
        let found = newest_first(&pattern);
        let expected: Vec<PathBuf> =
            ["17.2", "16", "9"].iter().map(|version| root.path().join(format!("pgsql-{version}/bin"))).collect();
        assert_eq!(found, expected);
        assert!(found.iter().all(|folder| is_server_folder(folder)));
    }

    #[test]
    fn a_client_only_folder_is_not_a_server() {
        let root = tempfile::tempdir().unwrap();
        programs(root.path());
        assert!(is_server_folder(root.path()));
        fs::remove_file(root.path().join("initdb")).unwrap();
        assert!(!is_server_folder(root.path()));
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_to_the_folder_with_all_programs() {
        let root = tempfile::tempdir().unwrap();
        let (real, links) = (root.path().join("real"), root.path().join("links"));
        programs(&real);
        fs::create_dir(&links).unwrap();
        for name in ["initdb", "postgres"] {
            std::os::unix::fs::symlink(real.join(name), links.join(name)).unwrap();
        }
        let real = fs::canonicalize(real).unwrap();
        assert_eq!(behind_links(&links), real);
        assert_eq!(behind_links(&real), real);
    }

    #[test]
    fn a_pattern_in_a_folder_that_does_not_exist_finds_nothing() {
        assert!(newest_first("/nonexistent/postgresql/*/bin").is_empty());
    }
}
