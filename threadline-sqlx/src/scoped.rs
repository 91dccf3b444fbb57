//! The pool of an application with tenants: nobody reads the trail without saying whose part of it.

use threadline_core::{Action, ActionId, AuditContext, Outcome, Scope};

use crate::{AuditedPool, AuditedTransaction, Error, InScope, RetryPolicy, Session};

/// An [`AuditedPool`] whose reads of the trail take a [`Scope`], or say aloud that they have none.
///
/// Application state with tenants holds this instead of the pool. It writes as the pool does and does not implement
/// [`Trail`](crate::Trail), so a read that forgets its scope does not compile. Inside a transaction that it begins is the plain
/// connection; a read there takes its scope in the question, as in [`Timeline::scope`](threadline_core::Timeline::scope).
///
/// # Examples
/// ```
/// use threadline_core::{Scope, Timeline};
/// use threadline_sqlx::{ScopedPool, Trail};
///
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/sqlx.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (_database, pool, _) = trail().await?;
/// let db: ScopedPool = pool.scoped();
/// let acme = db.scope(Scope::meta("tenant", "acme"));
/// assert_eq!(acme.timeline(&Timeline::new().table("posts")).await?.entries.len(), 3);
/// let other = db.scope(Scope::meta("tenant", "umbrella"));
/// assert!(other.timeline(&Timeline::new().table("posts")).await?.is_empty());
/// // For the operators of the service:
/// assert_eq!(db.unscoped().timeline(&Timeline::new().table("posts")).await?.entries.len(), 3);
/// # Ok(())
/// # }
/// ```
///
/// ```compile_fail,E0599
/// # use threadline_core::Timeline;
/// # use threadline_sqlx::{ScopedPool, Trail};
/// # async fn example(db: ScopedPool) {
/// db.timeline(&Timeline::new()).await;
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ScopedPool(AuditedPool);

impl AuditedPool {
    /// The same pool for an application with tenants: its reads of the trail take a scope.
    #[must_use]
    pub fn scoped(self) -> ScopedPool {
        ScopedPool(self)
    }
}

impl ScopedPool {
    /// The part of the trail that is in this scope.
    pub fn scope(&self, scope: Scope) -> InScope<'_> {
        InScope { pool: &self.0, scope }
    }

    /// The whole trail, and the pool for what is not about the trail.
    #[must_use]
    pub fn unscoped(&self) -> &AuditedPool {
        &self.0
    }

    /// A session under `context`, which can only begin audited transactions. Nothing is sent.
    pub fn with(&self, context: &AuditContext) -> Session {
        self.0.with(context)
    }

    /// [`Session::begin`] under `context`.
    ///
    /// # Errors
    /// As for [`Session::begin`].
    pub async fn begin(&self, context: &AuditContext) -> Result<AuditedTransaction<'static>, Error> {
        self.0.begin(context).await
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
        self.0.transaction(context, body).await
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
        self.0.retry(context, policy, body).await
    }

    /// [`Session::record_failure`] under `context`.
    ///
    /// # Errors
    /// As for [`Session::record_failure`].
    pub async fn record_failure(&self, context: &AuditContext, action: &Action) -> Result<ActionId, Error> {
        self.0.record_failure(context, action).await
    }

    /// What `audited!` expands to.
    #[doc(hidden)]
    pub async fn __audited<T, E, F>(
        &self,
        context: &AuditContext,
        action: Option<Action>,
        body: F,
    ) -> Result<Outcome<T>, E>
    where
        F: AsyncFnOnce(&mut AuditedTransaction<'_>) -> Result<T, E>,
        E: From<Error>,
    {
        self.0.__audited(context, action, body).await
    }
}
