//! The statement that finds changes: put together from the filters that are set, so that each plan uses its index.

use serde::Deserialize;

use super::{
    cursor::Cursor,
    row_key::{KeyFacts, RowKey},
};
use crate::{AuditAction, AuditChange, AuditTransaction, Error, LinkedChange, Schema, Statement, decode, instant};

/// Which table a read looks at.
#[derive(Clone, Copy)]
pub(super) enum Scope<'a> {
    /// Every table.
    All,
    /// Every table of this schema and name, as far as they are said.
    Tables(Option<&'a str>, Option<&'a str>),
    /// One row of one table; only changes before a position, when one is given.
    Row { schema: &'a str, table: &'a str, key: &'a RowKey, before: Option<Cursor> },
}

/// A statement under construction.
pub(super) struct Query<'a> {
    schema: &'a Schema,
    params: Vec<String>,
    conditions: Vec<String>,
}

/// More than any row has changes.
const ALL: &str = "9223372036854775807";

/// Newest first, the order of every page.
const NEWEST_FIRST: &str = "ORDER BY c.captured_at DESC, c.id DESC";

impl<'a> Query<'a> {
    pub(super) fn new(schema: &'a Schema) -> Self {
        Self { schema, params: Vec::new(), conditions: Vec::new() }
    }

    /// Adds a parameter and gives its placeholder, to be followed by a cast.
    pub(super) fn param(&mut self, value: impl Into<String>) -> String {
        self.params.push(value.into());
        format!("${}", self.params.len())
    }

    /// A condition on a change `c`; `{schema}` is filled in by and by.
    pub(super) fn filter(&mut self, condition: impl Into<String>) {
        self.conditions.push(condition.into());
    }

    /// Only changes after this position, in the order newest first.
    pub(super) fn go_on_after(&mut self, cursor: &Cursor) -> Result<(), Error> {
        let at = self.param(instant::floor(cursor.captured_at(), "cursor")?);
        let id = self.param(cursor.id().to_string());
        self.filter(format!("(c.captured_at, c.id) < ({at}::text::timestamptz, {id}::text::bigint)"));
        Ok(())
    }

    /// The finished statement, with one row more than `limit` so that a page knows whether it is the last. With
    /// `explain`, finding nothing gives the facts that tell why.
    pub(super) fn finish(mut self, scope: Scope<'_>, limit: u32, explain: bool) -> Result<Statement, Error> {
        let limit = format!("{}::text::bigint", self.param((limit + 1).to_string()));
        let (changes, facts) = self.changes(scope, &limit)?;
        let mut sql = format!(
            "WITH {changes}\n{}",
            include_str!("linked_change.sql")
                .replace("{captured_at}", &utc("c.captured_at"))
                .replace("{occurred_at}", &utc("t.occurred_at"))
                .replace("{recorded_at}", &utc("a.recorded_at")),
        );
        if let (Some(facts), true) = (facts, explain) {
            sql.push_str(&include_str!("nothing_found.sql").replace("{facts}", &facts));
        }
        sql.push_str(") AS r\nORDER BY r.captured_at DESC, r.id DESC\n");
        let statement = Statement::new(self.schema.expand(&sql));
        Ok(self.params.into_iter().fold(statement, Statement::bind))
    }

