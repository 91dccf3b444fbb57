//! The kernel's semantics, in plain SQL against a real server: what any client gets, whatever its language or driver.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod audit_bytes;
mod baits;
mod programs;
mod serializable_writes;
mod session;
mod sql_lint;
mod sql_tokens;
mod structure_columns;
mod structure_snapshots;
mod support;
mod type_trip;
mod type_values;

mod audited_columns;
mod capture_actions;
mod capture_bulk;
mod capture_context;
mod capture_enabling;
mod capture_keys;
mod capture_order;
mod capture_partitions;
mod capture_policies;
mod capture_policy_errors;
mod capture_statements;
mod capture_transactions;
mod redaction_secrets;
mod redaction_structure;
mod restore_dumps;
mod security_alterations;
mod security_append_only;
mod security_casts;
mod security_forgery;
mod security_lint;
mod security_names;
mod security_rights;
mod security_search_path;
mod types_bytes;
mod types_keys;
mod types_round_trip;
mod types_settings;
mod upgrade_install;
mod upgrade_schemas;
