//! The connection of an application with tenants: nobody reads the trail without saying whose part of it.

use std::fmt;
use std::future::Future;
use std::io::Write;

use diesel::deserialize::QueryableByName;
use diesel::pg::Pg;
use futures_util::stream::Stream;
use threadline_core::{
    Action, ActionId, ActorHistory, AsOf, AuditContext, Audited, ChangeCount, Correlation, CorrelationBundle,
    CountChanges, Export, ExportPiece, ExportSummary, Incident, IncidentBundle, Json, LinkedChange, LinkedTransaction,
    Operation, Outcome, Page, RowAsOf, RowHistory, RowKey, Schema, Scope, ScopedRead, Streamed, Timeline,
    TransactionId, TransactionLookup, TransactionOptions,
};
use time::OffsetDateTime;

use crate::Error;
use crate::asynchronous::{AsyncBody, AuditDsl, AuditedTransaction, Session, Trail, trail};

/// A connection whose reads of the trail take a [`Scope`], or say aloud that they have none.
///
/// Application state with tenants keeps its pool to itself and hands these out. It writes as the connection does and does
/// not implement [`Trail`], so a read that forgets its scope does not compile. Inside a transaction that it begins is the
/// plain connection; a read there takes its scope in the question, as in [`Timeline::scope`].
///
/// # Examples
/// ```
/// use diesel_async::AsyncPgConnection;
/// use threadline_core::Scope;
/// use threadline_diesel::asynchronous::ScopedConnection;
/// use threadline_diesel::asynchronous::prelude::*;
///
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/diesel_async.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (_database, conn, _) = trail().await?;
/// let mut db: ScopedConnection<AsyncPgConnection> = conn.scoped();
/// let mut acme = db.scope(Scope::meta("tenant", "acme"));
/// assert_eq!(acme.timeline(&Timeline::new().table("posts")).await?.entries.len(), 3);
/// let mut other = db.scope(Scope::meta("tenant", "umbrella"));
/// assert!(other.timeline(&Timeline::new().table("posts")).await?.is_empty());
/// // For the operators of the service:
/// assert_eq!(db.unscoped().timeline(&Timeline::new().table("posts")).await?.entries.len(), 3);
/// # Ok(())
/// # }
/// ```
///
/// ```compile_fail,E0599
/// # use threadline_diesel::asynchronous::{ScopedConnection, prelude::*};
/// # async fn example(mut db: ScopedConnection<diesel_async::AsyncPgConnection>) {
/// db.timeline(&Timeline::new()).await;
/// # }
/// ```
pub struct ScopedConnection<C> {
    connection: C,
    schema: Schema,
}

/// The part of the trail that is in a scope, read with the methods of [`Trail`]; made by [`ScopedConnection::scope`].
#[must_use]
pub struct InScope<'c, C> {
    connection: &'c mut C,
    schema: &'c Schema,
    scope: Scope,
}

impl<C> ScopedConnection<C>
where
    C: AuditDsl,
{
    /// The connection for an application with tenants; [`AuditDsl::scoped`] is the same.
    #[must_use]
    pub fn new(connection: C) -> Self {
        Self { connection, schema: Schema::default() }
    }

    /// With the kernel in a schema other than `threadline`.
    #[must_use]
    pub fn in_schema(mut self, schema: Schema) -> Self {
        self.schema = schema;
        self
    }

    /// The part of the trail that is in this scope.
    pub fn scope(&mut self, scope: Scope) -> InScope<'_, C> {
        InScope { connection: &mut self.connection, schema: &self.schema, scope }
    }

    /// The whole trail, and the connection for what is not about the trail.
    #[must_use]
    pub fn unscoped(&mut self) -> &mut C {
        &mut self.connection
    }

    /// [`AuditDsl::with`].
    pub fn with(&mut self, context: &AuditContext) -> Session<'_, C> {
        Session::new(&mut self.connection, context).in_schema(self.schema.clone())
    }

    /// [`AuditDsl::audited`].
    ///
    /// # Errors
    /// As for [`AuditDsl::audited`].
    pub fn audited<T, E, F>(
        &mut self,
        context: &AuditContext,
        body: F,
    ) -> impl Future<Output = Result<Outcome<T>, E>> + Send
    where
        for<'r> F: AsyncFnOnce(&'r mut C) -> Result<T, E> + AsyncBody<&'r mut C, Result<T, E>, Future: Send> + Send,
        E: From<Error> + Send,
        T: Send,
    {
        self.with(context).transaction(body)
    }

    /// [`AuditDsl::begin_audited`].
    ///
    /// # Errors
    /// As for [`AuditDsl::begin_audited`].
    pub async fn begin_audited(&mut self, context: &AuditContext) -> Result<AuditedTransaction<&mut C>, Error> {
        let schema = self.schema.clone();
        AuditedTransaction::begin(&mut self.connection, context, &TransactionOptions::new(), schema).await
    }

    /// [`AuditDsl::record_failure`].
    ///
    /// # Errors
    /// As for [`AuditDsl::record_failure`].
    pub async fn record_failure(&mut self, context: &AuditContext, action: &Action) -> Result<ActionId, Error> {
        self.with(context).record_failure(action).await
    }

    /// What `audited!` expands to.
    #[doc(hidden)]
    pub fn __audited<T, E, F>(
        &mut self,
        context: &AuditContext,
        action: Option<Action>,
        body: F,
    ) -> impl Future<Output = Result<Outcome<T>, E>> + Send
    where
        for<'r> F: AsyncFnOnce(&'r mut C) -> Result<T, E> + AsyncBody<&'r mut C, Result<T, E>, Future: Send> + Send,
        E: From<Error> + Send,
        T: Send,
    {
        self.with(context).__audited(context, action, body)
    }
}

