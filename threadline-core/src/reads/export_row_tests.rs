//! Rows as they come back.

use super::*;

fn read(holds: Holds, raw: &str, form: Form) -> Option<String> {
    field("x", holds).read(raw, form).unwrap().map(Cow::into_owned)
}

#[test]
fn nothing_is_told_from_an_empty_text() {
    assert_eq!(read(Holds::Text, "", Form::Cursor), None);
    assert_eq!(read(Holds::Text, "\"\"", Form::Cursor).as_deref(), Some(""));
    assert_eq!(read(Holds::Text, "\\N", Form::Copy), None);
    assert_eq!(read(Holds::Text, "", Form::Copy).as_deref(), Some(""));
    assert_eq!(read(Holds::Text, "\\\\N", Form::Copy).as_deref(), Some("\\N"));
}

#[test]
fn whatever_separates_comes_back_as_it_was() {
    let text = "a\u{1f}b\tc\n\"d\" \\n\u{8}";
    assert_eq!(read(Holds::Text, &serde_json::to_string(text).unwrap(), Form::Cursor).as_deref(), Some(text));
    let copied = "a\u{1f}b\\tc\\n\"d\" \\\\n\\b";
    assert_eq!(read(Holds::Text, copied, Form::Copy).as_deref(), Some(text));
    assert_eq!(read(Holds::Json, r#"{"a": "\\"b"}"#, Form::Copy).as_deref(), Some(r#"{"a": "\"b"}"#));
}

#[test]
fn instants_have_six_digits() {
    for (raw, written) in [
        ("\"2026-01-02T03:04:05\"", "2026-01-02T03:04:05.000000Z"),
        ("\"2026-01-02T03:04:05.6\"", "2026-01-02T03:04:05.600000Z"),
        ("\"2026-01-02T03:04:05.000001\"", "2026-01-02T03:04:05.000001Z"),
    ] {
        for form in [Form::Cursor, Form::Copy] {
            assert_eq!(read(Holds::Instant, raw, form).as_deref(), Some(written));
        }
    }
}

#[test]
fn another_number_of_fields_is_unreadable() {
    assert!(split("1\t2", Form::Copy).unwrap_err().is_unreadable());
    assert_eq!(fields::<2>("1\t2", Form::Copy).unwrap(), ["1", "2"]);
    assert!(fields::<2>("1", Form::Copy).unwrap_err().is_unreadable());
    assert!(fields::<2>("1\t2\t3", Form::Copy).unwrap_err().is_unreadable());
    assert!(field("x", Holds::Text).read("no string", Form::Cursor).unwrap_err().is_unreadable());
}
