//! The audit trail for Rust services on PostgreSQL: what changed, recorded by the database itself, with who changed it
//! and why, supplied by the application.
//!
//! This crate is the front door. It holds the types that every ORM shares, and one module for each ORM whose feature is
//! on.
//!
//! ```no_run
//! # #[cfg(feature = "sqlx")]
//! # mod example {
//! use threadline::sqlx::prelude::*;
//!
//! # async fn example(pool: sqlx::PgPool) -> Result<(), threadline::sqlx::Error> {
//! let db = AuditedPool::new(pool);
//! let context = AuditContext::new(ActorRef::user("42")?).correlation_id("req-7f3");
//! db.transaction(&context, async |tx| {
//!     tx.record_action(&Action::new("post.published")).await?;
//!     sqlx::query("UPDATE posts SET published = true WHERE id = 7").execute(&mut **tx).await?;
//!     Ok::<_, threadline::sqlx::Error>(())
//! })
//! .await?;
//! # Ok(())
//! # }
//! # }
//! ```
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `sqlx` | `threadline::sqlx`, the adapter for sqlx 0.9 |
//! | `seaorm` | `threadline::seaorm`, the adapter for SeaORM 2 |
//! | `seaorm-migration` | `threadline::seaorm::migration`, migrations in SeaORM's format |
//! | `diesel` | `threadline::diesel`, the adapter for blocking Diesel 2.3 |
//! | `diesel-connection` | `threadline::diesel::AuditedConnection`, under which Diesel's own transactions are audited too |
//! | `diesel-async` | `threadline::diesel_async`, the adapter for diesel-async 0.9 |
//! | `gzip`, `zstd` | [`Compression`] of exports |
//!
//! None is on by default. Several can be on together: they write one trail, and each reads what the others wrote.

pub use threadline_core::*;

/// # Examples
/// ```
/// use threadline::{Audited, CapturePolicy, manifest};
///
/// #[derive(Audited)]
/// #[audited(table = "posts", mask(author_email), require_actor)]
/// struct Post {
///     id: i64,
///     author_email: Option<String>,
/// }
///
/// let manifest = manifest![Post];
/// assert_eq!(manifest.tables()[0].policy, CapturePolicy::new().mask(["author_email"]).require_actor());
/// ```
pub use threadline_macros::Audited;
/// An [`Action`] whose name is checked while compiling: present, at most 255 characters, no white space around it, no
/// control characters.
///
/// ```
/// let action = threadline::action!("post.published").reason("editor approved");
/// assert_eq!(action.name(), "post.published");
/// ```
///
/// ```compile_fail
/// let action = threadline::action!(" ");
/// ```
pub use threadline_macros::action;
/// # Examples
/// ```no_run
/// # #[cfg(feature = "sqlx")]
/// # mod example {
/// use threadline::sqlx::prelude::*;
///
/// /// Renames a post. `db` is the pool outside, and the transaction inside.
/// #[threadline::audited(action = "post.renamed", reason = format!("asked for by {who}"))]
/// pub async fn rename(
///     db: &AuditedPool,
///     ctx: &AuditContext,
///     id: i64,
///     title: &str,
///     who: &str,
/// ) -> Result<u64, sqlx::Error> {
///     let query = sqlx::query("UPDATE posts SET title = $1 WHERE id = $2").bind(title).bind(id);
///     Ok(query.execute(&mut **db).await?.rows_affected())
/// }
/// # }
/// ```
pub use threadline_macros::audited;

/// The adapter for sqlx 0.9.
#[cfg(feature = "sqlx")]
pub mod sqlx {
    pub use threadline_sqlx::*;

    /// What code that audits with sqlx needs in scope: `use threadline::sqlx::prelude::*`.
    pub mod prelude {
        pub use threadline_sqlx::prelude::*;

        // The derive macro beside the trait, whose name it has.
        pub use crate::{Audited, action};
    }
}

/// The adapter for SeaORM 2.
#[cfg(feature = "seaorm")]
pub mod seaorm {
    pub use threadline_seaorm::*;

    /// What code that audits with SeaORM needs in scope: `use threadline::seaorm::prelude::*`.
    pub mod prelude {
        pub use threadline_seaorm::prelude::*;

        // The derive macro beside the trait, whose name it has.
        pub use crate::{Audited, action};
    }
}

/// The adapter for blocking Diesel 2.3.
#[cfg(feature = "diesel")]
pub mod diesel {
    pub use threadline_diesel::*;

    /// What code that audits with Diesel needs in scope: `use threadline::diesel::prelude::*`.
    pub mod prelude {
        pub use threadline_diesel::prelude::*;

        // The derive macro beside the trait, whose name it has.
        pub use crate::{Audited, action};
    }
}

/// The adapter for diesel-async 0.9.
#[cfg(feature = "diesel-async")]
pub mod diesel_async {
    pub use threadline_diesel::asynchronous::*;
    pub use threadline_diesel::{migrations, trail};

    /// What code that audits with diesel-async needs in scope: `use threadline::diesel_async::prelude::*`.
    pub mod prelude {
        pub use threadline_diesel::asynchronous::prelude::*;

        // The derive macro beside the trait, whose name it has.
        pub use crate::{Audited, action};
    }
}

/// The README's example compiles, for each adapter.
#[cfg(all(doctest, feature = "sqlx", feature = "seaorm", feature = "diesel", feature = "diesel-async"))]
#[doc = include_str!("../../README.md")]
#[derive(Debug)]
pub struct Readme;

/// The example of how users test their own code runs.
#[cfg(all(doctest, feature = "sqlx"))]
#[doc = include_str!("../../docs/testing.md")]
#[derive(Debug)]
pub struct Testing;

/// The book's Rust compiles.
#[cfg(all(doctest, feature = "sqlx"))]
#[doc = include_str!("../../docs/macros.md")]
#[derive(Debug)]
pub struct Macros;

/// What the book says about reading is so.
#[cfg(all(doctest, feature = "sqlx", feature = "seaorm", feature = "diesel", feature = "diesel-async"))]
#[doc = include_str!("../../docs/reads.md")]
#[derive(Debug)]
pub struct Reads;