impl<C> InScope<'_, C>
where
    C: AuditDsl,
{
    /// Runs a read and decodes its answer.
    ///
    /// # Errors
    /// As for [`Trail::run`]; [`is_invalid_input`](threadline_core::Error::is_invalid_input) when the scope is malformed.
    pub fn run<O>(&mut self, read: &O) -> impl Future<Output = Result<O::Output, Error>> + Send
    where
        O: Operation + ScopedRead + Send + Sync,
    {
        let read = read.clone().in_scope(&self.scope);
        async move { self.connection.run_in(self.schema, &read).await }
    }

    /// [`Trail::timeline`] of what is in scope.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    pub async fn timeline(&mut self, query: &Timeline) -> Result<Page<LinkedChange>, Error> {
        self.run(query).await
    }

    /// [`Trail::row_history`] of what is in scope.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    pub async fn row_history(&mut self, query: &RowHistory) -> Result<Page<LinkedChange>, Error> {
        self.run(query).await
    }

    /// [`Trail::count_changes`] of what is in scope.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    pub async fn count_changes(&mut self, query: &CountChanges) -> Result<ChangeCount, Error> {
        self.run(query).await
    }

    /// [`Trail::find_transaction`], when one of its changes is in scope.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    pub async fn find_transaction(&mut self, id: TransactionId) -> Result<LinkedTransaction, Error> {
        self.run(&TransactionLookup::new(id)).await
    }

    /// [`Trail::incident`] of what is in scope.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    pub async fn incident(&mut self, query: &Incident) -> Result<IncidentBundle, Error> {
        self.run(query).await
    }

    /// [`Trail::correlation`] of what is in scope.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    pub async fn correlation(&mut self, query: &Correlation) -> Result<CorrelationBundle, Error> {
        self.run(query).await
    }

    /// [`Trail::actor_history`] of what is in scope.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    pub async fn actor_history(&mut self, query: &ActorHistory) -> Result<Page<LinkedTransaction>, Error> {
        self.run(query).await
    }

    /// [`Trail::stream`] of what is in scope.
    pub fn stream<S>(&mut self, read: S) -> impl Stream<Item = Result<S::Item, Error>> + Send
    where
        S: Streamed + ScopedRead + Send,
        S::Item: Send,
    {
        self.connection.stream_in(self.schema.clone(), read.in_scope(&self.scope))
    }

    /// [`Trail::export`] of what is in scope.
    pub fn export(&mut self, export: Export) -> impl Stream<Item = Result<ExportPiece, Error>> + Send {
        self.connection.export_in(self.schema.clone(), export.in_scope(&self.scope))
    }

    /// [`Trail::export_to`] of what is in scope.
    ///
    /// # Errors
    /// As for [`Trail::export_to`] and [`run`](Self::run).
    pub fn export_to<W>(
        &mut self,
        export: Export,
        writer: W,
    ) -> impl Future<Output = Result<ExportSummary, Error>> + Send
    where
        W: Write + Send,
    {
        self.connection.export_to_in(self.schema, export.in_scope(&self.scope), writer)
    }

    /// [`Trail::as_of_json`], when the row is in scope as [`AsOf`] says.
    ///
    /// # Errors
    /// As for [`Trail::as_of_json`] and [`run`](Self::run).
    pub async fn as_of_json(&mut self, query: &AsOf) -> Result<RowAsOf<Json>, Error> {
        self.run(query).await
    }

    /// [`Trail::as_of`], when the row is in scope as [`AsOf`] says.
    ///
    /// # Errors
    /// As for [`Trail::as_of`] and [`run`](Self::run).
    pub fn as_of<R>(
        &mut self,
        key: impl Into<RowKey> + Send,
        at: OffsetDateTime,
    ) -> impl Future<Output = Result<RowAsOf<R>, Error>> + Send
    where
        R: Audited + QueryableByName<Pg> + Send + 'static,
    {
        let as_of = AsOf::model::<R>(key, at).scope(&self.scope);
        async move { trail::row(self.connection, self.schema, &as_of).await }
    }
}

impl<C> fmt::Debug for ScopedConnection<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedConnection").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl<C> fmt::Debug for InScope<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InScope").field("scope", &self.scope).finish_non_exhaustive()
    }
}
