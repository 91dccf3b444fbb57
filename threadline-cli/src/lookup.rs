//! What the catalog tells about the names that the user gave.

use serde::Deserialize;
use serde_json::Value;
use threadline_core::{
    AuditChange, CapturePolicy, ChangeId, Error, Operation, Schema, Statement, TransactionId, quote_identifier,
};
use time::OffsetDateTime;

use crate::database::Database;
use crate::failure::Failure;
use crate::name::TableName;

/// Where a table is, as far as the catalog knows.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// `None` when the name came without a schema and the search path does not lead to such a table.
    pub(crate) schema: Option<String>,
    pub(crate) table: String,
}

impl Found {
    /// The schema to look in when the catalog does not know.
    pub(crate) fn schema_or_public(&self) -> &str {
        self.schema.as_deref().unwrap_or("public")
    }
}

/// A table that must exist.
pub(crate) async fn existing_table(database: &Database, name: &TableName) -> Result<Found, Failure> {
    if let Some(found) = regclass(database, name).await? {
        return Ok(found);
    }
    let mut failure = Failure::refused("unknown_table", format!("there is no table {name}"))
        .remedy("Name the schema as well if it is not on the search path")
        .about_table(name);
    if name.was_folded() {
        failure =
            failure.remedy(format!("Unquoted letters mean lower case. For a name with capitals write '\"{name}\"'"));
    }
    Err(failure)
}

/// A table that may be gone by now: its history is still there.
pub(crate) async fn known_table(database: &Database, name: &TableName) -> Result<Found, Failure> {
    Ok(regclass(database, name)
        .await?
        .unwrap_or_else(|| Found { schema: name.schema.clone(), table: name.table.clone() }))
}

async fn regclass(database: &Database, name: &TableName) -> Result<Option<Found>, Failure> {
    let found = database.read(&Regclass(name)).await?;
    Ok(found.map(|row| Found { schema: Some(row.schema), table: row.name }))
}

/// The table that a name leads to, by the search path when it has no schema.
struct Regclass<'a>(&'a TableName);

#[derive(Deserialize)]
struct Relation {
    schema: String,
    name: String,
}

impl Operation for Regclass<'_> {
    type Output = Option<Relation>;

    fn statement(&self, _: &Schema) -> Result<Statement, Error> {
        let sql = "SELECT pg_catalog.json_build_object('schema', n.nspname, 'name', c.relname)::text \
                   FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE ";
        Ok(match &self.0.schema {
            // Not by to_regclass, which fails where a reader of the trail has no right to use the table's schema.
            Some(schema) => Statement::new(format!("{sql} n.nspname = $1::text AND c.relname = $2::text"))
                .bind(schema)
                .bind(&self.0.table),
            None => Statement::new(format!("{sql} c.oid = pg_catalog.to_regclass($1::text)"))
                .bind(quote_identifier(&self.0.table)?),
        })
    }

    fn decode(&self, rows: Vec<String>) -> Result<Option<Relation>, Error> {
        optional(&rows)
    }
}

/// The key of a captured table, when it is one column.
pub(crate) enum SingleKey {
    Typed { type_name: String, built_in: bool },
    Unknown,
}

pub(crate) async fn single_key(database: &Database, table: &Found) -> Result<SingleKey, Failure> {
    let column = database.read(&KeyType(table)).await?;
    Ok(match column {
        Some(KeyColumn { type_name, built_in }) => SingleKey::Typed { type_name, built_in },
        None => SingleKey::Unknown,
    })
}

struct KeyType<'a>(&'a Found);

#[derive(Deserialize)]
struct KeyColumn {
    type_name: String,
    built_in: bool,
}

impl Operation for KeyType<'_> {
    type Output = Option<KeyColumn>;

    fn statement(&self, schema: &Schema) -> Result<Statement, Error> {
        let sql = format!(
            "SELECT pg_catalog.json_build_object('type_name', pg_catalog.format_type(a.atttypid, NULL), \
                 'built_in', t.typnamespace = 'pg_catalog'::pg_catalog.regnamespace)::text \
             FROM {schema}.audited_tables AS e \
             JOIN pg_catalog.pg_namespace AS n ON n.nspname = e.table_schema \
             JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = e.table_name \
             JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attname = e.key_columns[1] \
             JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid \
             WHERE e.table_schema = $1::text AND e.table_name = $2::text \
                 AND pg_catalog.cardinality(e.key_columns) = 1 AND NOT a.attisdropped \
             ORDER BY e.disabled_at IS NULL DESC LIMIT 1",
            schema = schema.quoted(),
        );
        Ok(Statement::new(sql).bind(self.0.schema_or_public()).bind(&*self.0.table))
    }

    fn decode(&self, rows: Vec<String>) -> Result<Option<KeyColumn>, Error> {
        optional(&rows)
    }
}

