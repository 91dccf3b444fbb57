//! Domain types, operations and the SQL kernel of Threadline, without a driver, a runtime or an ORM.

pub mod kernel;

mod action;
mod actor;
mod bounds;
mod connection;
mod context;
mod database_error;
mod decode;
mod error;
mod id;
mod install;
mod json;
mod operation;
mod outcome;
mod quote;
mod schema;
mod statement;
mod transaction_options;
mod write;

pub use action::{Action, ActionStatus};
pub use actor::{ActorKind, ActorRef};
pub use connection::{AsyncConnection, BlockingConnection};
pub use context::AuditContext;
pub use database_error::DatabaseFacts;
pub use error::Error;
pub use id::{ActionId, ChangeId, TransactionId};
pub use install::{CreatePartitions, InstalledVersion};
pub use json::Json;
pub use operation::Operation;
pub use outcome::Outcome;
pub use quote::{quote_identifier, quote_literal};
pub use schema::Schema;
pub use statement::Statement;
pub use transaction_options::{AccessMode, IsolationLevel, TransactionOptions};
pub use write::{CurrentTransactionId, EnterContext, LeaveContext, PreviousContext, RecordAction};
