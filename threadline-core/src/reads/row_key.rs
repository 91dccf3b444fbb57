//! Which row is meant.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::field_check::FieldProblem;
use crate::{Error, Json, bounds, error::Kind};

/// The key of one row: the key columns by name, or the bare value of a key of one column.
///
/// Values have the JSON type that `to_jsonb` gives the column: a number for integers and numeric, text for uuid and
/// timestamps.
///
/// # Examples
/// ```
/// use serde_json::json;
/// use threadline_core::RowKey;
///
/// let composite = RowKey::columns([("tenant", json!("acme")), ("number", json!(7))]);
/// let single = RowKey::value(7);
/// assert_eq!(RowKey::from(7), single);
/// assert_eq!(RowKey::from(json!({"tenant": "acme", "number": 7})), composite);
/// let of_a_change = RowKey::from_json(r#"{"id": 7}"#)?;
/// # Ok::<(), threadline_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowKey(Text);

/// The key as JSON text, so that no digit of a number is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Text {
    Columns(String),
    Value(String),
}

impl RowKey {
    /// The key columns by name.
    pub fn columns<N: Into<String>>(columns: impl IntoIterator<Item = (N, Value)>) -> Self {
        columns.into_iter().map(|(name, value)| (name.into(), value)).collect::<Map<_, _>>().into()
    }

    /// The value of a key of one column, whatever the column is called.
    pub fn value(value: impl Into<Value>) -> Self {
        Self(Text::Value(value.into().to_string()))
    }

    /// The key columns as the trail holds them, for example [`table_pk`](crate::AuditChange::table_pk).
    ///
    /// # Errors
    /// [`is_invalid_input`](Error::is_invalid_input) when the text is not a JSON object.
    pub fn from_json(json: &str) -> Result<Self, Error> {
        let parsed: Value = serde_json::from_str(json)
            .map_err(|error| Error::invalid_input("key", "is not JSON", EXAMPLE).with_source(error))?;
        match parsed {
            Value::Object(_) => Ok(Self(Text::Columns(json.to_owned()))),
            _ => Err(Error::invalid_input("key", "is not a JSON object", EXAMPLE)),
        }
    }

    /// The value of a key of one column, as JSON text.
    pub(super) fn value_json(json: &str) -> Self {
        Self(Text::Value(json.to_owned()))
    }

    /// The key as the parameter that the kernel's `row_key` takes.
    pub(super) fn parameter(&self) -> Result<&str, Error> {
        self.validate()?;
        let (Text::Columns(json) | Text::Value(json)) = &self.0;
        Ok(json)
    }

    fn validate(&self) -> Result<(), Error> {
        let (Text::Columns(json) | Text::Value(json)) = &self.0;
        let value: Value = serde_json::from_str(json)
            .map_err(|error| Error::invalid_input("key", "is not JSON", EXAMPLE).with_source(error))?;
        let problem = match (&self.0, &value) {
            (Text::Columns(_), Value::Object(columns)) if columns.is_empty() => "names no column",
            (Text::Columns(_), Value::Object(columns)) if columns.values().any(Value::is_null) => "has a null value",
            (Text::Value(_), Value::Null) => "is null",
            (Text::Value(_), Value::Object(_)) => "is an object where one value was expected",
            _ if bounds::json_has_nul(&value) => "contains a NUL character",
            _ => return Ok(()),
        };
        Err(Error::invalid_input("key", problem, EXAMPLE))
    }

