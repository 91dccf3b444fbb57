//! The database of an application with tenants: nobody reads the trail without saying whose part of it.

use std::future::Future;

use futures_util::stream::Stream;
use sea_orm::FromQueryResult;
use threadline_core::{
    Action, ActionId, ActorHistory, AsOf, AuditContext, Audited, ChangeCount, Correlation, CorrelationBundle,
    CountChanges, Export, ExportPiece, ExportSummary, Incident, IncidentBundle, Json, LinkedChange, LinkedTransaction,
    Operation, Outcome, Page, RetryPolicy, RowAsOf, RowHistory, RowKey, Scope, ScopedRead, Streamed, Timeline,
    TransactionId, TransactionLookup,
};
use time::OffsetDateTime;

use crate::{AuditedDatabase, AuditedTransaction, Error, Session, Trail, trail};

/// An [`AuditedDatabase`] whose reads of the trail take a [`Scope`], or say aloud that they have none.
///
/// Application state with tenants holds this instead of the database. It writes as the database does and does not implement
/// [`Trail`], so a read that forgets its scope does not compile. Inside a transaction that it begins is the plain
/// connection; a read there takes its scope in the question, as in [`Timeline::scope`].
///
/// # Examples
/// ```
/// use threadline_core::{Scope, Timeline};
/// use threadline_seaorm::{ScopedDatabase, Trail};
///
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/seaorm.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (_server, database, _) = trail().await?;
/// let db: ScopedDatabase = database.scoped();
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
/// # use threadline_seaorm::{ScopedDatabase, Trail};
/// # async fn example(db: ScopedDatabase) {
/// db.timeline(&Timeline::new()).await;
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ScopedDatabase(AuditedDatabase);

/// The part of the trail that is in a scope, read with the methods of [`Trail`]; made by [`ScopedDatabase::scope`].
#[derive(Clone, Debug)]
#[must_use]
pub struct InScope<'d> {
    database: &'d AuditedDatabase,
    scope: Scope,
}

impl AuditedDatabase {
    /// The same database for an application with tenants: its reads of the trail take a scope.
    #[must_use]
    pub fn scoped(self) -> ScopedDatabase {
        ScopedDatabase(self)
    }
}

impl ScopedDatabase {
    /// The part of the trail that is in this scope.
    pub fn scope(&self, scope: Scope) -> InScope<'_> {
        InScope { database: &self.0, scope }
    }

    /// The whole trail, and the database for what is not about the trail.
    #[must_use]
    pub fn unscoped(&self) -> &AuditedDatabase {
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
    pub async fn begin(&self, context: &AuditContext) -> Result<AuditedTransaction, Error> {
        self.0.begin(context).await
    }

    /// [`Session::transaction`] under `context`.
    ///
    /// # Errors
    /// As for [`Session::transaction`].
    pub async fn transaction<T, E, F>(&self, context: &AuditContext, body: F) -> Result<Outcome<T>, E>
    where
        F: AsyncFnOnce(&AuditedTransaction) -> Result<T, E>,
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
        F: AsyncFnOnce(&AuditedTransaction) -> Result<T, E> + Clone,
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
        F: AsyncFnOnce(&AuditedTransaction) -> Result<T, E>,
        E: From<Error>,
    {
        self.0.__audited(context, action, body).await
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
        let read = read.clone().in_scope(&self.scope);
        async move { self.database.run(&read).await }
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
    pub fn stream<S>(&self, read: S) -> impl Stream<Item = Result<S::Item, Error>> + Send
    where
        S: Streamed + ScopedRead + Send,
        S::Item: Send,
    {
        self.database.stream(read.in_scope(&self.scope))
    }

    /// [`Trail::export`] of what is in scope.
    pub fn export(&self, export: Export) -> impl Stream<Item = Result<ExportPiece, Error>> + Send {
        self.database.export(export.in_scope(&self.scope))
    }

    /// [`Trail::export_to`] of what is in scope.
    ///
    /// # Errors
    /// As for [`Trail::export_to`] and [`run`](Self::run).
    pub fn export_to<W>(&self, export: Export, writer: W) -> impl Future<Output = Result<ExportSummary, Error>> + Send
    where
        W: std::io::Write + Send,
    {
        self.database.export_to(export.in_scope(&self.scope), writer)
    }

    /// [`Trail::as_of_json`], when the row is in scope as [`AsOf`] says.
    ///
    /// # Errors
    /// As for [`Trail::as_of_json`] and [`run`](Self::run).
    pub async fn as_of_json(&self, query: &AsOf) -> Result<RowAsOf<Json>, Error> {
        self.run(query).await
    }

    /// [`Trail::as_of`], when the row is in scope as [`AsOf`] says.
    ///
    /// # Errors
    /// As for [`Trail::as_of`] and [`run`](Self::run).
    pub fn as_of<R>(
        &self,
        key: impl Into<RowKey> + Send,
        at: OffsetDateTime,
    ) -> impl Future<Output = Result<RowAsOf<R>, Error>> + Send
    where
        R: Audited + FromQueryResult + Send,
    {
        let as_of = AsOf::model::<R>(key, at).scope(&self.scope);
        async move { trail::row(self.database.__reach().await?, self.database.schema(), &as_of).await }
    }
}
