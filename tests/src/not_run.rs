//! Tests that need more than a server.

use std::env;
use std::io::Write;
use std::thread;

/// Says aloud that the running test cannot run, or fails it where that is not expected: it is only on a server that the
/// environment chose, as `cargo xtask pg-matrix` does, whose servers come without client programs and extensions.
///
/// # Panics
/// On any other server.
#[track_caller]
pub fn cannot_run(why: &str) {
    assert!(env::var_os("THREADLINE_PG_BIN").is_some(), "{why}");
    // Past the test harness, which would keep it to itself, and in one piece, so that the matrix can count it.
    let line = format!("NOT RUN: {}: {why}\n", thread::current().name().unwrap_or("a test"));
    let _ = std::io::stderr().write_all(line.as_bytes());
}
