//! The test kit against real servers, one module per topic.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod databases;
mod endings;
mod owner;
mod pgbouncer;
mod private_server;
mod running_server;
mod standby;
mod unavailable;