    /// The columns and values of the key, for explaining why nothing was found.
    fn parts<'a>(&self, facts: &'a KeyFacts) -> Vec<(&'a str, Value)> {
        let known = |name: &str| facts.key_columns.iter().find(|column| *column == name).map(String::as_str);
        match &self.0 {
            Text::Columns(json) => serde_json::from_str::<BTreeMap<String, Value>>(json)
                .unwrap_or_default()
                .into_iter()
                .filter_map(|(name, value)| Some((known(&name)?, value)))
                .collect(),
            Text::Value(json) => {
                let value = serde_json::from_str(json).unwrap_or_default();
                facts.key_columns.first().map(|column| (column.as_str(), value)).into_iter().collect()
            }
        }
    }

    /// Explains why nothing was found, when the question was wrong.
    pub(super) fn explain(&self, schema: &str, table: &str, facts: &KeyFacts) -> Result<(), Error> {
        let wrong = |message: String, remedy: String| {
            Err(Error::new(Kind::InvalidInput, message)
                .setting_name("key")
                .table_name(schema, table)
                .remedy_text(remedy))
        };
        if !facts.captured {
            return Err(not_captured(schema, table));
        }
        let columns = facts.key_columns.join(", ");
        if facts.key_columns.is_empty() {
            return wrong(format!("{schema}.{table} has no key"), "Read its changes with a timeline".to_owned());
        }
        let fits = match &self.0 {
            Text::Columns(json) => {
                let given: BTreeMap<String, Value> = serde_json::from_str(json).unwrap_or_default();
                given.len() == facts.key_columns.len() && facts.key_columns.iter().all(|name| given.contains_key(name))
            }
            Text::Value(_) => facts.key_columns.len() == 1,
        };
        if !fits {
            return wrong(
                format!("the key does not have the columns of the key of {schema}.{table}"),
                format!("Give exactly {columns}"),
            );
        }
        for (column, value) in self.parts(facts) {
            let Some(type_name) = facts.column_types.get(column) else { continue };
            if let Some(expected) = mismatch(type_name, &value) {
                let message =
                    format!("the key's value for column {column} ({type_name}) of {schema}.{table} has the wrong form");
                return wrong(message, format!("Give {expected}")).map_err(|error: Error| error.column_name(column));
            }
        }
        Ok(())
    }
}

const EXAMPLE: &str = "Give the key columns as an object such as {\"id\": 7}, or one value";

/// What the statement tells about the table when a read found nothing.
#[derive(Debug, Deserialize)]
pub(super) struct KeyFacts {
    /// Whether the table is or was captured; of several, every one.
    pub(super) captured: bool,
    /// Which of several is not.
    #[serde(default, deserialize_with = "Option::deserialize")]
    pub(super) missing: Option<usize>,
    #[serde(default)]
    key_columns: Vec<String>,
    /// The names of the built-in types of the key columns, as far as they have such types.
    #[serde(default)]
    column_types: BTreeMap<String, String>,
    /// A field that no change can name.
    #[serde(default)]
    pub(super) field: Option<FieldProblem>,
}

impl KeyFacts {
    pub(super) fn has_key(&self) -> bool {
        !self.key_columns.is_empty()
    }
}

/// A table, or a schema without one captured, that the trail has never heard of; an empty name is one not said.
pub(super) fn not_captured(schema: &str, table: &str) -> Error {
    let remedy = "Check schema and name, or enable capture for it";
    let error = |message: String| Error::new(Kind::NotCaptured, message).remedy_text(remedy);
    match (schema, table) {
        (schema, "") => error(format!("no table of schema {schema} is captured")).setting_name("schema"),
        ("", table) => {
            error(format!("table {table} is not captured")).table_text(Some(table.to_owned())).setting_name("table")
        }
        (schema, table) => {
            error(format!("table {schema}.{table} is not captured")).table_name(schema, table).setting_name("table")
        }
    }
}

/// What to give instead, when no row's key can have this JSON value in a column of this type.
fn mismatch(type_name: &str, value: &Value) -> Option<&'static str> {
    match type_name {
        "int2" | "int4" | "int8" if !value.is_number() => Some("a JSON number"),
        // NaN and the infinities are text in JSON.
        "numeric" | "float4" | "float8" if !value.is_number() && !value.as_str().is_some_and(is_not_finite) => {
            Some("a JSON number")
        }
        "bool" if !value.is_boolean() => Some("true or false"),
        "uuid" if !value.as_str().is_some_and(is_canonical_uuid) => {
            Some("a JSON text with the uuid in lower case, with hyphens")
        }
        "text" | "varchar" | "bpchar" | "name" | "date" | "timestamp" | "timestamptz" if !value.is_string() => {
            Some("a JSON text")
        }
        _ => None,
    }
}

fn is_not_finite(text: &str) -> bool {
    matches!(text, "NaN" | "Infinity" | "-Infinity" | "-0")
}

