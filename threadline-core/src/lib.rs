//! Threadline's domain types, operations and SQL kernel: what every adapter shares. No driver, no runtime, no ORM.
//!
//! Each thing that one can ask of the trail is a value: it knows its statement and how to read the answer. An adapter
//! runs the statement and nothing more, so asynchronous and blocking clients, whatever ORM they use, ask the same.
//!
//! ```
//! use threadline_core::{ActorRef, Operation, Schema, Timeline};
//!
//! let timeline = Timeline::new().table("posts").actor(&ActorRef::user("42")?).limit(20);
//! let statement = timeline.statement(&Schema::default())?;
//! // An adapter binds statement.params() as text, runs statement.sql(), and hands the rows to:
//! let page = timeline.decode(Vec::new())?;
//! assert!(page.is_empty());
//! # Ok::<(), threadline_core::Error>(())
//! ```
//!
//! # What is where
//!
//! | you want to | use |
//! |---|---|
//! | install, upgrade or remove the kernel | [`kernel`], [`InstalledVersion`], [`CreatePartitions`] |
//! | say which tables are audited, and how | [`Audited`], [`manifest!`], [`Manifest`], [`AuditedTable`], [`CapturePolicy`] |
//! | switch capture on and off | [`PlanCapture`], [`EnableCapture`], [`RefreshCapture`], [`DisableCapture`] |
//! | say who and why | [`AuditContext`], [`ActorRef`], [`Action`], [`RecordAction`], [`EnterContext`], [`LeaveContext`] |
//! | read the trail | [`Timeline`], [`RowHistory`], [`AsOf`], [`TableAsOf`], [`Replay`] |
//! | assert in your tests that code wrote with an actor and an action | [`StartProbe`], [`FinishProbe`], [`Probed`] |
//! | write an adapter | [`Operation`], [`AsyncConnection`], [`BlockingConnection`], [`DatabaseFacts`], [`Outcome`], [`RetryPolicy`] |
//!
//! # Guarantees
//!
//! - **Builders collect, statements check.** A builder never fails; [`Operation::statement`],
//!   [`AuditContext::begin_sql`] and the `validate` methods refuse what is out of bounds, with an [`Error`] that names the
//!   value and says what to do. Nothing malformed reaches the database.
//! - **Nothing depends on the session.** Names are qualified and quoted, literals are `E'..'`, parameters are text with a
//!   cast, instants are RFC 3339 in UTC.
//! - **No digit is lost.** JSON of the trail stays text ([`Json`]) until you read it into a type of yours.
//! - **No secrets in messages.** Errors and `Debug` of statements show no parameter, key, actor or row value.
//! - **Reads are bounded** and go on with a [`Cursor`]; a question that cannot have an answer is an error, not an empty
//!   page.

#[doc(hidden)]
pub mod __private;
pub mod kernel;

mod action;
mod actor;
mod bounds;
mod capture;
mod connection;
mod context;
mod current;
mod database_error;
mod decode;
mod error;
mod id;
mod install;
mod instant;
mod json;
mod manifest;
mod model;
mod operation;
mod outcome;
mod policy;
mod quote;
mod reads;
mod retry;
mod schema;
mod statement;
mod trail;
mod transaction_options;
mod write;

pub use action::{Action, ActionStatus};
pub use actor::{ActorKind, ActorRef};
pub use capture::{DisableCapture, EnableCapture, PlanCapture, RefreshCapture};
pub use connection::{AsyncConnection, BEGIN_READ, BlockingConnection};
pub use context::AuditContext;
pub use database_error::DatabaseFacts;
pub use error::Error;
pub use id::{ActionId, ChangeId, TransactionId};
pub use install::{CreatePartitions, InstalledVersion};
pub use json::Json;
pub use manifest::{AuditedTable, Manifest};
pub use model::{Audited, ModelColumn};
pub use operation::Operation;
pub use outcome::Outcome;
pub use policy::{CapturePolicy, Images, OnTruncate};
pub use quote::{quote_identifier, quote_literal};
pub use reads::{
    ActorHistory, AsOf, BeforeValues, ChangeCount, ChangeDiff, Compression, Copying, Correlation, CorrelationBundle,
    CountChanges, Cursor, DiffOptions, Export, ExportFormat, ExportPiece, ExportPieces, ExportSummary, Exporting,
    FieldChange, FieldChangeKind, Incident, IncidentBundle, IncidentChange, LinkedTransaction, Omitted, Origin, Outlet,
    Page, Reading, Replay, ReplayedRow, RowAsOf, RowHistory, RowKey, Scope, ScopedRead, Streamed, TableAsOf, Timeline,
    TransactionLookup,
};
pub use reads::{FinishProbe, Probe, Probed, StartProbe};
pub use retry::RetryPolicy;
pub use schema::Schema;
pub use statement::Statement;
pub use trail::{AuditAction, AuditChange, AuditTransaction, ChangeOp, LinkedChange};
pub use transaction_options::{AccessMode, IsolationLevel, TransactionOptions};
pub use write::{CurrentTransactionId, EnterContext, LeaveContext, PreviousContext, RecordAction};
