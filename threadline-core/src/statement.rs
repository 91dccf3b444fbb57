//! SQL text with its parameters.

use std::{borrow::Cow, fmt};

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
}
