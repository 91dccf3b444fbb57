//! Threadline for sqlx: transactions whose changes are recorded with who made them and why.
//!
//! ```no_run
//! use threadline_sqlx::prelude::*;
//!
//! # async fn example(pool: sqlx::PgPool) -> Result<(), threadline_sqlx::Error> {
//! let db = AuditedPool::new(pool);
//! db.install_manifest(&Manifest::new().table(AuditedTable::new("public", "posts"))).await?;
//!
//! let context = AuditContext::new(ActorRef::user("42")?).correlation_id("req-7f3");
//! let outcome = db
//!     .transaction(&context, async |tx| {
//!         tx.record_action(&Action::new("post.published").reason("editor approved")).await?;
//!         sqlx::query("UPDATE posts SET title = $1 WHERE id = $2").bind("Ship it").bind(7).execute(&mut **tx).await?;
//!         Ok::<_, threadline_sqlx::Error>(())
//!     })
//!     .await?;
//! println!("recorded as {:?}", outcome.transaction_id);
//!
//! let page = db.timeline(&Timeline::new().table("posts").actor(context.actor())).await?;
//! # Ok(())
//! # }
//! ```
//!
//! The database captures the changes, whatever statement makes them; this crate says who and why, for as long as a
//! transaction lasts and no longer.
//!
//! # Which form
//!
//! | you have | use |
//! |---|---|
//! | application state | [`AuditedPool`], and [`with`](AuditedPool::with) for a [`Session`] per request |
//! | code that fits in a closure | [`Session::transaction`] |
//! | code that does not | [`Session::begin`], or [`BeginAudited`] on a plain pool or connection |
//! | code that may run twice | [`Session::retry`] |
//! | a part under another actor, or that may fail alone | [`AuditedTransaction::nested`] |
//! | a transaction that somebody else opened | [`attach`] |
//! | an operation whose failure is worth recording | [`Session::on_error_record`], [`Session::record_failure`] |
//! | a question about the past | [`Trail`] on any handle |
//! | tenants, each of which may read its own part of the trail | [`ScopedPool`] |
//!
//! Inside a closure `tx` is a `&mut AuditedTransaction`: give sqlx `&mut **tx`, and functions of yours
//! `tx: &mut PgConnection`. (Functions that are generic over sqlx's `Acquire` do not work in a spawned task, with sqlx's own
//! transactions either.)
//!
//! # Guarantees
//!
//! - **No actor outlives its transaction.** The context is transaction-local in the database. A future dropped at any
//!   await point, in the middle of BEGIN, of COMMIT or of a savepoint, hands no open transaction and no actor to the next
//!   borrower of the connection. sqlx 0.9.0 alone does not promise that.
//! - **No audited write turns into autocommit.** Where sqlx rolls a transaction back by itself and would run what follows
//!   without one, the server refuses what follows.
//! - **No silent rollback.** Committing a transaction in which a statement had failed is
//!   [an error](Error::is_rolled_back), though PostgreSQL and sqlx call it a success. A commit whose answer was lost is
//!   [told apart](Error::is_unknown_commit) from one that was refused.
//! - **A missing actor is refused** before anything is sent, unless the context allows it.
//! - **Right behind PgBouncer in transaction mode**, also before 1.21: no statement of ours is prepared by name or depends
//!   on the session. (Yours need `.persistent(false)` there, inside transactions alone.)
//! - **Errors stay what they are.** The closure's error type is yours; [`Error`] converts to and from [`sqlx::Error`]
//!   without becoming text.
//!
//! # What it costs
//!
//! Round trips, compared with the same code on sqlx alone:
//!
//! | | more |
//! |---|---|
//! | an audited transaction: BEGIN carries the context; before COMMIT one asks for the audit transaction's id, which also finds out whether there is anything to commit | 1 |
//! | recording an action | 1 |
//! | the action of [`audited!`], which travels with BEGIN | 0 |
//! | a nested scope with its own context, compared with a savepoint | 2 |
//! | attaching and detaching | 2 |
//!
//! So that these are single round trips, the context and the actions travel as quoted literals. sqlx logs its statements at
//! level debug, and slow ones at level warn: a recorded action can be read there, with its reason and comment. Reads bind
//! their parameters, but for exports through COPY, which takes none and which sqlx does not log.
//!
//! # Runtime and TLS
//!
//! This crate chooses neither: enable `runtime-tokio` or another of sqlx's own features where you depend on sqlx.

mod attach;
mod begin;
mod error;
mod exporting;
mod failure;
mod guarded;
mod handle;
mod in_scope;
mod install;
mod macros;
mod nested;
mod pool;
pub mod prelude;
mod reach;
mod reading;
mod retry;
mod rows_as_of;
mod scoped;
mod session;
mod trail;
mod transaction;
mod wire;

pub use attach::{Attached, attach, attach_in};
pub use begin::BeginAudited;
pub use error::{Error, is_serialization_failure};
pub use failure::record_failure;
pub use in_scope::InScope;
pub use install::{apply, enable, install, install_manifest, uninstall};
#[doc(hidden)]
pub use macros::__private;
pub use pool::AuditedPool;
pub use retry::retry;
pub use scoped::ScopedPool;
pub use session::Session;
pub use threadline_core::RetryPolicy;
pub use trail::Trail;
pub use transaction::AuditedTransaction;
