//! A row as it was at an instant.

use serde_json::Value;
use time::OffsetDateTime;

use super::{
    query::{AT_THE_KEY, LEFT_THE_KEY, Query, utc},
    reconstruct::{Evidence, reconstruct},
    row_history::table_name,
    row_key::RowKey,
};
use crate::{Error, Json, Operation, Schema, Statement, decode, instant};

/// The row that had this key at an instant, as the JSON object that the trail stores.
///
/// The image is the one after the last change captured at or before the instant. Where the trail keeps none, because
/// the policy is lean or the row is older than capture, it is rebuilt from the first later change that tells the whole
/// row, or from the live row, by undoing what changed in between. Redacted columns are as the trail shows them.
///
/// Rebuilding from the live row needs the right to read the table; nothing else does.
///
/// # Errors of the answer
/// - [`is_deleted_record`](Error::is_deleted_record): the row had been deleted, had left the key, or had gone with a
///   TRUNCATE by then.
/// - [`is_never_existed`](Error::is_never_existed): no row had had that key by then.
/// - [`is_before_horizon`](Error::is_before_horizon): the table was not captured yet at that instant.
/// - [`is_image_unavailable`](Error::is_image_unavailable): the row existed and what was in it cannot be told.
/// - [`is_not_captured`](Error::is_not_captured) and [`is_invalid_input`](Error::is_invalid_input): the question is wrong.
///
/// # Examples
/// ```
/// use threadline_core::{AsOf, Operation, Schema};
/// use time::macros::datetime;
///
/// let as_of = AsOf::by_id("public", "posts", 7, datetime!(2026-02-03 04:05:06 UTC));
/// let statement = as_of.statement(&Schema::default())?;
/// assert!(statement.params().contains(&Some("2026-02-03T04:05:06.000000Z".to_owned())));
/// # Ok::<(), threadline_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct AsOf {
    schema: String,
    table: String,
    key: RowKey,
    at: OffsetDateTime,
}

impl AsOf {
    /// The row with this key at this instant.
    pub fn new(
        schema: impl Into<String>,
        table: impl Into<String>,
        key: impl Into<RowKey>,
        at: OffsetDateTime,
    ) -> Self {
        Self { schema: schema.into(), table: table.into(), key: key.into(), at }
    }

    /// The row with this value in the table's one key column, whatever it is called, at this instant.
    pub fn by_id(
        schema: impl Into<String>,
        table: impl Into<String>,
        value: impl Into<Value>,
        at: OffsetDateTime,
    ) -> Self {
        Self::new(schema, table, RowKey::value(value), at)
    }
}

/// Whether a row left the key, or came to it, in a change.
const DEPARTS: &str = "(c.op = 'delete' OR (c.previous_pk IS NOT NULL AND c.previous_pk = w.key))";
const ARRIVES: &str = "(c.op = 'insert' OR (c.previous_pk IS NOT NULL AND c.table_pk = w.key AND c.previous_pk <> w.key))";

/// Whether the newest change at or before the instant tells all: the row is there, with its image or without one.
const SETTLES: &str = "(NOT l.departs AND (l.data_after IS NOT NULL OR l.withheld IS NOT NULL))";

/// How many earlier changes are looked at to find out who holds the key after one left it. A key changes hands twice in
/// one transaction only in shifts and merges; one such transaction rarely follows another.
const EARLIER: u32 = 64;

/// How many changes after the first telling one are looked at, for a row that left after another had taken its key.
const FOLLOWING: u32 = 8;

/// The changes that touch the key under each of the table's names.
fn touching(condition: &str, oldest_first: bool, limit: &str) -> String {
    let order = if oldest_first { "c.captured_at, c.id" } else { "c.captured_at DESC, c.id DESC" };
    let branch = |key: &[&str]| {
        let key = key.join("\n          AND ");
        format!(
            "        (SELECT c.* FROM {{schema}}.audit_changes AS c\n        WHERE c.table_name = n.table_name\n          \
             AND c.captured_at <= n.until AND c.captured_at > n.since\n          AND {key}\n          AND {condition}\n        \
             ORDER BY {order} LIMIT {limit})"
        )
    };
    format!(
        "    SELECT c.*, {DEPARTS} AS departs, {ARRIVES} AS arrives\n    FROM wanted AS w CROSS JOIN names AS n CROSS JOIN LATERAL (\n{}\n        \
         UNION ALL\n{}\n    ) AS c\n    ORDER BY {order}\n    LIMIT {limit}",
        branch(&AT_THE_KEY),
        branch(&LEFT_THE_KEY),
    )
}

