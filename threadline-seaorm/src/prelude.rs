//! What code that audits with SeaORM needs in scope: `use threadline_seaorm::prelude::*`.
//!
//! [`Error`](crate::Error) is not among it: most programs have one of their own.

pub use threadline_core::{
    Action, ActionStatus, ActorRef, AsOf, AuditContext, Audited, AuditedTable, CapturePolicy, Manifest, Origin,
    Outcome, RetryPolicy, RowAsOf, RowHistory, TableAsOf, Timeline, manifest,
};

pub use crate::audited;
#[doc(hidden)]
pub use crate::handle::{AnyHandle as _, PlainHandle as _};
pub use crate::{AuditedDatabase, AuditedTransaction, Session, Trail, attach};
