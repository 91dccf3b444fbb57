//! How changes are looked for: a function of the kernel takes the conditions, or the changes of one row are filtered.

use super::{
    conditions::{Conditions, PLACES},
    query::{ALL, NEWEST_FIRST},
};
use crate::{Error, Schema, quote_literal};

/// A search in tables, or everywhere.
pub(super) struct Search<'a> {
    pub(super) schema: &'a Schema,
    /// The recorded names of the tables, or NULL.
    pub(super) names: String,
    /// What the conditions are about, each an expression of type text.
    pub(super) params: Vec<String>,
    pub(super) since: String,
    pub(super) until: String,
}

impl Search<'_> {
    /// At most `limit` changes that meet the conditions, the newest; with a `field`, an expression, those that changed it.
    pub(super) fn changes(&self, conditions: &Conditions, field: Option<&str>, limit: &str) -> Result<String, Error> {
        let mut params = self.params.clone();
        let of_field = field.map(|field| {
            params.push(field.to_owned());
            conditions.with_field(&format!("${}", params.len()))
        });
        let conditions = of_field.as_ref().unwrap_or(conditions);
        // The conditions travel as text and read their values from an array.
        let text = |conditions: String| -> Result<String, Error> {
            let conditions = if conditions.is_empty() { "true".to_owned() } else { conditions };
            quote_literal(&in_places(&self.schema.expand(&conditions)))
        };
        let search = conditions.newest_transactions().map_or(Ok("NULL".to_owned()), text)?;
        let (on_change, on_both) = (text(conditions.of_change(&[]))?, text(conditions.of_change_in_reach())?);
        Ok(format!(
            "SELECT c.* FROM {{schema}}.find_changes({}, {search},\n        {on_change},\n        {on_both},\n        \
             ARRAY[{}]::text[], {}, {}, {limit}) AS c\n    {NEWEST_FIRST} LIMIT {limit}",
            self.names,
            params.join(", "),
            self.since,
            self.until,
        ))
    }
}

/// A search in the changes of one row, from a position on; each part is an expression.
pub(super) struct RowSearch {
    pub(super) schema: String,
    pub(super) table: String,
    pub(super) key: String,
    pub(super) at: String,
    pub(super) id: String,
}

impl RowSearch {
    /// At most `limit` changes that meet the conditions, the newest.
    pub(super) fn changes(&self, conditions: &Conditions, limit: &str) -> String {
        let Self { schema, table, key, at, id } = self;
        // What the filters leave over is not known beforehand.
        let (most, filters) = match conditions.of_change_and_transaction(&[]).as_str() {
            "" => (limit, String::new()),
            filters => (ALL, format!("\n    WHERE {filters}")),
        };
        format!(
            "SELECT c.* FROM {{schema}}.row_changes_before({schema}, {table},\n        \
             {{schema}}.row_key({schema}, {table}, {key}), {at}, {id}, {most}) AS c{filters}\n    {NEWEST_FIRST} LIMIT {limit}"
        )
    }

    /// What tells whether there can be such a row.
    pub(super) fn facts(&self) -> String {
        format!("{{schema}}.table_facts({}, {})", self.schema, self.table)
    }

    /// The recorded names of its table.
    pub(super) fn names(&self) -> String {
        format!(
            "coalesce((SELECT pg_catalog.jsonb_agg(pg_catalog.to_jsonb(n.*)) FROM {{schema}}.recorded_names({}, {}) AS n), '[]')",
            self.schema, self.table
        )
    }
}

/// Conditions as `find_changes` takes them, whose values are in an array that is the first parameter.
fn in_places(conditions: &str) -> String {
    let mut parts = conditions.split('$');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = part.split_at(digits);
        text.push_str(&format!("($1)[{number}]{rest}"));
    }
    PLACES.iter().fold(text, |text, (name, place)| text.replace(name, place))
}
