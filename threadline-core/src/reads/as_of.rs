//! A row as it was at an instant.

use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;

use super::{
    conditions::Conditions,
    reconstruct::Evidence,
    row_as_of::RowAsOf,
    row_history::table_name,
    row_key::RowKey,
    scope::{self, Scope, ScopedRead},
};
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
/// In a [`Scope`] of a field the row itself has to have the value at that instant; in one of notes or schemas, its last
/// change at or before the instant has to be in scope, so that a row which no change had told of by then is not. What is
/// out of scope is answered as a key that nothing is known of: why a row was gone is told to those alone who may see the
/// change that took it.
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
    scope: Option<Scope>,
}

impl AsOf {
    /// The row with this key at this instant.
    pub fn new(
        schema: impl Into<String>,
        table: impl Into<String>,
        key: impl Into<RowKey>,
        at: OffsetDateTime,
    ) -> Self {
        Self { schema: schema.into(), table: table.into(), key: key.into(), at, scope: None }
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

    /// Only when the row is in this scope. A second scope narrows further.
    pub fn scope(mut self, scope: &Scope) -> Self {
        scope::narrow(&mut self.scope, scope);
        self
    }

    /// The statement that turns the image, this operation's answer, into one row of the table with these columns, each of
    /// the type that the table gives it. For adapters: run it in the same transaction and let the ORM decode the row.
    ///
    /// Masked columns come back as NULL, by today's policy or the one that the row was recorded under, and so do columns that
    /// the trail does not hold: excluded ones, and those that the table did not have then. `json` columns come back with their
    /// exact text.
    ///
    /// # Errors
    /// [`is_invalid_input`](Error::is_invalid_input) without columns. When it runs, errors that name the
    /// [`column`](Error::column):
    /// - [`is_column_redacted`](Error::is_column_redacted): the model needs a column that is masked or excluded, or was when
    ///   the row was recorded.
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
    /// assert_eq!(statement.params()[0].as_deref(), Some(image.get()));
    /// # Ok::<(), threadline_core::Error>(())
    /// ```
    pub fn row_statement(&self, schema: &Schema, image: &Json, columns: &[ModelColumn]) -> Result<Statement, Error> {
        let columns = Columns::new(columns)?;
        let sql = format!(
            "SELECT {found} FROM (SELECT {stand_ins}) AS absent CROSS JOIN LATERAL (\n    {rows}\n) AS found",
            found = columns.found,
            stand_ins = columns.stand_ins,
            rows = columns.rows(schema, &self.schema, &self.table, "$1::text::jsonb", "$2::text::timestamptz")?,
        );
        Ok(Statement::new(sql).bind(image.get()).bind(instant::floor(self.at, "at")?))
    }
}

/// The columns of a model in a statement that makes rows of images.
pub(super) struct Columns {
    names: String,
    wanted: String,
    needed: String,
    /// What is selected, as the model calls it.
    pub(super) found: String,
    /// A column that is gone resolves one level further out, to its stand-in, so that the statement still parses and the
    /// kernel tells which one it is.
    pub(super) stand_ins: String,
}

impl Columns {
    pub(super) fn new(columns: &[ModelColumn]) -> Result<Self, Error> {
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
        Ok(Self {
            names: names.join(", "),
            wanted: literals(false)?,
            needed: literals(true)?,
            found: found.join(", "),
            stand_ins: stand_ins.join(", "),
        })
    }

    /// The query that makes a row of `image`, which is of the instant `at`; both are expressions.
    pub(super) fn rows(
        &self,
        schema: &Schema,
        of_schema: &str,
        table: &str,
        image: &str,
        at: &str,
    ) -> Result<String, Error> {
        Ok(format!(
            "SELECT {names} FROM {kernel}.row_from_image(NULL::{row_type}, {of_schema}, {of_table},\n        {image}, {wanted}, \
             {needed}, {at}) AS image",
            names = self.names,
            kernel = schema.quoted(),
            row_type = qualified(of_schema, table)?,
            of_schema = quote_literal(of_schema)?,
            of_table = quote_literal(table)?,
            wanted = self.wanted,
            needed = self.needed,
        ))
    }
}

/// One function of the kernel: it plans only the look-ups that turn out to be needed, once per session.
const EVIDENCE: &str = "{schema}.row_evidence($1::text, $2::text, $3::text::jsonb, $4::text::timestamptz)";

impl Operation for AsOf {
    type Output = RowAsOf<Json>;

    fn statement(&self, schema: &Schema) -> Result<Statement, Error> {
        table_name(&self.schema, "schema")?;
        table_name(&self.table, "table")?;
        let mut conditions = Conditions::default();
        for value in [&*self.schema, &*self.table, self.key.parameter()?, &*instant::floor(self.at, "at")?] {
            conditions.param(value);
        }
        let sql = match &self.scope {
            None => format!("SELECT {EVIDENCE}::text"),
            Some(scope) => {
                let whole = scope.of_change(&mut conditions)?;
                let but_fields = scope.without_fields().of_change(&mut conditions)?;
                format!(
                    "SELECT pg_catalog.json_build_object('evidence', {EVIDENCE}, 'last_change', (\n    \
                     SELECT pg_catalog.json_build_object('in_scope', coalesce({whole}, false), \
                     'in_scope_but_for_fields', coalesce({but_fields}, false))\n    \
                     FROM (SELECT c.* FROM {{schema}}.row_changes_before($1::text, $2::text,\n        \
                     {{schema}}.row_key($1::text, $2::text, $3::text::jsonb), $4::text::timestamptz, 9223372036854775807, 1) AS c\n        \
                     ORDER BY c.captured_at DESC, c.id DESC LIMIT 1) AS c\n))::text"
                )
            }
        };
        Ok(conditions.into_params().into_iter().fold(Statement::new(schema.expand(&sql)), Statement::bind))
    }

