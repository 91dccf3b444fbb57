//! Table names as people write them in SQL.

use std::fmt;
use std::str::FromStr;

use threadline_core::quote_identifier;

/// A table as the user named it: with or without its schema, names as PostgreSQL stores them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableName {
    pub(crate) schema: Option<String>,
    pub(crate) table: String,
    /// How it was written, for messages.
    written: String,
}

impl TableName {
    /// A table of the manifest.
    pub(crate) fn stored(schema: &str, table: &str) -> Self {
        Self { schema: Some(schema.to_owned()), table: table.to_owned(), written: format!("{schema}.{table}") }
    }

    /// Whether unquoted letters were folded to lower case.
    pub(crate) fn was_folded(&self) -> bool {
        !self.written.contains('"') && self.written.bytes().any(|byte| byte.is_ascii_uppercase())
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl FromStr for TableName {
    type Err = String;

    fn from_str(written: &str) -> Result<Self, String> {
        let (first, rest) = identifier(written)?;
        let (schema, table) = match rest.strip_prefix('.') {
            None if rest.is_empty() => (None, first),
            None => return Err(needs_quotes(rest)),
            Some(rest) => match identifier(rest)? {
                (second, "") => (Some(first), second),
                (_, rest) if rest.starts_with('.') => {
                    return Err("it has more than two parts; write TABLE or SCHEMA.TABLE".to_owned());
                }
                (_, rest) => return Err(needs_quotes(rest)),
            },
        };
        for part in schema.iter().chain([&table]) {
            quote_identifier(part).map_err(|error| error.to_string())?;
        }
        let written = written.to_owned();
        Ok(Self { schema, table, written })
    }
}

/// The first identifier of a name, and what comes after it.
fn identifier(text: &str) -> Result<(String, &str), String> {
    if let Some(quoted) = text.strip_prefix('"') {
        return quoted_identifier(quoted);
    }
    let end = text.find(['.', '"']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let first = name.chars().next().ok_or("a part of it is empty; write TABLE or SCHEMA.TABLE")?;
    if first.is_ascii_digit() || first == '$' || !name.chars().all(is_plain) {
        return Err(needs_quotes(name));
    }
    // As PostgreSQL does in a UTF-8 database: other letters are left alone.
    Ok((name.to_ascii_lowercase(), rest))
}

/// What stands between double quotes, a doubled one meaning one.
fn quoted_identifier(text: &str) -> Result<(String, &str), String> {
    let mut name = String::new();
    let mut rest = text;
    loop {
        let end = rest.find('"').ok_or("a double quote is not closed")?;
        name.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                name.push('"');
                rest = after;
            }
            None => return Ok((name, rest)),
        }
    }
}

fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '$') || !character.is_ascii()
}

fn needs_quotes(part: &str) -> String {
    format!("{part} needs double quotes around it, and single ones around those in a shell: '\"My table\"'")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(written: &str) -> (Option<String>, String) {
        let name: TableName = written.parse().unwrap();
        (name.schema, name.table)
    }

    #[test]
    fn names_are_read_as_postgresql_reads_them() {
        for (written, schema, table) in [
            ("posts", None, "posts"),
            ("Posts", None, "posts"),
            ("billing.Invoices", Some("billing"), "invoices"),
            (r#""Posts""#, None, "Posts"),
            (r#""Odd ""name"""."T""#, Some(r#"Odd "name""#), "T"),
            (r#"app."dotted.name""#, Some("app"), "dotted.name"),
            ("Größe", None, "größe"),
            ("ÄRA", None, "Ära"),
            ("_a$1", None, "_a$1"),
        ] {
            assert_eq!(parts(written), (schema.map(str::to_owned), table.to_owned()), "{written}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for written in [
            "",
            ".",
            "a.",
            ".a",
            "a.b.c",
            "my table",
            "my-table",
            "1st",
            r#""open"#,
            r#""""#,
            r#""a"b"#,
            r#"a"b""#,
            "posts; DROP TABLE posts",
        ] {
            assert!(written.parse::<TableName>().is_err(), "{written}");
        }
        assert!("x".repeat(64).parse::<TableName>().is_err());
    }
}
