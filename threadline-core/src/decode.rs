//! Reading the rows that come back.

use serde::de::DeserializeOwned;

use crate::Error;

/// Reads one row; `what` names it in the error.
pub(crate) fn row<T: DeserializeOwned>(text: &str, what: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| Error::unreadable(what, error))
}

/// Reads the answer of a statement that returns exactly one row.
pub(crate) fn only_row<T: DeserializeOwned>(rows: &[String], what: &str) -> Result<T, Error> {
    match rows {
        [only] => row(only, what),
        _ => Err(Error::unreadable(what, format!("expected one row, got {}", rows.len()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_but_one_row_is_unreadable() {
        assert_eq!(only_row::<i64>(&["7".to_owned()], "an id").unwrap(), 7);
        assert!(only_row::<i64>(&[], "an id").unwrap_err().is_unreadable());
        assert!(only_row::<i64>(&["7".to_owned(), "8".to_owned()], "an id").unwrap_err().is_unreadable());
        let error = only_row::<i64>(&["\"secret\"".to_owned()], "an id").unwrap_err();
        assert!(error.is_unreadable() && !error.to_string().contains("secret"));
    }
}
