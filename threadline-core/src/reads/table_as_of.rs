//! All rows of a table as they were at an instant.

use serde::Deserialize;
use time::OffsetDateTime;

use super::{
    as_of::Columns,
    reading::Streamed,
    reconstruct::{Evidence, optional_instant},
    row_as_of::{Origin, RowAsOf},
    row_history::table_name,
    row_key::{KeyFacts, not_captured},
};
use crate::{Audited, Error, Json, ModelColumn, Schema, Statement, decode, error::Kind, instant};

/// Every row that a table had at an instant, once, under the key that it had then, in no particular order: a stream, of one
/// snapshot, in constant memory.
///
/// Each row is what [`AsOf`](crate::AsOf) answers for its key: rows that have been deleted since are there, rows that have
/// changed are as they were, and rows older than capture are rebuilt. Today's rows are read too, so it takes the right to read
/// the table; where a policy of row security would hide some of them, it fails. It is read without a [`Scope`](crate::Scope):
/// a handle that asks for one reads it as `unscoped()`.
///
/// # Errors
/// Before the first row:
/// - [`is_not_captured`](Error::is_not_captured), and [`is_invalid_input`](Error::is_invalid_input) for a table without a key,
///   whose rows cannot be told apart.
/// - [`is_before_horizon`](Error::is_before_horizon): the table was not captured yet at that instant.
/// - [`is_image_unavailable`](Error::is_image_unavailable): a later TRUNCATE was recorded as one event, so there may have been
///   rows older than capture that nothing tells of. [`known_rows`](Self::known_rows) does without them.
///
/// In place of a row: [`is_image_unavailable`](Error::is_image_unavailable), when it existed and what was in it cannot be told.
///
/// # Examples
/// ```
/// use threadline_core::{Reading, Schema, TableAsOf};
/// use time::macros::datetime;
///
/// # fn fetch(_: threadline_core::Statement) -> Result<Vec<String>, threadline_core::Error> {
/// #     Ok(vec![r#"{"captured": true, "key_columns": ["id"], "enabled_at": "2026-01-01T00:00:00Z",
/// #         "truncated_since": false, "truncated_by": false}"#.to_owned()])
/// # }
/// let mut reading = Reading::new(TableAsOf::new("public", "posts", datetime!(2026-02-03 04:05:06 UTC)));
/// let schema = Schema::default();
/// # let mut statements = 0;
/// while let Some(statement) = reading.next_statement(&schema)? {
///     # statements += 1;
///     # if statements > 2 { break; }
///     for row in reading.items(fetch(statement)?)? {
///         println!("{} ({})", row.get(), row.origin);
///     }
/// }
/// # Ok::<(), threadline_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct TableAsOf {
    schema: String,
    table: String,
    at: OffsetDateTime,
    known_rows: bool,
}

/// What the kernel's `table_as_of_facts` tells.
#[derive(Debug, Deserialize)]
struct Facts {
    #[serde(flatten)]
    table: KeyFacts,
    #[serde(default, deserialize_with = "optional_instant")]
    enabled_at: Option<OffsetDateTime>,
    /// A TRUNCATE after the instant was recorded as one event.
    truncated_since: bool,
    /// One at or before it was, so that every row at the instant had been captured.
    truncated_by: bool,
}

impl TableAsOf {
    /// The rows of this table at this instant.
    pub fn new(schema: impl Into<String>, table: impl Into<String>, at: OffsetDateTime) -> Self {
        Self { schema: schema.into(), table: table.into(), at, known_rows: false }
    }

    /// The rows of this model's table at this instant.
    pub fn model<R: Audited>(at: OffsetDateTime) -> Self {
        let table = R::audited_table();
        Self::new(table.schema, table.table, at)
    }

    /// Leaves out the rows that cannot be told instead of failing.
    pub fn known_rows(mut self) -> Self {
        self.known_rows = true;
        self
    }