    /// The CTEs up to the body of `found`, and what tells why nothing was found.
    fn changes(&mut self, scope: Scope<'_>, limit: &str) -> Result<(String, Option<String>), Error> {
        match scope {
            Scope::All => {
                let changes = format!("found AS MATERIALIZED (\n    {}", self.newest(limit, &[]));
                Ok((changes, None))
            }
            Scope::Tables(schema, table) => {
                let mut name =
                    |name: Option<&str>| name.map_or("NULL".to_owned(), |name| format!("{}::text", self.param(name)));
                let names = names(&name(schema), &name(table));
                let changes = include_str!("tables.sql")
                    .replace("{range}", IN_TABLE)
                    .replace("{few}", &self.all_conditions(&[IN_TABLE, UNDER_NAME]))
                    .replace("{many}", &self.newest(limit, &["NOT (SELECT f.few FROM few AS f)", UNDER_ANY_NAME]))
                    .replace("{limit}", limit);
                let facts = "pg_catalog.json_build_object('captured', EXISTS (SELECT FROM names))".to_owned();
                Ok((format!("{names}, {}", changes.trim_end()), Some(facts)))
            }
            Scope::Row { schema, table, key, before } => {
                let (schema, table) = (format!("{}::text", self.param(schema)), format!("{}::text", self.param(table)));
                let key = format!("{}::text::jsonb", self.param(key.parameter()?));
                let (at, id) = match before {
                    Some(cursor) => (instant::floor(cursor.captured_at(), "cursor")?, cursor.id().get()),
                    None => ("infinity".to_owned(), 0),
                };
                let at = format!("{}::text::timestamptz", self.param(at));
                let id = format!("{}::text::bigint", self.param(id.to_string()));
                let filters = self.all_conditions(&[]);
                // What the filters leave over is not known beforehand.
                let (most, filters) = match filters.as_str() {
                    "" => (limit, String::new()),
                    filters => (ALL, format!("\n    WHERE {filters}")),
                };
                let changes = format!(
                    "found AS MATERIALIZED (\n    SELECT c.* FROM {{schema}}.row_changes_before({schema}, {table},\n        \
                     {{schema}}.row_key({schema}, {table}, {key}), {at}, {id}, {most}) AS c{filters}\n    \
                     {NEWEST_FIRST} LIMIT {limit}"
                );
                Ok((changes, Some(format!("{{schema}}.table_facts({schema}, {table})"))))
            }
        }
    }

    /// The newest changes of all, found by walking the order of the trail or through an index that a filter has.
    fn newest(&self, limit: &str, conditions: &[&str]) -> String {
        let conditions = self.all_conditions(conditions);
        let filter = if conditions.is_empty() { String::new() } else { format!("\n    WHERE {conditions}") };
        format!("SELECT c.* FROM {{schema}}.audit_changes AS c{filter}\n    {NEWEST_FIRST} LIMIT {limit}")
    }

    /// These conditions and the filters.
    fn all_conditions(&self, conditions: &[&str]) -> String {
        let filters = self.conditions.iter().map(String::as_str);
        conditions.iter().copied().chain(filters).collect::<Vec<_>>().join("\n      AND ")
    }
}

/// The CTE with the names of a table, today's and former ones.
fn names(schema: &str, table: &str) -> String {
    format!("names AS MATERIALIZED (\n    SELECT n.* FROM {{schema}}.recorded_names({schema}, {table}) AS n\n)")
}

/// Changes in the name's range of key hashes: with next to no others among them.
const IN_TABLE: &str = "c.key_hash BETWEEN {schema}.table_hash(n.table_schema, n.table_name) \
                        AND {schema}.table_hash(n.table_schema, n.table_name) + 4294967295";

/// Changes recorded under the name `n` while it was the table's.
const UNDER_NAME: &str = "c.table_schema = n.table_schema AND c.table_name = n.table_name \
                          AND c.captured_at <= n.until AND c.captured_at > n.since";

/// The same for any of the names; a scalar subquery, so that no join disturbs the order.
const UNDER_ANY_NAME: &str = "(SELECT true FROM names AS n WHERE c.table_schema = n.table_schema \
                              AND c.table_name = n.table_name AND c.captured_at <= n.until AND c.captured_at > n.since LIMIT 1)";

/// An instant of the trail as text, whatever the session's time zone is.
pub(super) fn utc(column: &str) -> String {
    format!("pg_catalog.to_char(pg_catalog.timezone('UTC', {column}), 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
}

/// One row: a change, or the facts that explain why there is none.
#[derive(Deserialize)]
struct Row {
    change: Option<AuditChange>,
    transaction: Option<AuditTransaction>,
    action: Option<AuditAction>,
    nothing: Option<KeyFacts>,
}

/// Reads the rows; `explain` may turn an empty answer into an error.
pub(super) fn linked_changes(
    rows: &[String],
    explain: impl FnOnce(&KeyFacts) -> Result<(), Error>,
) -> Result<Vec<LinkedChange>, Error> {
    let mut entries = Vec::with_capacity(rows.len());
    let mut nothing = None;
    for text in rows {
        let row: Row = decode::row(text, "a change of the trail")?;
        match (row.change, row.nothing) {
            (Some(change), _) => {
                entries.push(LinkedChange { change, transaction: row.transaction, action: row.action });
            }
            (None, facts) => nothing = facts,
        }
    }
    match nothing {
        Some(facts) => explain(&facts).map(|()| entries),
        None => Ok(entries),
    }
}
