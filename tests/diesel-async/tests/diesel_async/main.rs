//! The diesel-async adapter against a real server.
//!
//! Not behind PgBouncer 1.18, where diesel-async itself cannot connect: everything it sends is a named prepared
//! statement.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod attaching;
mod attribution;
mod both_halves;
mod cancellation;
mod connection;
mod endings;
mod failures;
mod installing;
mod migrations;
mod nested;
mod reading;
mod retrying;
mod round_trips;
mod support;
