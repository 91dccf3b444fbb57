//! Threadline for diesel-async 0.9, with the nouns and verbs of the blocking half. Feature `async`.
//!
//! ```no_run
//! use diesel::prelude::*;
//! use diesel_async::{AsyncPgConnection, RunQueryDsl};
//! use threadline_diesel::asynchronous::prelude::*;
//!
//! # diesel::table! { posts (id) { id -> BigInt, published -> Bool } }
//! # async fn example(conn: &mut AsyncPgConnection) -> Result<(), threadline_diesel::Error> {
//! let context = AuditContext::new(ActorRef::user("42")?).correlation_id("req-7f3");
//! let outcome = conn
//!     .audited(&context, async |conn| {
//!         conn.record_action(&Action::new("post.published").reason("editor approved")).await?;
//!         diesel::update(posts::table.find(7)).set(posts::published.eq(true)).execute(conn).await
//!     })
//!     .await?;
//! println!("{} posts, recorded as {:?}", outcome.value, outcome.transaction_id);
//!
//! let page = conn.timeline(&Timeline::new().table("posts").actor(context.actor())).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Connections are diesel-async's own, as a pool lends them or in no pool; there is no pool type of ours. Application state
//! holds the plain pool, and a handler begins with `let mut conn = pool.get().await?`.
//!
//! # Which form
//!
//! | you have | use |
//! |---|---|
//! | code that fits in a closure | [`AuditDsl::audited`] |
//! | an isolation level, a failure worth recording | [`AuditDsl::with`] for a [`Session`] |
//! | code that may run twice | [`Session::retry`] |
//! | code that fits in no closure | [`AuditDsl::begin_audited`], or [`begin`] to keep a pool's connection with it |
//! | a part under another actor, or that may fail alone | [`AuditDsl::nested`] |
//! | a transaction that somebody else opened | [`attach`] |
//! | code that calls Diesel's `transaction` and shall not change | [`AuditedConnection`] |
//! | a question about the past | [`Trail`] |
//! | tenants, each of which may read its own part of the trail | [`ScopedConnection`] |
//!
//! # Guarantees
//!
//! - **No actor outlives its transaction.** The context is transaction-local in the database. A future dropped at any
//!   await point, in the middle of BEGIN, of COMMIT or of a savepoint, leaves no open transaction and no actor on the
//!   connection. diesel-async alone promises that of pools that check a connection before they lend it again, and not of a
//!   connection that is used on: its next statement would run in the transaction of the cancelled one.
//! - **No silent rollback.** Committing a transaction in which a statement had failed is
//!   [an error](Error::is_rolled_back), though PostgreSQL and Diesel call it a success. A commit whose answer was lost is
//!   [told apart](Error::is_unknown_commit) from one that was refused.
//! - **A missing actor is refused** before anything is sent, unless the context allows it.
//! - **Every future here can be spawned.** What runs in a closure must be [`Send`], as in diesel-async's own `transaction`.
//! - **Errors stay what they are.** The closure's error type is yours; [`Error`] converts to and from
//!   [`diesel::result::Error`] without becoming text.
//!
//! # What it costs
//!
//! Round trips, compared with the same code on diesel-async alone:
//!
//! | | more |
//! |---|---|
//! | an audited transaction: BEGIN carries the context; before COMMIT one asks for the audit transaction's id, which also finds out whether there is anything to commit | 1 |
//! | recording an action | 1 |
//! | a nested scope with its own context, compared with a savepoint | 2 |
//! | attaching and detaching | 2 |
//! | a read inside a transaction | 2 |
//! | a read in a transaction of its own | 6 |
//!
//! The statements of the first four rows are kept prepared on the connection like Diesel's own, within the size that
//! `set_prepared_statement_cache_size` sets; the first time, and without a cache, each costs one more. Parameters are
//! bound, except that BEGIN carries the context as a quoted literal, which an `Instrumentation` gets to see.
//!
//! # Behind PgBouncer
//!
//! diesel-async prepares all that it sends by name, its own start-up statements included: PgBouncer 1.21 or newer with
//! `max_prepared_statements` is needed, whether or not anything is audited.
//!
//! # Runtime and TLS
//!
//! Tokio, as for diesel-async; its timer only for [`Session::retry`]. TLS is set up where the connection is made.
#![allow(clippy::manual_async_fn, reason = "an async fn does not say that its future is Send")]

mod attach;
mod body;
mod connection;
mod dsl;
mod failure;
mod guarded;
mod handle;
mod in_scope;
mod install;
pub mod prelude;
mod retry;
mod rows_as_of;
mod scoped;
mod session;
mod streaming;
mod trail;
mod transaction;
mod wire;

pub use attach::{Attached, attach, attach_in};
pub use body::AsyncBody;
pub use connection::AuditedConnection;
#[doc(hidden)]
pub use connection::AuditedTransactionManager;
pub use dsl::{AuditDsl, begin, transaction};
pub use in_scope::InScope;
pub use install::{apply, enable, install, install_manifest, uninstall};
pub use scoped::ScopedConnection;
pub use session::Session;
pub use trail::Trail;
pub use transaction::AuditedTransaction;

#[doc(inline)]
pub use crate::__audited_asynchronously as audited;
pub use crate::{Error, is_serialization_failure};
