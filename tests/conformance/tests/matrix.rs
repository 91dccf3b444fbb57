//! Every case on every adapter, on every way to the server, in one table.

use std::process::ExitCode;

fn main() -> ExitCode {
    threadline_tests_conformance::matrix::main(&[
        ("sqlx", option_env!("CARGO_BIN_EXE_conformance-sqlx")),
        ("seaorm", option_env!("CARGO_BIN_EXE_conformance-seaorm")),
        ("diesel", option_env!("CARGO_BIN_EXE_conformance-diesel")),
        ("diesel-async", option_env!("CARGO_BIN_EXE_conformance-diesel-async")),
    ])
}
