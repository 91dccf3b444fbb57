//! The kernel's semantics, in plain SQL against a real server: what any client gets, whatever its language or driver.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod baits;
mod session;
mod support;

mod capture_statements;
mod security_casts;
