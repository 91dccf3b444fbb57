//! The kernel's semantics, in plain SQL against a real server: what any client gets, whatever its language or driver.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod baits;
mod session;
mod sql_lint;
mod sql_tokens;
mod support;

mod capture_statements;
mod security_alterations;
mod security_append_only;
mod security_casts;
mod security_forgery;
mod security_lint;
mod security_names;
mod security_rights;
mod security_search_path;
