//! Threadline for Diesel: transactions whose changes are recorded with who made them and why.

#[cfg(feature = "async")]
pub mod asynchronous;
mod attach;
#[cfg(feature = "connection")]
mod connection;
mod deadlock;
mod dsl;
mod error;
mod failure;
mod install;
mod leave;
mod macros;
pub mod migrations;
pub mod prelude;
mod read;
mod retry;
mod session;
mod statement;
pub mod trail;
mod transaction;
mod wire;

pub use attach::{Attached, attach, attach_in};
#[cfg(feature = "connection")]
pub use connection::AuditedConnection;
#[cfg(feature = "connection")]
#[doc(hidden)]
pub use connection::AuditedTransactionManager;
pub use dsl::AuditDsl;
pub use error::{Error, is_serialization_failure};
pub use install::{apply, enable, install, install_manifest, uninstall};
#[doc(hidden)]
pub use macros::__private;
pub use read::Trail;
pub use session::Session;
pub use transaction::AuditedTransaction;
