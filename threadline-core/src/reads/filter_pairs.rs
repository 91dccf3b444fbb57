//! Filters of changes as names and values.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    filters::TableFilter,
    pairs::{self, Name, actor, actor_text, moment, number},
    row_history::page_limit,
    row_key::RowKey,
    timeline::Timeline,
};
use crate::{ActionId, Error, TransactionId, instant};

/// What a read of changes can be asked by.
const FILTERS: [Name; 18] = [
    ("table", true),
    ("schema", false),
    ("key", false),
    ("op", true),
    ("changed_field", true),
    ("actor", false),
    ("action", false),
    ("action_id", false),
    ("action_category", false),
    ("action_status", false),
    ("correlation_id", false),
    ("request_id", false),
    ("job_id", false),
    ("transaction_id", false),
    ("since", false),
    ("until", false),
    ("limit", false),
    ("cursor", false),
];

impl Timeline {
    /// The timeline that names and values ask for, such as those of a query string or a form. For counts and exports too:
    /// [`CountChanges::of`](crate::CountChanges::of) and [`Export::new`](crate::Export::new) take a timeline.
    ///
    /// | name | value |
    /// |---|---|
    /// | `table` | `posts` or `billing.invoices`, as they are called; double quotes around a name that has a dot or a quote in it |
    /// | `schema` | the name |
    /// | `key` | the key columns as a JSON object, or the value of a key of one column: a number, `true`, a text; `"7"` in double quotes where the text looks like a number |
    /// | `op` | `insert`, `update`, `delete` or `truncate` |
    /// | `changed_field` | the column |
    /// | `actor` | `user:42`, `anonymous`, an actor ref as JSON, or `nobody` for changes that nobody was named for |
    /// | `action`, `action_category`, `correlation_id`, `request_id`, `job_id` | the text |
    /// | `action_status` | `ok` or `error` |
    /// | `transaction_id`, `action_id` | the number |
    /// | `since`, `until` | an instant with its offset from UTC: `2026-11-23T15:04:05Z` |
    /// | `limit`, `cursor` | of the page |
    ///
    /// `table`, `op` and `changed_field` may be said again, and mean any of the values. A scope is not among them: that is not
    /// for the asker to say.
    ///
    /// # Errors
    /// [`is_invalid_input`](Error::is_invalid_input), and [`setting`](Error::setting) names the filter, when a name is not
    /// known, comes twice, or has a value that is empty, malformed or too long.
    ///
    /// # Examples
    /// ```
    /// use threadline_core::Timeline;
    ///
    /// // From https://example.com/audit?table=posts&op=update&op=delete&actor=user:42
    /// let asked = [("table", "posts"), ("op", "update"), ("op", "delete"), ("actor", "user:42")];
    /// let timeline = Timeline::from_pairs(asked)?;
    /// assert_eq!(timeline.to_pairs()?, asked.map(|(name, value)| (name, value.to_owned())));
    ///
    /// let error = Timeline::from_pairs([("actor", "robot:42")]).unwrap_err();
    /// assert_eq!(error.setting(), Some("actor"));
    /// let error = Timeline::from_pairs([("tabel", "posts")]).unwrap_err();
    /// assert!(error.to_string().starts_with(r#""tabel" is not a filter. Use table, schema, key, op, "#));
    /// # Ok::<(), threadline_core::Error>(())
    /// ```
    pub fn from_pairs<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Result<Self, Error>
    where
        N: AsRef<str>,
        V: AsRef<str>,
    {
        let mut timeline = Self::new();
        for pair in pairs::checked(&FILTERS, pairs) {
            let (name, value) = pair?;
            timeline = timeline.with_pair(name, value.as_ref())?;
        }
        timeline.filters.validate_values()?;
        Ok(timeline)
    }

    fn with_pair(mut self, name: &'static str, value: &str) -> Result<Self, Error> {
        Ok(match name {
            "table" => {
                self.filters.tables.push(table(value)?);
                self
            }
            "schema" => self.schema(value),
            "key" => self.key(key(value)?),
            "op" => self.op(value.trim().parse()?),
            "changed_field" => self.changed_field(value),
            "actor" => self.actor(actor(value)?.as_ref()),
            "action" => self.action(value),
            "action_id" => self.action_id(ActionId(number(name, value)?)),
            "action_category" => self.action_category(value),
            "action_status" => self.action_status(value.trim().parse()?),
            "correlation_id" => self.correlation_id(value),
            "request_id" => self.request_id(value),
            "job_id" => self.job_id(value),
            "transaction_id" => self.transaction_id(TransactionId(number(name, value)?)),
            "since" => self.since(moment(name, value)?),
            "until" => self.until(moment(name, value)?),
            "limit" => {
                let limit = number(name, value)?;
                page_limit(limit, Self::MAX_LIMIT)?;
                self.limit(limit)
            }
            "cursor" => self.cursor(value.trim().parse()?),
            _ => return Err(pairs::unknown(name, &FILTERS)),
        })
    }

