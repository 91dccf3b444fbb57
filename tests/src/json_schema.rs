//! As much of JSON Schema as the schemas of the book use. A keyword that is not known here is an error, so that nothing is
//! said in a schema that no test looks at.

#![allow(clippy::panic, reason = "a schema that cannot be read is a failed test")]

use serde_json::{Map, Value};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A schema with its definitions.
#[derive(Debug)]
pub struct JsonSchema(Value);

impl JsonSchema {
    /// The schema in this text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(serde_json::from_str(text).unwrap_or_else(|error| panic!("not JSON: {error}")))
    }

    /// What the value has that the schema does not allow, by place; nothing when it is valid.
    #[must_use]
    pub fn violations(&self, value: &Value) -> Vec<String> {
        let mut found = Vec::new();
        self.check(&self.0, value, "$", &mut found);
        found
    }

    fn check(&self, schema: &Value, value: &Value, place: &str, found: &mut Vec<String>) {
        let Value::Object(schema) = schema else { panic!("{place}: a schema is an object") };
        for (keyword, rule) in schema {
            let holds = match keyword.as_str() {
                "$schema" | "title" | "description" | "$defs" => true,
                "$ref" => {
                    self.check(self.definition(rule), value, place, found);
                    true
                }
                "type" => match rule {
                    Value::Array(types) => types.iter().any(|one| is_of_type(value, one)),
                    one => is_of_type(value, one),
                },
                "const" => value == rule,
                "enum" => rule.as_array().is_some_and(|values| values.contains(value)),
                "anyOf" => self.any(rule, value, place),
                "required" => {
                    for name in rule.as_array().into_iter().flatten().filter_map(Value::as_str) {
                        if value.as_object().is_some_and(|fields| !fields.contains_key(name)) {
                            found.push(format!("{place}: {name} is missing"));
                        }
                    }
                    true
                }
                "properties" => {
                    for (name, field) in value.as_object().into_iter().flatten() {
                        if let Some(rule) = rule.get(name) {
                            self.check(rule, field, &format!("{place}.{name}"), found);
                        }
                    }
                    true
                }
                "additionalProperties" => {
                    assert_eq!(rule, &Value::Bool(false), "{place}");
                    only_known(schema, value, place, found);
                    true
                }
                "items" => {
                    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(rule, item, &format!("{place}[{index}]"), found);
                    }
                    true
                }
                "format" => {
                    assert_eq!(rule, "date-time", "{place}");
                    value.as_str().is_none_or(|text| OffsetDateTime::parse(text, &Rfc3339).is_ok())
                }
                "pattern" => {
                    assert_eq!(rule, "^[0-9]+$", "{place}");
                    value.as_str().is_none_or(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
                }
                _ => panic!("{place}: the keyword {keyword} is not known here"),
            };
            if !holds {
                found.push(format!("{place}: {keyword} is {rule}, and this is {value}"));
            }
        }
    }

    fn definition(&self, reference: &Value) -> &Value {
        let name = reference.as_str().and_then(|text| text.strip_prefix("#/$defs/"));
        let definition = name.and_then(|name| self.0.get("$defs")?.get(name));
        definition.unwrap_or_else(|| panic!("{reference} leads nowhere"))
    }

    fn any(&self, schemas: &Value, value: &Value, place: &str) -> bool {
        schemas.as_array().into_iter().flatten().any(|schema| {
            let mut found = Vec::new();
            self.check(schema, value, place, &mut found);
            found.is_empty()
        })
    }
}

fn is_of_type(value: &Value, name: &Value) -> bool {
    match name.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        _ => panic!("the type {name} is not known here"),
    }
}

fn only_known(schema: &Map<String, Value>, value: &Value, place: &str, found: &mut Vec<String>) {
    let known = schema.get("properties");
    for name in value.as_object().into_iter().flat_map(Map::keys) {
        if known.is_none_or(|known| known.get(name).is_none()) {
            found.push(format!("{place}: {name} is not known"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_keyword_can_fail() {
        let schema = JsonSchema::new(
            r##"{"type": "object", "additionalProperties": false, "required": ["a"], "properties": {
                "a": {"$ref": "#/$defs/number"}, "b": {"enum": ["x"]}, "c": {"type": "array", "items": {"const": 1}},
                "d": {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}, "e": {"type": ["string", "null"],
                "pattern": "^[0-9]+$"}}, "$defs": {"number": {"type": "integer"}}}"##,
        );
        let good = json!({"a": 1, "b": "x", "c": [1, 1], "d": "2026-01-02T03:04:05.000006Z", "e": "7"});
        assert_eq!(schema.violations(&good), [""; 0]);
        assert_eq!(schema.violations(&json!({"a": 1, "d": null, "e": null})), [""; 0]);
        for bad in [
            json!([]),
            json!({}),
            json!({"a": "1"}),
            json!({"a": 1, "b": "y"}),
            json!({"a": 1, "c": [1, 2]}),
            json!({"a": 1, "d": "yesterday"}),
            json!({"a": 1, "e": "x"}),
            json!({"a": 1, "f": 1}),
        ] {
            assert_eq!(schema.violations(&bad).len(), 1, "{bad}");
        }
    }

    #[test]
    #[should_panic(expected = "maxLength is not known")]
    fn what_no_test_looks_at_is_not_said() {
        let _ = JsonSchema::new(r#"{"maxLength": 1}"#).violations(&json!("x"));
    }
}
