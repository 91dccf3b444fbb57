//! Recognising the kernel's errors among the driver's.

use crate::{Error, Schema, error::Kind};

/// What a driver tells about a database error; an adapter fills in what its driver exposes.
///
/// # Examples
/// ```
/// use threadline_core::{DatabaseFacts, Error};
///
/// let facts = DatabaseFacts {
///     constraint: Some("threadline_missing_actor"),
///     message: "table public.posts requires an actor",
///     hint: Some("Begin the transaction with an audit context"),
///     ..DatabaseFacts::default()
/// };
/// let error = Error::from_database(facts).expect("an error of the kernel");
/// assert!(error.is_missing_actor());
///
/// // Everything else stays the driver's.
/// let facts = DatabaseFacts { constraint: Some("posts_pkey"), ..DatabaseFacts::default() };
/// assert!(Error::from_database(facts).is_none());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct DatabaseFacts<'a> {
    /// The five-character SQLSTATE.
    pub sqlstate: Option<&'a str>,
    /// The CONSTRAINT field: the one field by which kernel errors are told apart, since every driver exposes it.
    pub constraint: Option<&'a str>,
    /// The primary message.
    pub message: &'a str,
    /// The HINT field.
    pub hint: Option<&'a str>,
    /// The SCHEMA field.
    pub schema: Option<&'a str>,
    /// The TABLE field.
    pub table: Option<&'a str>,
    /// The COLUMN field.
    pub column: Option<&'a str>,
}

/// SQLSTATEs of a missing table, schema, function and column, in this order.
const MISSING_OBJECT: [&str; 4] = ["42P01", "3F000", "42883", "42703"];

impl Error {
    /// The kernel's error behind a driver's, or `None` when the error is not the kernel's.
    ///
    /// Recognised by the CONSTRAINT field alone, never by text, so it is safe to ask for every error of every statement,
    /// the user's own included. Attach the driver's error with [`with_source`](Self::with_source).
    #[must_use]
    pub fn from_database(facts: DatabaseFacts<'_>) -> Option<Self> {
        let code = facts.constraint?.strip_prefix("threadline_")?;
        let kind = match code {
            "missing_actor" => Kind::MissingActor,
            "malformed_context" => Kind::MalformedContext,
            "append_only" => Kind::AppendOnly,
            "invalid_policy" => Kind::InvalidPolicy,
            "unsupported_table" => Kind::UnsupportedTable,
            "unknown_column" => Kind::UnknownColumn,
            "truncate_refused" => Kind::TruncateRefused,
            "invalid_action" => Kind::InvalidAction,
            "not_captured" => Kind::NotCaptured,
            "column_redacted" => Kind::ColumnRedacted,
            "schema_changed" => Kind::SchemaChanged,
            // Raised by a newer kernel, or a constraint of the user that happens to start like ours.
            _ if facts.sqlstate.is_none_or(|state| state.starts_with("TL")) => Kind::UnknownKernelError,
            _ => return None,
        };
        let table = match (facts.schema, facts.table) {
            (Some(schema), Some(table)) => Some(format!("{schema}.{table}")),
            (None, Some(table)) => Some(table.to_owned()),
            (_, None) => None,
        };
        let mut error = Self::new(kind, facts.message).table_text(table);
        if let Some(hint) = facts.hint {
            error = error.remedy_text(hint);
        }
        if let Some(column) = facts.column {
            error = error.column_name(column);
        }
        Some(error)
    }

    /// As [`from_database`](Self::from_database), for an error of one of *our* statements: also recognises that the
    /// kernel is missing or too old.
    ///
    /// Do not ask this for the user's statements. A missing object counts only when the message names `schema`, because
    /// an operation may also name a table of the user that is gone.
    ///
    /// # Examples
    /// ```
    /// use threadline_core::{DatabaseFacts, Error, Schema};
    ///
    /// let facts = DatabaseFacts {
    ///     sqlstate: Some("42P01"),
    ///     message: r#"relation "threadline.audit_changes" does not exist"#,
    ///     ..DatabaseFacts::default()
    /// };
    /// let error = Error::from_own_statement(facts, &Schema::default()).expect("recognised");
    /// assert!(error.is_not_installed());
    /// ```
    #[must_use]
    pub fn from_own_statement(facts: DatabaseFacts<'_>, schema: &Schema) -> Option<Self> {
        if let Some(error) = Self::from_database(facts) {
            return Some(error);
        }
        let missing = facts.sqlstate.is_some_and(|state| MISSING_OBJECT.contains(&state));
        // Only the name is looked for, which is the same in every language the server may answer in.
        let name = schema.name();
        let ours = [format!("{name}."), format!("\"{name}\"")].iter().any(|name| facts.message.contains(name));
        (missing && ours).then(|| Self::not_installed(schema))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_the_kernel_is_recognised() {
        for code in [
            "missing_actor",
            "malformed_context",
            "append_only",
            "invalid_policy",
            "unsupported_table",
            "unknown_column",
            "truncate_refused",
            "invalid_action",
            "not_captured",
            "column_redacted",
            "schema_changed",
        ] {
            let constraint = format!("threadline_{code}");
            let facts = DatabaseFacts { constraint: Some(&constraint), message: "m", ..DatabaseFacts::default() };
            assert_eq!(Error::from_database(facts).unwrap().code(), code);
        }
    }

    #[test]
    fn table_and_column_are_passed_on() {
        let facts = DatabaseFacts {
            constraint: Some("threadline_unknown_column"),
            message: "no such column",
            schema: Some("public"),
            table: Some("posts"),
            column: Some("titel"),
            ..DatabaseFacts::default()
        };
        let error = Error::from_database(facts).unwrap();
        assert_eq!((error.table(), error.column()), (Some("public.posts"), Some("titel")));
    }

    #[test]
    fn a_constraint_of_the_user_is_left_alone() {
        let facts = DatabaseFacts {
            sqlstate: Some("23514"),
            constraint: Some("threadline_count_positive"),
            ..DatabaseFacts::default()
        };
        assert!(Error::from_database(facts).is_none());
    }

    #[test]
    fn a_newer_kernel_is_recognised_as_the_kernel() {
        let facts =
            DatabaseFacts { sqlstate: Some("TL099"), constraint: Some("threadline_later"), ..DatabaseFacts::default() };
        assert!(Error::from_database(facts).unwrap().is_unknown_kernel_error());
    }

    #[test]
    fn a_missing_table_of_the_user_is_not_a_missing_kernel() {
        let facts = DatabaseFacts {
            sqlstate: Some("42P01"),
            message: r#"relation "public.threadline_posts" does not exist"#,
            ..DatabaseFacts::default()
        };
        assert!(Error::from_own_statement(facts, &Schema::default()).is_none());
    }
}
