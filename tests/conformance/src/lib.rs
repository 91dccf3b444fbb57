//! What every adapter must do, written once.
//!
//! An adapter implements [`Adapter`], [`Scope`] and [`Foreign`] (a blocking one [`blocking::Scope`] and
//! [`blocking::Foreign`]) in [`adapters`]; its program in `src/bin` runs every case of [`cases`] on each
//! [`Route`] to the server. The test `matrix` runs the programs and prints one table: case by adapter by route. A cell
//! that cannot apply stands in `exceptions.toml` with the reason; any other cell that is missing fails.
//!
//! ```console
//! $ cargo test -p threadline-tests-conformance                       # everything
//! $ cargo test -p threadline-tests-conformance -- sqlx retry         # cells whose name holds one of the words of each kind
//! $ cargo run -p threadline-tests-conformance --bin conformance-sqlx -- cancellation
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "the programs' output is their result")]

pub mod adapter;
pub mod adapters;
pub mod blocking;
pub mod cases;
pub mod exceptions;
pub mod failure;
pub mod matrix;
pub mod place;
pub mod program;
pub mod questions;
pub mod route;
pub mod script;

pub use adapter::{Adapter, Call, Ending, Foreign, PoolOptions, Scope};
pub use failure::{Failure, Kind};
pub use place::Place;
pub use questions::{Answers, Questions};
pub use route::Route;
pub use script::{Part, Step};
