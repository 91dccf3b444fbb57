//! The tables of the trail for queries of your own, with structs to read them into.
//!
//! Reading them needs the right to (the role that `threadline_reader` is granted to has it). Nothing may be written: what
//! is written there by anything but the kernel is refused.
//!
//! Numbers in the JSON columns can have more digits than an `f64`; [`Json`](threadline_core::Json) keeps them.
//!
//! # Examples
//! ```no_run
//! use diesel::prelude::*;
//! use threadline_diesel::trail::{AuditChange, AuditTransaction, audit_changes, audit_transactions};
//!
//! # fn example(conn: &mut PgConnection) -> QueryResult<()> {
//! // Everything that one request changed.
//! let changes: Vec<(AuditChange, AuditTransaction)> = audit_changes::table
//!     .inner_join(audit_transactions::table)
//!     .filter(audit_transactions::request_id.eq("req-7f3"))
//!     .order((audit_changes::captured_at, audit_changes::id))
//!     .select((AuditChange::as_select(), AuditTransaction::as_select()))
//!     .load(conn)?;
//! # Ok(())
//! # }
//! ```
//!
//! For a kernel in a schema other than `threadline`, declare the tables yourself; the structs are read from any columns of
//! these types.

mod columns;
mod rows;
mod tables;

pub use columns::Xid8;
pub use rows::{AuditAction, AuditChange, AuditTransaction};
pub use tables::{audit_actions, audit_changes, audit_transactions};
