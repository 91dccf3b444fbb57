//! The statements that find changes: put together from the filters that are set, so that each plan uses its index.

use serde::Deserialize;
use time::OffsetDateTime;

use super::{
    conditions::{Conditions, LOOK_UP},
    cursor::Cursor,
    field_check::{FieldCheck, UNKNOWN_FIELD},
    filters::{Filters, Place, Row as OneRow},
    row_key::{self, KeyFacts},
    search::{RowSearch, Search},
};
use crate::{AuditAction, AuditChange, AuditTransaction, Error, LinkedChange, Schema, Statement, decode, instant};

/// A statement under construction.
pub(super) struct Query<'a> {
    schema: &'a Schema,
    filters: &'a Filters,
    conditions: Conditions,
}

/// What comes before a SELECT, and what it selects from.
struct Source {
    /// CTEs, each with a comma after it.
    ctes: String,
    /// A query of changes.
    changes: String,
    /// What tells whether the question can have an answer.
    facts: Option<Facts>,
    /// What tells the same of each of the fields.
    fields: Option<FieldCheck>,
}

struct Facts {
    /// An expression of type json.
    json: String,
    /// Conditions under which they are told whatever was found.
    always_if: Vec<&'static str>,
}

/// More than any row has changes.
pub(super) const ALL: &str = "9223372036854775807";

/// Newest first, the order of every read.
pub(super) const NEWEST_FIRST: &str = "ORDER BY c.captured_at DESC, c.id DESC";

impl Source {
    /// Looks at the fields too. `names` are the recorded names of the tables that are meant, `alone` is a query of the changes
    /// of one field `f.field`.
    fn check_fields(&mut self, conditions: &Conditions, names: String, alone: String) {
        self.fields = FieldCheck::new(conditions, names, alone);
        if self.fields.is_some() {
            let facts = self.facts.get_or_insert_with(Facts::of_everything);
            facts.json = FieldCheck::told_with(&facts.json);
            facts.always_if.push(UNKNOWN_FIELD);
        }
    }
}

impl Facts {
    /// No table was named.
    fn of_everything() -> Self {
        Self { json: "pg_catalog.json_build_object('captured', true)".to_owned(), always_if: Vec::new() }
    }
}

impl<'a> Query<'a> {
    pub(super) fn new(schema: &'a Schema, filters: &'a Filters) -> Result<Self, Error> {
        filters.validate()?;
        let mut conditions = Conditions::default();
        filters.conditions(&mut conditions)?;
        Ok(Self { schema, filters, conditions })
    }

    /// A page, with one row more than `limit` so that it knows whether it is the last. Without a cursor, finding nothing
    /// gives the facts that tell why.
    pub(super) fn page(mut self, limit: u32, cursor: Option<Cursor>) -> Result<Statement, Error> {
        let limit = format!("{}::text::bigint", self.conditions.param((limit + 1).to_string()));
        let source = self.source(&limit, cursor)?;
        let mut sql = format!("WITH {}found AS MATERIALIZED (\n    {}\n", source.ctes, source.changes);
        // A later page may well be empty.
        if let (Some(fields), None) = (&source.fields, cursor) {
            sql.push_str(&fields.after_finding(&limit));
        }
        sql.push_str(&expand(include_str!("linked_change.sql")));
        if let (Some(facts), None) = (source.facts, cursor) {
            sql.push_str(&include_str!("nothing_found.sql").replace("{facts}", &facts.json));
            for condition in facts.always_if {
                sql.push_str(&format!("       OR {condition}\n"));
            }
        }
        sql.push_str(") AS r\nORDER BY r.captured_at DESC, r.id DESC\n");
        Ok(self.statement(&sql))
    }

    /// How many there are, counted up to one more than `most`, as `{"count": n}`.
    pub(super) fn count(mut self, most: u32) -> Result<Statement, Error> {
        let limit = format!("{}::text::bigint", self.conditions.param((u64::from(most) + 1).to_string()));
        let source = self.source(&limit, None)?;
        let facts = match source.facts {
            None => "NULL::json".to_owned(),
            Some(Facts { json, always_if }) if always_if.contains(&SOMETHING_MISSING) => json,
            Some(Facts { json, always_if }) => {
                let conditions: String = always_if.into_iter().map(|condition| format!(" OR {condition}")).collect();
                format!("CASE WHEN k.n = 0{conditions} THEN {json} END")
            }
        };
        let fields = source.fields.map(|fields| fields.after_finding(&limit)).unwrap_or_default();
        let sql = format!(
            "WITH {}found AS MATERIALIZED (\n    {}\n{fields}), counted AS MATERIALIZED (SELECT pg_catalog.count(*) AS n FROM found)\n\
             SELECT pg_catalog.json_build_object('count', k.n, 'nothing', {facts})::text \
             FROM counted AS k\n",
            source.ctes, source.changes,
        );
        Ok(self.statement(&sql))
    }

