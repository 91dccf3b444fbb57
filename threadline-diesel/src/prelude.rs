//! What code that audits with Diesel needs in scope: `use threadline_diesel::prelude::*`.
//!
//! [`Error`](crate::Error) is not among it: most programs have one of their own.

pub use threadline_core::{
    Action, ActionStatus, ActorRef, AsOf, AuditContext, Audited, AuditedTable, CapturePolicy, IsolationLevel, Manifest,
    Origin, Outcome, RetryPolicy, RowAsOf, RowHistory, TableAsOf, Timeline, TransactionOptions, manifest,
};

pub use crate::audited;
pub use crate::{AuditDsl, AuditedTransaction, Session, Trail, attach};
