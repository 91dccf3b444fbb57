//! The blocking Diesel adapter against real servers: every test runs on a direct connection and through PgBouncer in
//! transaction mode with two server connections.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod async_services;
mod attach;
mod attribution;
mod endings;
mod errors;
mod failures;
mod installing;
mod migrations;
mod nested;
mod reading;
mod retrying;
mod round_trips;
mod support;
mod trail_queries;
mod typed_rows;
