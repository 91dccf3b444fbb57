//! The program `threadline`, run as users run it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod capture;
mod connection;
mod embedded;
mod exporting;
mod help;
mod input;
mod install;
mod investigating;
mod reads;
mod rights;
mod support;
