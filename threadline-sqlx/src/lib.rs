//! Threadline for sqlx.

mod attach;
mod begin;
mod error;
mod failure;
mod guarded;
mod install;
mod nested;
mod pool;
mod retry;
mod session;
mod trail;
mod transaction;
mod wire;

pub use attach::{Attached, attach, attach_in};
pub use begin::BeginAudited;
pub use error::{Error, is_serialization_failure};
pub use failure::record_failure;
pub use install::{apply, install, uninstall};
pub use pool::AuditedPool;
pub use retry::{RetryPolicy, retry};
pub use session::Session;
pub use trail::Trail;
pub use transaction::AuditedTransaction;
