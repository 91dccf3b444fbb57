//! SQL text with its parameters.

use std::{borrow::Cow, fmt};

use crate::quote_literal;

/// One SQL statement and its parameters, ready for a driver.
///
/// Every parameter is text (or NULL) and stands in the SQL as `$n::text::T`, so a driver binds strings and nothing
/// else. Every row that comes back has one column of type text. There is exactly one statement: it runs under the
/// extended protocol.
///
/// # Examples
/// ```
/// use threadline_core::Statement;
///
/// let statement = Statement::new("SELECT ($1::text::int + 1)::text").bind("41");
/// assert_eq!(statement.params(), [Some("41".to_owned())]);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Statement {
    sql: Cow<'static, str>,
    params: Vec<Option<String>>,
}

impl Statement {
    /// A statement without parameters.
    #[must_use]
    pub fn new(sql: impl Into<Cow<'static, str>>) -> Self {
        Self { sql: sql.into(), params: Vec::new() }
    }

    /// Adds the value of the next parameter, `$1` first.
    #[must_use]
    pub fn bind(mut self, value: impl Into<String>) -> Self {
        self.params.push(Some(value.into()));
        self
    }

    /// Adds the value of the next parameter, NULL when there is none.
    #[must_use]
    pub fn bind_option(mut self, value: Option<impl Into<String>>) -> Self {
        self.params.push(value.map(Into::into));
        self
    }

    /// The SQL text.
    #[must_use]
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// The parameters in order, `$1` first; `None` is NULL.
    #[must_use]
    pub fn params(&self) -> &[Option<String>] {
        &self.params
    }

    /// The SQL with the parameters written into it, for what knows none: COPY, and messages of several statements. `None`
    /// when the text has anything in it that this simple reading of SQL does not know for certain, or a value cannot be a
    /// literal.
    ///
    /// The values may hold keys and personal data: keep this text out of logs.
    ///
    /// # Examples
    /// ```
    /// use threadline_core::Statement;
    ///
    /// let statement = Statement::new("COPY (SELECT $1::text) TO STDOUT").bind("it's");
    /// assert_eq!(statement.with_literals().as_deref(), Some("COPY (SELECT E'it''s'::text) TO STDOUT"));
    /// ```
    #[must_use]
    pub fn with_literals(&self) -> Option<String> {
        let mut text = String::with_capacity(self.sql.len());
        let mut rest = self.sql();
        while let Some(at) = rest.find(['$', '\'', '"', '\\', '-', '/']) {
            text.push_str(&rest[..at]);
            rest = &rest[at..];
            let taken = match rest.as_bytes() {
                // A doubled quote closes one literal or name and opens the next.
                [quote @ (b'\'' | b'"'), tail @ ..] => {
                    let end = tail.iter().position(|byte| byte == quote)?;
                    let quoted = &rest[..end + 2];
                    if quoted.contains('\\') {
                        return None;
                    }
                    text.push_str(quoted);
                    quoted.len()
                }
                [b'$', tail @ ..] => {
                    let digits = tail.iter().take_while(|byte| byte.is_ascii_digit()).count();
                    let number: usize = rest[1..=digits].parse().ok()?;
                    match self.params.get(number.checked_sub(1)?)? {
                        Some(value) => text.push_str(&quote_literal(value).ok()?),
                        None => text.push_str("NULL"),
                    }
                    digits + 1
                }
                [b'\\', ..] | [b'-', b'-', ..] | [b'/', b'*', ..] => return None,
                _ => {
                    text.push_str(&rest[..1]);
                    1
                }
            };
            rest = &rest[taken..];
        }
        text.push_str(rest);
        Some(text)
    }
}

/// Shows the SQL and how many parameters there are, never their values: they may hold keys and personal data.
impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statement").field("sql", &self.sql).field("params", &self.params.len()).finish()
    }
}

#[cfg(test)]
impl Statement {
    /// The statement as the snapshots pin it, values included.
    pub(crate) fn snapshot(&self) -> String {
        let mut text = self.sql.trim_end().to_owned();
        for (index, param) in self.params.iter().enumerate() {
            let value = param.as_deref().map_or("NULL".to_owned(), |value| format!("{value:?}"));
            text.push_str(&format!("\n-- ${} = {value}", index + 1));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_value() {
        let statement = Statement::new("SELECT $1::text").bind("secret").bind_option(None::<String>);
        let shown = format!("{statement:?}");
        assert!(shown.contains("SELECT $1::text") && !shown.contains("secret"), "{shown}");
        assert_eq!(statement.params(), [Some("secret".to_owned()), None]);
    }

    #[test]
    fn parameters_become_literals() {
        let statement = Statement::new("SELECT f($1::text, $2::text::int - 1, $1::text)");
        assert_eq!(
            statement.bind("it's $2 \\").bind_option(None::<String>).with_literals().as_deref(),
            Some(r"SELECT f(E'it''s $2 \\'::text, NULL::text::int - 1, E'it''s $2 \\'::text)"),
        );
    }

    #[test]
    fn quoted_text_is_left_alone() {
        let statement = Statement::new(r#"SELECT "a$1""b".f('$1', 'it''s $1', $1::text)"#).bind("x");
        assert_eq!(statement.with_literals().as_deref(), Some(r#"SELECT "a$1""b".f('$1', 'it''s $1', E'x'::text)"#));
    }

    #[test]
    fn what_is_not_certain_has_no_literals() {
        for sql in [
            "SELECT $$x$$",
            "SELECT $tag$x$tag$",
            "SELECT $0",
            "SELECT $3",
            "SELECT 1 -- $1",
            "SELECT 1 /* $1 */",
            r"SELECT E'\'$1'",
            "SELECT 'open $1",
        ] {
            assert_eq!(Statement::new(sql).bind("a").bind("b").with_literals(), None, "{sql}");
        }
        assert_eq!(Statement::new("SELECT $1::text").bind("a\0b").with_literals(), None);
    }
}
