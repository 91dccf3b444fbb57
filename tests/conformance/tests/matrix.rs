//! Every case on every adapter, on every way to the server, in one table.

use std::process::ExitCode;

/// The program of an adapter. Cargo names the path whether or not the program is part of this build.
macro_rules! program {
    ($feature:literal) => {
        ($feature, option_env!(concat!("CARGO_BIN_EXE_conformance-", $feature)).filter(|_| cfg!(feature = $feature)))
    };
}

fn main() -> ExitCode {
    threadline_tests_conformance::matrix::main(&[
        program!("sqlx"),
        program!("seaorm"),
        program!("diesel"),
        program!("diesel-async"),
    ])
}
