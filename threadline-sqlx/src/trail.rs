//! Reading the trail on any handle of sqlx.

use std::future::Future;

use futures_util::stream::Stream;
use sqlx::FromRow;
use sqlx::postgres::PgRow;
use threadline_core::{
    ActorHistory, AsOf, Audited, ChangeCount, Correlation, CorrelationBundle, CountChanges, Export, ExportPiece,
    ExportSummary, Incident, IncidentBundle, Json, LinkedChange, LinkedTransaction, Operation, Page, RowAsOf,
    RowHistory, RowKey, Schema, Streamed, TableAsOf, Timeline, TransactionId, TransactionLookup,
};
use time::OffsetDateTime;
use tokio::io::AsyncWrite;

use crate::reach::Reach;
use crate::rows_as_of::rows_as_of;
use crate::{Error, exporting, reading};

/// Runs operations that read the trail, on a pool, a connection or a transaction.
///
/// A handle with an open transaction reads inside it, and sees its own changes. Otherwise the read has a read-only
/// transaction of its own, which is right behind a transaction pooler too and leaves nothing behind when it is cancelled.
///
/// The kernel is looked for in the schema `threadline`; an [`AuditedPool`](crate::AuditedPool) and an
/// [`AuditedTransaction`](crate::AuditedTransaction) know theirs.
///
/// # Examples
/// ```
/// use threadline_core::{ActorRef, InstalledVersion, RowHistory, Timeline};
/// use threadline_sqlx::Trail;
///
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/sqlx.rs"));
/// # fn main() -> Done { read(async |db, _| {
/// let pool: &sqlx::PgPool = db.unaudited(); // or any other handle of sqlx
/// let page = pool.timeline(&Timeline::new().table("posts").actor(&ActorRef::user("42")?)).await?;
/// let history = pool.row_history(&RowHistory::by_id("public", "posts", 7)).await?;
/// assert_eq!((page.entries.len(), history.entries.len()), (3, 2));
/// assert!(pool.run(&InstalledVersion).await?.is_some());
/// # Ok(()) }) }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot read the trail",
    note = "call it on a `PgPool`, an `AuditedPool`, or a `&mut` connection or transaction"
)]
pub trait Trail: Reach {
    /// Runs an operation and decodes its answer.
    ///
    /// Without an open transaction an operation that writes is refused; see [`apply`](crate::apply) for those.
    ///
    /// # Errors
    /// What the operation documents; [`is_not_installed`](Error::is_not_installed) without a kernel; otherwise sqlx's.
    ///
    /// # Examples
    /// ```
    /// use threadline_core::InstalledVersion;
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/sqlx.rs"));
    /// # fn main() -> Done { read(async |db, _| {
    /// assert!(db.run(&InstalledVersion).await?.is_some());
    /// # Ok(()) }) }
    /// ```
    fn run<O>(self, operation: &O) -> impl Future<Output = Result<O::Output, Error>> + Send
    where
        O: Operation + Sync,
    {
        async move {
            let schema = self.kernel();
            reading::run(self, &schema, operation).await
        }
    }

    /// As [`run`](Self::run), with the kernel in this schema.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    ///
    /// # Examples
    /// ```
    /// use threadline_core::{InstalledVersion, Schema};
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/sqlx.rs"));
    /// # fn main() -> Done { read(async |db, _| {
    /// let version = db.run_in(&Schema::new("threadline")?, &InstalledVersion).await?;
    /// assert!(version.is_some());
    /// # Ok(()) }) }
    /// ```
    fn run_in<O>(self, schema: &Schema, operation: &O) -> impl Future<Output = Result<O::Output, Error>> + Send
    where
        O: Operation + Sync,
    {
        reading::run(self, schema, operation)
    }

