//! Threadline for SeaORM 2: transactions whose changes are recorded with who made them and why.
//!
//! ```no_run
//! use sea_orm::ConnectionTrait;
//! use threadline_seaorm::prelude::*;
//!
//! # async fn example(connection: sea_orm::DatabaseConnection) -> Result<(), threadline_seaorm::Error> {
//! let db = AuditedDatabase::new(connection);
//! db.install_manifest(&Manifest::new().table(AuditedTable::new("public", "posts"))).await?;
//!
//! let context = AuditContext::new(ActorRef::user("42")?).correlation_id("req-7f3");
//! let outcome = audited!(db, context, action = "post.published", reason = "editor approved", |tx| {
//!     // `tx` is a connection of SeaORM's: post.update(tx), posts::Entity::find().all(tx), ..
//!     tx.execute_unprepared("UPDATE posts SET title = 'Ship it' WHERE id = 7").await?;
//!     Ok(())
//! })
//! .await?;
//! println!("recorded as {:?}", outcome.transaction_id);
//!
//! let page = db.timeline(&Timeline::new().table("posts")).await?;
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
//! | application state | [`AuditedDatabase`], and [`with`](AuditedDatabase::with) for a [`Session`] per request |
//! | code that fits in a closure | [`audited!`], [`Session::transaction`] |
//! | code that does not | [`Session::begin`] |
//! | code that may run twice | [`Session::retry`] |
//! | code that begins by itself: an `ActiveModelEx` that is saved with what belongs to it, functions over `TransactionTrait` | the [`Session`] |
//! | a part under another actor, or that may fail alone | [`AuditedTransaction::nested`] |
//! | a transaction that somebody else opened, a data migration | [`attach`] |
//! | an operation whose failure is worth recording | [`Session::on_error_record`], [`Session::record_failure`] |
//! | a question about the past | [`Trail`] on any handle, or your own queries with the [`entities`] |
//! | tenants, each of which may read its own part of the trail | [`ScopedDatabase`] |
//! | sea-orm-migration | `migration`, with the feature of that name |
//!
//! An [`AuditedTransaction`] is a connection, a stream source and a transaction to SeaORM, so entities of the old and the
//! new format, streams, paginators, loaders, partial models and raw SQL work unchanged: pass `&tx`, or `tx` inside a
//! closure. Functions that ask for `&DatabaseTransaction` take `&tx` too.
//!
//! # Guarantees
//!
//! - **A write without a transaction does not compile** through an [`AuditedDatabase`]: of SeaORM's traits it has
//!   `TransactionTrait` alone.
//! - **No actor outlives its transaction.** The context is transaction-local in the database. A future dropped at any
//!   await point, in the middle of BEGIN, of COMMIT or of a savepoint, hands no open transaction and no actor to the next
//!   borrower of the connection. SeaORM on sqlx 0.9.0 alone does not promise that.
//! - **No audited write turns into autocommit.** A savepoint that is cancelled on its way, or that the server refuses, makes
//!   SeaORM roll back the transaction around it without telling anybody, and run what follows without one. Here the
//!   first fails the transaction and the second is not sent. (Through the plain `&DatabaseTransaction`, a nested `begin` is
//!   SeaORM's own: [`commit`](AuditedTransaction::commit) finds out that the transaction is gone, and what ran after it was
//!   not attributed.)
//! - **No silent rollback.** Committing a transaction in which a statement had failed is
//!   [an error](Error::is_rolled_back), though PostgreSQL and SeaORM call it a success; so is committing it while a scope
//!   inside is open, for which SeaORM would send something else than COMMIT. A commit whose answer was lost is
//!   [told apart](Error::is_unknown_commit) from one that was refused.
//! - **A missing actor is refused** before anything is sent, unless the context allows it.
//! - **Errors stay what they are.** The closure's error type is yours; [`Error`] converts to and from
//!   [`DbErr`](sea_orm::DbErr) without becoming text.
//! - **No value in a log.** The context and the actions are bound parameters; SeaORM logs the text of statements at level
//!   info unless you change that.
//!
//! # What it costs
//!
//! Round trips, compared with the same code on SeaORM alone, once sqlx has prepared the statements on the connection:
//!
//! | | more |
//! |---|---|
//! | an audited transaction: one statement gives the context after BEGIN, which SeaORM sends by itself; before COMMIT one asks for the audit transaction's id, which also finds out whether there is anything to commit | 2 |
//! | recording an action | 1 |
//! | the action of [`audited!`], which travels with the context | 0 |
//! | an isolation level or an access mode | 0 |
//! | a nested scope with its own context, compared with a savepoint | 2 |
//! | a nested scope after an error, a stream, or use as a plain `DatabaseTransaction`: whether the transaction has failed is asked first | 1 |
//! | attaching and detaching | 2 |
//!
//! A read with a transaction of its own is four: BEGIN, READ ONLY, the read, COMMIT.
//!
//! # What else to know
//!
//! - **Poolers.** SeaORM prepares its statements by name. Behind PgBouncer in transaction mode it needs version 1.21 or
//!   newer with `max_prepared_statements` above zero, audited or not.
//! - **`MockDatabase`** sees your statements and BEGIN, SAVEPOINT, RELEASE, COMMIT and ROLLBACK as with SeaORM alone, and none of
//!   ours: contexts are checked and not sent, [`record_action`](AuditedTransaction::record_action) checks the action and answers
//!   with id 0, no audit transaction is told. A read of the [`Trail`] is its one statement, without a transaction.
//!   [`attach`] cannot tell that a transaction is mocked and sends its statement.
//! - **Other databases.** A connection to MySQL or SQLite is refused when it is first used, with an error that
//!   [says so](Error::is_unsupported_backend).
//! - **`RestrictedConnection`** does not compose: SeaORM's restricted transaction keeps the one inside to itself and refuses
//!   raw statements, ours among them. Let it decide and run what it allows on the audited transaction:
//!   `restricted.user_can_run(&query)?; tx.execute(&query).await?`.
//! - **A begin that is given up** goes on in the background and is rolled back, so while the pool is exhausted it keeps its
//!   place in the queue.
//! - **Exports** of a handle without an open transaction are a COPY, which SeaORM does not have: it runs on the pool of sqlx
//!   inside the connection, where SeaORM's statement log, spans and metrics do not see it. One that is dropped on its way
//!   closes its connection.
//! - **Concurrency.** As with SeaORM, do not use a transaction while a scope inside it is open: what you run is in the scope.
//!
//! # Runtime and TLS
//!
//! This crate chooses neither: enable `runtime-tokio` or another of SeaORM's own features where you depend on SeaORM.

mod attach;
mod audited;
mod begin;
mod connection;
mod database;
pub mod entities;
mod error;
mod exporting;
mod failure;
mod guarded;
mod handle;
mod in_scope;
mod install;
mod leased;
mod macros;
#[cfg(feature = "migration")]
pub mod migration;
mod nested;
mod options;
pub mod prelude;
mod reach;
mod retry;
mod rows_as_of;
mod scoped;
mod session;
mod streams;
mod trail;
mod transaction;
mod wire;

pub use attach::{Attached, OpenTransaction, attach, attach_in};
pub use database::AuditedDatabase;
pub use error::{Error, is_serialization_failure};
pub use failure::record_failure;
pub use in_scope::InScope;
pub use install::{apply, enable, install, install_manifest, uninstall};
#[doc(hidden)]
pub use macros::__private;
pub use options::IntoTransactionOptions;
pub use scoped::ScopedDatabase;
pub use session::Session;
pub use threadline_core::RetryPolicy;
pub use trail::Trail;
pub use transaction::AuditedTransaction;
