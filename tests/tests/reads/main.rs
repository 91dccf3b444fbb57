//! Reading the trail: every query, filter, cursor and as-of against a plain history in memory, and what reads need of the
//! server.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod ask;
mod exports;
mod history;
mod plans;
mod property;
mod readers;
mod scopes;
#[path = "../kernel/session.rs"]
#[allow(dead_code, reason = "shared with the kernel's tests")]
mod session;
mod whole_table;
mod world;
