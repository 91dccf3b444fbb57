//! Row images as objects of raw values.

use std::collections::BTreeMap;

use serde_json::{Value, value::RawValue};

use crate::{Error, Json};

/// The columns of an image, values as they are written.
type Columns = BTreeMap<String, Box<RawValue>>;

fn columns(image: &Json) -> Result<Columns, Error> {
    serde_json::from_str(image.get()).map_err(|error| Error::unreadable("an image of the trail", error))
}

fn image(columns: &Columns) -> Result<Json, Error> {
    let text = serde_json::to_string(columns).map_err(|error| Error::unreadable("an image of the trail", error))?;
    Json::from_text(text)
}

/// The image before a change: `after` with the prior values of the columns that changed.
pub(super) fn before(after: &Json, changed_from: &Json) -> Result<Json, Error> {
    undo(after, std::iter::once(changed_from))
}

/// The image before several changes, given from the latest to the earliest.
pub(super) fn undo<'a>(after: &Json, changes: impl Iterator<Item = &'a Json>) -> Result<Json, Error> {
    let mut row = columns(after)?;
    for changed_from in changes {
        row.extend(columns(changed_from)?);
    }
    image(&row)
}

/// Whether two images show the same values in the columns that both have.
pub(super) fn agree(one: &Json, other: &Json) -> Result<bool, Error> {
    let (one, other) = (columns(one)?, columns(other)?);
    let mut common = one.iter().filter_map(|(name, value)| Some((value, other.get(name)?)));
    Ok(common.all(|(a, b)| a.get() == b.get()))
}

/// Whether the image has this value in this column, as jsonb compares them: whatever the scale of a number and the order
/// of an object.
pub(super) fn has(image: &Json, column: &str, value: &Value) -> Result<bool, Error> {
    Ok(columns(image)?.get(column).is_some_and(|found| is_equal(found.get(), value)))
}

fn is_equal(text: &str, value: &Value) -> bool {
    match value {
        // Never as floats, in which different numbers are equal.
        Value::Number(number) => {
            let number = number.to_string();
            let (one, other) = (without_scale(text), without_scale(&number));
            one.as_deref().unwrap_or(text) == other.as_deref().unwrap_or(&number)
        }
        value => serde_json::from_str::<Value>(text).is_ok_and(|found| found == *value),
    }
}

/// A text that equal keys share, whatever the order and spacing of the object and the scale of its numbers: PostgreSQL
/// takes 1.0 and 1.00 for the same key.
pub(super) fn canonical_key(key: &Json) -> Result<String, Error> {
    let mut columns = columns(key)?;
    for value in columns.values_mut() {
        if let Some(plain) = without_scale(value.get()) {
            *value = RawValue::from_string(plain).map_err(|error| Error::unreadable("a key of the trail", error))?;
        }
    }
    serde_json::to_string(&columns).map_err(|error| Error::unreadable("a key of the trail", error))
}

/// A jsonb number without trailing zeros after the point; `None` for everything that has none.
fn without_scale(value: &str) -> Option<String> {
    let number = value.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    if !number || !value.contains('.') || value.contains(['e', 'E']) {
        return None;
    }
    Some(value.trim_end_matches('0').trim_end_matches('.').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        text.parse().unwrap()
    }

    #[test]
    fn undoing_goes_back_change_by_change() {
        let live = json(r#"{"id": 1, "n": 3.10, "title": "c"}"#);
        let (later, earlier) = (json(r#"{"n": 2.00}"#), json(r#"{"n": 1, "title": "a"}"#));
        let image = undo(&live, [&later, &earlier].into_iter()).unwrap();
        assert_eq!(image.get(), r#"{"id":1,"n":1,"title":"a"}"#);
        assert_eq!(before(&live, &later).unwrap().get(), r#"{"id":1,"n":2.00,"title":"c"}"#);
    }

    #[test]
    fn images_agree_on_what_both_have() {
        assert!(agree(&json(r#"{"a": 1, "b": 2}"#), &json(r#"{"b": 2}"#)).unwrap());
        assert!(!agree(&json(r#"{"a": 1, "b": 2}"#), &json(r#"{"b": 3}"#)).unwrap());
    }

    #[test]
    fn equal_keys_share_a_text() {
        for (one, other) in [
            (r#"{"a": 1.0, "b": "x"}"#, r#"{"b":"x","a":1.00}"#),
            (r#"{"a": 10}"#, r#"{"a": 10.0}"#),
            (r#"{"a": -0.50}"#, r#"{"a": -0.5}"#),
        ] {
            assert_eq!(canonical_key(&json(one)).unwrap(), canonical_key(&json(other)).unwrap());
        }
        assert_ne!(canonical_key(&json(r#"{"a": 1}"#)).unwrap(), canonical_key(&json(r#"{"a": 10}"#)).unwrap());
        assert_ne!(canonical_key(&json(r#"{"a": "1.0"}"#)).unwrap(), canonical_key(&json(r#"{"a": "1.00"}"#)).unwrap());
    }

    #[test]
    fn a_column_has_a_value_as_jsonb_compares_them() {
        let image =
            json(r#"{"n": 7.00, "big": 12345678901234567891, "t": "7", "o": {"b": 1, "a": [true]}, "x": null}"#);
        for (column, value, expected) in [
            ("n", serde_json::json!(7), true),
            ("n", serde_json::json!(70), false),
            ("n", serde_json::json!("7"), false),
            ("big", serde_json::json!(12345678901234567891u64), true),
            ("big", serde_json::json!(12345678901234567890u64), false),
            ("t", serde_json::json!("7"), true),
            ("t", serde_json::json!(7), false),
            ("o", serde_json::json!({"a": [true], "b": 1}), true),
            ("x", serde_json::json!(false), false),
            ("absent", serde_json::json!(1), false),
        ] {
            assert_eq!(has(&image, column, &value).unwrap(), expected, "{column} {value}");
        }
    }

    #[test]
    fn an_image_that_is_no_object_is_unreadable() {
        assert!(before(&json("[]"), &json("{}")).unwrap_err().is_unreadable());
    }
}