fn is_canonical_uuid(text: &str) -> bool {
    text.len() == 36
        && text.char_indices().all(|(index, character)| match index {
            8 | 13 | 18 | 23 => character == '-',
            _ => character.is_ascii_digit() || ('a'..='f').contains(&character),
        })
}

/// An object is the key columns by name; anything else is the value of a key of one column.
impl From<Value> for RowKey {
    fn from(value: Value) -> Self {
        match value {
            Value::Object(columns) => columns.into(),
            value => Self::value(value),
        }
    }
}

/// The value of a key of one column.
macro_rules! from_value {
    ($($type:ty),*) => {$(
        impl From<$type> for RowKey {
            fn from(value: $type) -> Self {
                Self::value(value)
            }
        }
    )*};
}

from_value!(i16, i32, i64, u32, u64, &str, String, bool);

impl From<Map<String, Value>> for RowKey {
    fn from(columns: Map<String, Value>) -> Self {
        Self(Text::Columns(Value::Object(columns).to_string()))
    }
}

impl TryFrom<&Json> for RowKey {
    type Error = Error;

    fn try_from(json: &Json) -> Result<Self, Error> {
        Self::from_json(json.get())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn facts(columns: &[(&str, &str)]) -> KeyFacts {
        KeyFacts {
            captured: true,
            missing: None,
            field: None,
            key_columns: columns.iter().map(|(name, _)| (*name).to_owned()).collect(),
            column_types: columns.iter().map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned())).collect(),
        }
    }

    #[test]
    fn impossible_keys_are_refused_before_anything_is_read() {
        for key in [
            RowKey::columns::<&str>([]),
            RowKey::columns([("id", Value::Null)]),
            RowKey::columns([("id", json!("a\0"))]),
            RowKey::value(Value::Null),
            RowKey::value(json!({"id": 1})),
        ] {
            let error = key.parameter().unwrap_err();
            assert!(error.is_invalid_input());
            assert_eq!(error.setting(), Some("key"));
        }
        assert!(RowKey::from_json("7").unwrap_err().is_invalid_input());
        assert!(RowKey::from_json("{").unwrap_err().is_invalid_input());
    }

    #[test]
    fn digits_are_kept() {
        let key = RowKey::from_json(r#"{"id": 12345678901234567890.123456789}"#).unwrap();
        assert_eq!(key.parameter().unwrap(), r#"{"id": 12345678901234567890.123456789}"#);
    }

    #[test]
    fn an_empty_answer_explains_a_wrong_question() {
        let id = facts(&[("id", "int8")]);
        assert!(RowKey::value(7).explain("public", "posts", &id).is_ok());
        assert!(RowKey::columns([("id", json!(7))]).explain("public", "posts", &id).is_ok());

        let error = RowKey::value("7").explain("public", "posts", &id).unwrap_err();
        assert!(error.is_invalid_input());
        assert_eq!((error.column(), error.table(), error.setting()), (Some("id"), Some("public.posts"), Some("key")));

        let error = RowKey::columns([("key", json!(7))]).explain("public", "posts", &id).unwrap_err();
        assert!(error.to_string().contains("Give exactly id"), "{error}");
        let both = facts(&[("tenant", "text"), ("number", "int4")]);
        let error = RowKey::value(7).explain("public", "posts", &both).unwrap_err();
        assert!(error.to_string().contains("Give exactly tenant, number"), "{error}");

        let unknown = KeyFacts { captured: false, ..facts(&[]) };
        assert!(RowKey::value(7).explain("public", "postss", &unknown).unwrap_err().is_not_captured());
        assert!(RowKey::value(7).explain("public", "log", &facts(&[])).unwrap_err().to_string().contains("has no key"));
    }

    #[test]
    fn types_that_have_one_form_are_checked() {
        let uuid = "0190163d-8694-739b-aea5-966c26f8ad91";
        for (kind, good, bad) in [
            ("int4", json!(1), json!("1")),
            ("numeric", json!("NaN"), json!("1")),
            ("bool", json!(true), json!("t")),
            ("uuid", json!(uuid), json!(uuid.to_uppercase())),
            ("text", json!("1"), json!(1)),
        ] {
            assert_eq!(mismatch(kind, &good), None);
            assert!(mismatch(kind, &bad).is_some(), "{kind}");
        }
        assert_eq!(mismatch("inet", &json!("::1")), None);
    }
}
