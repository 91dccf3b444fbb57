//! The one place where identifiers and literals become SQL text.

use crate::Error;

/// The longest name PostgreSQL keeps, in bytes; longer ones are cut silently by the server, so they are refused here.
pub(crate) const MAX_IDENTIFIER_BYTES: usize = 63;

/// Quotes a name (schema, table, column) so that it can only ever be read as that one identifier.
///
/// The name is taken literally: its case is kept and a dot is part of the name, not a separator.
///
/// # Errors
/// [`is_invalid_input`](Error::is_invalid_input) when the name is empty, contains a NUL character, or is longer than
/// 63 bytes, which PostgreSQL would cut without a word.
///
/// # Examples
/// ```
/// use threadline_core::quote_identifier;
///
/// assert_eq!(quote_identifier("posts")?, r#""posts""#);
/// assert_eq!(quote_identifier(r#"Odd "name""#)?, r#""Odd ""name""""#);
/// assert!(quote_identifier("").is_err());
/// # Ok::<(), threadline_core::Error>(())
/// ```
pub fn quote_identifier(name: &str) -> Result<String, Error> {
    if name.is_empty() {
        return Err(Error::invalid_input("identifier", "is empty", "Name a schema, table or column"));
    }
    if name.contains('\0') {
        return Err(Error::invalid_input("identifier", "contains a NUL character", "Remove the NUL character"));
    }
    if name.len() > MAX_IDENTIFIER_BYTES {
        return Err(Error::invalid_input(
            "identifier",
            "is longer than 63 bytes",
            "Give the name as PostgreSQL stores it, cut to 63 bytes",
        ));
    }
    let mut quoted = String::with_capacity(name.len() + 2);
    quoted.push('"');
    for character in name.chars() {
        if character == '"' {
            quoted.push('"');
        }
        quoted.push(character);
    }
    quoted.push('"');
    Ok(quoted)
}

/// Quotes a text value as an `E'..'` literal, whose meaning does not depend on `standard_conforming_strings`.
///
/// The connection's `client_encoding` must be UTF-8, as it is with every Rust driver: some other encodings use the
/// backslash byte inside a character.
///
/// # Errors
/// [`is_invalid_input`](Error::is_invalid_input) when the value contains a NUL character, which PostgreSQL cannot store.
///
/// # Examples
/// ```
/// use threadline_core::quote_literal;
///
/// assert_eq!(quote_literal("it's")?, "E'it''s'");
/// assert_eq!(quote_literal(r"back\slash")?, r"E'back\\slash'");
/// # Ok::<(), threadline_core::Error>(())
/// ```
pub fn quote_literal(value: &str) -> Result<String, Error> {
    if value.contains('\0') {
        return Err(Error::invalid_input("literal", "contains a NUL character", "Remove the NUL character"));
    }
    let mut quoted = String::with_capacity(value.len() + 3);
    quoted.push_str("E'");
    for character in value.chars() {
        if character == '\'' || character == '\\' {
            quoted.push(character);
        }
        quoted.push(character);
    }
    quoted.push('\'');
    Ok(quoted)
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads the literal that `sql` begins with the way PostgreSQL's scanner does, and gives what follows it.
    pub(crate) fn scan_literal(sql: &str) -> Option<(String, &str)> {
        let mut rest = sql.strip_prefix("E'")?.char_indices().peekable();
        let mut value = String::new();
        loop {
            match rest.next()? {
                (_, '\'') if rest.peek().is_some_and(|(_, next)| *next == '\'') => {
                    rest.next();
                    value.push('\'');
                }
                (end, '\'') => return Some((value, sql.get(end + 3..)?)),
                // Only `\\` is ever written; every other escape would be a change of meaning.
                (_, '\\') => match rest.next()? {
                    (_, '\\') => value.push('\\'),
                    _ => return None,
                },
                (_, other) => value.push(other),
            }
        }
    }

    /// Reads text that is exactly one literal.
    fn read_literal(sql: &str) -> Option<String> {
        scan_literal(sql).filter(|(_, rest)| rest.is_empty()).map(|(value, _)| value)
    }

    fn read_identifier(sql: &str) -> Option<String> {
        let mut rest = sql.strip_prefix('"')?.chars().peekable();
        let mut name = String::new();
        loop {
            match rest.next()? {
                '"' if rest.peek() == Some(&'"') => {
                    rest.next();
                    name.push('"');
                }
                '"' => return rest.next().is_none().then_some(name),
                other => name.push(other),
            }
        }
    }

    proptest! {
        #[test]
        fn every_literal_reads_back_as_itself(value in "([^\\x00]|['\\\\\"$;\\-/*])*") {
            prop_assert_eq!(read_literal(&quote_literal(&value)?), Some(value));
        }

        #[test]
        fn every_identifier_reads_back_as_itself(name in "([a-zA-Z]|[\"'\\\\. é]){1,20}") {
            prop_assert_eq!(read_identifier(&quote_identifier(&name)?), Some(name));
        }

        #[test]
        fn different_values_never_share_a_literal(a in "['\\\\a]{0,6}", b in "['\\\\a]{0,6}") {
            prop_assert_eq!(a == b, quote_literal(&a)? == quote_literal(&b)?);
        }
    }

    #[test]
    fn a_literal_cannot_be_closed_from_inside() {
        for attack in ["'; DROP TABLE posts; --", r"\'; DROP TABLE posts; --", r"\\'", "''", r"\", "'"] {
            let quoted = quote_literal(attack).unwrap();
            assert_eq!(read_literal(&quoted).as_deref(), Some(attack), "{quoted}");
        }
    }

    #[test]
    fn nul_is_refused() {
        assert!(quote_literal("a\0b").unwrap_err().is_invalid_input());
        assert!(quote_identifier("a\0b").unwrap_err().is_invalid_input());
    }

    #[test]
    fn a_name_that_the_server_would_cut_is_refused() {
        assert!(quote_identifier(&"x".repeat(63)).is_ok());
        assert!(quote_identifier(&"x".repeat(64)).unwrap_err().is_invalid_input());
        assert!(quote_identifier(&"é".repeat(32)).unwrap_err().is_invalid_input());
    }
}
