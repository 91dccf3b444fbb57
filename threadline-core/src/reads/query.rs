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

    /// A condition on a change `c`; `{schema}` is filled in.
    pub(super) fn filter(&mut self, condition: &str) {
        self.conditions.push(self.schema.expand(condition));
    }

    /// Only changes after this position, in the order newest first.
    pub(super) fn go_on_after(&mut self, cursor: &Cursor) -> Result<(), Error> {
        let at = self.param(instant::floor(cursor.captured_at(), "cursor")?);
        let id = self.param(cursor.id().to_string());
        self.filter(&format!("(c.captured_at, c.id) < ({at}::text::timestamptz, {id}::text::bigint)"));
        Ok(())
    }

    /// The finished statement, with one row more than `limit` so that a page knows whether it is the last.
    pub(super) fn finish(mut self, scope: Scope<'_>, limit: u32, explain: bool) -> Result<Statement, Error> {
        let limit = format!("{}::text::bigint", self.param((limit + 1).to_string()));
        let (prelude, changes, facts) = self.changes(scope, &limit)?;
        let prelude = if prelude.is_empty() { "WITH ".to_owned() } else { prelude + ", " };
        let mut sql = format!(
            "{prelude}found AS MATERIALIZED (\n{changes}\n)\n{}",
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

    /// What comes before, what finds the changes, and what tells why there are none.
    fn changes(&mut self, scope: Scope<'_>, limit: &str) -> Result<(String, String, Option<String>), Error> {
        match scope {
            Scope::All(table_schema) => {
                if let Some(table_schema) = table_schema {
                    let name = self.param(table_schema);
                    self.filter(&format!("c.table_schema = {name}::text"));
                }
                let conditions = self.conditions.join("\n      AND ");
                let filter = if conditions.is_empty() { String::new() } else { format!("\n    WHERE {conditions}") };
                let changes = format!(
                    "    SELECT c.* FROM {{schema}}.audit_changes AS c{filter}\n    {NEWEST_FIRST}\n    LIMIT {limit}"
                );
                Ok((String::new(), changes, None))
            }
            Scope::AnySchema(table) => {
                let table = format!("{}::text", self.param(table));
                let prelude = include_str!("names_any_schema.sql").trim_end().replace("{table_name}", &table);
                let facts = format!(
                    "pg_catalog.json_build_object('captured', EXISTS \
                     (SELECT FROM {{schema}}.audited_tables AS a WHERE a.table_name = {table}))"
                );
                let name = "(n.table_schema IS NULL OR c.table_schema = n.table_schema)";
                Ok((prelude, self.per_name(limit, &[&[name]]), Some(facts)))
            }
            Scope::Table(schema, table) => {
                let (prelude, facts) = self.names(schema, table);
                Ok((prelude, self.per_name(limit, &[&["c.table_schema = n.table_schema"]]), Some(facts)))
            }
            Scope::Row { schema, table, key, truncates } => {
                let (prelude, facts) = self.names(schema, table);
                let prelude = format!("{prelude}, {}", self.wanted(key)?);
                let mut branches: Vec<&[&str]> = vec![&AT_THE_KEY, &LEFT_THE_KEY];
                if truncates {
                    branches.push(&TRUNCATED);
                }
                Ok((prelude, self.per_name(limit, &branches), Some(facts)))
            }
        }
    }

    /// The CTEs `entry` and `names` of one table, and the facts that explain an empty answer.
    pub(super) fn names(&mut self, schema: &str, table: &str) -> (String, String) {
        let (schema, table) = (format!("{}::text", self.param(schema)), format!("{}::text", self.param(table)));
        let fill = |text: &str| text.trim_end().replace("{table_schema}", &schema).replace("{table_name}", &table);
        (fill(include_str!("names.sql")), fill(include_str!("key_facts.sql")))
    }

    /// The CTE `wanted` with the key asked for.
    pub(super) fn wanted(&mut self, key: &RowKey) -> Result<String, Error> {
        let (value, object) = key.parameter()?;
        let parameter = self.param(value);
        Ok(format!("wanted AS MATERIALIZED (\n    SELECT {} AS key\n)", object(&parameter)))
    }

    /// The newest changes under each name, found by each branch through its own index.
    fn per_name(&self, limit: &str, branches: &[&[&str]]) -> String {
        let keyed = branches.len() > 1;
        let branches: Vec<String> = branches
            .iter()
            .map(|branch| {
                let mut conditions = vec![
                    "c.table_name = n.table_name",
                    "c.captured_at <= n.until AND c.captured_at > n.since",
                ];
                conditions.extend(*branch);
                conditions.extend(self.conditions.iter().map(String::as_str));
                let conditions = conditions.join("\n          AND ");
                // TRUNCATEs have no key hash: naming it in the order keeps the index usable.
                let order = if branch == &TRUNCATED {
                    "ORDER BY c.key_hash DESC, c.captured_at DESC, c.id DESC"
                } else {
                    NEWEST_FIRST
                };
                format!(
                    "        (SELECT c.* FROM {{schema}}.audit_changes AS c\n        WHERE {conditions}\n        \
                     {order} LIMIT {limit})"
                )
            })
            .collect();
        format!(
            "    SELECT c.* FROM {}names AS n CROSS JOIN LATERAL (\n{}\n    ) AS c\n    {NEWEST_FIRST}\n    LIMIT {limit}",
            if keyed { "wanted AS w CROSS JOIN " } else { "" },
            branches.join("\n        UNION ALL\n"),
        )
    }
}

/// Changes that left the row at the key.
pub(super) const AT_THE_KEY: [&str; 3] = [
    "c.table_schema = n.table_schema",
    "c.key_hash = pg_catalog.jsonb_hash_extended(w.key, {schema}.table_seed(n.table_schema, n.table_name))",
    "c.table_pk = w.key",
];

/// Changes that took the row from the key to another.
pub(super) const LEFT_THE_KEY: [&str; 4] = [
    "c.table_schema = n.table_schema",
    "c.previous_key_hash = pg_catalog.jsonb_hash_extended(w.key, {schema}.table_seed(n.table_schema, n.table_name))",
    "c.previous_pk = w.key",
    "c.table_pk IS DISTINCT FROM w.key",
];

/// TRUNCATEs, but none from before the row's first change.
const TRUNCATED: [&str; 4] = [
    "c.table_schema = n.table_schema",
    "c.key_hash IS NULL",
    "c.op = 'truncate'",
    "EXISTS (SELECT FROM {schema}.audit_changes AS e
              WHERE e.key_hash = pg_catalog.jsonb_hash_extended(w.key, {schema}.table_seed(n.table_schema, n.table_name))
                AND e.table_pk = w.key AND e.captured_at <= c.captured_at)",
];

/// An instant of the trail as text, whatever the session's time zone is.
pub(super) fn utc(column: &str) -> String {
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
