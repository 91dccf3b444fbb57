//! SQL that turns replayed images back into rows, and compares them with the rows they must be.

use super::sql::{SCHEMA, ident, literal};
use super::table::{Column, Table};
use super::types::Compare;

/// The table that keeps copies of the rows of the table with index `at`, each with the moment it was taken at.
#[must_use]
pub fn copies_table(at: usize) -> String {
    format!("{SCHEMA}.\"copies of {at}\"")
}

/// Copies the rows of a table as they are at a moment.
#[must_use]
pub fn copy_rows(table: &Table, at: usize, moment: usize) -> String {
    format!("INSERT INTO {} SELECT {moment}, copied_row FROM {} AS copied_row", copies_table(at), table.sql())
}

/// A query whose `$1` is the replayed images of a table as a JSON array. It returns the rows that differ from the copy
/// taken at a moment, as text: what the table had, and what the replay has.
#[must_use]
pub fn differences(table: &Table, at: usize, moment: usize) -> String {
    let live = expressions(table, |name| format!("(s.\"row\").{name}"), false);
    let replayed = expressions(table, |name| format!("r.{name}"), true);
    let aliases: Vec<String> = (0..live.len()).map(|n| format!("c{n}")).collect();
    let select = |expressions: &[String]| {
        let columns: Vec<String> =
            expressions.iter().zip(&aliases).map(|(expression, alias)| format!("{expression} AS {alias}")).collect();
        columns.join(", ")
    };
    let numbered = |from: &str, expressions: &[String]| {
        format!(
            "(SELECT row_number() OVER (ORDER BY q::text COLLATE \"C\") AS n, q.* FROM (SELECT {} FROM {from}) AS q)",
            select(expressions)
        )
    };
    let row = |alias: &str| {
        format!("ROW({})", aliases.iter().map(|name| format!("{alias}.{name}")).collect::<Vec<_>>().join(", "))
    };
    let stored: Vec<String> =
        table.columns.iter().filter(|column| is_json(column)).map(|column| literal(&column.name)).collect();
    let images = format!(
        "jsonb_array_elements($1::text::jsonb) AS e (image), LATERAL jsonb_populate_record(NULL::{}, e.image - ARRAY[{}]::text[]) AS r",
        table.sql(),
        stored.join(", ")
    );
    format!(
        "SELECT {}::text, {}::text FROM {} AS l FULL JOIN {} AS p USING (n) WHERE l.n IS NULL OR p.n IS NULL OR {}::record *<> {}::record LIMIT 3",
        row("l"),
        row("p"),
        numbered(&format!("{} AS s WHERE s.moment = {moment}", copies_table(at)), &live),
        numbered(&images, &replayed),
        row("l"),
        row("p"),
    )
    // A missing side shows as a row of NULLs.
    .replace(" USING (n)", " ON l.n = p.n")
}

/// The rows of a table as texts, sorted: what two runs of one script must agree in.
#[must_use]
pub fn rows_as_text(table: &Table) -> String {
    let columns: Vec<String> = table.columns.iter().map(|column| format!("t.{}", ident(&column.name))).collect();
    format!("SELECT ROW({})::text COLLATE \"C\" FROM {} AS t ORDER BY 1", columns.join(", "), table.sql())
}

fn is_json(column: &Column) -> bool {
    matches!(column.compare(), Compare::Json | Compare::Jsonb)
}

/// The values that are compared, one or more for each column.
fn expressions(table: &Table, value: impl Fn(&str) -> String, from_image: bool) -> Vec<String> {
    let mut expressions = Vec::new();
    for column in &table.columns {
        let name = ident(&column.name);
        let value = value(&name);
        let image = format!("e.image -> {}", literal(&column.name));
        match column.compare() {
            Compare::Image => expressions.push(value),
            Compare::Array => expressions.push(format!("({value})[:]")),
            Compare::Json if from_image => expressions.push(format!("(e.image ->> {})::json", literal(&column.name))),
            Compare::Jsonb if from_image => expressions.push(format!(
                "CASE WHEN jsonb_typeof({image}) = 'object' AND ({image}) ? 'threadline.json' THEN {image} -> 'threadline.json' ELSE NULLIF({image}, 'null') END"
            )),
            Compare::Json => expressions.push(format!("({value})::json")),
            Compare::Jsonb => expressions.push(format!("({value})::jsonb")),
            Compare::Fields(fields) => {
                expressions.push(format!("({value})::text"));
                // A domain over a composite shows its fields only as the composite.
                expressions.extend(fields.iter().map(|field| format!("(({value})::{SCHEMA}.pair).{}", ident(field))));
            }
            Compare::Text => expressions.push(format!("({value})::text")),
        }
    }
    expressions
}
