//! The pool that application state holds.

use std::fmt;
use std::sync::Arc;

use sqlx::PgPool;
use threadline_core::{Action, ActionId, AuditContext, Outcome, Schema};

use crate::{AuditedTransaction, Error, RetryPolicy, Session};

/// A [`PgPool`] through which every write is audited: it begins audited transactions and reads the trail, and nothing
/// else. It knows no context, and cloning it is cheap.
///
/// It does not implement sqlx's `Executor`, so a write that forgets its context does not compile. The plain pool is there
/// under a name that says what it is, [`unaudited`](Self::unaudited). (Tables are captured either way; without a context
/// nobody is named, and tables whose policy requires an actor refuse the write.)
///
/// # Examples
/// ```no_run
/// use threadline_core::{Action, ActorRef, AuditContext};
/// use threadline_sqlx::{AuditedPool, Error};
///
/// # async fn example(pool: sqlx::PgPool) -> Result<(), Error> {
/// let db = AuditedPool::new(pool);
/// let context = AuditContext::new(ActorRef::user("42")?).correlation_id("req-7f3");
/// let outcome = db
///     .transaction(&context, async |tx| {
///         tx.record_action(&Action::new("post.published").reason("editor approved")).await?;
///         sqlx::query("UPDATE posts SET published = true WHERE id = 7").execute(&mut **tx).await?;
///         Ok::<_, Error>(())
///     })
///     .await?;
/// println!("recorded as {:?}", outcome.transaction_id);
///
/// // What only reads needs no context.
/// let posts: Vec<String> = sqlx::query_scalar("SELECT title FROM posts").fetch_all(db.unaudited()).await?;
/// # Ok(())
/// # }
/// ```
///
/// ```compile_fail
/// # async fn example(db: threadline_sqlx::AuditedPool) {
/// sqlx::query("UPDATE posts SET published = true").execute(&db).await;
/// # }
/// ```
#[derive(Clone)]
pub struct AuditedPool {
    pool: PgPool,
    schema: Arc<Schema>,
}

impl AuditedPool {
    /// Audits through `pool`, with the kernel in the schema `threadline`.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self { pool, schema: Arc::new(Schema::default()) }
    }

    /// The same pool with the kernel in another schema.
    #[must_use]
    pub fn with_schema(mut self, schema: Schema) -> Self {
        self.schema = Arc::new(schema);
        self
    }

    /// The schema that holds the kernel and the trail.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The plain pool, for reading your tables and for what shall not name anybody.
    #[must_use]
    pub fn unaudited(&self) -> &PgPool {
        &self.pool
    }

    /// A session under `context`, which can only begin audited transactions. Nothing is sent.
    pub fn with(&self, context: &AuditContext) -> Session {
        Session::new(self.clone(), context)
    }

    /// [`Session::begin`] under `context`.
    ///
    /// # Errors
    /// As for [`Session::begin`].
    pub async fn begin(&self, context: &AuditContext) -> Result<AuditedTransaction<'static>, Error> {
        self.with(context).begin().await
    }

    /// [`Session::transaction`] under `context`.
    ///
    /// # Errors
    /// As for [`Session::transaction`].
    pub async fn transaction<T, E, F>(&self, context: &AuditContext, body: F) -> Result<Outcome<T>, E>
    where
        F: AsyncFnOnce(&mut AuditedTransaction<'_>) -> Result<T, E>,
        E: From<Error>,
    {
        self.with(context).transaction(body).await
    }

    /// [`Session::retry`] under `context`.
    ///
    /// # Errors
    /// As for [`Session::retry`].
    pub async fn retry<T, E, F>(&self, context: &AuditContext, policy: &RetryPolicy, body: F) -> Result<Outcome<T>, E>
    where
        F: AsyncFnOnce(&mut AuditedTransaction<'_>) -> Result<T, E> + Clone,
        E: From<Error> + std::error::Error + 'static,
    {
        self.with(context).retry(policy, body).await
    }

    /// [`Session::record_failure`] under `context`.
    ///
    /// # Errors
    /// As for [`Session::record_failure`].
    pub async fn record_failure(&self, context: &AuditContext, action: &Action) -> Result<ActionId, Error> {
        self.with(context).record_failure(action).await
    }

    pub(crate) fn shared_schema(&self) -> &Arc<Schema> {
        &self.schema
    }
}

impl From<PgPool> for AuditedPool {
    fn from(pool: PgPool) -> Self {
        Self::new(pool)
    }
}

impl fmt::Debug for AuditedPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditedPool").field("schema", &self.schema).finish_non_exhaustive()
    }
}
