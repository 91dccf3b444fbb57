//! Threadline for SeaORM 2: transactions whose changes are recorded with who made them and why.

mod attach;
mod begin;
mod connection;
mod database;
pub mod entities;
mod error;
mod failure;
mod install;
mod macros;
#[cfg(feature = "migration")]
pub mod migration;
mod nested;
mod options;
pub mod prelude;
mod retry;
mod scope;
mod session;
mod trail;
mod transaction;
mod wire;

pub use attach::{Attached, OpenTransaction, attach, attach_in};
pub use database::AuditedDatabase;
pub use error::{Error, is_serialization_failure};
pub use failure::record_failure;
pub use install::{apply, enable, install, install_manifest, uninstall};
#[doc(hidden)]
pub use macros::__private;
pub use options::IntoTransactionOptions;
pub use session::Session;
pub use threadline_core::RetryPolicy;
pub use trail::Trail;
pub use transaction::AuditedTransaction;
