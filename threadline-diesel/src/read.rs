//! Reading the trail on any connection of Diesel's.

use std::io::{self, Write};

use diesel::RunQueryDsl;
use diesel::connection::LoadConnection;
use diesel::deserialize::QueryableByName;
use diesel::pg::Pg;
use threadline_core::{
    ActorHistory, AsOf, Audited, ChangeCount, Correlation, CorrelationBundle, CountChanges, Export, ExportSummary,
    Exporting, Incident, IncidentBundle, Json, LinkedChange, LinkedTransaction, Operation, Page, RowAsOf, RowHistory,
    RowKey, Schema, Streamed, TableAsOf, Timeline, TransactionId, TransactionLookup,
};
use time::OffsetDateTime;

use crate::handle::PostgresConnection;
use crate::statement::bound;
use crate::{Entries, Error, RowsAsOf, wire};

/// Runs operations that read the trail, on any connection to PostgreSQL.
///
/// With an open transaction it reads inside that, and sees its changes. Otherwise the read has a read-only transaction of
/// its own, which is right behind a transaction pooler too.
///
/// The kernel is looked for in the schema `threadline`; [`run_in`](Self::run_in) looks elsewhere.
///
/// # Examples
/// ```
/// use diesel::prelude::*;
/// use threadline_diesel::prelude::*;
///
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/diesel.rs"));
/// # fn main() -> Done { read(|conn: &mut PgConnection, _| {
/// let page = conn.timeline(&Timeline::new().table("posts").actor(&ActorRef::user("42")?))?;
/// let history = conn.row_history(&RowHistory::by_id("public", "posts", 7))?;
/// assert_eq!((page.entries.len(), history.entries.len()), (3, 2));
/// assert!(conn.run(&threadline_core::InstalledVersion)?.is_some());
/// # Ok(()) }) }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot read the trail",
    label = "not a connection of Diesel's to PostgreSQL",
    note = "read on a `PgConnection`, or on a connection out of a pool: `pool.get()?`"
)]
pub trait Trail: LoadConnection<Backend = Pg> {
    /// Runs an operation and decodes its answer.
    ///
    /// Without an open transaction an operation that writes is refused; see [`apply`](crate::apply) for those.
    ///
    /// # Errors
    /// What the operation documents; [`is_not_installed`](Error::is_not_installed) without a kernel; otherwise Diesel's.
    ///
    /// # Examples
    /// ```
    /// use threadline_core::InstalledVersion;
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/diesel.rs"));
    /// # fn main() -> Done { read(|conn, _| {
    /// assert!(conn.run(&InstalledVersion)?.is_some());
    /// # Ok(()) }) }
    /// ```
    fn run<O>(&mut self, operation: &O) -> Result<O::Output, Error>
    where
        O: Operation,
    {
        self.run_in(&Schema::default(), operation)
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
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/diesel.rs"));
    /// # fn main() -> Done { read(|conn, _| {
    /// let version = conn.run_in(&Schema::new("threadline")?, &InstalledVersion)?;
    /// assert!(version.is_some());
    /// # Ok(()) }) }
    /// ```
    fn run_in<O>(&mut self, schema: &Schema, operation: &O) -> Result<O::Output, Error>
    where
        O: Operation,
    {
        let statement = operation.statement(schema)?;
        let rows = wire::reading(self, |connection| wire::fetch(connection, schema, &statement))?;
        Ok(operation.decode(rows)?)
    }

    /// A page of captured changes, newest first, with the transactions and actions they belong to.
    ///
    /// # Errors
    /// What [`Timeline`] documents, and as for [`run`](Self::run).
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/diesel.rs"));
    /// # fn main() -> Done { read(|conn, _| {
    /// let by_editor = Timeline::new().table("posts").actor(&ActorRef::user("42")?).limit(2);
    /// let page = conn.timeline(&by_editor)?;
    /// assert_eq!(page.entries[0].change.changed_fields.as_deref(), Some(&["title".to_owned()][..]));
    /// let rest = conn.timeline(&by_editor.cursor(page.next.ok_or("there are three changes")?))?;
    /// assert_eq!((rest.entries.len(), rest.next), (1, None));
    /// # Ok(()) }) }
    /// ```
    fn timeline(&mut self, query: &Timeline) -> Result<Page<LinkedChange>, Error> {
        self.run(query)
    }

    /// A page of the changes of one row, newest first.
    ///
    /// # Errors
    /// What [`RowHistory`] documents, and as for [`run`](Self::run).
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/diesel.rs"));
    /// # fn main() -> Done { read(|conn, _| {
    /// let history = conn.row_history(&RowHistory::by_id("public", "posts", 7))?;
    /// assert_eq!(history.entries.len(), 2, "the insert and the update");
    /// # Ok(()) }) }
    /// ```
    fn row_history(&mut self, query: &RowHistory) -> Result<Page<LinkedChange>, Error> {
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
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/diesel.rs"));
    /// # fn main() -> Done { read(|conn, _| {
    /// let count = conn.count_changes(&CountChanges::of(Timeline::new().table("posts")).cap(2))?;
    /// assert_eq!(count.to_string(), "more than 2");
    /// # Ok(()) }) }
    /// ```
    fn count_changes(&mut self, query: &CountChanges) -> Result<ChangeCount, Error> {
        self.run(query)
    }

    /// An audit transaction and its action, by the id that an [`Outcome`](threadline_core::Outcome) carries.
    ///
    /// # Errors
    /// [`is_not_found`](threadline_core::Error::is_not_found) when there is none, and as for [`run`](Self::run).
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/diesel.rs"));
    /// # fn main() -> Done { read(|conn, transaction_id| {
    /// let found = conn.find_transaction(transaction_id)?;
    /// assert_eq!(found.transaction.actor, Some(ActorRef::user("42")?));
    /// assert_eq!(found.action.map(|action| action.name).as_deref(), Some("post.published"));
    /// # Ok(()) }) }
    /// ```
    fn find_transaction(&mut self, id: TransactionId) -> Result<LinkedTransaction, Error> {
        self.run(&TransactionLookup::new(id))
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
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/diesel.rs"));
    /// # fn main() -> Done { read(|conn, transaction_id| {
    /// let incident = conn.incident(&Incident::of(transaction_id))?;
    /// assert_eq!(incident.changes[0].diff.field_changes[0].name, "title");
    /// # Ok(()) }) }
    /// ```
    fn incident(&mut self, query: &Incident) -> Result<IncidentBundle, Error> {
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
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/diesel.rs"));
    /// # fn main() -> Done { read(|conn, _| {
    /// let bundle = conn.correlation(&Correlation::of("req-7f3"))?;
    /// assert_eq!((bundle.actions.len(), bundle.changes.entries.len()), (1, 3));
    /// # Ok(()) }) }
    /// ```
    fn correlation(&mut self, query: &Correlation) -> Result<CorrelationBundle, Error> {
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
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/diesel.rs"));
    /// # fn main() -> Done { read(|conn, transaction_id| {
    /// let history = conn.actor_history(&ActorHistory::of(&ActorRef::user("42")?))?;
    /// assert_eq!(history.entries[0].transaction.id, transaction_id);
    /// # Ok(()) }) }
    /// ```
    fn actor_history(&mut self, query: &ActorHistory) -> Result<Page<LinkedTransaction>, Error> {
        self.run(query)
    }

    /// Every entry of a read that can have any number of them, such as a [`Timeline`] without a limit, in the order of its
    /// pages: one snapshot, in constant memory.
    ///
    /// # Errors
    /// Diesel's, when no transaction can be begun. The entries are errors as for [`run`](Self::run), and as the read
    /// documents.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/diesel.rs"));
    /// # fn main() -> Done { read(|conn, _| {
    /// for entry in conn.stream(Timeline::new().table("posts"))? {
    ///     let change = entry?.change;
    ///     println!("{} {:?}", change.op, change.table_pk);
    /// }
    /// # Ok(()) }) }
    /// ```
    fn stream<S>(&mut self, read: S) -> Result<Entries<'_, Self, S>, Error>
    where
        S: Streamed,
    {
        self.stream_in(&Schema::default(), read)
    }

    /// As [`stream`](Self::stream), with the kernel in this schema.
    ///
    /// # Errors
    /// As for [`stream`](Self::stream).
    ///
    /// # Examples
    /// ```
    /// use threadline_core::Schema;
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/diesel.rs"));
    /// # fn main() -> Done { read(|conn, _| {
    /// let posts = Timeline::new().table("posts");
    /// let changes: Result<Vec<_>, _> = conn.stream_in(&Schema::new("threadline")?, posts)?.collect();
    /// assert_eq!(changes?.len(), 3);
    /// # Ok(()) }) }
    /// ```
    fn stream_in<S>(&mut self, schema: &Schema, read: S) -> Result<Entries<'_, Self, S>, Error>
    where
        S: Streamed,
    {
        Entries::begin(self, schema, read)
    }

    /// The changes that match, written as CSV or JSON to a file, a buffer or the standard output: one snapshot, in constant
    /// memory. At most 10,000 changes unless the export says otherwise; the summary tells whether there are more.
    ///
    /// # Errors
    /// [`is_output_failed`](threadline_core::Error::is_output_failed) when it cannot be written, what [`Export`] documents,
    /// and as for [`run`](Self::run).
    ///
    /// # Examples
    /// ```
    /// use threadline_core::{Export, ExportFormat};
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/diesel.rs"));
    /// # fn main() -> Done { read(|conn, _| {
    /// let export = Export::new(Timeline::new().table("posts")).format(ExportFormat::Ndjson).max_rows(2);
    /// let mut file = Vec::new(); // or a `File`, or the standard output
    /// let summary = conn.export_to(export, &mut file)?;
    /// assert!(summary.truncated && summary.returned_count == 2);
    /// # Ok(()) }) }
    /// ```
    fn export_to<W>(&mut self, export: Export, writer: W) -> Result<ExportSummary, Error>
    where
        W: Write,
    {
        self.export_to_in(&Schema::default(), export, writer)
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
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/diesel.rs"));
    /// # fn main() -> Done { read(|conn, _| {
    /// let (schema, export) = (Schema::new("threadline")?, Export::new(Timeline::new().table("posts")));
    /// let mut file = Vec::new();
    /// assert_eq!(conn.export_to_in(&schema, export, &mut file)?.returned_count, 3);
    /// # Ok(()) }) }
    /// ```
    fn export_to_in<W>(&mut self, schema: &Schema, export: Export, mut writer: W) -> Result<ExportSummary, Error>
    where
        W: Write,
    {
        let failed = |error: io::Error| threadline_core::Error::output_failed(error);
        wire::reading(self, |connection| {
            let mut exporting = Exporting::new(export);
            while let Some(statement) = exporting.next_statement(schema)? {
                let chunk = exporting.chunk(wire::fetch(connection, schema, &statement)?)?;
                writer.write_all(&chunk).map_err(failed)?;
            }
            let (end, summary) = exporting.finish()?;
            writer.write_all(&end).and_then(|()| writer.flush()).map_err(failed)?;
            Ok(summary)
        })
    }

    /// A row as it was at an instant, as JSON.
    ///
    /// # Errors
    /// What [`AsOf`] documents, and as for [`run`](Self::run).
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/diesel.rs"));
    /// # fn main() -> Done { read(|conn, _| {
    /// let history = conn.row_history(&RowHistory::by_id("public", "posts", 7))?;
    /// let written = history.entries[1].change.captured_at;
    /// let row = conn.as_of_json(&AsOf::by_id("public", "posts", 7, written))?;
    /// assert_eq!(row.get(), r#"{"id": 7, "title": "Draft"}"#);
    /// # Ok(()) }) }
    /// ```
    #[allow(clippy::wrong_self_convention, reason = "\"as of\" an instant, not a conversion")]
    fn as_of_json(&mut self, query: &AsOf) -> Result<RowAsOf<Json>, Error> {
        self.run(query)
    }

    /// The row of a model as it was at an instant, decoded by Diesel from columns of the table's own types.
    ///
    /// The answer tells whether the row is an image of the trail or was rebuilt, and can be used as the row itself. Fields of
    /// masked and excluded columns must be `Option`, and are `None`.
    ///
    /// # Errors
    /// What [`AsOf`] and [`AsOf::row_statement`] document, and as for [`run`](Self::run).
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/diesel.rs"));
    /// # fn main() -> Done { read(|conn, _| {
    /// diesel::table! {
    ///     posts (id) {
    ///         id -> BigInt,
    ///         title -> Text,
    ///     }
    /// }
    ///
    /// #[derive(diesel::QueryableByName)]
    /// #[diesel(table_name = posts)]
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
    /// let history = conn.row_history(&RowHistory::by_id("public", "posts", 7))?;
    /// let written = history.entries[1].change.captured_at;
    /// let post = conn.as_of::<Post>(7, written)?;
    /// println!("post {} was called {} ({})", post.id, post.title, post.origin);
    /// assert_eq!(post.title, "Draft");
    /// # Ok(()) }) }
    /// ```
    #[allow(clippy::wrong_self_convention, reason = "\"as of\" an instant, not a conversion")]
    fn as_of<R>(&mut self, key: impl Into<RowKey>, at: OffsetDateTime) -> Result<RowAsOf<R>, Error>
    where
        R: Audited + QueryableByName<Pg> + 'static,
    {
        self.as_of_in(&Schema::default(), key, at)
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
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/diesel.rs"));
    /// # fn main() -> Done { read(|conn, _| {
    /// let history = conn.row_history(&RowHistory::by_id("public", "posts", 7))?;
    /// let written = history.entries[1].change.captured_at;
    /// let post = conn.as_of_in::<Post>(&Schema::new("threadline")?, 7, written)?;
    /// assert_eq!(post.title, "Draft");
    /// # Ok(()) }) }
    /// ```
    #[allow(clippy::wrong_self_convention, reason = "\"as of\" an instant, not a conversion")]
    fn as_of_in<R>(&mut self, schema: &Schema, key: impl Into<RowKey>, at: OffsetDateTime) -> Result<RowAsOf<R>, Error>
    where
        R: Audited + QueryableByName<Pg> + 'static,
    {
        row(self, schema, &AsOf::model::<R>(key, at))
    }

    /// Every row of a model's table as it was at an instant, once, under the key that it had then, decoded by Diesel as
    /// [`as_of`](Self::as_of) does it: one snapshot, in constant memory. Dropping the iterator ends the read. As JSON, or with
    /// options, it is [`stream`](Self::stream) of a [`TableAsOf`].
    ///
    /// # Errors
    /// Diesel's, when no transaction can be begun. The rows are errors as [`TableAsOf`] and [`TableAsOf::rows_statement`]
    /// document, and as for [`run`](Self::run).
    ///
    /// # Examples
    /// ```
    /// use threadline_core::TableAsOf;
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/diesel.rs"));
    /// # fn main() -> Done { read(|conn, _| {
    /// let history = conn.row_history(&RowHistory::by_id("public", "posts", 7))?;
    /// let written = history.entries[1].change.captured_at;
    /// for post in conn.table_as_of::<Post>(written)? {
    ///     let post = post?;
    ///     println!("{} {} ({})", post.id, post.title, post.origin);
    /// }
    /// for post in conn.stream(TableAsOf::new("public", "posts", written))? {
    ///     println!("{}", post?.get());
    /// }
    /// # Ok(()) }) }
    /// ```
    fn table_as_of<R>(&mut self, at: OffsetDateTime) -> Result<RowsAsOf<'_, Self, R>, Error>
    where
        R: Audited + QueryableByName<Pg> + 'static,
    {
        self.table_as_of_in(&Schema::default(), TableAsOf::model::<R>(at))
    }

    /// As [`table_as_of`](Self::table_as_of), with the options of `read` and the kernel in this schema.
    ///
    /// # Errors
    /// As for [`table_as_of`](Self::table_as_of).
    ///
    /// # Examples
    /// ```
    /// use threadline_core::{Schema, TableAsOf};
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/diesel.rs"));
    /// # fn main() -> Done { read(|conn, _| {
    /// let read = TableAsOf::model::<Post>(time::OffsetDateTime::now_utc()).known_rows();
    /// for post in conn.table_as_of_in::<Post>(&Schema::new("threadline")?, read)? {
    ///     println!("{}", post?.title);
    /// }
    /// # Ok(()) }) }
    /// ```
    fn table_as_of_in<R>(&mut self, schema: &Schema, read: TableAsOf) -> Result<RowsAsOf<'_, Self, R>, Error>
    where
        R: Audited + QueryableByName<Pg> + 'static,
    {
        RowsAsOf::begin(self, schema, read)
    }
}

#[diagnostic::do_not_recommend]
#[allow(clippy::needless_maybe_sized, reason = "of a `String` it would be said that `str` has no size")]
impl<C> Trail for C where C: PostgresConnection + ?Sized {}

/// A row as it was, in two steps: the image, then the row made of it.
pub(crate) fn row<C, R>(connection: &mut C, schema: &Schema, as_of: &AsOf) -> Result<RowAsOf<R>, Error>
where
    C: LoadConnection<Backend = Pg>,
    R: Audited + QueryableByName<Pg> + 'static,
{
    wire::reading(connection, |connection| {
        let image = wire::perform(connection, schema, as_of)?;
        let statement = as_of.row_statement(schema, &image, R::columns())?;
        let row = bound(&statement).get_result(connection);
        let row = row.map_err(|error| Error::from_own_statement(error, schema))?;
        Ok(RowAsOf::new(row, image.origin))
    })
}
