//! A row as it was at an instant.

use serde_json::Value;
use time::OffsetDateTime;

use super::{reconstruct::Evidence, row_as_of::RowAsOf, row_history::table_name, row_key::RowKey};
use crate::{
    Audited, Error, Json, ModelColumn, Operation, Schema, Statement, decode, instant, manifest::qualified,
    quote_identifier, quote_literal,
};

/// The row that had this key at an instant, as the JSON object that the trail stores; or, in a second step, as a row of
/// its table that an ORM decodes into the user's struct ([`row_statement`](Self::row_statement)).
///
/// The image is the one after the last change captured at or before the instant. Where the trail keeps none, because
/// the policy is lean or the row is older than capture, it is rebuilt from the first later change that tells the whole
/// row, or from the live row, by undoing what changed in between, and [marked so](RowAsOf::origin). Redacted columns are
/// as the trail shows them.
///
/// Rebuilding from the live row needs the right to read the table; nothing else does.
///
/// # Errors of the answer
/// - [`is_deleted_record`](Error::is_deleted_record): the row had been deleted, or had gone with a TRUNCATE, by then.
/// - [`is_moved_key`](Error::is_moved_key): the row had left the key for another one, which the error tells.
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

    /// The row of this model's table with this key at this instant.
    pub fn model<R: Audited>(key: impl Into<RowKey>, at: OffsetDateTime) -> Self {
        let table = R::audited_table();
        Self::new(table.schema, table.table, key, at)
    }

    /// The statement that turns the image, this operation's answer, into one row of the table with these columns, each of
    /// the type that the table gives it. For adapters: run it in the same transaction and let the ORM decode the row.
    ///
    /// Masked columns come back as NULL, and so do columns that the trail does not hold: excluded ones, and those that the
    /// table did not have then. `json` columns come back with their exact text.
    ///
    /// # Errors
    /// [`is_invalid_input`](Error::is_invalid_input) without columns. When it runs, errors that name the
    /// [`column`](Error::column):
    /// - [`is_column_redacted`](Error::is_column_redacted): the model needs a column that is masked or excluded.
    /// - [`is_schema_changed`](Error::is_schema_changed): a column was dropped, or has a type now that the value of that
    ///   time does not fit; or the model needs one that the table did not have then.
    /// - [`is_unknown_column`](Error::is_unknown_column): the table has no such column, and had none then.
    ///
    /// # Examples
    /// ```
    /// use threadline_core::{AsOf, Json, ModelColumn, Schema};
    /// use time::macros::datetime;
    ///
    /// let as_of = AsOf::new("public", "posts", 7, datetime!(2026-02-03 04:05:06 UTC));
    /// let image: Json = r#"{"id": 7, "title": "Ship it"}"#.parse()?; // the row that running `as_of` gave
    /// let columns = [ModelColumn::new("id").key(), ModelColumn::new("title")];
    /// let statement = as_of.row_statement(&Schema::default(), &image, &columns)?;
    /// assert_eq!(statement.params(), [Some(image.get().to_owned())]);
    /// # Ok::<(), threadline_core::Error>(())
    /// ```
    pub fn row_statement(&self, schema: &Schema, image: &Json, columns: &[ModelColumn]) -> Result<Statement, Error> {
        if columns.is_empty() {
            let remedy = "Name the columns that the model reads";
            return Err(Error::invalid_input("columns", "are none", remedy));
        }
        let names = columns.iter().map(|column| quote_identifier(column.name())).collect::<Result<Vec<_>, _>>()?;
        let literals = |needed: bool| {
            let columns = columns.iter().filter(|column| !needed || !column.is_nullable());
            let literals = columns.map(|column| quote_literal(column.name())).collect::<Result<Vec<_>, _>>()?;
            Ok::<_, Error>(format!("ARRAY[{}]::text[]", literals.join(", ")))
        };
        let found = columns.iter().zip(&names).map(|(column, name)| match column.label() {
            label if label == column.name() => Ok(format!("found.{name}")),
            label => Ok(format!("found.{name} AS {}", quote_identifier(label)?)),
        });
        let found = found.collect::<Result<Vec<_>, Error>>()?;
        let stand_ins: Vec<String> = names.iter().map(|name| format!("NULL::text AS {name}")).collect();
        // A column that is gone resolves one level further out, to its stand-in, so that the statement still parses and the
        // kernel tells which one it is.
        let sql = format!(
            "SELECT {found} FROM (SELECT {stand_ins}) AS absent CROSS JOIN LATERAL (\n    SELECT {names} FROM \
             {kernel}.row_from_image(NULL::{row_type}, {of_schema}, {of_table},\n        $1::text::jsonb, {wanted}, {needed}) \
             AS image\n) AS found",
            found = found.join(", "),
            stand_ins = stand_ins.join(", "),
            names = names.join(", "),
            kernel = schema.quoted(),
            row_type = qualified(&self.schema, &self.table)?,
            of_schema = quote_literal(&self.schema)?,
            of_table = quote_literal(&self.table)?,
            wanted = literals(false)?,
            needed = literals(true)?,
        );
        Ok(Statement::new(sql).bind(image.get()))
    }
}

impl Operation for AsOf {
    type Output = RowAsOf<Json>;

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

    fn decode(&self, rows: Vec<String>) -> Result<RowAsOf<Json>, Error> {
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
    fn row_statement() {
        let columns = [ModelColumn::new("id").key(), ModelColumn::new("odd \"'name").labelled("odd").nullable()];
        let image = r#"{"id": 1, "odd \"'name": null}"#.parse().unwrap();
        let statement = AsOf::new("public", "it's", 1, AT).row_statement(&Schema::default(), &image, &columns).unwrap();
        insta::assert_snapshot!("row_of_image", statement.snapshot());
    }

    #[test]
    fn a_model_without_columns_is_refused() {
        let image = "{}".parse().unwrap();
        let error = AsOf::new("public", "posts", 1, AT).row_statement(&Schema::default(), &image, &[]).unwrap_err();
        assert_eq!(error.setting(), Some("columns"));
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
