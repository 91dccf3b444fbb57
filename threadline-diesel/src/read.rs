//! Reading the trail on any connection of Diesel's.

use std::io::{self, Write};

use diesel::RunQueryDsl;
use diesel::connection::LoadConnection;
use diesel::deserialize::QueryableByName;
use diesel::pg::Pg;
use threadline_core::{
    ActorHistory, AsOf, Audited, ChangeCount, Correlation, CorrelationBundle, CountChanges, Export, ExportSummary,
    Exporting, Incident, IncidentBundle, Json, LinkedChange, LinkedTransaction, Operation, Page, RowAsOf, RowHistory,
    RowKey, Schema, Streamed, Timeline, TransactionId, TransactionLookup,
};
use time::OffsetDateTime;

use crate::handle::PostgresConnection;
use crate::statement::bound;
use crate::{Entries, Error, wire};

/// Runs operations that read the trail, on any connection to PostgreSQL.
///
/// With an open transaction it reads inside that, and sees its changes. Otherwise the read has a read-only transaction of
/// its own.
///
/// # Examples
/// ```no_run
/// use diesel::prelude::*;
/// use threadline_diesel::prelude::*;
///
/// # fn example(conn: &mut PgConnection) -> Result<(), threadline_diesel::Error> {
/// let page = conn.timeline(&Timeline::new().table("posts").actor(&ActorRef::user("42")?))?;
/// let history = conn.row_history(&RowHistory::by_id("public", "posts", 7))?;
/// let version = conn.run(&threadline_core::InstalledVersion)?;
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot read the trail",
    label = "not a connection of Diesel's to PostgreSQL",
    note = "read on a `PgConnection`, or on a connection out of a pool: `pool.get()?`"
)]
pub trait Trail: LoadConnection<Backend = Pg> {
    /// Runs an operation and decodes its answer. The kernel is looked for in the schema `threadline`.
    ///
    /// Without an open transaction an operation that writes is refused; see [`apply`](crate::apply) for those.
    ///
    /// # Errors
    /// What the operation documents; [`is_not_installed`](Error::is_not_installed) without a kernel; otherwise Diesel's.
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
    fn timeline(&mut self, query: &Timeline) -> Result<Page<LinkedChange>, Error> {
        self.run(query)
    }

    /// A page of the changes of one row, newest first.
    ///
    /// # Errors
    /// What [`RowHistory`] documents, and as for [`run`](Self::run).
    fn row_history(&mut self, query: &RowHistory) -> Result<Page<LinkedChange>, Error> {
        self.run(query)
    }

    /// How many changes match, counted up to a cap.
    ///
    /// # Errors
    /// What [`CountChanges`] documents, and as for [`run`](Self::run).
    fn count_changes(&mut self, query: &CountChanges) -> Result<ChangeCount, Error> {
        self.run(query)
    }

    /// An audit transaction and its action, by the id that an [`Outcome`](threadline_core::Outcome) carries.
    ///
    /// # Errors
    /// [`is_not_found`](threadline_core::Error::is_not_found) when there is none, and as for [`run`](Self::run).
    fn find_transaction(&mut self, id: TransactionId) -> Result<LinkedTransaction, Error> {
        self.run(&TransactionLookup::new(id))
    }

    /// Everything about one audit transaction: who, why, and what it changed.
    ///
    /// # Errors
    /// What [`Incident`] documents, and as for [`run`](Self::run).
    fn incident(&mut self, query: &Incident) -> Result<IncidentBundle, Error> {
        self.run(query)
    }

    /// What was recorded under one correlation id: actions and changes.
    ///
    /// # Errors
    /// What [`Correlation`] documents, and as for [`run`](Self::run).
    fn correlation(&mut self, query: &Correlation) -> Result<CorrelationBundle, Error> {
        self.run(query)
    }

    /// A page of the audit transactions of one actor, newest first.
    ///
    /// # Errors
    /// What [`ActorHistory`] documents, and as for [`run`](Self::run).
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
    /// ```no_run
    /// use threadline_diesel::prelude::*;
    ///
    /// # fn example(conn: &mut diesel::PgConnection) -> Result<(), threadline_diesel::Error> {
    /// for entry in conn.stream(Timeline::new().table("posts"))? {
    ///     let change = entry?.change;
    ///     println!("{} {:?}", change.op, change.table_pk);
    /// }
    /// # Ok(())
    /// # }
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
    fn stream_in<S>(&mut self, schema: &Schema, read: S) -> Result<Entries<'_, Self, S>, Error>
    where
        S: Streamed,
    {
        Entries::begin(self, schema, read)
    }

    /// The changes that match, written as CSV or JSON to a file, a buffer or the standard output: one snapshot, in constant
    /// memory.
    ///
    /// # Errors
    /// [`is_output_failed`](threadline_core::Error::is_output_failed) when it cannot be written, what [`Export`] documents,
    /// and as for [`run`](Self::run).
    ///
    /// # Examples
    /// ```no_run
    /// use std::fs::File;
    /// use threadline_core::{Export, ExportFormat};
    /// use threadline_diesel::prelude::*;
    ///
    /// # fn example(conn: &mut diesel::PgConnection) -> Result<(), Box<dyn std::error::Error>> {
    /// let export = Export::new(Timeline::new().table("posts")).format(ExportFormat::Ndjson).all_rows();
    /// let summary = conn.export_to(export, File::create("posts.ndjson")?)?;
    /// println!("{} changes", summary.returned_count);
    /// # Ok(())
    /// # }
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
    /// ```no_run
    /// use diesel::prelude::*;
    /// use threadline_core::{Audited, AuditedTable, ModelColumn};
    /// use threadline_diesel::Trail;
    ///
    /// diesel::table! {
    ///     posts (id) {
    ///         id -> BigInt,
    ///         title -> Text,
    ///     }
    /// }
    ///
    /// #[derive(Queryable, Selectable, QueryableByName)]
    /// struct Post {
    ///     id: i64,
    ///     title: String,
    /// }
    /// # // What `#[derive(Audited)]` writes.
    /// # impl Audited for Post {
    /// #     fn audited_table() -> AuditedTable { AuditedTable::new("public", "posts") }
    /// #     fn columns() -> &'static [ModelColumn] {
    /// #         &const { [ModelColumn::new("id").key(), ModelColumn::new("title")] }
    /// #     }
    /// # }
    ///
    /// # fn example(conn: &mut PgConnection, then: time::OffsetDateTime) -> Result<(), threadline_diesel::Error> {
    /// let post = conn.as_of::<Post>(7, then)?;
    /// println!("it was called {} ({})", post.title, post.origin);
    /// # Ok(())
    /// # }
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
    #[allow(clippy::wrong_self_convention, reason = "\"as of\" an instant, not a conversion")]
    fn as_of_in<R>(&mut self, schema: &Schema, key: impl Into<RowKey>, at: OffsetDateTime) -> Result<RowAsOf<R>, Error>
    where
        R: Audited + QueryableByName<Pg> + 'static,
    {
        row(self, schema, &AsOf::model::<R>(key, at))
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
