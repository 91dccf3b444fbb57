//! Every case on diesel-async.

use std::process::ExitCode;

use threadline_tests_conformance::adapters::diesel_async::DieselAsync;
use threadline_tests_conformance::program;

fn main() -> ExitCode {
    program::main::<DieselAsync>()
}