    fn decode(&self, rows: Vec<String>) -> Result<RowAsOf<Json>, Error> {
        let Some(scope) = &self.scope else {
            let evidence: Evidence = decode::only_row(&rows, "the evidence of a row")?;
            return evidence.row(&self.schema, &self.table, &self.key, self.at);
        };
        let found: ScopedEvidence = decode::only_row(&rows, "the evidence of a row in a scope")?;
        let answer = found.evidence.row(&self.schema, &self.table, &self.key, self.at);
        let in_scope = match (&answer, &found.last_change) {
            (Ok(row), Some(last)) => last.in_scope_but_for_fields && scope.fields_are_in(row)?,
            (Ok(row), None) => scope.has_fields_only() && scope.fields_are_in(row)?,
            (Err(_), last) => last.as_ref().is_some_and(|last| last.in_scope),
        };
        match in_scope {
            true => answer,
            // In the words for a key that nothing is known of; a wrong question stays one.
            false => found.evidence.of_no_row().row(&self.schema, &self.table, &self.key, self.at),
        }
    }
}

/// The evidence of a row, and what its last change at or before the instant has to do with the scope.
#[derive(Deserialize)]
struct ScopedEvidence {
    evidence: Evidence,
    last_change: Option<LastChange>,
}

#[derive(Deserialize)]
struct LastChange {
    in_scope: bool,
    in_scope_but_for_fields: bool,
}

impl ScopedRead for AsOf {
    fn in_scope(self, scope: &Scope) -> Self {
        self.scope(scope)
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
    fn statement_in_a_scope() {
        let scope = Scope::meta("tenant", "acme").and(Scope::field("tenant_id", 7));
        let statement = AsOf::by_id("public", "posts", 7, AT).scope(&scope).statement(&Schema::default()).unwrap();
        insta::assert_snapshot!("as_of_in_a_scope", statement.snapshot());
    }

    const ROW: &str = r#"{"facts": null, "enabled_at": "2026-01-01T00:00:00.000000Z", "after": [], "live": null, "before": [
        {"xid": "9", "op": "insert", "departs": false, "arrives": true, "withheld": false, "changed_from": null,
         "data_after": {"id": 7, "tenant_id": 7}}]}"#;

    fn in_scope(scope: &Scope, evidence: &str, last_change: Option<(bool, bool)>) -> Result<RowAsOf<Json>, Error> {
        let last = last_change.map_or("null".to_owned(), |(whole, but_fields)| {
            format!(r#"{{"in_scope": {whole}, "in_scope_but_for_fields": {but_fields}}}"#)
        });
        let row = format!(r#"{{"evidence": {evidence}, "last_change": {last}}}"#);
        AsOf::by_id("public", "posts", 7, AT).scope(scope).decode(vec![row])
    }

    #[test]
    fn a_row_is_in_scope_by_its_columns_and_by_its_last_change() {
        let (mine, others) = (Scope::field("tenant_id", 7), Scope::field("tenant_id", 8));
        // The change need not tell the column, as under lean images.
        assert!(in_scope(&mine, ROW, Some((false, true))).is_ok());
        assert!(in_scope(&others, ROW, Some((true, true))).unwrap_err().is_never_existed());
        let both = Scope::meta("tenant", "acme").and(mine);
        assert!(in_scope(&both, ROW, Some((true, true))).is_ok());
        assert!(in_scope(&both, ROW, Some((false, false))).unwrap_err().is_never_existed());
        assert!(in_scope(&both.and(others), ROW, Some((false, true))).unwrap_err().is_never_existed());
    }

    #[test]
    fn a_row_that_no_change_told_of_by_then_is_in_scope_by_its_columns_alone() {
        let older = r#"{"facts": null, "enabled_at": "2026-01-01T00:00:00.000000Z", "before": [], "after": [],
            "live": {"id": 7, "tenant_id": 7}}"#;
        assert!(in_scope(&Scope::field("tenant_id", 7), older, None).is_ok());
        for scope in [Scope::meta("tenant", "acme"), Scope::schemas(["public"]), Scope::field("tenant_id", 8)] {
            assert!(in_scope(&scope, older, None).unwrap_err().is_never_existed());
        }
    }

    #[test]
    fn why_a_row_is_gone_is_told_in_scope_alone() {
        let gone = ROW.replace("insert", "delete").replace(r#""departs": false"#, r#""departs": true"#);
        let scope = Scope::meta("tenant", "acme");
        assert!(in_scope(&scope, &gone, Some((true, true))).unwrap_err().is_deleted_record());
        assert!(in_scope(&scope, &gone, Some((false, false))).unwrap_err().is_never_existed());
        let before_capture = gone.replace("2026-01-01", "2027-01-01");
        assert!(in_scope(&scope, &before_capture, Some((false, false))).unwrap_err().is_before_horizon());
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
            (AsOf::by_id("public", "posts", 1, AT).scope(&Scope::field("", 1)), "scope"),
            (AsOf::by_id("public", "posts", 1, datetime!(-0001-01-01 0:00 UTC)), "at"),
        ] {
            let error = as_of.statement(&Schema::default()).unwrap_err();
            assert!(error.is_invalid_input());
            assert_eq!(error.setting(), Some(setting));
        }
    }
}