    /// The statement that turns images, as this read gives them, into rows of the table with these columns, one for each and
    /// in the same order. For adapters: see [`AsOf::row_statement`](crate::AsOf::row_statement).
    ///
    /// # Errors
    /// As for [`AsOf::row_statement`](crate::AsOf::row_statement).
    pub fn rows_statement(
        &self,
        schema: &Schema,
        images: &[RowAsOf<Json>],
        columns: &[ModelColumn],
    ) -> Result<Statement, Error> {
        let columns = Columns::new(columns)?;
        let sql = format!(
            "SELECT {found} FROM jsonb_array_elements($1::text::jsonb) WITH ORDINALITY AS \"threadline images\" (\"threadline image\", \
             \"threadline place\")\nCROSS JOIN (SELECT {stand_ins}) AS absent CROSS JOIN LATERAL (\n    {rows}\n) AS found ORDER BY \
             \"threadline place\"",
            found = columns.found,
            stand_ins = columns.stand_ins,
            rows = columns.rows(schema, &self.schema, &self.table, "\"threadline image\"", "$2::text::timestamptz")?,
        );
        let images: Vec<&str> = images.iter().map(|image| image.get()).collect();
        Ok(Statement::new(sql).bind(format!("[{}]", images.join(","))).bind(instant::floor(self.at, "at")?))
    }
}

impl Streamed for TableAsOf {
    type Item = RowAsOf<Json>;

    fn probe(&self, schema: &Schema) -> Result<Option<Statement>, Error> {
        table_name(&self.schema, "schema")?;
        table_name(&self.table, "table")?;
        let sql = "SELECT {schema}.table_as_of_facts($1::text, $2::text, $3::text::timestamptz)::text";
        Ok(Some(
            Statement::new(schema.expand(sql))
                .bind(self.schema.as_str())
                .bind(self.table.as_str())
                .bind(instant::floor(self.at, "at")?),
        ))
    }

    fn check(&self, rows: Vec<String>) -> Result<(), Error> {
        let facts: Facts = decode::only_row(&rows, "the facts of a table")?;
        let (schema, table) = (&self.schema, &self.table);
        let error = |kind, message: String, remedy: &str| {
            Err(Error::new(kind, message).table_name(schema, table).remedy_text(remedy))
        };
        if !facts.table.captured {
            return Err(not_captured(schema, table));
        }
        if !facts.table.has_key() {
            let message = format!("{schema}.{table} has no key, so its rows of the past cannot be told apart");
            return error(Kind::InvalidInput, message, "Read its changes with a timeline")
                .map_err(|error: Error| error.setting_name("table"));
        }
        if facts.enabled_at.is_none_or(|enabled_at| self.at < enabled_at) {
            let message = format!("{schema}.{table} was not captured at that instant, so its rows are not known");
            return error(Kind::BeforeHorizon, message, "Ask for an instant after capture was enabled");
        }
        if facts.truncated_since && !facts.truncated_by && !self.known_rows {
            let message = format!(
                "not every row of {schema}.{table} at that instant can be told: a later TRUNCATE was recorded as one event, and \
                 there may have been rows older than capture"
            );
            return error(
                Kind::ImageUnavailable,
                message,
                "Ask for the known rows only, or for an instant after the TRUNCATE",
            );
        }
        Ok(())
    }

    fn declare(&self, schema: &Schema, name: &str) -> Result<Statement, Error> {
        let sql = "SELECT {schema}.open_rows_as_of($1::text, $2::text, $3::text, $4::text::timestamptz)";
        Ok(Statement::new(schema.expand(sql))
            .bind(name)
            .bind(self.schema.as_str())
            .bind(self.table.as_str())
            .bind(instant::floor(self.at, "at")?))
    }

    fn fetch(&self, schema: &Schema, name: &str, rows: u32) -> Result<Statement, Error> {
        let sql = "SELECT evidence FROM {schema}.next_rows_as_of($1::text, $2::text::integer) AS evidence";
        Ok(Statement::new(schema.expand(sql)).bind(name).bind(rows.to_string()))
    }

