//! Everything that happened to one row.

use serde_json::Value;
use time::OffsetDateTime;

use super::{
    cursor::{Cursor, Page, without_page},
    filters::{Filters, TableFilter},
    query::{self, Query},
    row_key::RowKey,
    scope::{self, Scope, ScopedRead},
};
use crate::{Error, LinkedChange, Operation, Schema, Statement, quote_identifier};

/// The changes of one row, newest first by `(captured_at, id)`, with their transactions and actions.
///
/// The row is named by its key, and found under every name its table had. A change that took a row to or from the key is
/// included, and so is a TRUNCATE that ended it.
///
/// A question that cannot have an answer is an error: [`is_not_captured`](Error::is_not_captured) for a table that never
/// was, [`is_invalid_input`](Error::is_invalid_input) for a key of other columns or of other JSON types than the table's.
///
/// # Examples
/// ```
/// use serde_json::json;
/// use threadline_core::{Operation, RowHistory, RowKey, Schema};
///
/// let by_id = RowHistory::by_id("public", "posts", 7).limit(20);
/// let by_key = RowHistory::new("public", "lines", RowKey::columns([("order", json!("A-1")), ("line", json!(2))]));
/// assert!(by_id.statement(&Schema::default())?.params().contains(&Some("7".to_owned())));
/// assert!(by_key.limit(0).statement(&Schema::default()).unwrap_err().is_invalid_input());
/// # Ok::<(), threadline_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct RowHistory {
    filters: Filters,
    limit: Option<u32>,
    cursor: Option<Cursor>,
}

impl RowHistory {
    /// How many changes a page has unless said otherwise.
    pub const DEFAULT_LIMIT: u32 = 200;
    /// The most changes a page can have.
    pub const MAX_LIMIT: u32 = 1_000;

    /// The history of the row with this key; a JSON object of the key columns is one.
    pub fn new(schema: impl Into<String>, table: impl Into<String>, key: impl Into<RowKey>) -> Self {
        let tables = vec![TableFilter { schema: Some(schema.into()), table: table.into() }];
        let filters = Filters { tables, key: Some(key.into()), ..Filters::default() };
        Self { filters, limit: None, cursor: None }
    }

    /// The history of the row with this value in the table's one key column, whatever it is called.
    pub fn by_id(schema: impl Into<String>, table: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::new(schema, table, RowKey::value(value))
    }

    /// At most so many changes on a page, 1 to 1000; 200 unless said.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Refuses what belongs to pages, in a read that has none.
    pub(super) fn without_page(&self) -> Result<&Filters, Error> {
        without_page(self.limit, self.cursor).map(|()| &self.filters)
    }

    pub(super) fn filters(&self) -> &Filters {
        &self.filters
    }

    fn page_limit(&self) -> u32 {
        self.limit.unwrap_or(Self::DEFAULT_LIMIT)
    }

    /// Only what is in this scope. A second scope narrows further.
    pub fn scope(mut self, scope: &Scope) -> Self {
        scope::narrow(&mut self.filters.scope, scope);
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

    /// Goes on where another page ended.
    pub fn cursor(mut self, cursor: Cursor) -> Self {
        self.cursor = Some(cursor);
        self
    }
}

/// Refuses names that no table can have.
pub(super) fn table_name(name: &str, setting: &str) -> Result<(), Error> {
    quote_identifier(name).map(drop).map_err(|_| {
        Error::invalid_input(
            setting,
            "is empty, longer than 63 bytes, or contains a NUL character",
            "Give the name as PostgreSQL stores it",
        )
    })
}

/// Refuses pages without an end or without an entry.
pub(super) fn page_limit(limit: u32, most: u32) -> Result<(), Error> {
    if (1..=most).contains(&limit) {
        return Ok(());
    }
    Err(Error::invalid_input("limit", &format!("is not within 1 to {most}"), "Read page by page with the cursor"))
}

impl Operation for RowHistory {
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

impl ScopedRead for RowHistory {
    fn in_scope(self, scope: &Scope) -> Self {
        self.scope(scope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trail::tests::LINKED;

    #[test]
    fn statements() {
        let schema = Schema::default();
        let by_id = RowHistory::by_id("public", "posts", 7);
        insta::assert_snapshot!("by_id", by_id.statement(&schema).unwrap().snapshot());
        let cursor = "1000645e8f7a3c0000000000000000002a".parse().unwrap();
        let by_key = RowHistory::new("public", "posts", RowKey::columns([("id", Value::from(7))]));
        insta::assert_snapshot!("next_page", by_key.limit(20).cursor(cursor).statement(&schema).unwrap().snapshot());
    }

    #[test]
    fn a_page_ends_where_the_next_begins() {
        let history = RowHistory::by_id("public", "posts", 1).limit(1);
        let page = history.decode(vec![LINKED.to_owned()]).unwrap();
        assert_eq!((page.entries.len(), page.next), (1, None));
        let page = history.decode(vec![LINKED.to_owned(), LINKED.to_owned()]).unwrap();
        assert_eq!(page.next, Some(Cursor::at(&page.entries[0].change)));
    }

    #[test]
    fn nothing_found_is_an_empty_page_or_an_explained_error() {
        let history = RowHistory::by_id("public", "posts", 1);
        let nothing = |facts: &str| history.decode(vec![format!("{{\"nothing\": {facts}}}")]);
        let captured = r#"{"captured": true, "key_columns": ["id"], "column_types": {"id": "int8"}}"#;
        assert!(nothing(captured).unwrap().is_empty());
        assert!(
            nothing(r#"{"captured": false, "key_columns": [], "column_types": {}}"#).unwrap_err().is_not_captured()
        );
        assert!(nothing(&captured.replace("int8", "uuid")).unwrap_err().is_invalid_input());
    }

    #[test]
    fn values_out_of_bounds_are_named() {
        for (history, setting) in [
            (RowHistory::by_id("", "posts", 1), "schema"),
            (RowHistory::by_id("public", "x".repeat(64), 1), "table"),
            (RowHistory::by_id("public", "posts", 1).limit(1001), "limit"),
            (RowHistory::by_id("public", "posts", Value::Null), "key"),
        ] {
            let error = history.statement(&Schema::default()).unwrap_err();
            assert!(error.is_invalid_input());
            assert_eq!(error.setting(), Some(setting));
        }
    }
}