/// The text as the type of the key writes it, in the JSON form that the trail has it in.
pub(crate) async fn cast(
    database: &Database,
    text: &str,
    table: &Found,
    type_name: &str,
    built_in: bool,
) -> Result<Value, Failure> {
    let cast = Cast { text, type_name, built_in };
    database.read(&cast).await.map_err(|failure| {
        if failure.is_data_exception() {
            let (schema, table) = (table.schema_or_public(), &table.table);
            Failure::refused(
                "invalid_input",
                format!("the key of {schema}.{table} has the type {type_name}, KEY has not"),
            )
            .remedy("Give the key's value, or the key columns as an object such as {\"id\": 7}")
        } else {
            failure
        }
    })
}

struct Cast<'a> {
    text: &'a str,
    /// From format_type, which quotes what needs it.
    type_name: &'a str,
    built_in: bool,
}

impl Operation for Cast<'_> {
    type Output = Value;

    fn statement(&self, _: &Schema) -> Result<Statement, Error> {
        let value = format!("$1::text::{}", self.type_name);
        // As capture does: values of other types are kept as their text.
        let sql = if self.built_in {
            format!("SELECT pg_catalog.to_jsonb({value})::text")
        } else {
            format!("SELECT pg_catalog.to_jsonb(pg_catalog.format('%s', {value}))::text")
        };
        Ok(Statement::new(sql).bind(self.text))
    }

    fn decode(&self, rows: Vec<String>) -> Result<Value, Error> {
        Ok(optional(&rows)?.unwrap_or_default())
    }
}

/// The policy that a table is captured under; `None` when it is not captured.
pub(crate) struct RecordedPolicy<'a>(pub(crate) &'a Found);

impl Operation for RecordedPolicy<'_> {
    type Output = Option<CapturePolicy>;

    fn statement(&self, schema: &Schema) -> Result<Statement, Error> {
        let sql = format!(
            "SELECT e.policy::text FROM {}.audited_tables AS e \
             WHERE e.table_schema = $1::text AND e.table_name = $2::text AND e.disabled_at IS NULL",
            schema.quoted(),
        );
        Ok(Statement::new(sql).bind(self.0.schema_or_public()).bind(&*self.0.table))
    }

    fn decode(&self, rows: Vec<String>) -> Result<Option<CapturePolicy>, Error> {
        optional(&rows)
    }
}

/// One change by its id, which alone has no index.
pub(crate) struct FindChange {
    pub(crate) id: ChangeId,
    pub(crate) place: Place,
}

/// Where to look for a change.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    InTransaction(TransactionId),
    /// At this instant, or within the second after it: whoever copies an instant may cut it off.
    At(OffsetDateTime),
    /// Among the newest: the one place that can be looked through without being told more.
    AmongNewest,
}

/// The second parameter, in microseconds.
const AT: &str = "(timestamptz 'epoch' + $2::text::bigint * interval '1 microsecond')";

impl FindChange {
    /// How many changes are looked through.
    pub(crate) const NEWEST: u32 = 100_000;
}

impl Operation for FindChange {
    type Output = Option<AuditChange>;

    fn statement(&self, schema: &Schema) -> Result<Statement, Error> {
        let changes = format!("{}.audit_changes", schema.quoted());
        let (place, told) = match self.place {
            Place::InTransaction(id) => ("c.transaction_id = $2::text::bigint".to_owned(), Some(id.to_string())),
            Place::At(at) => (
                format!("c.captured_at >= {AT} AND c.captured_at < {AT} + interval '1 second'"),
                Some((at.unix_timestamp_nanos() / 1_000).to_string()),
            ),
            // The index of the order alone is read, and then the change found in it.
            Place::AmongNewest => (
                format!(
                    "c.captured_at = (SELECT n.captured_at FROM (SELECT o.captured_at, o.id FROM {changes} AS o \
                     ORDER BY o.captured_at DESC, o.id DESC LIMIT {}) AS n WHERE n.id = $1::text::bigint LIMIT 1)",
                    Self::NEWEST
                ),
                None,
            ),
        };
        let statement = Statement::new(format!(
            "SELECT pg_catalog.json_build_object('id', c.id, 'transaction_id', c.transaction_id, 'xid', c.xid::text, \
                 'captured_at', pg_catalog.to_char(c.captured_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), \
                 'table_schema', c.table_schema, 'table_name', c.table_name, 'op', c.op, 'table_pk', c.table_pk, \
                 'previous_pk', c.previous_pk, 'data_after', c.data_after, 'changed_fields', c.changed_fields, \
                 'changed_from', c.changed_from, 'withheld', c.withheld)::text \
             FROM {changes} AS c WHERE c.id = $1::text::bigint AND {place}",
        ));
        let statement = statement.bind(self.id.to_string());
        Ok(match told {
            Some(told) => statement.bind(told),
            None => statement,
        })
    }

    fn decode(&self, rows: Vec<String>) -> Result<Option<AuditChange>, Error> {
        optional(&rows)
    }
}

fn optional<T: for<'de> Deserialize<'de>>(rows: &[String]) -> Result<Option<T>, Error> {
    match rows.first() {
        Some(row) => row.parse::<threadline_core::Json>()?.decode().map(Some),
        None => Ok(None),
    }
}
