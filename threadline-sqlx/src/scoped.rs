//! The pool of an application with tenants: nobody reads the trail without saying whose part of it.

use std::future::Future;

use futures_util::stream::Stream;
use threadline_core::{
    ActorHistory, AuditContext, ChangeCount, Correlation, CorrelationBundle, CountChanges, Export, ExportPiece,
    Incident, IncidentBundle, LinkedChange, LinkedTransaction, Operation, Outcome, Page, RowHistory, Scope, ScopedRead,
    Streamed, Timeline, TransactionId, TransactionLookup,
};

use crate::{AuditedPool, AuditedTransaction, Error, Session, Trail};

/// An [`AuditedPool`] whose reads of the trail take a [`Scope`], or say aloud that they have none.
///
/// Application state with tenants holds this instead of the pool. It writes as the pool does and does not implement
/// [`Trail`], so a read that forgets its scope does not compile.
///
/// # Examples
/// ```no_run
/// use threadline_core::{Scope, Timeline};
/// use threadline_sqlx::{AuditedPool, ScopedPool, Trail};
///
/// # async fn example(pool: sqlx::PgPool, tenant: i64) -> Result<(), threadline_sqlx::Error> {
/// let db: ScopedPool = AuditedPool::new(pool).scoped();
/// let theirs = db.scope(Scope::field("tenant_id", tenant)).timeline(&Timeline::new().table("posts")).await?;
/// // For the operators of the service:
/// let all = db.unscoped().timeline(&Timeline::new().table("posts")).await?;
/// # Ok(())
/// # }
/// ```
///
/// ```compile_fail
/// # use threadline_core::Timeline;
/// # use threadline_sqlx::{ScopedPool, Trail};
/// # async fn example(db: ScopedPool) {
/// db.timeline(&Timeline::new()).await;
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ScopedPool(AuditedPool);

/// The part of the trail that is in a scope; made by [`ScopedPool::scope`].
///
/// A row as of an instant is not among its reads: a row of the past has no scope but its own columns. Read it
/// [`unscoped`](ScopedPool::unscoped) and look at them.
#[derive(Clone, Debug)]
#[must_use]
pub struct InScope<'p> {
    pool: &'p AuditedPool,
    scope: Scope,
}

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

    /// The whole trail.
    #[must_use]
    pub fn unscoped(&self) -> &AuditedPool {
        &self.0
    }

    /// A session under `context`, which can only begin audited transactions. Nothing is sent.
    pub fn with(&self, context: &AuditContext) -> Session {
        self.0.with(context)
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
}

impl InScope<'_> {
    /// Runs a read and decodes its answer.
    ///
    /// # Errors
    /// As for [`Trail::run`]; [`is_invalid_input`](threadline_core::Error::is_invalid_input) when the scope is malformed.
    pub fn run<O>(&self, read: &O) -> impl Future<Output = Result<O::Output, Error>> + Send
    where
        O: Operation + ScopedRead + Send + Sync,
    {
        let read = read.in_scope(&self.scope);
        async move { self.pool.run(&read).await }
    }

    /// [`Trail::timeline`] of what is in scope.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    pub async fn timeline(&self, query: &Timeline) -> Result<Page<LinkedChange>, Error> {
        self.run(query).await
    }

    /// [`Trail::row_history`] of what is in scope.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    pub async fn row_history(&self, query: &RowHistory) -> Result<Page<LinkedChange>, Error> {
        self.run(query).await
    }

    /// [`Trail::count_changes`] of what is in scope.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    pub async fn count_changes(&self, query: &CountChanges) -> Result<ChangeCount, Error> {
        self.run(query).await
    }

    /// [`Trail::find_transaction`], when one of its changes is in scope.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    pub async fn find_transaction(&self, id: TransactionId) -> Result<LinkedTransaction, Error> {
        self.run(&TransactionLookup::new(id)).await
    }

    /// [`Trail::incident`] of what is in scope.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    pub async fn incident(&self, query: &Incident) -> Result<IncidentBundle, Error> {
        self.run(query).await
    }

    /// [`Trail::correlation`] of what is in scope.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    pub async fn correlation(&self, query: &Correlation) -> Result<CorrelationBundle, Error> {
        self.run(query).await
    }

    /// [`Trail::actor_history`] of what is in scope.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    pub async fn actor_history(&self, query: &ActorHistory) -> Result<Page<LinkedTransaction>, Error> {
        self.run(query).await
    }

    /// [`Trail::stream`] of what is in scope.
    pub fn stream<S>(&self, read: &S) -> impl Stream<Item = Result<S::Item, Error>> + Send
    where
        S: Streamed + ScopedRead + Send,
        S::Item: Send,
    {
        self.pool.stream(read.in_scope(&self.scope))
    }

    /// [`Trail::export`] of what is in scope.
    pub fn export(&self, export: &Export) -> impl Stream<Item = Result<ExportPiece, Error>> + Send {
        self.pool.export(export.in_scope(&self.scope))
    }
}
