//! The diesel-async adapter against a real server.
//!
//! Not behind PgBouncer 1.18, where diesel-async itself cannot connect: everything it sends is a named prepared
//! statement.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod attribution;
mod cancellation;
mod endings;
mod handler;
mod nested;
mod support;