    /// Asks for the facts that tell whether the question can have an answer at all; of a row, only when it has none.
    pub(super) fn probe(schema: &'a Schema, filters: &'a Filters) -> Result<Option<Statement>, Error> {
        let mut query = Self::new(schema, filters)?;
        let place = filters.place()?;
        if filters.changed_fields.is_empty() {
            // The other filters say nothing about the table.
            query.conditions = Conditions::default();
        }
        let sql = match place {
            Place::Everywhere if filters.changed_fields.is_empty() => return Ok(None),
            Place::Row(row) => {
                let search = query.row_search(row, None)?;
                let found = format!("WITH found AS (\n    {}\n)", search.changes(&Conditions::default(), "2"));
                let source = query.row_source(&search, "1");
                let facts = source.facts.map(|facts| facts.json).unwrap_or_default();
                match source.fields {
                    None => format!("{found}\nSELECT {facts}::text WHERE {NO_SUCH_ROW}"),
                    Some(fields) => format!(
                        "{found}, {}\nSELECT {facts}::text WHERE {NO_SUCH_ROW} OR {UNKNOWN_FIELD}",
                        fields.before_reading()
                    ),
                }
            }
            Place::Tables if filters.changed_fields.is_empty() => {
                format!("WITH {}\nSELECT {TABLE_FACTS}::text", query.names().trim_end_matches(", "))
            }
            Place::Everywhere | Place::Tables => {
                let source = query.source("1", None)?;
                let facts = source.facts.map(|facts| facts.json).unwrap_or_default();
                let fields = source.fields.map(|fields| fields.before_reading()).unwrap_or_default();
                format!("WITH {}{fields}\nSELECT {facts}::text", source.ctes)
            }
        };
        Ok(Some(query.statement(&sql)))
    }

    /// Every one of them (at most `most`), from a cursor called `name`: rows of `columns`, an expression over `c`, `t` and
    /// `a`.
    pub(super) fn declare(mut self, name: &str, columns: &str, most: Option<u64>) -> Result<Statement, Error> {
        let select = self.whole(columns, most, false)?;
        Ok(self.statement(&format!("DECLARE {name} NO SCROLL CURSOR FOR\n{select}")))
    }

    /// As [`declare`](Self::declare), where `c.is_next` tells whether the change belongs to another transaction than the one
    /// before it.
    pub(super) fn declare_marked(mut self, name: &str, columns: &str, most: Option<u64>) -> Result<Statement, Error> {
        let select = self.whole(columns, most, true)?;
        Ok(self.statement(&format!("DECLARE {name} NO SCROLL CURSOR FOR\n{select}")))
    }

    /// As [`declare`](Self::declare), by COPY, in its text format. COPY takes no parameters: they have to become literals.
    pub(super) fn copy(mut self, columns: &str, most: Option<u64>) -> Result<Statement, Error> {
        let select = self.whole(columns, most, false)?;
        Ok(self.statement(&format!("COPY (\n{select}) TO STDOUT\n")))
    }

    fn whole(&mut self, columns: &str, most: Option<u64>, marked: bool) -> Result<String, Error> {
        let limit = match most {
            Some(most) => format!("{}::text::bigint", self.conditions.param(most.to_string())),
            None => ALL.to_owned(),
        };
        let source = self.whole_source(&limit)?;
        let (mark, end) = match marked {
            true => (
                "SELECT c.*, pg_catalog.lag(c.transaction_id) OVER (ORDER BY c.captured_at DESC, c.id DESC) \
                 IS DISTINCT FROM c.transaction_id AS is_next\nFROM (\n    ",
                "\n) AS c",
            ),
            false => ("", ""),
        };
        Ok(format!(
            "{}SELECT {columns}\nFROM (\n    {mark}{}{end}\n) AS c\n\
             LEFT JOIN LATERAL {LOOK_UP} ON true\nLEFT JOIN {{schema}}.audit_actions AS a ON a.id = t.action_id\n{NEWEST_FIRST}\n",
            source.ctes, source.changes,
        ))
    }

    fn statement(self, sql: &str) -> Statement {
        let statement = Statement::new(self.schema.expand(sql));
        self.conditions.into_params().into_iter().fold(statement, Statement::bind)
    }