    /// A page of captured changes, newest first, with the transactions and actions they belong to.
    ///
    /// # Errors
    /// What [`Timeline`] documents, and as for [`run`](Self::run).
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/sqlx.rs"));
    /// # fn main() -> Done { read(async |db, _| {
    /// let by_editor = Timeline::new().table("posts").actor(&ActorRef::user("42")?).limit(2);
    /// let page = db.timeline(&by_editor).await?;
    /// assert_eq!(page.entries[0].change.changed_fields.as_deref(), Some(&["title".to_owned()][..]));
    /// let rest = db.timeline(&by_editor.cursor(page.next.ok_or("there are three changes")?)).await?;
    /// assert_eq!((rest.entries.len(), rest.next), (1, None));
    /// # Ok(()) }) }
    /// ```
    fn timeline(self, query: &Timeline) -> impl Future<Output = Result<Page<LinkedChange>, Error>> + Send {
        self.run(query)
    }

    /// A page of the changes of one row, newest first.
    ///
    /// # Errors
    /// What [`RowHistory`] documents, and as for [`run`](Self::run).
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/sqlx.rs"));
    /// # fn main() -> Done { read(async |db, _| {
    /// let history = db.row_history(&RowHistory::by_id("public", "posts", 7)).await?;
    /// assert_eq!(history.entries.len(), 2, "the insert and the update");
    /// # Ok(()) }) }
    /// ```
    fn row_history(self, query: &RowHistory) -> impl Future<Output = Result<Page<LinkedChange>, Error>> + Send {
        self.run(query)
    }

    /// How many changes match, counted up to a cap.
    ///
    /// # Errors
    /// What [`CountChanges`] documents, and as for [`run`](Self::run).
    ///
    /// # Examples
    /// ```
    /// use threadline_core::CountChanges;
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/sqlx.rs"));
    /// # fn main() -> Done { read(async |db, _| {
    /// let count = db.count_changes(&CountChanges::of(Timeline::new().table("posts")).cap(2)).await?;
    /// assert_eq!(count.to_string(), "more than 2");
    /// # Ok(()) }) }
    /// ```
    fn count_changes(self, query: &CountChanges) -> impl Future<Output = Result<ChangeCount, Error>> + Send {
        self.run(query)
    }

    /// An audit transaction and its action, by the id that an [`Outcome`](threadline_core::Outcome) carries.
    ///
    /// # Errors
    /// [`is_not_found`](threadline_core::Error::is_not_found) when there is none, and as for [`run`](Self::run).
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/sqlx.rs"));
    /// # fn main() -> Done { read(async |db, transaction_id| {
    /// let found = db.find_transaction(transaction_id).await?;
    /// assert_eq!(found.transaction.actor, Some(ActorRef::user("42")?));
    /// assert_eq!(found.action.map(|action| action.name).as_deref(), Some("post.published"));
    /// # Ok(()) }) }
    /// ```
    fn find_transaction(self, id: TransactionId) -> impl Future<Output = Result<LinkedTransaction, Error>> + Send {
        async move { self.run(&TransactionLookup::new(id)).await }
    }

    /// Everything about one audit transaction: who, why, and what it changed.
    ///
    /// # Errors
    /// What [`Incident`] documents, and as for [`run`](Self::run).
    ///
    /// # Examples
    /// ```
    /// use threadline_core::Incident;
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/sqlx.rs"));
    /// # fn main() -> Done { read(async |db, transaction_id| {
    /// let incident = db.incident(&Incident::of(transaction_id)).await?;
    /// assert_eq!(incident.changes[0].diff.field_changes[0].name, "title");
    /// # Ok(()) }) }
    /// ```
    fn incident(self, query: &Incident) -> impl Future<Output = Result<IncidentBundle, Error>> + Send {
        self.run(query)
    }

    /// What was recorded under one correlation id: actions and changes.
    ///
    /// # Errors
    /// What [`Correlation`] documents, and as for [`run`](Self::run).
    ///
    /// # Examples
    /// ```
    /// use threadline_core::Correlation;
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/sqlx.rs"));
    /// # fn main() -> Done { read(async |db, _| {
    /// let bundle = db.correlation(&Correlation::of("req-7f3")).await?;
    /// assert_eq!((bundle.actions.len(), bundle.changes.entries.len()), (1, 3));
    /// # Ok(()) }) }
    /// ```
    fn correlation(self, query: &Correlation) -> impl Future<Output = Result<CorrelationBundle, Error>> + Send {
        self.run(query)
    }

