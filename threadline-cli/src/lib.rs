//! The command line of Threadline, on its own and inside your binary.
//!
//! ```text
//! threadline install                              the kernel and the trail, into a schema of their own
//! threadline plan posts --mask author_email       the SQL that would capture a table
//! threadline enable posts --mask author_email     capture it
//! threadline timeline --table posts --since "10m ago"
//! threadline history posts 7
//! threadline as-of posts 7 --at 2026-11-23T15:04:05Z
//! threadline incident 42                          who, why, and everything that the transaction changed
//! threadline correlation req-7f3
//! threadline export --table posts --output posts.csv.gz
//! ```
//!
//! # With your manifest
//!
//! A service that lists its audited tables in a [`Manifest`] can offer the same commands itself. Then `install` also
//! captures the manifest's tables, and `plan` and `enable` without a table act on all of them:
//!
//! ```no_run
//! use std::process::ExitCode;
//! use threadline_core::{AuditedTable, CapturePolicy, Manifest};
//!
//! fn main() -> ExitCode {
//!     threadline_cli::run(
//!         &Manifest::new()
//!             .table(AuditedTable::new("public", "posts").policy(CapturePolicy::new().mask(["author_email"])))
//!             .table(AuditedTable::new("public", "comments")),
//!     )
//! }
//! ```
//!
//! # Exit codes
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | the answer is no: the row did not exist at that time, a right is missing, the server refused |
//! | 2 | wrong usage or input: unknown options, tables and columns, malformed values, a policy that contradicts itself |
//! | 3 | the database cannot be reached, or the kernel is not installed in it |
//!
//! # Output
//!
//! Results go to stdout, everything else to stderr. With `--json` each result is one JSON document and each error is one
//! on stderr, `{"error":{"code":..,"message":..,"remedy":..}}`. Colour appears on a terminal only, and `NO_COLOR` is
//! respected. Text from the database is printed without control characters. A password in a URL is never printed.
//!
//! # Features
//!
//! | feature | default | |
//! |---|---|---|
//! | `tls` | yes | connections with TLS |

mod args;
mod commands;
mod database;
mod failure;
mod filters;
mod key;
mod lookup;
mod moment;
mod name;
mod output;
mod policy;
mod render;
mod run;

use std::ffi::OsString;
use std::process::ExitCode;

use threadline_core::Manifest;

/// Runs the command that the process's arguments name. See the [crate] for the exit codes.
///
/// It blocks, prints, and brings its own runtime: call it from `main`, an async one included. `manifest` lists the tables
/// that `install`, `plan` and `enable` act on when none is named; an empty one makes the table a required argument.
///
/// # Examples
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     threadline_cli::run(&threadline_core::Manifest::new())
/// }
/// ```
#[must_use = "the exit code tells whether it worked"]
pub fn run(manifest: &Manifest) -> ExitCode {
    run_from(manifest, std::env::args_os())
}

/// As [`run`], with other arguments than the process's: for a binary that has commands of its own. The first argument is
/// the name that help shows.
///
/// # Examples
/// ```no_run
/// use threadline_core::Manifest;
///
/// // `shop audit timeline --since 10m`
/// let arguments = std::env::args_os().skip(2);
/// let code = threadline_cli::run_from(&Manifest::new(), ["shop audit".into()].into_iter().chain(arguments));
/// ```
#[must_use = "the exit code tells whether it worked"]
pub fn run_from(manifest: &Manifest, arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    run::run(manifest, arguments.into_iter().collect())
}