    /// At most `limit` changes after the cursor, the newest.
    fn source(&mut self, limit: &str, cursor: Option<Cursor>) -> Result<Source, Error> {
        let place = self.filters.place()?;
        if let Place::Row(row) = place {
            let search = self.row_search(row, cursor)?;
            return Ok(self.row_source(&search, limit));
        }
        if let Some(cursor) = &cursor {
            self.conditions.go_on_after(cursor)?;
        }
        let params = (1..=self.conditions.params()).map(|n| format!("${n}::text")).collect();
        let (ctes, names, facts) = match place {
            Place::Tables => {
                let facts = Facts { json: TABLE_FACTS.to_owned(), always_if: vec![SOMETHING_MISSING] };
                let names = "coalesce((SELECT pg_catalog.jsonb_agg(pg_catalog.to_jsonb(n.*)) FROM names AS n), '[]')";
                (self.names(), names.to_owned(), Some(facts))
            }
            Place::Everywhere | Place::Row(_) => (String::new(), "NULL".to_owned(), None),
        };
        let since = self.instant(self.filters.since)?;
        let until =
            self.instant(self.filters.until.into_iter().chain(cursor.map(|cursor| cursor.captured_at())).min())?;
        let search = Search { schema: self.schema, names, params, since, until };
        let changes = search.changes(&self.conditions, None, limit)?;
        let mut source = Source { ctes, changes, facts, fields: None };
        if self.conditions.fields().is_some() {
            let alone = search.changes(&self.conditions, Some("f.field"), "1")?;
            source.check_fields(&self.conditions, search.names, alone);
        }
        Ok(source)
    }

    /// An instant for the search, rounded away from it: the conditions are exact.
    fn instant(&mut self, at: Option<OffsetDateTime>) -> Result<String, Error> {
        Ok(match at {
            None => "NULL".to_owned(),
            Some(at) => format!("{}::text::timestamptz", self.conditions.param(instant::floor(at, "since")?)),
        })
    }

    /// The newest changes of all, found by walking the order of the trail or through an index that a filter has.
    fn walk(&self, conditions: &[&str], limit: &str) -> String {
        let conditions = self.conditions.of_change_and_transaction(conditions);
        let filter = if conditions.is_empty() { String::new() } else { format!("\n    WHERE {conditions}") };
        format!("SELECT c.* FROM {{schema}}.audit_changes AS c{filter}\n    {NEWEST_FIRST} LIMIT {limit}")
    }

    /// Every change, for reading them all: one plan, without a look at how many there are.
    fn whole_source(&mut self, limit: &str) -> Result<Source, Error> {
        match self.filters.place()? {
            Place::Row(row) => {
                let search = self.row_search(row, None)?;
                Ok(self.row_source(&search, limit))
            }
            place => {
                let mut ctes = String::new();
                let mut conditions = Vec::new();
                if let Place::Tables = place {
                    ctes = format!("WITH {}", self.names().trim_end_matches(", "));
                    ctes.push('\n');
                    conditions.push(UNDER_ANY_NAME);
                }
                let search = match self.conditions.is_searchable() {
                    true => format!(
                        "c.transaction_id IN (SELECT t.id FROM {{schema}}.audit_transactions AS t WHERE {})",
                        self.conditions.search()
                    ),
                    false => String::new(),
                };
                let changes = if search.is_empty() {
                    self.walk(&conditions, limit)
                } else {
                    conditions.push(&search);
                    let conditions = self.conditions.of_change(&conditions);
                    format!(
                        "SELECT c.* FROM {{schema}}.audit_changes AS c\n    WHERE {conditions}\n    {NEWEST_FIRST} LIMIT {limit}"
                    )
                };
                Ok(Source { ctes, changes, facts: None, fields: None })
            }
        }
    }

    fn row_source(&self, search: &RowSearch, limit: &str) -> Source {
        let changes = search.changes(&self.conditions, limit);
        let facts = Facts { json: search.facts(), always_if: Vec::new() };
        let mut source = Source { ctes: String::new(), changes, facts: Some(facts), fields: None };
        if self.conditions.fields().is_some() {
            let alone = search.changes(&self.conditions.with_field("f.field"), "1");
            source.check_fields(&self.conditions, search.names(), alone);
        }
        source
    }

    fn row_search(&mut self, row: OneRow<'_>, cursor: Option<Cursor>) -> Result<RowSearch, Error> {
        let (schema, table) = (self.conditions.text(row.schema), self.conditions.text(row.table));
        let key = format!("{}::text::jsonb", self.conditions.param(row.key.parameter()?));
        let (at, id) = match cursor {
            Some(cursor) => (instant::floor(cursor.captured_at(), "cursor")?, cursor.id().get()),
            None => ("infinity".to_owned(), 0),
        };
        let at = format!("{}::text::timestamptz", self.conditions.param(at));
        let id = format!("{}::text::bigint", self.conditions.param(id.to_string()));
        Ok(RowSearch { schema, table, key, at, id })
    }