    /// A page of the audit transactions of one actor, newest first.
    ///
    /// # Errors
    /// What [`ActorHistory`] documents, and as for [`run`](Self::run).
    ///
    /// # Examples
    /// ```
    /// use threadline_core::ActorHistory;
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/sqlx.rs"));
    /// # fn main() -> Done { read(async |db, transaction_id| {
    /// let history = db.actor_history(&ActorHistory::of(&ActorRef::user("42")?)).await?;
    /// assert_eq!(history.entries[0].transaction.id, transaction_id);
    /// # Ok(()) }) }
    /// ```
    fn actor_history(
        self,
        query: &ActorHistory,
    ) -> impl Future<Output = Result<Page<LinkedTransaction>, Error>> + Send {
        self.run(query)
    }

    /// Every entry of a read that can have any number of them, such as a [`Timeline`] without a limit, in the order of its
    /// pages: one snapshot, in constant memory. Dropping the stream ends the read; inside somebody's transaction its
    /// cursor stays until that ends.
    ///
    /// The items are errors as for [`run`](Self::run), and as the read documents; the stream ends after the first.
    ///
    /// # Examples
    /// ```
    /// use futures_util::TryStreamExt;
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/sqlx.rs"));
    /// # fn main() -> Done { read(async |db, _| {
    /// let mut changes = std::pin::pin!(db.stream(Timeline::new().table("posts")));
    /// while let Some(entry) = changes.try_next().await? {
    ///     println!("{} {:?}", entry.change.op, entry.change.table_pk);
    /// }
    /// # Ok(()) }) }
    /// ```
    fn stream<S>(self, read: S) -> impl Stream<Item = Result<S::Item, Error>> + Send
    where
        S: Streamed + Send,
        S::Item: Send,
    {
        let schema = self.kernel();
        self.stream_in(schema, read)
    }

    /// As [`stream`](Self::stream), with the kernel in this schema.
    ///
    /// # Examples
    /// ```
    /// use futures_util::TryStreamExt;
    /// use threadline_core::Schema;
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/sqlx.rs"));
    /// # fn main() -> Done { read(async |db, _| {
    /// let changes = db.stream_in(Schema::new("threadline")?, Timeline::new().table("posts"));
    /// assert_eq!(changes.try_collect::<Vec<_>>().await?.len(), 3);
    /// # Ok(()) }) }
    /// ```
    fn stream_in<S>(self, schema: Schema, read: S) -> impl Stream<Item = Result<S::Item, Error>> + Send
    where
        S: Streamed + Send,
        S::Item: Send,
    {
        reading::stream(self, schema, read)
    }

    /// The changes that match, written as CSV or JSON: pieces to write, and at last how many there were. One snapshot, in
    /// constant memory.
    ///
    /// A [`PgPool`](sqlx::PgPool) and an [`AuditedPool`](crate::AuditedPool), in a scope too, export through COPY; a connection
    /// or a transaction, and a session with a `statement_timeout`, through a cursor: slower, and the same bytes.
    ///
    /// The items are errors as for [`run`](Self::run), and as [`Export`] documents; the stream ends after the first.
    ///
    /// # Examples
    /// ```
    /// use futures_util::TryStreamExt;
    /// use threadline_core::{Export, ExportPiece};
    /// use tokio::io::AsyncWriteExt;
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/sqlx.rs"));
    /// # fn main() -> Done { read(async |db, _| {
    /// let export = Export::new(Timeline::new().table("posts")).all_rows();
    /// let mut file = Vec::new(); // or a file of tokio's, or the body of a response
    /// let mut pieces = std::pin::pin!(db.export(export));
    /// while let Some(piece) = pieces.try_next().await? {
    ///     match piece {
    ///         ExportPiece::Bytes(bytes) => file.write_all(&bytes).await?,
    ///         ExportPiece::Done(summary) => assert_eq!(summary.returned_count, 3),
    ///         _ => {}
    ///     }
    /// }
    /// # Ok(()) }) }
    /// ```
    fn export(self, export: Export) -> impl Stream<Item = Result<ExportPiece, Error>> + Send {
        let schema = self.kernel();
        self.export_in(schema, export)
    }

