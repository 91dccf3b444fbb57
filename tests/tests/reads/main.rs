//! Reading the trail: every query, filter, cursor and as-of against a plain history in memory.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod ask;
mod bundles;
mod exports;
mod fields;
mod history;
mod instants;
mod property;
mod readers;
mod redactions;
mod scopes;
mod whole_table;
mod world;