    /// CTEs of the names of the tables that are meant, today's and former ones, and of those tables that have none.
    fn names(&mut self) -> String {
        let mut of_table = Vec::new();
        for (index, (schema, table)) in self.filters.named_tables().into_iter().enumerate() {
            let mut name = |name: Option<&str>| name.map_or("NULL".to_owned(), |name| self.conditions.text(name));
            let (schema, table) = (name(schema), name(table));
            of_table
                .push(format!("SELECT n.*, {index} AS filter FROM {{schema}}.recorded_names({schema}, {table}) AS n"));
        }
        let last = of_table.len().saturating_sub(1);
        format!(
            "names AS MATERIALIZED (\n    {}\n), missing AS MATERIALIZED (\n    SELECT m FROM \
             pg_catalog.generate_series(0, {last}) AS m WHERE m NOT IN (SELECT n.filter FROM names AS n)\n), ",
            of_table.join("\n    UNION ALL ")
        )
    }
}

/// Whether every table that was named is or was captured.
const TABLE_FACTS: &str = "(SELECT pg_catalog.json_build_object('captured', pg_catalog.count(*) = 0, \
                           'missing', pg_catalog.min(m)) FROM missing)";

/// A table that was named and never captured, beside others perhaps.
const SOMETHING_MISSING: &str = "EXISTS (SELECT FROM missing)";

/// Nothing but the ends of whole tables.
const NO_SUCH_ROW: &str = "NOT EXISTS (SELECT FROM found AS f WHERE f.op <> 'truncate')";

/// Changes recorded under any of the names while it was the table's; a scalar subquery, so that no join disturbs the order.
const UNDER_ANY_NAME: &str = "(SELECT true FROM names AS n WHERE c.table_schema = n.table_schema \
                              AND c.table_name = n.table_name AND c.captured_at <= n.until AND c.captured_at > n.since LIMIT 1)";

/// An instant of the trail as text, whatever the session's time zone is.
pub(super) fn utc(column: &str) -> String {
    format!("pg_catalog.to_char(pg_catalog.timezone('UTC', {column}), 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
}

/// A change with its transaction and its action as JSON, over `c`, `t` and `a`.
pub(super) fn linked_json() -> String {
    expand(include_str!("linked_json.sql"))
}

/// Writes out what stands for expressions over `c`, `t` and `a`.
pub(super) fn expand(template: &str) -> String {
    template
        .replace("{linked_json}", include_str!("linked_json.sql"))
        .replace("{transaction_json}", include_str!("transaction_json.sql"))
        .replace("{action_json}", include_str!("action_json.sql"))
        .replace("{captured_at}", &utc("c.captured_at"))
        .replace("{occurred_at}", &utc("t.occurred_at"))
        .replace("{recorded_at}", &utc("a.recorded_at"))
}

/// One row: a change, or the facts that explain why there is none.
#[derive(Deserialize)]
struct Row {
    change: Option<AuditChange>,
    transaction: Option<AuditTransaction>,
    action: Option<AuditAction>,
    nothing: Option<KeyFacts>,
}

/// Reads the rows of a page; an empty answer may be an error.
pub(super) fn linked_changes(filters: &Filters, rows: &[String]) -> Result<Vec<LinkedChange>, Error> {
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
        Some(facts) => explain(filters, &facts).map(|()| entries),
        None => Ok(entries),
    }
}

/// Looks at what a probe found.
pub(super) fn check(filters: &Filters, rows: &[String]) -> Result<(), Error> {
    match rows {
        [] => Ok(()),
        rows => explain(filters, &decode::only_row(rows, "the facts about a table")?),
    }
}

/// Turns an empty answer to a question that cannot have another into an error.
pub(super) fn explain(filters: &Filters, facts: &KeyFacts) -> Result<(), Error> {
    let tables = filters.named_tables();
    if let (Some(key), [(Some(schema), Some(table))]) = (&filters.key, tables.as_slice()) {
        key.explain(schema, table, facts)?;
    }
    if !facts.captured {
        let (schema, table) = tables.get(facts.missing.unwrap_or_default()).copied().unwrap_or_default();
        return Err(row_key::not_captured(schema.unwrap_or_default(), table.unwrap_or_default()));
    }
    facts.field.as_ref().map_or(Ok(()), |field| Err(field.error(&tables)))
}
