//! The SeaORM adapter against real servers.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod as_of;
mod attach;
mod attribution;
mod cancellation;
mod endings;
mod entity;
mod errors;
mod exports;
mod failures;
mod forms;
mod handler;
mod installing;
mod migrations;
mod mock;
mod nested;
mod probes;
mod reading;
mod retrying;
mod round_trips;
mod support;
mod trail_entities;
