//! Every case on Diesel.

use std::process::ExitCode;

use threadline_tests_conformance::adapters::diesel::Diesel;
use threadline_tests_conformance::program;

fn main() -> ExitCode {
    program::main::<Diesel>()
}
