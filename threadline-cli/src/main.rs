//! `threadline`, without a manifest of its own.

use std::process::ExitCode;

use threadline_core::Manifest;

fn main() -> ExitCode {
    threadline_cli::run(&Manifest::new())
}