    /// As [`export`](Self::export), with the kernel in this schema.
    ///
    /// # Examples
    /// ```
    /// use futures_util::TryStreamExt;
    /// use threadline_core::{Export, ExportPiece, Schema};
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/sqlx.rs"));
    /// # fn main() -> Done { read(async |db, _| {
    /// let export = Export::new(Timeline::new().table("posts")).all_rows();
    /// let mut body = Vec::new(); // or a file, or the body of a response
    /// let mut pieces = std::pin::pin!(db.export_in(Schema::new("threadline")?, export));
    /// while let Some(piece) = pieces.try_next().await? {
    ///     match piece {
    ///         ExportPiece::Bytes(bytes) => body.extend(bytes),
    ///         ExportPiece::Done(summary) => assert_eq!(summary.returned_count, 3),
    ///         _ => {}
    ///     }
    /// }
    /// # Ok(()) }) }
    /// ```
    fn export_in(self, schema: Schema, export: Export) -> impl Stream<Item = Result<ExportPiece, Error>> + Send {
        exporting::pieces(self, schema, export)
    }

    /// As [`export`](Self::export), written to something that blocks: a file, a buffer, the standard output. At most 10,000
    /// changes unless the export says otherwise; the summary tells whether there are more.
    ///
    /// # Errors
    /// [`is_output_failed`](threadline_core::Error::is_output_failed) when it cannot be written, and as for
    /// [`export`](Self::export).
    ///
    /// # Examples
    /// ```
    /// use threadline_core::{Export, ExportFormat};
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/sqlx.rs"));
    /// # fn main() -> Done { read(async |db, _| {
    /// let export = Export::new(Timeline::new().table("posts")).format(ExportFormat::Ndjson).max_rows(2);
    /// let mut file = Vec::new(); // or a `File`, or the standard output
    /// let summary = db.export_to(export, &mut file).await?;
    /// assert!(summary.truncated && summary.returned_count == 2);
    /// # Ok(()) }) }
    /// ```
    fn export_to<W>(self, export: Export, writer: W) -> impl Future<Output = Result<ExportSummary, Error>> + Send
    where
        W: std::io::Write + Send,
    {
        exporting::write(self.export(export), writer)
    }

    /// As [`export_to`](Self::export_to), with the kernel in this schema.
    ///
    /// # Errors
    /// As for [`export_to`](Self::export_to).
    ///
    /// # Examples
    /// ```
    /// use threadline_core::{Export, Schema};
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/sqlx.rs"));
    /// # fn main() -> Done { read(async |db, _| {
    /// let (schema, export) = (Schema::new("threadline")?, Export::new(Timeline::new().table("posts")));
    /// let mut file = Vec::new();
    /// assert_eq!(db.export_to_in(&schema, export, &mut file).await?.returned_count, 3);
    /// # Ok(()) }) }
    /// ```
    fn export_to_in<W>(
        self,
        schema: &Schema,
        export: Export,
        writer: W,
    ) -> impl Future<Output = Result<ExportSummary, Error>> + Send
    where
        W: std::io::Write + Send,
    {
        exporting::write(self.export_in(schema.clone(), export), writer)
    }