    /// What [`from_pairs`](Self::from_pairs) reads back as the same timeline, for a link to it or to its next page. Without
    /// the scope.
    ///
    /// # Errors
    /// [`is_invalid_input`](Error::is_invalid_input) for a value that is out of bounds.
    pub fn to_pairs(&self) -> Result<Vec<(&'static str, String)>, Error> {
        let filters = &self.filters;
        filters.validate_values()?;
        let mut pairs = Vec::new();
        pairs.extend(filters.tables.iter().map(|table| ("table", table_text(table))));
        pairs.extend(filters.schema.clone().map(|schema| ("schema", schema)));
        if let Some(key) = &filters.key {
            pairs.push(("key", key.parameter()?.to_owned()));
        }
        pairs.extend(filters.ops.iter().map(|op| ("op", op.to_string())));
        pairs.extend(filters.changed_fields.iter().map(|column| ("changed_field", column.clone())));
        pairs.extend(filters.actor.as_ref().map(|actor| ("actor", actor_text(actor.as_ref()))));
        let number = |number: i64| number.to_string();
        let texts = [
            ("action", filters.action.clone()),
            ("action_id", filters.action_id.map(|id| number(id.get()))),
            ("action_category", filters.action_category.clone()),
            ("action_status", filters.action_status.map(|status| status.as_str().to_owned())),
            ("correlation_id", filters.correlation_id.clone()),
            ("request_id", filters.request_id.clone()),
            ("job_id", filters.job_id.clone()),
            ("transaction_id", filters.transaction.map(|id| number(id.get()))),
            ("since", filters.since.map(|at| instant::exact(at, "since")).transpose()?),
            ("until", filters.until.map(|at| instant::exact(at, "until")).transpose()?),
            ("limit", self.limit.map(|limit| limit.to_string())),
            ("cursor", self.cursor.map(|cursor| cursor.to_string())),
        ];
        pairs.extend(texts.into_iter().filter_map(|(name, value)| Some((name, value?))));
        Ok(pairs)
    }
}

fn key(value: &str) -> Result<RowKey, Error> {
    let json = value.trim();
    let is_scalar = |json: &str| {
        matches!(serde_json::from_str(json), Ok(serde_json::Value::Number(_) | serde_json::Value::Bool(_)))
    };
    let key = if json.starts_with('{') {
        RowKey::from_json(json)?
    } else if json.starts_with(['"', '[']) || is_scalar(json) {
        RowKey::value_json(json)
    } else {
        RowKey::value(value)
    };
    key.parameter()?;
    Ok(key)
}

fn table(value: &str) -> Result<TableFilter, Error> {
    let wrong = |problem: &str| {
        Error::invalid_input("table", problem, "Give table or schema.table, double quotes around what has a dot in it")
    };
    let (first, rest) = name(value).ok_or_else(|| wrong("is not a name"))?;
    if rest.is_empty() {
        return Ok(TableFilter { schema: None, table: first });
    }
    match rest.strip_prefix('.').and_then(name) {
        Some((table, "")) => Ok(TableFilter { schema: Some(first), table }),
        Some(_) => Err(wrong("has more than two parts")),
        None => Err(wrong("is not a name")),
    }
}

/// The name at the beginning of a text, and what comes after it.
fn name(text: &str) -> Option<(String, &str)> {
    let Some(mut rest) = text.strip_prefix('"') else {
        let (name, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
        return (!name.is_empty() && !name.contains('"')).then(|| (name.to_owned(), rest));
    };
    let mut name = String::new();
    loop {
        let (part, after) = rest.split_once('"')?;
        name.push_str(part);
        match after.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return Some((name, after)),
        }
    }
}

fn table_text(table: &TableFilter) -> String {
    let name = |name: &str| match name.contains(['.', '"']) || name.trim().is_empty() {
        true => format!("\"{}\"", name.replace('"', "\"\"")),
        false => name.to_owned(),
    };
    match &table.schema {
        Some(schema) => format!("{}.{}", name(schema), name(&table.table)),
        None => name(&table.table),
    }
}

/// The names and values of [`from_pairs`](Self::from_pairs): of a query string, or an object of texts in which what may be
/// said again can be a list. Unknown names are refused.
impl<'de> Deserialize<'de> for Timeline {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        pairs::deserialize(deserializer, "filters of a timeline and their values", Self::from_pairs)
    }
}

/// As [`to_pairs`](Self::to_pairs), with a list where something is said again.
impl Serialize for Timeline {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        pairs::serialize(self.to_pairs(), serializer)
    }
}

#[cfg(test)]
#[path = "filter_pairs_tests.rs"]
mod tests;
