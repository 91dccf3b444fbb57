//! The tests against several versions of PostgreSQL.

mod counts;
mod servers;
mod table;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Instant;

use crate::run::{Failed, cargo};
use counts::Counts;
use servers::Servers;
use table::Row;

/// Everything whose tests talk to a server. One run each: together they would share their features, and the tests of blocking
/// Diesel prove that it needs none of diesel-async's.
const PACKAGES: [&str; 14] = [
    "threadline-tests",
    "threadline-tests-seaorm",
    "threadline-tests-diesel",
    "threadline-tests-diesel-connection",
    "threadline-tests-diesel-async",
    "threadline-tests-facade",
    CONFORMANCE,
    "threadline-cli",
    "example-sqlx",
    "example-seaorm",
    "example-diesel",
    "example-diesel-async",
    "quickstart",
    "threadline-testkit",
];

/// One suite for every adapter, on each way to the server.
const CONFORMANCE: &str = "threadline-tests-conformance";

/// Which versions to test, and with what.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Major versions, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "14,15,16,17,18")]
    versions: Vec<u32>,

    /// Packages to test, separated by commas; everything that talks to a server unless given
    #[arg(long, short, value_delimiter = ',')]
    packages: Vec<String>,

    /// Run the conformance suite through PgBouncer as well, not only on direct connections
    #[arg(long)]
    poolers: bool,

    /// Install each version's newest release again, instead of what an earlier run installed
    #[arg(long)]
    update: bool,

    /// Passed on to `cargo test`
    #[arg(last = true)]
    arguments: Vec<OsString>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode, Failed> {
    let mut servers = Servers::new(options.update)?;
    let packages = match &options.packages[..] {
        [] => PACKAGES.map(str::to_owned).to_vec(),
        chosen => chosen.to_vec(),
    };
    // Once, so that no version's time includes the build.
    for package in &packages {
        cargo(["test", "--no-run"], package_arguments(package)).succeed()?;
    }
    let mut rows = Vec::new();
    for &version in &options.versions {
        let programs = servers.install(version)?;
        for package in &packages {
            let started = Instant::now();
            let mut counts = Counts::default();
            // All of it, whatever fails: a number of tests means nothing when some were not reached.
            let status = cargo(["test", "--no-fail-fast"], test_arguments(package, options))
                .set("THREADLINE_PG_BIN", programs.folder.as_os_str())
                // It would win over the version's own programs.
                .unset("DATABASE_URL")
                .observe(|line| counts.read(line))?;
            rows.push(Row {
                version,
                server: programs.version.clone(),
                package: package.clone(),
                passed: status.success(),
                counts,
                took: started.elapsed(),
            });
        }
    }
    table::print(&rows).map_err(|error| Failed(format!("cannot print the table: {error}")))?;
    if rows.iter().all(|row| row.passed) { Ok(ExitCode::SUCCESS) } else { Ok(ExitCode::FAILURE) }
}

fn package_arguments(package: &str) -> Vec<OsString> {
    vec!["-p".into(), package.into()]
}

fn test_arguments(package: &str, options: &Options) -> Vec<OsString> {
    let mut arguments = package_arguments(package);
    if package == CONFORMANCE && !options.poolers && options.arguments.is_empty() {
        // Its own unit tests would take the word for a filter.
        arguments.extend(["--test", "matrix", "--", "direct"].map(OsString::from));
    }
    arguments.extend(options.arguments.iter().cloned());
    arguments
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_package_is_one_of_the_workspace() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
        let members = manifest.split_once("members = [").unwrap().1.split_once(']').unwrap().0;
        let names: Vec<String> = members
            .split('"')
            .skip(1)
            .step_by(2)
            .map(|member| fs::read_to_string(root.join(member).join("Cargo.toml")).unwrap())
            .map(|manifest| manifest.split('"').nth(1).unwrap().to_owned())
            .collect();
        for package in PACKAGES {
            assert!(names.iter().any(|name| name == package), "{package} is none of {names:?}");
        }
    }
}
