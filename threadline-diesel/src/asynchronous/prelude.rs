//! What code that audits with diesel-async needs in scope: `use threadline_diesel::asynchronous::prelude::*`.
//!
//! The traits come without their names, so that the prelude of the blocking half can stand beside this one.
//! [`Error`](crate::Error) is not among it: most programs have one of their own.

pub use threadline_core::{
    Action, ActionStatus, ActorRef, AsOf, AuditContext, Audited, AuditedTable, CapturePolicy, IsolationLevel, Manifest,
    Origin, Outcome, RetryPolicy, RowAsOf, RowHistory, TableAsOf, Timeline, TransactionOptions, manifest,
};

pub use crate::asynchronous::audited;
pub use crate::asynchronous::{AuditDsl as _, AuditedTransaction, Session, Trail as _, attach, begin, transaction};
