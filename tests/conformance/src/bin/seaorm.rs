//! Every case on SeaORM.

use std::process::ExitCode;

use threadline_tests_conformance::adapters::seaorm::SeaOrm;
use threadline_tests_conformance::program;

fn main() -> ExitCode {
    program::main::<SeaOrm>()
}
