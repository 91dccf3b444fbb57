//! Rules for short texts that reach the trail: what is refused and how the refusal reads.

/// How long a text may be.
#[derive(Clone, Copy)]
pub(crate) enum Limit {
    Bytes(usize),
    Characters(usize),
}

/// Checks a one-line text such as an id or a name; the problem reads after its name, as in "is empty".
pub(crate) fn line(text: &str, limit: Limit) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("is empty".to_owned());
    }
    if text.contains('\0') {
        return Err("contains a NUL character".to_owned());
    }
    if text.chars().any(char::is_control) {
        return Err("contains a control character".to_owned());
    }
    length(text, limit)
}

/// Checks a longer text that may have several lines.
pub(crate) fn prose(text: &str, limit: Limit) -> Result<(), String> {
    if text.contains('\0') {
        return Err("contains a NUL character".to_owned());
    }
    length(text, limit)
}

fn length(text: &str, limit: Limit) -> Result<(), String> {
    match limit {
        Limit::Bytes(most) if text.len() > most => Err(format!("is longer than {most} bytes")),
        Limit::Characters(most) if text.chars().nth(most).is_some() => Err(format!("is longer than {most} characters")),
        Limit::Bytes(_) | Limit::Characters(_) => Ok(()),
    }
}

/// Whether a NUL character hides anywhere in a JSON value, where PostgreSQL's jsonb would refuse it.
pub(crate) fn json_has_nul(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::String(text) => text.contains('\0'),
        serde_json::Value::Array(items) => items.iter().any(json_has_nul),
        serde_json::Value::Object(fields) => {
            fields.iter().any(|(key, value)| key.contains('\0') || json_has_nul(value))
        }
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_is_one_printable_line() {
        let limit = Limit::Bytes(8);
        assert_eq!(line("req-7", limit), Ok(()));
        assert_eq!(line(" ", limit), Err("is empty".to_owned()));
        assert_eq!(line("a\0b", limit), Err("contains a NUL character".to_owned()));
        assert_eq!(line("a\nb", limit), Err("contains a control character".to_owned()));
        assert_eq!(line("éééé", limit), Ok(()));
        assert_eq!(line("ééééé", limit), Err("is longer than 8 bytes".to_owned()));
        assert_eq!(line("ééééé", Limit::Characters(4)), Err("is longer than 4 characters".to_owned()));
    }

    #[test]
    fn nul_is_found_in_depth() {
        assert!(json_has_nul(&json!({"a": [{"b": "x\0"}]})));
        assert!(json_has_nul(&json!({"a\0": 1})));
        assert!(!json_has_nul(&json!({"a": [1, null, "x"]})));
    }
}
