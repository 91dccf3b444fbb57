//! The reads of the part of the trail that is in a scope.

use std::fmt;
use std::io::Write;

use diesel::connection::LoadConnection;
use diesel::deserialize::QueryableByName;
use diesel::pg::Pg;
use threadline_core::{
    ActorHistory, AsOf, Audited, ChangeCount, Correlation, CorrelationBundle, CountChanges, Export, ExportSummary,
    Incident, IncidentBundle, Json, LinkedChange, LinkedTransaction, Operation, Page, RowAsOf, RowHistory, RowKey,
    Schema, Scope, ScopedRead, Streamed, Timeline, TransactionId, TransactionLookup,
};
use time::OffsetDateTime;

use crate::{Entries, Error, Trail, read};

/// The part of the trail that is in a scope, read with the methods of [`Trail`]; made by
/// [`ScopedConnection::scope`](crate::ScopedConnection::scope).
#[must_use]
pub struct InScope<'c, C> {
    pub(crate) connection: &'c mut C,
    pub(crate) schema: &'c Schema,
    pub(crate) scope: Scope,
}

impl<C> InScope<'_, C>
where
    C: LoadConnection<Backend = Pg>,
{
    /// Runs a read and decodes its answer.
    ///
    /// # Errors
    /// As for [`Trail::run`]; [`is_invalid_input`](threadline_core::Error::is_invalid_input) when the scope is malformed.
    ///
    /// # Examples
    /// ```
    /// use threadline_core::{CountChanges, Scope};
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/diesel.rs"));
    /// # fn main() -> Done { scoped(|mut db, _| {
    /// let mut theirs = db.scope(Scope::meta("tenant", "acme"));
    /// assert_eq!(theirs.run(&CountChanges::of(Timeline::new()))?.count, 3);
    /// # Ok(()) }) }
    /// ```
    pub fn run<O>(&mut self, read: &O) -> Result<O::Output, Error>
    where
        O: Operation + ScopedRead,
    {
        self.connection.run_in(self.schema, &read.clone().in_scope(&self.scope))
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
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/diesel.rs"));
    /// # fn main() -> Done { scoped(|mut db, _| {
    /// let mut theirs = db.scope(Scope::meta("tenant", "acme"));
    /// let page = theirs.timeline(&Timeline::new().table("posts").limit(2))?;
    /// assert_eq!(page.entries.len(), 2);
    /// # Ok(()) }) }
    /// ```
    pub fn timeline(&mut self, query: &Timeline) -> Result<Page<LinkedChange>, Error> {
        self.run(query)
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
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/diesel.rs"));
    /// # fn main() -> Done { scoped(|mut db, _| {
    /// let mut theirs = db.scope(Scope::meta("tenant", "acme"));
    /// let history = theirs.row_history(&RowHistory::by_id("public", "posts", 7))?;
    /// assert_eq!(history.entries.len(), 2, "the insert and the update");
    /// # Ok(()) }) }
    /// ```
    pub fn row_history(&mut self, query: &RowHistory) -> Result<Page<LinkedChange>, Error> {
        self.run(query)
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
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/diesel.rs"));
    /// # fn main() -> Done { scoped(|mut db, _| {
    /// let mut theirs = db.scope(Scope::meta("tenant", "acme"));
    /// let count = theirs.count_changes(&CountChanges::of(Timeline::new().table("posts")).cap(2))?;
    /// assert_eq!(count.to_string(), "more than 2");
    /// # Ok(()) }) }
    /// ```
    pub fn count_changes(&mut self, query: &CountChanges) -> Result<ChangeCount, Error> {
        self.run(query)
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
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/diesel.rs"));
    /// # fn main() -> Done { scoped(|mut db, transaction_id| {
    /// let mut theirs = db.scope(Scope::meta("tenant", "acme"));
    /// let found = theirs.find_transaction(transaction_id)?;
    /// assert_eq!(found.transaction.actor, Some(ActorRef::user("42")?));
    /// assert_eq!(found.action.map(|action| action.name).as_deref(), Some("post.published"));
    /// # Ok(()) }) }
    /// ```
    pub fn find_transaction(&mut self, id: TransactionId) -> Result<LinkedTransaction, Error> {
        self.run(&TransactionLookup::new(id))
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
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/diesel.rs"));
    /// # fn main() -> Done { scoped(|mut db, transaction_id| {
    /// let mut theirs = db.scope(Scope::meta("tenant", "acme"));
    /// let incident = theirs.incident(&Incident::of(transaction_id))?;
    /// assert_eq!(incident.changes[0].diff.field_changes[0].name, "title");
    /// # Ok(()) }) }
    /// ```
    pub fn incident(&mut self, query: &Incident) -> Result<IncidentBundle, Error> {
        self.run(query)
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
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/diesel.rs"));
    /// # fn main() -> Done { scoped(|mut db, _| {
    /// let mut theirs = db.scope(Scope::meta("tenant", "acme"));
    /// let bundle = theirs.correlation(&Correlation::of("req-7f3"))?;
    /// assert_eq!((bundle.actions.len(), bundle.changes.entries.len()), (1, 3));
    /// # Ok(()) }) }
    /// ```
    pub fn correlation(&mut self, query: &Correlation) -> Result<CorrelationBundle, Error> {
        self.run(query)
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
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/diesel.rs"));
    /// # fn main() -> Done { scoped(|mut db, transaction_id| {
    /// let mut theirs = db.scope(Scope::meta("tenant", "acme"));
    /// let history = theirs.actor_history(&ActorHistory::of(&ActorRef::user("42")?))?;
    /// assert_eq!(history.entries[0].transaction.id, transaction_id);
    /// # Ok(()) }) }
    /// ```
    pub fn actor_history(&mut self, query: &ActorHistory) -> Result<Page<LinkedTransaction>, Error> {
        self.run(query)
    }

    /// [`Trail::stream`] of what is in scope.
    ///
    /// # Errors
    /// As for [`Trail::stream`] and [`run`](Self::run).
    ///
    /// # Examples
    /// ```
    /// use threadline_core::Scope;
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/diesel.rs"));
    /// # fn main() -> Done { scoped(|mut db, _| {
    /// let mut theirs = db.scope(Scope::meta("tenant", "acme"));
    /// for entry in theirs.stream(Timeline::new().table("posts"))? {
    ///     let change = entry?.change;
    ///     println!("{} {:?}", change.op, change.table_pk);
    /// }
    /// # Ok(()) }) }
    /// ```
    pub fn stream<S>(&mut self, read: S) -> Result<Entries<'_, C, S>, Error>
    where
        S: Streamed + ScopedRead,
    {
        self.connection.stream_in(self.schema, read.in_scope(&self.scope))
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
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/diesel.rs"));
    /// # fn main() -> Done { scoped(|mut db, _| {
    /// let mut theirs = db.scope(Scope::meta("tenant", "acme"));
    /// let export = Export::new(Timeline::new().table("posts")).format(ExportFormat::Ndjson).max_rows(2);
    /// let mut file = Vec::new(); // or a `File`, or the standard output
    /// let summary = theirs.export_to(export, &mut file)?;
    /// assert!(summary.truncated && summary.returned_count == 2);
    /// # Ok(()) }) }
    /// ```
    pub fn export_to<W>(&mut self, export: Export, writer: W) -> Result<ExportSummary, Error>
    where
        W: Write,
    {
        self.connection.export_to_in(self.schema, export.in_scope(&self.scope), writer)
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
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/diesel.rs"));
    /// # fn main() -> Done { scoped(|mut db, _| {
    /// let mut theirs = db.scope(Scope::meta("tenant", "acme"));
    /// let history = theirs.row_history(&RowHistory::by_id("public", "posts", 7))?;
    /// let written = history.entries[1].change.captured_at;
    /// let row = theirs.as_of_json(&AsOf::by_id("public", "posts", 7, written))?;
    /// assert_eq!(row.get(), r#"{"id": 7, "title": "Draft"}"#);
    /// # Ok(()) }) }
    /// ```
    pub fn as_of_json(&mut self, query: &AsOf) -> Result<RowAsOf<Json>, Error> {
        self.run(query)
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
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/diesel.rs"));
    /// # fn main() -> Done { scoped(|mut db, _| {
    /// let mut theirs = db.scope(Scope::meta("tenant", "acme"));
    /// let history = theirs.row_history(&RowHistory::by_id("public", "posts", 7))?;
    /// let written = history.entries[1].change.captured_at;
    /// let post = theirs.as_of::<Post>(7, written)?;
    /// assert_eq!(post.title, "Draft");
    /// # Ok(()) }) }
    /// ```
    pub fn as_of<R>(&mut self, key: impl Into<RowKey>, at: OffsetDateTime) -> Result<RowAsOf<R>, Error>
    where
        R: Audited + QueryableByName<Pg> + 'static,
    {
        read::row(self.connection, self.schema, &AsOf::model::<R>(key, at).scope(&self.scope))
    }
}

impl<C> fmt::Debug for InScope<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InScope").field("scope", &self.scope).finish_non_exhaustive()
    }
}
