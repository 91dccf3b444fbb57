//! Threadline for diesel-async.
#![allow(clippy::manual_async_fn, reason = "an async fn does not say that its future is Send")]

mod attach;
mod body;
mod dsl;
mod failure;
mod guarded;
mod install;
pub mod prelude;
mod retry;
mod session;
mod trail;
mod transaction;
mod wire;

pub use attach::{Attached, attach, attach_in};
pub use body::AsyncBody;
pub use dsl::{AuditDsl, begin, transaction};
pub use install::{apply, enable, install, install_manifest, uninstall};
pub use session::Session;
pub use trail::Trail;
pub use transaction::AuditedTransaction;

#[doc(inline)]
pub use crate::__audited_asynchronously as audited;
pub use crate::{Error, is_serialization_failure};
