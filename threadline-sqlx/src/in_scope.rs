//! The reads of the part of the trail that is in a scope.

use std::future::Future;

use futures_util::stream::Stream;
use sqlx::FromRow;
use sqlx::postgres::PgRow;
use threadline_core::{
    ActorHistory, AsOf, Audited, ChangeCount, Correlation, CorrelationBundle, CountChanges, Export, ExportPiece,
    ExportSummary, Incident, IncidentBundle, Json, LinkedChange, LinkedTransaction, Operation, Page, RowAsOf,
    RowHistory, RowKey, Scope, ScopedRead, Streamed, Timeline, TransactionId, TransactionLookup,
};
use time::OffsetDateTime;
use tokio::io::AsyncWrite;

use crate::{AuditedPool, Error, Trail, reading};

/// The part of the trail that is in a scope, read with the methods of [`Trail`]; made by
/// [`ScopedPool::scope`](crate::ScopedPool::scope).
#[derive(Clone, Debug)]
#[must_use]
pub struct InScope<'p> {
    pub(crate) pool: &'p AuditedPool,
    pub(crate) scope: Scope,
}

impl InScope<'_> {
    /// Runs a read and decodes its answer.
    ///
    /// # Errors
    /// As for [`Trail::run`]; [`is_invalid_input`](threadline_core::Error::is_invalid_input) when the scope is malformed.
    ///
    /// # Examples
    /// ```
    /// use threadline_core::{CountChanges, Scope};
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/sqlx.rs"));
    /// # fn main() -> Done { scoped(async |db, _| {
    /// let theirs = db.scope(Scope::meta("tenant", "acme"));
    /// assert_eq!(theirs.run(&CountChanges::of(Timeline::new())).await?.count, 3);
    /// # Ok(()) }) }
    /// ```
    pub fn run<O>(&self, read: &O) -> impl Future<Output = Result<O::Output, Error>> + Send
    where
        O: Operation + ScopedRead + Send + Sync,
    {
        let read = read.clone().in_scope(&self.scope);
        async move { self.pool.run(&read).await }
    }

    /// [`Trail::timeline`] of what is in scope.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    ///
    /// # Examples
    /// ```
    /// use threadline_core::Scope;
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/sqlx.rs"));
    /// # fn main() -> Done { scoped(async |db, _| {
    /// let theirs = db.scope(Scope::meta("tenant", "acme"));
    /// let page = theirs.timeline(&Timeline::new().table("posts").limit(2)).await?;
    /// assert_eq!(page.entries.len(), 2);
    /// # Ok(()) }) }
    /// ```
    pub async fn timeline(&self, query: &Timeline) -> Result<Page<LinkedChange>, Error> {
        self.run(query).await
    }

    /// [`Trail::row_history`] of what is in scope.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    ///
    /// # Examples
    /// ```
    /// use threadline_core::Scope;
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/sqlx.rs"));
    /// # fn main() -> Done { scoped(async |db, _| {
    /// let theirs = db.scope(Scope::meta("tenant", "acme"));
    /// let history = theirs.row_history(&RowHistory::by_id("public", "posts", 7)).await?;
    /// assert_eq!(history.entries.len(), 2, "the insert and the update");
    /// # Ok(()) }) }
    /// ```
    pub async fn row_history(&self, query: &RowHistory) -> Result<Page<LinkedChange>, Error> {
        self.run(query).await
    }

    /// [`Trail::count_changes`] of what is in scope.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    ///
    /// # Examples
    /// ```
    /// use threadline_core::{CountChanges, Scope};
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/sqlx.rs"));
    /// # fn main() -> Done { scoped(async |db, _| {
    /// let theirs = db.scope(Scope::meta("tenant", "acme"));
    /// let count = theirs.count_changes(&CountChanges::of(Timeline::new().table("posts")).cap(2)).await?;
    /// assert_eq!(count.to_string(), "more than 2");
    /// # Ok(()) }) }
    /// ```
    pub async fn count_changes(&self, query: &CountChanges) -> Result<ChangeCount, Error> {
        self.run(query).await
    }

    /// [`Trail::find_transaction`], when one of its changes is in scope.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    ///
    /// # Examples
    /// ```
    /// use threadline_core::Scope;
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/sqlx.rs"));
    /// # fn main() -> Done { scoped(async |db, transaction_id| {
    /// let theirs = db.scope(Scope::meta("tenant", "acme"));
    /// let found = theirs.find_transaction(transaction_id).await?;
    /// assert_eq!(found.transaction.actor, Some(ActorRef::user("42")?));
    /// assert_eq!(found.action.map(|action| action.name).as_deref(), Some("post.published"));
    /// # Ok(()) }) }
    /// ```
    pub async fn find_transaction(&self, id: TransactionId) -> Result<LinkedTransaction, Error> {
        self.run(&TransactionLookup::new(id)).await
    }

    /// [`Trail::incident`] of what is in scope.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    ///
    /// # Examples
    /// ```
    /// use threadline_core::{Incident, Scope};
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/sqlx.rs"));
    /// # fn main() -> Done { scoped(async |db, transaction_id| {
    /// let theirs = db.scope(Scope::meta("tenant", "acme"));
    /// let incident = theirs.incident(&Incident::of(transaction_id)).await?;
    /// assert_eq!(incident.changes[0].diff.field_changes[0].name, "title");
    /// # Ok(()) }) }
    /// ```
    pub async fn incident(&self, query: &Incident) -> Result<IncidentBundle, Error> {
        self.run(query).await
    }

    /// [`Trail::correlation`] of what is in scope.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    ///
    /// # Examples
    /// ```
    /// use threadline_core::{Correlation, Scope};
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/sqlx.rs"));
    /// # fn main() -> Done { scoped(async |db, _| {
    /// let theirs = db.scope(Scope::meta("tenant", "acme"));
    /// let bundle = theirs.correlation(&Correlation::of("req-7f3")).await?;
    /// assert_eq!((bundle.actions.len(), bundle.changes.entries.len()), (1, 3));
    /// # Ok(()) }) }
    /// ```
    pub async fn correlation(&self, query: &Correlation) -> Result<CorrelationBundle, Error> {
        self.run(query).await
    }

    /// [`Trail::actor_history`] of what is in scope.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    ///
    /// # Examples
    /// ```
    /// use threadline_core::{ActorHistory, Scope};
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/sqlx.rs"));
    /// # fn main() -> Done { scoped(async |db, transaction_id| {
    /// let theirs = db.scope(Scope::meta("tenant", "acme"));
    /// let history = theirs.actor_history(&ActorHistory::of(&ActorRef::user("42")?)).await?;
    /// assert_eq!(history.entries[0].transaction.id, transaction_id);
    /// # Ok(()) }) }
    /// ```
    pub async fn actor_history(&self, query: &ActorHistory) -> Result<Page<LinkedTransaction>, Error> {
        self.run(query).await
    }

    /// [`Trail::stream`] of what is in scope.
    ///
    /// # Examples
    /// ```
    /// use futures_util::TryStreamExt;
    /// use threadline_core::Scope;
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/sqlx.rs"));
    /// # fn main() -> Done { scoped(async |db, _| {
    /// let theirs = db.scope(Scope::meta("tenant", "acme"));
    /// let mut changes = std::pin::pin!(theirs.stream(Timeline::new().table("posts")));
    /// while let Some(entry) = changes.try_next().await? {
    ///     println!("{} {:?}", entry.change.op, entry.change.table_pk);
    /// }
    /// # Ok(()) }) }
    /// ```
    pub fn stream<S>(&self, read: S) -> impl Stream<Item = Result<S::Item, Error>> + Send
    where
        S: Streamed + ScopedRead + Send,
        S::Item: Send,
    {
        self.pool.stream(read.in_scope(&self.scope))
    }

    /// [`Trail::export`] of what is in scope.
    ///
    /// # Examples
    /// ```
    /// use futures_util::TryStreamExt;
    /// use threadline_core::{Export, ExportPiece, Scope};
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/sqlx.rs"));
    /// # fn main() -> Done { scoped(async |db, _| {
    /// let theirs = db.scope(Scope::meta("tenant", "acme"));
    /// let export = Export::new(Timeline::new().table("posts")).all_rows();
    /// let mut body = Vec::new(); // or a file, or the body of a response
    /// let mut pieces = std::pin::pin!(theirs.export(export));
    /// while let Some(piece) = pieces.try_next().await? {
    ///     match piece {
    ///         ExportPiece::Bytes(bytes) => body.extend(bytes),
    ///         ExportPiece::Done(summary) => assert_eq!(summary.returned_count, 3),
    ///         _ => {}
    ///     }
    /// }
    /// # Ok(()) }) }
    /// ```
    pub fn export(&self, export: Export) -> impl Stream<Item = Result<ExportPiece, Error>> + Send {
        self.pool.export(export.in_scope(&self.scope))
    }

    /// [`Trail::export_to`] of what is in scope.
    ///
    /// # Errors
    /// As for [`Trail::export_to`] and [`run`](Self::run).
    ///
    /// # Examples
    /// ```
    /// use threadline_core::{Export, ExportFormat, Scope};
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/sqlx.rs"));
    /// # fn main() -> Done { scoped(async |db, _| {
    /// let theirs = db.scope(Scope::meta("tenant", "acme"));
    /// let export = Export::new(Timeline::new().table("posts")).format(ExportFormat::Ndjson).max_rows(2);
    /// let mut file = Vec::new(); // or a `File`, or the standard output
    /// let summary = theirs.export_to(export, &mut file).await?;
    /// assert!(summary.truncated && summary.returned_count == 2);
    /// # Ok(()) }) }
    /// ```
    pub fn export_to<W>(&self, export: Export, writer: W) -> impl Future<Output = Result<ExportSummary, Error>> + Send
    where
        W: std::io::Write + Send,
    {
        self.pool.export_to(export.in_scope(&self.scope), writer)
    }

    /// [`Trail::export_to_async`] of what is in scope.
    ///
    /// # Errors
    /// As for [`Trail::export_to_async`] and [`run`](Self::run).
    ///
    /// # Examples
    /// ```
    /// use threadline_core::{Export, Scope};
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/sqlx.rs"));
    /// # fn main() -> Done { scoped(async |db, _| {
    /// let theirs = db.scope(Scope::meta("tenant", "acme"));
    /// let mut file = Vec::new(); // or a `tokio::fs::File`, or a socket
    /// let summary = theirs.export_to_async(Export::new(Timeline::new().table("posts")), &mut file).await?;
    /// assert_eq!(summary.returned_count, 3);
    /// # Ok(()) }) }
    /// ```
    pub fn export_to_async<W>(
        &self,
        export: Export,
        writer: W,
    ) -> impl Future<Output = Result<ExportSummary, Error>> + Send
    where
        W: AsyncWrite + Send + Unpin,
    {
        self.pool.export_to_async(export.in_scope(&self.scope), writer)
    }

    /// [`Trail::as_of_json`], when the row is in scope as [`AsOf`] says.
    ///
    /// # Errors
    /// As for [`Trail::as_of_json`] and [`run`](Self::run).
    ///
    /// # Examples
    /// ```
    /// use threadline_core::Scope;
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/sqlx.rs"));
    /// # fn main() -> Done { scoped(async |db, _| {
    /// let theirs = db.scope(Scope::meta("tenant", "acme"));
    /// let history = theirs.row_history(&RowHistory::by_id("public", "posts", 7)).await?;
    /// let written = history.entries[1].change.captured_at;
    /// let row = theirs.as_of_json(&AsOf::by_id("public", "posts", 7, written)).await?;
    /// assert_eq!(row.get(), r#"{"id": 7, "title": "Draft"}"#);
    /// # Ok(()) }) }
    /// ```
    pub async fn as_of_json(&self, query: &AsOf) -> Result<RowAsOf<Json>, Error> {
        self.run(query).await
    }

    /// [`Trail::as_of`], when the row is in scope as [`AsOf`] says.
    ///
    /// # Errors
    /// As for [`Trail::as_of`] and [`run`](Self::run).
    ///
    /// # Examples
    /// ```
    /// use threadline_core::Scope;
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/sqlx.rs"));
    /// # fn main() -> Done { scoped(async |db, _| {
    /// let theirs = db.scope(Scope::meta("tenant", "acme"));
    /// let history = theirs.row_history(&RowHistory::by_id("public", "posts", 7)).await?;
    /// let written = history.entries[1].change.captured_at;
    /// let post = theirs.as_of::<Post>(7, written).await?;
    /// assert_eq!(post.title, "Draft");
    /// # Ok(()) }) }
    /// ```
    pub fn as_of<R>(
        &self,
        key: impl Into<RowKey> + Send,
        at: OffsetDateTime,
    ) -> impl Future<Output = Result<RowAsOf<R>, Error>> + Send
    where
        R: Audited + for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let as_of = AsOf::model::<R>(key, at).scope(&self.scope);
        async move { reading::row(self.pool, self.pool.schema(), as_of).await }
    }
}
