//! Threadline for Diesel: transactions whose changes are recorded with who made them and why.
//!
//! ```no_run
//! use diesel::prelude::*;
//! use threadline_diesel::prelude::*;
//!
//! # diesel::table! { posts (id) { id -> BigInt, title -> Text } }
//! # fn example(conn: &mut PgConnection) -> Result<(), threadline_diesel::Error> {
//! threadline_diesel::install_manifest(conn, &Manifest::new().table(AuditedTable::new("public", "posts")))?;
//!
//! let context = AuditContext::new(ActorRef::user("42")?).correlation_id("req-7f3");
//! let outcome = conn.audited(&context, |conn| {
//!     conn.record_action(&Action::new("post.published").reason("editor approved"))?;
//!     diesel::update(posts::table.find(7)).set(posts::title.eq("Ship it")).execute(conn)
//! })?;
//! println!("recorded as {:?}", outcome.transaction_id);
//!
//! let page = conn.timeline(&Timeline::new().table("posts").actor(context.actor()))?;
//! # Ok(())
//! # }
//! ```
//!
//! The database captures the changes, whatever statement makes them; this crate says who and why, for as long as a
//! transaction lasts and no longer.
//!
//! Application state keeps the pool it has. Every connection to PostgreSQL has the methods of [`AuditDsl`] and [`Trail`]: a
//! [`PgConnection`](https://docs.diesel.rs/2.3.x/diesel/pg/struct.PgConnection.html), one out of a pool, and what code that is generic over
//! `C: LoadConnection<Backend = Pg>` is given. No unstable feature of Diesel is needed.
//!
//! # Which form
//!
//! | you have | use |
//! |---|---|
//! | code that fits in a closure | [`audited!`], or [`AuditDsl::audited`] |
//! | an isolation level | [`AuditDsl::with`] and [`Session::options`], as Diesel's `build_transaction` |
//! | code that does not fit in a closure | [`AuditDsl::begin_audited`] |
//! | code that may run twice | [`Session::retry`] |
//! | a part under another actor | [`AuditDsl::audited`] in the closure |
//! | a part that may fail alone | Diesel's own `transaction` in the closure, or [`AuditDsl::nested`] |
//! | a transaction that somebody else opened, a data migration | [`attach`] |
//! | an operation whose failure is worth recording | [`Session::on_error_record`], [`AuditDsl::record_failure`] |
//! | a question about the past | [`Trail`], and [`Trail::stream`] for all there is |
//! | tenants, each of which may read its own part of the trail | [`ScopedConnection`] |
//! | a query of your own over the trail | [`trail`] |
//! | migrations | [`migrations`] |
//! | code that calls Diesel's `transaction` and shall not know | `AuditedConnection`, feature `connection` |
//!
//! In an asynchronous service, the context is a value: move it into the closure of `spawn_blocking` or of deadpool's
//! `interact`. Nothing is kept per thread or per connection.
//!
//! # Guarantees
//!
//! - **No actor outlives its transaction.** The context is transaction-local in the database. A panic in a closure rolls
//!   back, so that even a connection that is used again afterwards has no open transaction and no actor; Diesel alone
//!   leaves it open.
//! - **No silent rollback.** Committing a transaction in which a statement had failed is
//!   [an error](Error::is_rolled_back), though PostgreSQL and Diesel call it a success. A commit whose answer was lost is
//!   [told apart](Error::is_unknown_commit) from one that was refused.
//! - **A missing actor is refused** before anything is sent, unless the context allows it.
//! - **Right behind PgBouncer in transaction mode**, also before 1.21: no statement of ours is prepared by name or depends
//!   on the session. (For yours, switch off the cache of prepared statements there:
//!   `conn.set_prepared_statement_cache_size(CacheSize::Disabled)`.)
//! - **Errors stay what they are.** The closure's error type is yours; [`Error`] converts to and from
//!   [`diesel::result::Error`] without becoming text. Diesel shows no SQLSTATE; what it means for [`Error::sqlstate`] and
//!   [`is_serialization_failure`] is said there.
//!
//! # What it costs
//!
//! Round trips, compared with the same code on Diesel alone:
//!
//! | | more |
//! |---|---|
//! | an audited transaction: BEGIN carries the context; before COMMIT one asks for the audit transaction's id, which also finds out whether there is anything to commit | 1 |
//! | recording an action | 1 |
//! | a nested scope with its own context, compared with a savepoint | 2 |
//! | attaching and detaching | 2 |
//! | a transaction of `AuditedConnection` | 0 |
//!
//! A read of the trail costs 1 inside a transaction, a typed one 2; outside of one 4 more.
//!
//! # What Diesel sees
//!
//! BEGIN is sent with the context as one statement. Diesel's instrumentation therefore sees a query where it would see a
//! transaction begin (`AuditedConnection` tells both), and a log of statements shows the context: its actor, ids and notes.
//! Actions and reads bind their parameters.
//!
//! A transaction begun with SQL text is unknown to Diesel, and to `audited`: it would end with the closure, as it does with
//! Diesel's `transaction`. [`attach`] and reads notice it.
//!
//! # libpq
//!
//! This crate brings neither `PgConnection` nor libpq: where you depend on Diesel, enable its feature `postgres`, and choose
//! how libpq is linked with `bundled` or another of `pq-sys`'s own features. diesel-async needs none.

#[cfg(feature = "async")]
pub mod asynchronous;
mod attach;
#[cfg(feature = "connection")]
mod connection;
mod deadlock;
mod dsl;
mod entries;
mod error;
mod failure;
mod handle;
mod in_scope;
mod install;
mod leave;
mod macros;
pub mod migrations;
pub mod prelude;
mod read;
mod retry;
mod rows_as_of;
mod scoped;
mod session;
mod statement;
pub mod trail;
mod transaction;
mod wire;

pub use attach::{Attached, attach, attach_in};
#[cfg(feature = "connection")]
pub use connection::AuditedConnection;
#[cfg(feature = "connection")]
#[doc(hidden)]
pub use connection::AuditedTransactionManager;
pub use dsl::AuditDsl;
pub use entries::Entries;
pub use error::{Error, is_serialization_failure};
pub use in_scope::InScope;
pub use install::{apply, enable, install, install_manifest, uninstall};
#[doc(hidden)]
pub use macros::__private;
pub use read::Trail;
pub use rows_as_of::RowsAsOf;
pub use scoped::ScopedConnection;
pub use session::Session;
pub use transaction::AuditedTransaction;
