//! Changes across tables, filtered.

use time::OffsetDateTime;

use super::{
    cursor::{Cursor, Page, without_page},
    filters::{Filters, TableFilter},
    query::{self, Query},
    row_history::page_limit,
    row_key::RowKey,
    scope::{self, Scope, ScopedRead},
};
use crate::{
    ActionId, ActionStatus, ActorRef, ChangeOp, Error, LinkedChange, Operation, Schema, Statement, TransactionId,
};

/// The changes that match every filter, newest first by `(captured_at, id)`, with their transactions and actions.
///
/// A filter that cannot match anything is an error that names it: an empty or over-long id, an interval that ends before
/// it begins, a key without its table. So is a table that was never captured
/// ([`is_not_captured`](Error::is_not_captured)), and a field that is no column of the tables
/// ([`is_unknown_column`](Error::is_unknown_column)), today's or former, or that their policy leaves out
/// ([`is_column_redacted`](Error::is_column_redacted)). Several filters must all match; of one that is said again, any value.
///
/// What has no index of its own (`op`, `changed_field`, `action_category`, `action_status`) needs a filter beside it that
/// narrows: a table, key, transaction, actor, action, correlation, request or job id, or a `since`. Otherwise it is an error
/// that says so.
///
/// # Examples
/// ```
/// use threadline_core::{ActorRef, ChangeOp, Operation, Schema, Timeline};
///
/// let by_editor = Timeline::new().table("posts").actor(&ActorRef::user("42")?).op(ChangeOp::Update);
/// assert_eq!(by_editor.statement(&Schema::default())?.params().len(), 5);
///
/// let error = Timeline::new().correlation_id(" ").statement(&Schema::default()).unwrap_err();
/// assert_eq!(error.setting(), Some("correlation_id"));
/// # Ok::<(), threadline_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use]
pub struct Timeline {
    pub(super) filters: Filters,
    pub(super) limit: Option<u32>,
    pub(super) cursor: Option<Cursor>,
}

impl Timeline {
    /// How many changes a page has unless said otherwise.
    pub const DEFAULT_LIMIT: u32 = 50;
    /// The most changes a page can have.
    pub const MAX_LIMIT: u32 = 1_000;

    /// Every change.
    pub fn new() -> Self {
        Self::default()
    }

    /// Of tables that are in this schema today, wherever they were before.
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.filters.schema = Some(schema.into());
        self
    }

    /// Of the table called so today, whatever it was called before; without a [`schema`](Self::schema), of all tables
    /// called so. Said again, of that table too.
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.filters.tables.push(TableFilter { schema: None, table: table.into() });
        self
    }

    /// As [`table`](Self::table), in this schema.
    pub fn table_in(mut self, schema: impl Into<String>, table: impl Into<String>) -> Self {
        self.filters.tables.push(TableFilter { schema: Some(schema.into()), table: table.into() });
        self
    }

    /// Of the row with this key, TRUNCATEs of the table included; needs a schema and one table. The history of a row
    /// without further filters is [`RowHistory`](crate::RowHistory).
    pub fn key(mut self, key: impl Into<RowKey>) -> Self {
        self.filters.key = Some(key.into());
        self
    }

    /// Of this kind. Said again, of that kind too. Needs a filter that narrows, see above.
    pub fn op(mut self, op: ChangeOp) -> Self {
        self.filters.ops.push(op);
        self
    }

    /// Updates that changed this column, also when it has been renamed or dropped since. Said again, or that one. Needs a
    /// filter that narrows, see above.
    pub fn changed_field(mut self, column: impl Into<String>) -> Self {
        self.filters.changed_fields.push(column.into());
        self
    }

    /// Of this actor, on whosever behalf unless the actor says on whose. `None`, as from a context without an actor,
    /// means changes that nobody was named for.
    pub fn actor<'a>(mut self, actor: impl Into<Option<&'a ActorRef>>) -> Self {
        self.filters.actor = Some(actor.into().cloned());
        self
    }

    /// Covered by an action of this name.
    pub fn action(mut self, name: impl Into<String>) -> Self {
        self.filters.action = Some(name.into().trim().to_owned());
        self
    }

    /// Covered by this action.
    pub fn action_id(mut self, id: ActionId) -> Self {
        self.filters.action_id = Some(id);
        self
    }

    /// Covered by an action of this category. Needs a filter that narrows, see above.
    pub fn action_category(mut self, category: impl Into<String>) -> Self {
        self.filters.action_category = Some(category.into().trim().to_owned());
        self
    }

    /// Covered by an action that ended so. Needs a filter that narrows, see above.
    pub fn action_status(mut self, status: ActionStatus) -> Self {
        self.filters.action_status = Some(status);
        self
    }

    /// Recorded under this correlation id, or covered by an action that was.
    pub fn correlation_id(mut self, id: impl Into<String>) -> Self {
        self.filters.correlation_id = Some(id.into().trim().to_owned());
        self
    }

    /// Recorded under this request id.
    pub fn request_id(mut self, id: impl Into<String>) -> Self {
        self.filters.request_id = Some(id.into().trim().to_owned());
        self
    }

    /// Recorded under this job id.
    pub fn job_id(mut self, id: impl Into<String>) -> Self {
        self.filters.job_id = Some(id.into().trim().to_owned());
        self
    }

    /// Of this audit transaction.
    pub fn transaction_id(mut self, id: TransactionId) -> Self {
        self.filters.transaction = Some(id);
        self
    }

    /// Captured at this instant or later.
    pub fn since(mut self, at: OffsetDateTime) -> Self {
        self.filters.since = Some(at);
        self
    }

    /// Captured at this instant or earlier.
    pub fn until(mut self, at: OffsetDateTime) -> Self {
        self.filters.until = Some(at);
        self
    }

    /// Only what is in this scope. A second scope narrows further.
    pub fn scope(mut self, scope: &Scope) -> Self {
        scope::narrow(&mut self.filters.scope, scope);
        self
    }

    /// At most so many changes on a page, 1 to 1000; 50 unless said.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Goes on where another page of the same filters ended.
    pub fn cursor(mut self, cursor: Cursor) -> Self {
        self.cursor = Some(cursor);
        self
    }

    pub(super) fn is_later_page(&self) -> bool {
        self.cursor.is_some()
    }

    pub(super) fn filters(&self) -> &Filters {
        &self.filters
    }

    /// Refuses what belongs to pages, in a read that has none.
    pub(super) fn without_page(&self) -> Result<&Filters, Error> {
        without_page(self.limit, self.cursor).map(|()| &self.filters)
    }

    fn page_limit(&self) -> u32 {
        self.limit.unwrap_or(Self::DEFAULT_LIMIT)
    }
}

impl Operation for Timeline {
    type Output = Page<LinkedChange>;

    fn statement(&self, schema: &Schema) -> Result<Statement, Error> {
        page_limit(self.page_limit(), Self::MAX_LIMIT)?;
        Query::new(schema, &self.filters)?.page(self.page_limit(), self.cursor)
    }

    fn decode(&self, rows: Vec<String>) -> Result<Page<LinkedChange>, Error> {
        let entries = query::linked_changes(&self.filters, &rows)?;
        Ok(Page::of(entries, self.page_limit(), |entry| Cursor::at(&entry.change)))
    }
}

impl ScopedRead for Timeline {
    fn in_scope(self, scope: &Scope) -> Self {
        self.scope(scope)
    }
}

#[cfg(test)]
#[path = "timeline_tests.rs"]
mod tests;