    fn item(&self, row: String) -> Result<Option<RowAsOf<Json>>, Error> {
        let (how, text) = row.split_at_checked(1).unwrap_or_default();
        let image = |origin| Ok(Some(RowAsOf::new(decode::row(text, "an image of a row")?, origin)));
        match how {
            "i" => return image(Origin::Image),
            "r" => return image(Origin::Reconstructed),
            "n" => return Ok(None),
            _ => {}
        }
        let evidence: Evidence = decode::row(text, "the evidence of a row")?;
        match evidence.at_instant(&self.schema, &self.table, self.at) {
            Ok(row) => Ok(Some(row)),
            Err(error) if error.is_deleted_record() || error.is_never_existed() || error.is_moved_key() => Ok(None),
            Err(error) if error.is_image_unavailable() && self.known_rows => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const AT: OffsetDateTime = datetime!(2026-02-03 04:05:06 UTC);

    fn facts(more: &str) -> Vec<String> {
        vec![format!(
            r#"{{"captured": true, "key_columns": ["id"], "enabled_at": "2026-01-01T00:00:00Z", "truncated_at": null,
                "truncated_since": false, "truncated_by": false{more}}}"#
        )]
    }

    #[test]
    fn statements() {
        let schema = Schema::default();
        let read = TableAsOf::new("public", "it's", AT);
        insta::assert_snapshot!("table_as_of_probe", read.probe(&schema).unwrap().unwrap().snapshot());
        insta::assert_snapshot!("table_as_of_declare", read.declare(&schema, "c").unwrap().snapshot());
        insta::assert_snapshot!("table_as_of_fetch", read.fetch(&schema, "c", 500).unwrap().snapshot());
        let images = [r#"{"id": 1}"#, r#"{"id": 2}"#].map(|image| RowAsOf::new(image.parse().unwrap(), Origin::Image));
        let columns = [ModelColumn::new("id").key(), ModelColumn::new("odd \"'name").labelled("odd").nullable()];
        insta::assert_snapshot!("rows_of_images", read.rows_statement(&schema, &images, &columns).unwrap().snapshot());
    }

    #[test]
    fn what_cannot_be_told_as_a_whole_is_an_error_before_the_first_row() {
        let read = TableAsOf::new("public", "posts", AT);
        read.check(facts("")).unwrap();
        let with = |from: &str, to: &str| vec![facts("")[0].replace(from, to)];
        assert!(read.check(with(r#""captured": true"#, r#""captured": false"#)).unwrap_err().is_not_captured());
        let error = read.check(with(r#"["id"]"#, "[]")).unwrap_err();
        assert!(error.is_invalid_input() && error.to_string().contains("has no key"), "{error}");
        assert!(read.check(with("2026-01", "2026-03")).unwrap_err().is_before_horizon());
        let truncated = || with(r#""truncated_since": false"#, r#""truncated_since": true"#);
        assert!(read.check(truncated()).unwrap_err().is_image_unavailable());
        read.clone().known_rows().check(truncated()).unwrap();
        let again = truncated()[0].replace(r#""truncated_by": false"#, r#""truncated_by": true"#);
        read.check(vec![again]).unwrap();
    }

    #[test]
    fn a_key_without_a_row_is_no_entry() {
        let read = TableAsOf::new("public", "posts", AT);
        let row = |text: &str| read.item(text.to_owned());
        let image = row(r#"i{"id": 1}"#).unwrap().unwrap();
        assert_eq!((image.get(), image.origin), (r#"{"id": 1}"#, Origin::Image));
        assert_eq!(row(r#"r{"id": 1}"#).unwrap().unwrap().origin, Origin::Reconstructed);
        let evidence = |before: &str, after: &str| {
            format!(
                r#"e{{"facts": null, "enabled_at": "2026-01-01T00:00:00Z", "before": [{before}], "after": [{after}], "live": null}}"#
            )
        };
        let touch = |op: &str, departs: bool, arrives: bool| {
            format!(
                r#"{{"xid": "1", "op": "{op}", "departs": {departs}, "arrives": {arrives}, "table_pk": {{"id": 1}}, "data_after": null,
                    "changed_from": null, "withheld": false}}"#
            )
        };
        assert!(row(&evidence(&touch("delete", true, false), "")).unwrap().is_none());
        assert!(row(&evidence("", &touch("insert", false, true))).unwrap().is_none());
        assert!(row(&evidence(&touch("update", true, false), "")).unwrap().is_none(), "it is under its other key");
        let lost = evidence(&touch("update", false, false), "");
        assert!(row(&lost).unwrap_err().is_image_unavailable());
        assert!(read.clone().known_rows().item(lost).unwrap().is_none());
        assert!(row("n").unwrap().is_none());
        assert!(row("").unwrap_err().is_unreadable());
        assert!(row("i[").unwrap_err().is_unreadable());
    }
}