/// The TRUNCATE nearest to the instant on one side of it.
fn truncated(condition: &str, oldest_first: bool) -> String {
    // TRUNCATEs have no key hash: naming it in the order keeps the index usable.
    let order = |descending: &str| {
        ["key_hash", "captured_at", "id"].map(|column| format!("c.{column}{descending}")).join(", ")
    };
    let order = if oldest_first { order("") } else { order(" DESC") };
    format!(
        "    SELECT c.* FROM names AS n CROSS JOIN LATERAL (\n        SELECT c.* FROM {{schema}}.audit_changes AS c\n        \
         WHERE c.key_hash IS NULL AND c.op = 'truncate'\n          AND c.table_name = n.table_name AND c.table_schema = \
         n.table_schema\n          AND c.captured_at <= n.until AND c.captured_at > n.since\n          AND {condition}\n        \
         ORDER BY {order} LIMIT 1\n    ) AS c\n    ORDER BY {order}\n    LIMIT 1"
    )
}

/// One change as [`Evidence`] reads it.
fn touch(images: &str) -> String {
    format!(
        "pg_catalog.json_build_object('position', pg_catalog.json_build_array({}, c.id), 'xid', c.xid::text, 'op', c.op, \
         'departs', c.departs, 'arrives', c.arrives, 'table_pk', c.table_pk, {images}, 'withheld', c.withheld IS NOT NULL)",
        utc("c.captured_at")
    )
}

impl Operation for AsOf {
    type Output = Json;

    fn statement(&self, schema: &Schema) -> Result<Statement, Error> {
        table_name(&self.schema, "schema")?;
        table_name(&self.table, "table")?;
        let mut query = Query::new(schema);
        let (prelude, facts) = query.names(&self.schema, &self.table);
        let wanted = query.wanted(&self.key)?;
        let at = format!("{}::text::timestamptz", query.param(instant::floor(self.at, "at")?));
        let by_then = format!("c.captured_at <= {at}");
        let later = format!("c.captured_at > {at}");
        let unsettled = format!("NOT EXISTS (SELECT FROM last AS l WHERE {SETTLES})");

        let earlier = format!("(SELECT CASE WHEN l.departs THEN {EARLIER} ELSE 1 END FROM last AS l)");
        let tells = format!(
            "{later} AND (c.data_after IS NOT NULL OR c.op = 'delete' OR c.previous_pk = w.key) AND {unsettled}"
        );
        let stop = "(SELECT ROW(s.captured_at, s.id) FROM stop AS s)";
        let between = format!(
            "{later} AND {unsettled} AND (c.captured_at, c.id) <= (SELECT COALESCE(pg_catalog.max(s.captured_at), 'infinity'), \
             COALESCE(pg_catalog.max(s.id), 0) FROM stop AS s)"
        );
        let following = format!("{later} AND (c.captured_at, c.id) > {stop}");

        let images = "'data_after', c.data_after, 'changed_from', c.changed_from";
        // Only the last transaction's images are needed: who holds the key after it.
        let of_last = "'data_after', CASE WHEN c.xid = (SELECT l.xid FROM last AS l) THEN c.data_after END, \
                       'changed_from', CASE WHEN c.xid = (SELECT l.xid FROM last AS l) THEN c.changed_from END";
        let position = format!("pg_catalog.json_build_array({}, c.id)", utc("c.captured_at"));
        let body = include_str!("as_of.sql")
            .replace("{last}", &touching(&by_then, false, "1"))
            .replace("{before}", &touching(&by_then, false, &earlier))
            .replace("{truncated}", &truncated(&by_then, false))
            .replace("{stop}", &touching(&tells, true, "1"))
            .replace("{between}", &touching(&between, true, "ALL"))
            .replace("{following}", &touching(&following, true, &FOLLOWING.to_string()))
            .replace("{truncated_next}", &truncated(&later, true))
            .replace("{facts}", &facts)
            .replace("{enabled_at}", &utc("e.enabled_at"))
            .replace("{touch_with_image_of_last}", &touch(of_last))
            .replace("{touch}", &touch(images))
            .replace("{position}", &position)
            .replace("{settles}", SETTLES);
        query.build(&format!("{prelude}, {wanted}{body}"))
    }

    fn decode(&self, rows: Vec<String>) -> Result<Json, Error> {
        let evidence: Evidence = decode::only_row(&rows, "the evidence of a row")?;
        reconstruct(&evidence, &self.schema, &self.table, &self.key, self.at)
    }
}