    /// As [`export_to`](Self::export_to), written to something that is awaited: tokio's files, sockets and pipes.
    ///
    /// # Errors
    /// As for [`export_to`](Self::export_to).
    ///
    /// # Examples
    /// ```
    /// use threadline_core::Export;
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/sqlx.rs"));
    /// # fn main() -> Done { read(async |db, _| {
    /// let mut file = Vec::new(); // or a `tokio::fs::File`, or a socket
    /// let summary = db.export_to_async(Export::new(Timeline::new().table("posts")), &mut file).await?;
    /// assert_eq!(summary.returned_count, 3);
    /// # Ok(()) }) }
    /// ```
    fn export_to_async<W>(self, export: Export, writer: W) -> impl Future<Output = Result<ExportSummary, Error>> + Send
    where
        W: AsyncWrite + Send + Unpin,
    {
        exporting::write_async(self.export(export), writer)
    }

    /// As [`export_to_async`](Self::export_to_async), with the kernel in this schema.
    ///
    /// # Errors
    /// As for [`export_to`](Self::export_to).
    ///
    /// # Examples
    /// ```
    /// use threadline_core::{Export, Schema};
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/sqlx.rs"));
    /// # fn main() -> Done { read(async |db, _| {
    /// let (schema, export) = (Schema::new("threadline")?, Export::new(Timeline::new().table("posts")));
    /// let mut file = Vec::new();
    /// assert_eq!(db.export_to_async_in(&schema, export, &mut file).await?.returned_count, 3);
    /// # Ok(()) }) }
    /// ```
    fn export_to_async_in<W>(
        self,
        schema: &Schema,
        export: Export,
        writer: W,
    ) -> impl Future<Output = Result<ExportSummary, Error>> + Send
    where
        W: AsyncWrite + Send + Unpin,
    {
        exporting::write_async(self.export_in(schema.clone(), export), writer)
    }

    /// A row as it was at an instant, as JSON.
    ///
    /// # Errors
    /// What [`AsOf`] documents, and as for [`run`](Self::run).
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/sqlx.rs"));
    /// # fn main() -> Done { read(async |db, _| {
    /// let history = db.row_history(&RowHistory::by_id("public", "posts", 7)).await?;
    /// let written = history.entries[1].change.captured_at;
    /// let row = db.as_of_json(&AsOf::by_id("public", "posts", 7, written)).await?;
    /// assert_eq!(row.get(), r#"{"id": 7, "title": "Draft"}"#);
    /// # Ok(()) }) }
    /// ```
    #[allow(clippy::wrong_self_convention, reason = "Self is a reference, as in sqlx's Executor")]
    fn as_of_json(self, query: &AsOf) -> impl Future<Output = Result<RowAsOf<Json>, Error>> + Send {
        self.run(query)
    }

