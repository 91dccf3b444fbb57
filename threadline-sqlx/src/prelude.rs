//! What code that audits with sqlx needs in scope: `use threadline_sqlx::prelude::*`.
//!
//! [`Error`](crate::Error) is not among it: most programs have one of their own.

pub use threadline_core::{
    Action, ActionStatus, ActorRef, AsOf, AuditContext, Audited, AuditedTable, CapturePolicy, IsolationLevel, Manifest,
    Origin, Outcome, RowAsOf, RowHistory, TableAsOf, Timeline, TransactionOptions, manifest,
};

pub use crate::audited;
#[doc(hidden)]
pub use crate::handle::{AnyHandle as _, PlainHandle as _};
pub use crate::{AuditedPool, AuditedTransaction, BeginAudited, RetryPolicy, Session, Trail, attach};
