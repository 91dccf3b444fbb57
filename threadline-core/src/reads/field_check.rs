//! Fields that no change can name: a typing error, or a column that the policy leaves out.

use serde::Deserialize;

use super::conditions::Conditions;
use crate::{Error, error::Kind};

/// There is such a field.
pub(super) const UNKNOWN_FIELD: &str = "EXISTS (SELECT FROM unknown)";

/// The parts of a CTE `unknown` that has one field that no change can name, if there is one.
///
/// The kernel knows the columns that tables have and had, but for one that was added, captured and dropped again before any
/// refresh. So of a field that it does not know the trail has the last word: a field of one change that was asked for is known.
pub(super) struct FieldCheck {
    /// The fields, an array.
    fields: String,
    /// The recorded names of the tables that are meant, or NULL.
    names: String,
    /// A query of changes of the field `f.field`, under all other filters.
    alone: String,
}

impl FieldCheck {
    /// None when no field was asked for.
    pub(super) fn new(conditions: &Conditions, names: String, alone: String) -> Option<Self> {
        Some(Self { fields: conditions.fields()?.to_owned(), names, alone })
    }

    /// The facts and the field that no change can name.
    pub(super) fn told_with(facts: &str) -> String {
        format!(
            "pg_catalog.jsonb_concat({facts}::jsonb, pg_catalog.jsonb_build_object(\
             'field', (SELECT pg_catalog.to_jsonb(u.*) FROM unknown AS u)))"
        )
    }

    /// What follows the CTE `found`, of at most `limit` changes, without the last parenthesis: whoever found something of a
    /// field needs no look at the catalog, and who found fewer than he asked for has seen all.
    pub(super) fn after_finding(&self, limit: &str) -> String {
        let not_found = "\n        WHERE NOT EXISTS (SELECT FROM found AS c WHERE f.field = ANY (c.changed_fields))";
        format!(
            "), unknown AS MATERIALIZED (\n    {}\n",
            self.query(not_found, &format!("WHEN (SELECT pg_catalog.count(*) FROM found) < {limit} THEN true "))
        )
    }

    /// The same CTE without anything found before.
    pub(super) fn before_reading(&self) -> String {
        format!("unknown AS MATERIALIZED (\n    {}\n)", self.query("", ""))
    }

    /// The order of the looks is forced: the catalog is cheap, `alone` may go through much.
    fn query(&self, not_found: &str, all_seen: &str) -> String {
        let Self { fields, names, alone } = self;
        format!(
            "SELECT f.field, p.problem\n    \
             FROM (SELECT f.field FROM pg_catalog.unnest({fields}) AS f (field){not_found} OFFSET 0) AS f\n    \
             CROSS JOIN LATERAL (SELECT {{schema}}.field_problem(f.field, {names}) AS problem OFFSET 0) AS p\n    \
             WHERE CASE WHEN p.problem IS NULL THEN false {all_seen}ELSE NOT EXISTS (\n    {alone}) END\n    LIMIT 1"
        )
    }
}

/// A field that no change can name, and why.
#[derive(Debug, Deserialize)]
pub(super) struct FieldProblem {
    field: String,
    problem: Problem,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Problem {
    Unknown,
    Excluded,
    Excepted,
}

impl FieldProblem {
    /// The error that names it, asked of these tables.
    pub(super) fn error(&self, tables: &[(Option<&str>, Option<&str>)]) -> Error {
        let field = &self.field;
        let (kind, problem, remedy) = match self.problem {
            Problem::Unknown => (
                Kind::UnknownColumn,
                format!("is no column that {} has or had", place(tables)),
                "Check the spelling, and which table is asked: a column is named as PostgreSQL stores it",
            ),
            Problem::Excluded => (
                Kind::ColumnRedacted,
                "is excluded from capture, so no change names it".to_owned(),
                "Ask for another column, or leave the filter out: changes of this one are not in the trail",
            ),
            Problem::Excepted => (
                Kind::ColumnRedacted,
                "is one of except_columns, so no change names it".to_owned(),
                "Ask for another column, or compare the images: they hold this one",
            ),
        };
        let mut error = Error::new(kind, format!("changed_field {field} {problem}"))
            .setting_name("changed_field")
            .column_name(field)
            .remedy_text(remedy);
        if let [(schema, Some(table))] = tables {
            error = match schema {
                Some(schema) => error.table_name(schema, table),
                None => error.table_text(Some((*table).to_owned())),
            };
        }
        error
    }
}

/// The tables in words.
fn place(tables: &[(Option<&str>, Option<&str>)]) -> String {
    match tables {
        [] => "any captured table".to_owned(),
        [(Some(schema), None)] => format!("any captured table of schema {schema}"),
        [(Some(schema), Some(table))] => format!("table {schema}.{table}"),
        [(None, Some(table))] => format!("table {table}"),
        _ => "any of the tables".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use crate::{CountChanges, Operation, RowKey, Schema, Streamed, Timeline};

    fn posts() -> Timeline {
        Timeline::new().table_in("public", "posts").changed_field("title").changed_field("body")
    }

    #[test]
    fn statements() {
        let schema = Schema::default();
        insta::assert_snapshot!("fields_of_a_table", posts().statement(&schema).unwrap().snapshot());
        let row = CountChanges::of(posts().key(RowKey::value(7)));
        insta::assert_snapshot!("fields_of_a_row_counted", row.statement(&schema).unwrap().snapshot());
        let everywhere = Timeline::new().changed_field("title").since(datetime!(2026-01-02 03:04:05 UTC));
        insta::assert_snapshot!("fields_everywhere_probed", everywhere.probe(&schema).unwrap().unwrap().snapshot());
        let row = posts().key(RowKey::value(7)).probe(&schema).unwrap().unwrap();
        insta::assert_snapshot!("fields_of_a_row_probed", row.snapshot());
    }

    #[test]
    fn a_later_page_is_not_checked() {
        let later = posts().cursor("1000645e8f7a3c0000000000000000002a".parse().unwrap());
        assert!(!later.statement(&Schema::default()).unwrap().sql().contains("unknown"));
    }

    #[test]
    fn the_error_names_the_field_and_where_it_was_asked_for() {
        let told = |timeline: &Timeline, problem: &str| {
            let field = format!(r#"{{"field": "titel", "problem": "{problem}"}}"#);
            let nothing = format!(r#"{{"nothing": {{"captured": true, "missing": null, "field": {field}}}}}"#);
            let error = timeline.decode(vec![nothing]).unwrap_err();
            assert_eq!((error.setting(), error.column()), (Some("changed_field"), Some("titel")));
            format!("{} ({}, {:?})", error, error.code(), error.table())
        };
        let places = [
            Timeline::new(),
            Timeline::new().schema("app"),
            Timeline::new().table("posts"),
            posts(),
            posts().table("notes"),
        ];
        let mut lines: Vec<String> = places.iter().map(|timeline| told(timeline, "unknown")).collect();
        lines.extend(["excluded", "excepted"].map(|problem| told(&posts(), problem)));
        insta::assert_snapshot!("unknown_fields", lines.join("\n"));
    }

    #[test]
    fn a_table_that_is_not_captured_is_told_first() {
        let nothing =
            r#"{"nothing": {"captured": false, "missing": 0, "field": {"field": "titel", "problem": "unknown"}}}"#;
        assert!(posts().decode(vec![nothing.to_owned()]).unwrap_err().is_not_captured());
        let known = r#"{"nothing": {"captured": true, "missing": null, "field": null}}"#;
        assert!(posts().decode(vec![known.to_owned()]).unwrap().is_empty());
    }
}
