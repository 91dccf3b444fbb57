//! Row keys as people write them.

use std::str::FromStr;

use serde_json::Value;
use threadline_core::RowKey;

use crate::database::Database;
use crate::failure::Failure;
use crate::lookup::{self, Found, SingleKey};

/// The key columns as a JSON object, or the value of a key of one column.
#[derive(Clone, Debug)]
pub(crate) enum Key {
    Columns(RowKey),
    Value(String),
}

impl FromStr for Key {
    type Err = threadline_core::Error;

    fn from_str(text: &str) -> Result<Self, threadline_core::Error> {
        if text.trim_start().starts_with('{') {
            RowKey::from_json(text).map(Self::Columns)
        } else {
            Ok(Self::Value(text.to_owned()))
        }
    }
}

impl Key {
    /// The key as the trail holds it. Whether `7` is a number or a text is for the table to say.
    pub(crate) async fn resolve(&self, database: &Database, table: &Found) -> Result<RowKey, Failure> {
        let text = match self {
            Self::Columns(key) => return Ok(key.clone()),
            Self::Value(text) => text,
        };
        let value = match lookup::single_key(database, table).await? {
            SingleKey::Typed { type_name, built_in } => {
                lookup::cast(database, text, table, &type_name, built_in).await?
            }
            // The table is gone, or its key is not one column, which the read will say.
            SingleKey::Unknown => untyped(text),
        };
        Ok(RowKey::value(value))
    }
}

/// A number where it looks like one, else a text.
fn untyped(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(value @ (Value::Number(_) | Value::Bool(_))) => value,
        _ => Value::from(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_told_from_a_value() {
        assert!(matches!(r#" {"id": 7}"#.parse(), Ok(Key::Columns(_))));
        assert!(matches!("7".parse(), Ok(Key::Value(text)) if text == "7"));
        assert!(matches!("[1]".parse(), Ok(Key::Value(_))));
        assert!("{id: 7}".parse::<Key>().unwrap_err().is_invalid_input());
    }

    #[test]
    fn a_value_of_unknown_type_is_guessed() {
        assert_eq!(untyped("7"), Value::from(7));
        assert_eq!(untyped("7f"), Value::from("7f"));
        assert_eq!(untyped("true"), Value::from(true));
        assert_eq!(untyped("null"), Value::from("null"));
    }
}
