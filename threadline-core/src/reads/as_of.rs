//! A row as it was at an instant.

use serde_json::Value;
use time::OffsetDateTime;

use super::{reconstruct::Evidence, row_history::table_name, row_key::RowKey};
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

impl Operation for AsOf {
    type Output = Json;

    fn statement(&self, schema: &Schema) -> Result<Statement, Error> {
        table_name(&self.schema, "schema")?;
        table_name(&self.table, "table")?;
        // One function of the kernel: it plans only the look-ups that turn out to be needed, once per session.
        let sql = "SELECT {schema}.row_evidence($1::text, $2::text, $3::text::jsonb, $4::text::timestamptz)::text";
        Ok(Statement::new(schema.expand(sql))
            .bind(self.schema.as_str())
            .bind(self.table.as_str())
            .bind(self.key.parameter()?)
            .bind(instant::floor(self.at, "at")?))
    }

    fn decode(&self, rows: Vec<String>) -> Result<Json, Error> {
        let evidence: Evidence = decode::only_row(&rows, "the evidence of a row")?;
        evidence.row(&self.schema, &self.table, &self.key, self.at)
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const AT: OffsetDateTime = datetime!(2026-02-03 04:05:06 UTC);

    #[test]
    fn statement() {
        let statement = AsOf::by_id("public", "posts", 7, AT).statement(&Schema::default()).unwrap();
        insta::assert_snapshot!("as_of", statement.snapshot());
    }

    #[test]
    fn values_out_of_bounds_are_named() {
        for (as_of, setting) in [
            (AsOf::by_id("", "posts", 1, AT), "schema"),
            (AsOf::by_id("public", "", 1, AT), "table"),
            (AsOf::by_id("public", "posts", Value::Null, AT), "key"),
            (AsOf::by_id("public", "posts", 1, datetime!(-0001-01-01 0:00 UTC)), "at"),
        ] {
            let error = as_of.statement(&Schema::default()).unwrap_err();
            assert!(error.is_invalid_input());
            assert_eq!(error.setting(), Some(setting));
        }
    }
}
