//! The sqlx adapter against real servers: every test runs on a direct connection and through PgBouncer in transaction
//! mode with two server connections.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod attach;
mod attribution;
mod cancellation;
mod endings;
mod errors;
mod failures;
mod installing;
mod macros;
mod nested;
mod probing;
mod reading;
mod retrying;
mod round_trips;
mod support;
mod typed_rows;
