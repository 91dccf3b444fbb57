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
    /// Every table, or every table of one schema.
    All(Option<&'a str>),
    /// A table called so in whatever schema.
    AnySchema(&'a str),
    /// One table.
    Table(&'a str, &'a str),
    /// One row of one table, with TRUNCATEs that ended it when asked for.
    Row { schema: &'a str, table: &'a str, key: &'a RowKey, truncates: bool },
}

/// A statement under construction.
pub(super) struct Query<'a> {
    schema: &'a Schema,
    params: Vec<String>,
    conditions: Vec<String>,
}

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
            Scope::All(table_schema) => {
                if let Some(table_schema) = table_schema {
                    let name = self.param(table_schema);
                    self.filter(format!("c.table_schema = {name}::text"));
                }
                let conditions = self.conditions.join("\n      AND ");
                let filter = if conditions.is_empty() { String::new() } else { format!("\n    WHERE {conditions}") };
                let changes = format!(
                    "found AS MATERIALIZED (\n    SELECT c.* FROM {{schema}}.audit_changes AS c{filter}\n    \
                     {NEWEST_FIRST}\n    LIMIT {limit}"
                );
                Ok((changes, None))
            }
            Scope::AnySchema(table) => {
                let table = format!("{}::text", self.param(table));
                let names = names("NULL", &table);
                let changes = self.under_names(limit, &format!("c.table_name = {table}"));
                let facts = "pg_catalog.json_build_object('captured', EXISTS (SELECT FROM names))".to_owned();
                Ok((format!("{names}, {changes}"), Some(facts)))
            }
            Scope::Table(schema, table) => {
                let (schema, table) = (format!("{}::text", self.param(schema)), format!("{}::text", self.param(table)));
                let names = names(&schema, &table);
                // Said with constants too, so that the planner knows how rare the table is.
                let current = format!(
                    "c.table_schema = {schema} AND c.table_name = {table}\n          \
                     AND c.key_hash BETWEEN {{schema}}.table_hash({schema}, {table}) \
                     AND {{schema}}.table_hash({schema}, {table}) + 4294967295"
                );
                let changes = self.under_names(limit, &current);
                Ok((format!("{names}, {changes}"), Some(format!("{{schema}}.table_facts({schema}, {table})"))))
            }
            Scope::Row { schema, table, key, truncates } => {
                let (schema, table) = (format!("{}::text", self.param(schema)), format!("{}::text", self.param(table)));
                let names = names(&schema, &table);
                let key = format!("{}::text::jsonb", self.param(key.parameter()?));
                let mut branches: Vec<&[&str]> = vec![&AT_THE_KEY, &LEFT_THE_KEY];
                if truncates {
                    branches.push(&TRUNCATED);
                }
                let found: Vec<String> = branches.into_iter().map(|key| self.newest(limit, key)).collect();
                let changes = format!(
                    "{names}, wanted AS MATERIALIZED (\n    SELECT {{schema}}.row_key({schema}, {table}, {key}) AS key\n), \
                     found AS MATERIALIZED (\n    SELECT c.* FROM wanted AS w CROSS JOIN names AS n CROSS JOIN LATERAL \
                     (\n        {}\n    ) AS c\n    {NEWEST_FIRST}\n    LIMIT {limit}",
                    found.join("\n        UNION ALL\n        "),
                );
                Ok((changes, Some(format!("{{schema}}.table_facts({schema}, {table})"))))
            }
        }
    }

    /// The newest changes of whole tables. Today's names and former ones are looked for apart: of the former there are
    /// next to none, and what `current` says of today's helps the planner.
    fn under_names(&self, limit: &str, current: &str) -> String {
        let range = "c.key_hash BETWEEN {schema}.table_hash(n.table_schema, n.table_name) \
                     AND {schema}.table_hash(n.table_schema, n.table_name) + 4294967295";
        let branches = [("n.is_current", vec![current, range]), ("NOT n.is_current", vec![range])];
        let branches = branches.map(|(names, conditions)| {
            let found = self.newest(limit, &conditions);
            format!("        SELECT c.* FROM names AS n CROSS JOIN LATERAL {found} AS c\n        WHERE {names}")
        });
        format!(
            "found AS MATERIALIZED (\n    SELECT c.* FROM (\n{}\n    ) AS c\n    {NEWEST_FIRST}\n    LIMIT {limit}",
            branches.join("\n        UNION ALL\n")
        )
    }

    /// The newest changes under the name `n`, with the filters.
    fn newest(&self, limit: &str, conditions: &[&str]) -> String {
        let mut all = UNDER_NAME.to_vec();
        all.extend(conditions);
        all.extend(self.conditions.iter().map(String::as_str));
        format!(
            "(SELECT c.* FROM {{schema}}.audit_changes AS c\n        WHERE {}\n        {NEWEST_FIRST} LIMIT {limit})",
            all.join("\n          AND ")
        )
    }
}

/// The CTE with the names of a table, today's and former ones.
fn names(schema: &str, table: &str) -> String {
    format!("names AS MATERIALIZED (\n    SELECT n.* FROM {{schema}}.recorded_names({schema}, {table}) AS n\n)")
}

/// Changes recorded under the name `n` while it was the table's.
const UNDER_NAME: [&str; 2] = [
    "c.table_schema = n.table_schema AND c.table_name = n.table_name",
    "c.captured_at <= n.until AND c.captured_at > n.since",
];

/// Changes that left the row at the key.
const AT_THE_KEY: [&str; 2] = [
    "c.key_hash = {schema}.key_hash(n.table_schema, n.table_name, w.key)",
    "c.table_pk = w.key",
];

/// Changes that took the row from the key to another.
const LEFT_THE_KEY: [&str; 3] = [
    "c.previous_key_hash = {schema}.key_hash(n.table_schema, n.table_name, w.key)",
    "c.previous_pk = w.key",
    "c.table_pk IS DISTINCT FROM w.key",
];

/// TRUNCATEs, but none from before the row's first change.
const TRUNCATED: [&str; 3] = [
    "c.key_hash = {schema}.table_hash(n.table_schema, n.table_name)",
    "c.op = 'truncate'",
    "EXISTS (SELECT FROM {schema}.audit_changes AS e
              WHERE e.key_hash = {schema}.key_hash(n.table_schema, n.table_name, w.key)
                AND e.table_pk = w.key AND e.captured_at <= c.captured_at)",
];

/// An instant of the trail as text, whatever the session's time zone is.
fn utc(column: &str) -> String {
    format!(
        "pg_catalog.to_char(pg_catalog.timezone('UTC', {column}), 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
    )
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
