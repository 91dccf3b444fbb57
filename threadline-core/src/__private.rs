//! What the macros expand to. Nothing here is part of the public interface.

use std::fmt::Display;
use std::future::Future;

use crate::AuditedTable;
pub use crate::{Action, AuditContext, Outcome};

/// Has the error type of a future's result, and never a value of it.
///
/// `audited!` makes the future first and returns this error, if there is one, from the function around it: that is how
/// the closure's error type becomes the function's.
pub fn error_of_future<F, T, E>(_: &F) -> Option<E>
where
    F: Future<Output = Result<T, E>>,
{
    None
}

/// As [`error_of_future`], of a result.
pub fn error_of_result<T, E>(_: &Result<T, E>) -> Option<E> {
    None
}

/// What the function around an `audited!` returns, when the closure's error type is to be taken from it.
#[diagnostic::on_unimplemented(
    message = "nothing tells the error type of this closure",
    label = "only `Ok(..)` here, and the function around `audited!` returns `{Self}`, which has no error type",
    note = "say it: `Ok::<_, YourError>(..)`"
)]
pub trait ErrorOfFunction<E> {
    /// The function's return value for this error.
    fn from_error(error: E) -> Self;
}

impl<T, E> ErrorOfFunction<E> for Result<T, E> {
    fn from_error(error: E) -> Self {
        Err(error)
    }
}

/// [`ErrorOfFunction::from_error`], for whatever the function around returns.
pub fn give_back<R: ErrorOfFunction<E>, E>(error: E) -> R {
    R::from_error(error)
}

/// The table that `SELECT .. FROM "schema"."table"` reads, which is how Diesel tells what its `table!` is called in SQL.
pub fn table_of_query(query: &impl Display, schema: Option<&str>) -> AuditedTable {
    let sql = query.to_string();
    let mut names = identifiers(sql.split_once(" FROM ").map_or("", |(_, from)| from));
    let table = names.pop().unwrap_or_default();
    let said = names.pop();
    AuditedTable::new(schema.or(said.as_deref()).unwrap_or("public"), table)
}

/// The quoted identifiers at the beginning of `sql`, joined by dots.
fn identifiers(sql: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut characters = sql.chars().peekable();
    while characters.next_if_eq(&'"').is_some() {
        let mut name = String::new();
        while let Some(character) = characters.next() {
            // Two quotes in a row are one of the name.
            if character == '"' && characters.next_if_eq(&'"').is_none() {
                break;
            }
            name.push(character);
        }
        names.push(name);
        if characters.next_if_eq(&'.').is_none() {
            break;
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(sql: &str) -> String {
        table_of_query(&sql, None).to_string()
    }

    #[test]
    fn the_table_of_a_query_is_found() {
        assert_eq!(table(r#"SELECT COUNT(*) FROM "posts" -- binds: []"#), "public.posts");
        assert_eq!(table(r#"SELECT COUNT(*) FROM "blog"."posts" -- binds: []"#), "blog.posts");
        assert_eq!(table(r#"SELECT COUNT(*) FROM "Odd. ""name"""."a"".""b" -- binds: []"#), r#"Odd. "name".a"."b"#);
        assert_eq!(table_of_query(&r#"SELECT 1 FROM "a"."b""#, Some("c")).to_string(), "c.b");
    }
}
