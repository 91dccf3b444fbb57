//! A row of an export as it travels: the columns of a change, its transaction and its action. What is made of them is made
//! here and not by the server, for which the same work costs several times as much.

use std::borrow::Cow;

use crate::Error;

/// How rows travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// In one text column: fields with a control character between them that neither JSON nor a number has in it. Texts are
    /// JSON strings; NULL is an empty field. Without the fields of transaction and action when they are those of the row
    /// before.
    Cursor,
    /// As lines of COPY in its text format.
    Copy,
}

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// Digits.
    Number,
    /// A word of the kernel's, or digits that JSON has as a string.
    Word,
    Json,
    /// Whatever somebody wrote.
    Text,
    Instant,
}

/// A column, under the name that it has in JSON as well.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) holds: Holds,
    /// The expression, where it is not the column itself.
    sql: Option<&'static str>,
}

const fn field(name: &'static str, holds: Holds) -> Field {
    Field { name, holds, sql: None }
}

/// Of a change, `c`.
pub(super) const CHANGE: [Field; 12] = [
    field("id", Holds::Number),
    field("transaction_id", Holds::Number),
    field("table_schema", Holds::Text),
    field("table_name", Holds::Text),
    field("op", Holds::Word),
    field("captured_at", Holds::Instant),
    field("table_pk", Holds::Json),
    field("previous_pk", Holds::Json),
    field("data_after", Holds::Json),
    Field { name: "changed_fields", holds: Holds::Json, sql: Some("pg_catalog.to_json(c.changed_fields)") },
    field("changed_from", Holds::Json),
    field("withheld", Holds::Text),
];

/// Of its transaction, `t`; all NULL when it has none any more.
pub(super) const TRANSACTION: [Field; 14] = [
    field("id", Holds::Number),
    field("xid", Holds::Word),
    field("occurred_at", Holds::Instant),
    field("actor_ref", Holds::Json),
    field("action_id", Holds::Number),
    field("correlation_id", Holds::Text),
    field("request_id", Holds::Text),
    field("job_id", Holds::Text),
    field("source", Holds::Text),
    field("remote_ip", Holds::Text),
    field("meta", Holds::Json),
    field("session_role", Holds::Text),
    field("current_role_name", Holds::Text),
    field("application_name", Holds::Text),
];

/// Of its action, `a`; all NULL when it has none.
pub(super) const ACTION: [Field; 12] = [
    field("id", Holds::Number),
    field("name", Holds::Text),
    field("actor_ref", Holds::Json),
    field("status", Holds::Word),
    field("verb", Holds::Text),
    field("category", Holds::Text),
    field("reason", Holds::Text),
    field("comment", Holds::Text),
    field("correlation_id", Holds::Text),
    field("request_id", Holds::Text),
    field("job_id", Holds::Text),
    field("recorded_at", Holds::Instant),
];

/// Between the fields of [`Form::Cursor`].
const UNIT_SEPARATOR: char = '\u{1f}';

impl Field {
    fn sql(&self, of: &str, form: Form) -> String {
        let column = self.sql.map_or_else(|| format!("{of}.{}", self.name), str::to_owned);
        match (self.holds, form) {
            (Holds::Number | Holds::Word | Holds::Json, _) | (Holds::Text, Form::Copy) => column,
            (Holds::Text, Form::Cursor) => format!("pg_catalog.to_json({column})"),
            // In UTC, and independent of DateStyle.
            (Holds::Instant, _) => format!("pg_catalog.to_json(pg_catalog.timezone(interval '0', {column}))"),
        }
    }

    /// The value in a field that came back.
    pub(super) fn read<'r>(&self, raw: &'r str, form: Form) -> Result<Option<Cow<'r, str>>, Error> {
        let value = match (form, self.holds) {
            (Form::Cursor, _) if raw.is_empty() => return Ok(None),
            (Form::Copy, _) if raw == "\\N" => return Ok(None),
            (Form::Copy, _) => unescaped(raw),
            (Form::Cursor, Holds::Text) => string(raw)?,
            (Form::Cursor, _) => Cow::Borrowed(raw),
        };
        Ok(Some(match (self.holds, value) {
            (Holds::Instant, Cow::Borrowed(value)) => Cow::Owned(instant(value)),
            (_, value) => value,
        }))
    }
}

/// What to select over `c`, `t` and `a`.
pub(super) fn columns(form: Form) -> String {
    let of = |name: &'static str, fields: &'static [Field]| fields.iter().map(move |field| field.sql(name, form));
    let (change, about) = (of("c", &CHANGE), of("t", &TRANSACTION).chain(of("a", &ACTION)));
    match form {
        Form::Copy => change.chain(about).collect::<Vec<_>>().join(",\n    "),
        Form::Cursor => {
            let about = format!("CASE WHEN c.is_next THEN {} END", together(about));
            together(change.chain([about]))
        }
    }
}

/// The fields in one text; concat() passes over NULL.
fn together(fields: impl Iterator<Item = String>) -> String {
    format!("pg_catalog.concat({})", fields.collect::<Vec<_>>().join(", E'\\x1f',\n    "))
}

/// The row in two parts: the fields of the change, and those of transaction and action, unless they are those of the row
/// before.
pub(super) fn split(row: &str, form: Form) -> Result<(&str, Option<&str>), Error> {
    let (at, _) = row.match_indices(separator(form)).nth(CHANGE.len() - 1).ok_or_else(unreadable)?;
    let about = &row[at + 1..];
    Ok((&row[..at], (!about.is_empty()).then_some(about)))
}

/// The fields in a part of a row, which has so many.
pub(super) fn fields<const N: usize>(part: &str, form: Form) -> Result<[&str; N], Error> {
    let mut fields = [""; N];
    let mut found = part.split(separator(form));
    for field in &mut fields {
        *field = found.next().ok_or_else(unreadable)?;
    }
    match found.next() {
        None => Ok(fields),
        Some(_) => Err(unreadable()),
    }
}

fn separator(form: Form) -> char {
    match form {
        Form::Cursor => UNIT_SEPARATOR,
        Form::Copy => '\t',
    }
}

pub(super) fn unreadable() -> Error {
    Error::unreadable("a row of an export", "it has other fields than were asked for")
}

/// What a JSON string says.
fn string(raw: &str) -> Result<Cow<'_, str>, Error> {
    match raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(plain) if !plain.contains('\\') => Ok(Cow::Borrowed(plain)),
        _ => serde_json::from_str(raw).map(Cow::Owned).map_err(|error| Error::unreadable("a text of an export", error)),
    }
}

/// A field of COPY without the backslashes that stand before what would end it.
fn unescaped(raw: &str) -> Cow<'_, str> {
    if !raw.contains('\\') {
        return Cow::Borrowed(raw);
    }
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw.chars();
    while let Some(character) = rest.next() {
        text.push(match character {
            '\\' => match rest.next() {
                Some('b') => '\u{8}',
                Some('f') => '\u{c}',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some('v') => '\u{b}',
                Some(other) => other,
                None => '\\',
            },
            other => other,
        });
    }
    Cow::Owned(text)
}

/// `"2026-01-02T03:04:05.6"`, in UTC, as the trail writes it.
fn instant(raw: &str) -> String {
    let text = raw.trim_matches('"');
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{seconds}.{fraction:0<6}Z")
}

#[cfg(test)]
#[path = "export_row_tests.rs"]
mod tests;