    /// The row of a model as it was at an instant, decoded by sqlx from columns of the table's own types.
    ///
    /// The answer tells whether the row is an image of the trail or was rebuilt, and can be used as the row itself. Fields of
    /// masked and excluded columns must be `Option`, and are `None`.
    ///
    /// # Errors
    /// What [`AsOf`] and [`AsOf::row_statement`] document, and as for [`run`](Self::run).
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/sqlx.rs"));
    /// # fn main() -> Done { read(async |db, _| {
    /// #[derive(sqlx::FromRow)]
    /// struct Post {
    ///     id: i64,
    ///     title: String,
    /// }
    /// # // What `#[derive(Audited)]` writes.
    /// # impl Audited for Post {
    /// #     fn audited_table() -> AuditedTable { AuditedTable::new("public", "posts") }
    /// #     fn columns() -> &'static [threadline_core::ModelColumn] {
    /// #         <self::Post as Audited>::columns()
    /// #     }
    /// # }
    ///
    /// let history = db.row_history(&RowHistory::by_id("public", "posts", 7)).await?;
    /// let written = history.entries[1].change.captured_at;
    /// let post = db.as_of::<Post>(7, written).await?;
    /// println!("post {} was called {} ({})", post.id, post.title, post.origin);
    /// assert_eq!(post.title, "Draft");
    /// # Ok(()) }) }
    /// ```
    #[allow(clippy::wrong_self_convention, reason = "Self is a reference, as in sqlx's Executor")]
    fn as_of<R>(
        self,
        key: impl Into<RowKey> + Send,
        at: OffsetDateTime,
    ) -> impl Future<Output = Result<RowAsOf<R>, Error>> + Send
    where
        R: Audited + for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let as_of = AsOf::model::<R>(key, at);
        async move {
            let schema = self.kernel();
            reading::row(self, &schema, as_of).await
        }
    }

    /// As [`as_of`](Self::as_of), with the kernel in this schema.
    ///
    /// # Errors
    /// As for [`as_of`](Self::as_of).
    ///
    /// # Examples
    /// ```
    /// use threadline_core::Schema;
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/sqlx.rs"));
    /// # fn main() -> Done { read(async |db, _| {
    /// let history = db.row_history(&RowHistory::by_id("public", "posts", 7)).await?;
    /// let written = history.entries[1].change.captured_at;
    /// let post = db.as_of_in::<Post>(&Schema::new("threadline")?, 7, written).await?;
    /// assert_eq!(post.title, "Draft");
    /// # Ok(()) }) }
    /// ```
    #[allow(clippy::wrong_self_convention, reason = "Self is a reference, as in sqlx's Executor")]
    fn as_of_in<R>(
        self,
        schema: &Schema,
        key: impl Into<RowKey> + Send,
        at: OffsetDateTime,
    ) -> impl Future<Output = Result<RowAsOf<R>, Error>> + Send
    where
        R: Audited + for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        reading::row(self, schema, AsOf::model::<R>(key, at))
    }

    /// Every row of a model's table as it was at an instant, once, under the key that it had then, decoded by sqlx as
    /// [`as_of`](Self::as_of) does it: one snapshot, in constant memory. Dropping the stream ends the read. As JSON, or with
    /// options, it is [`stream`](Self::stream) of a [`TableAsOf`].
    ///
    /// The items are errors as [`TableAsOf`] and [`TableAsOf::rows_statement`] document, and as for [`run`](Self::run); the
    /// stream ends after the first.
    ///
    /// # Examples
    /// ```
    /// use futures_util::TryStreamExt;
    /// use threadline_core::TableAsOf;
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/sqlx.rs"));
    /// # fn main() -> Done { read(async |db, _| {
    /// let history = db.row_history(&RowHistory::by_id("public", "posts", 7)).await?;
    /// let written = history.entries[1].change.captured_at;
    /// let mut posts = std::pin::pin!(db.table_as_of::<Post>(written));
    /// while let Some(post) = posts.try_next().await? {
    ///     println!("{} {} ({})", post.id, post.title, post.origin);
    /// }
    /// let mut images = std::pin::pin!(db.stream(TableAsOf::new("public", "posts", written)));
    /// while let Some(post) = images.try_next().await? {
    ///     println!("{}", post.get());
    /// }
    /// # Ok(()) }) }
    /// ```
    fn table_as_of<R>(self, at: OffsetDateTime) -> impl Stream<Item = Result<RowAsOf<R>, Error>> + Send
    where
        R: Audited + for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let schema = self.kernel();
        self.table_as_of_in(schema, TableAsOf::model::<R>(at))
    }

    /// As [`table_as_of`](Self::table_as_of), with the options of `read` and the kernel in this schema.
    ///
    /// # Examples
    /// ```
    /// use futures_util::TryStreamExt;
    /// use threadline_core::{Schema, TableAsOf};
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/sqlx.rs"));
    /// # fn main() -> Done { read(async |db, _| {
    /// let read = TableAsOf::model::<Post>(time::OffsetDateTime::now_utc()).known_rows();
    /// let posts = db.table_as_of_in::<Post>(Schema::new("threadline")?, read);
    /// assert_eq!(posts.try_collect::<Vec<_>>().await?.len(), 2);
    /// # Ok(()) }) }
    /// ```
    fn table_as_of_in<R>(self, schema: Schema, read: TableAsOf) -> impl Stream<Item = Result<RowAsOf<R>, Error>> + Send
    where
        R: Audited + for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        rows_as_of(self, schema, read)
    }
}

#[diagnostic::do_not_recommend]
impl<T: Reach> Trail for T {}
