//! JSON as the trail stores it, with numbers kept as text.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::Error;

/// A JSON value of the trail, kept as text so that no number ever passes through a float.
///
/// # Examples
/// ```
/// use threadline_core::Json;
///
/// let json: Json = r#"{"price": 0.1000000000000000055}"#.parse()?;
/// assert_eq!(json.get(), r#"{"price": 0.1000000000000000055}"#);
///
/// #[derive(serde::Deserialize)]
/// struct Item<'a> { #[serde(borrow)] price: &'a serde_json::value::RawValue }
/// let item: Item<'_> = serde_json::from_str(json.get())?;
/// assert_eq!(item.price.get(), "0.1000000000000000055");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Json(Box<RawValue>);

impl Json {
    /// The JSON text.
    #[must_use]
    pub fn get(&self) -> &str {
        self.0.get()
    }

    /// Reads it into a type of yours.
    ///
    /// # Errors
    /// [`is_unreadable`](Error::is_unreadable) when the value does not fit the type; the source tells why.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_str(self.get()).map_err(|error| Error::unreadable("a JSON value of the trail", error))
    }

    pub(crate) fn from_text(text: String) -> Result<Self, Error> {
        RawValue::from_string(text).map(Self).map_err(|error| {
            Error::invalid_input("json", "is not valid JSON", "Give one JSON value").with_source(error)
        })
    }
}

impl std::str::FromStr for Json {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::from_text(text.to_owned())
    }
}

/// Compares the text; jsonb's text is canonical but for the scale of numbers.
impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Eq for Json {}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.get())
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.get())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_every_digit() {
        #[derive(Serialize, Deserialize)]
        struct Row {
            image: Option<Json>,
        }
        let text = r#"{"image":{"n": 12345678901234567890.12345678901234567890}}"#;
        let row: Row = serde_json::from_str(text).unwrap();
        assert_eq!(row.image.as_ref().unwrap().get(), r#"{"n": 12345678901234567890.12345678901234567890}"#);
        assert_eq!(serde_json::to_string(&row).unwrap(), text);
        assert!(serde_json::from_str::<Row>(r#"{"image":null}"#).unwrap().image.is_none());
    }

    #[test]
    fn text_that_is_not_json_is_refused() {
        assert!("{".parse::<Json>().unwrap_err().is_invalid_input());
    }
}
