//! Every case on sqlx.

use std::process::ExitCode;

use threadline_tests_conformance::adapters::sqlx::Sqlx;
use threadline_tests_conformance::program;

fn main() -> ExitCode {
    program::main::<Sqlx>()
}
