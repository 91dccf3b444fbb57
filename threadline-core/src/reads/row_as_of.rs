//! What as-of answers: a row, and how it is known.

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

/// A row as it was at an instant, and whether the trail holds it so or it was rebuilt.
///
/// It can be used as the row itself; [`row`](Self::row) takes it out.
///
/// # Examples
/// ```
/// use threadline_core::{Json, Origin, RowAsOf};
///
/// let answer = r#"{"row": {"id": 7, "title": "Ship it"}, "origin": "reconstructed"}"#;
/// let then: RowAsOf<Json> = serde_json::from_str(answer)?;
/// assert_eq!(then.get(), r#"{"id": 7, "title": "Ship it"}"#);
/// assert_eq!(then.origin, Origin::Reconstructed);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RowAsOf<T> {
    /// The row.
    pub row: T,
    /// How it is known.
    pub origin: Origin,
}

/// How a row of the past is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Origin {
    /// The trail holds the row as the last change at or before the instant left it.
    Image,
    /// No image of that instant is kept, because the table's images are lean or the row is older than capture: it was
    /// rebuilt from a later image or the live row, by undoing the changes in between.
    ///
    /// Columns that are not captured, or were added since, have the value they had later, as far as they are shown at all.
    Reconstructed,
}

impl<T> RowAsOf<T> {
    /// Joins a row and how it is known; for adapters.
    pub fn new(row: T, origin: Origin) -> Self {
        Self { row, origin }
    }

    /// The same with something else made of the row.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> RowAsOf<U> {
        RowAsOf { row: make(self.row), origin: self.origin }
    }
}

impl<T> Deref for RowAsOf<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.row
    }
}

impl Origin {
    /// `image` or `reconstructed`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Reconstructed => "reconstructed",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_in_json_are_those_that_are_shown() {
        for origin in [Origin::Image, Origin::Reconstructed] {
            assert_eq!(serde_json::to_string(&origin).unwrap(), format!("\"{origin}\""));
        }
    }

    #[test]
    fn what_is_made_of_a_row_is_known_as_the_row_is() {
        let row = RowAsOf::new("7", Origin::Reconstructed).map(str::len);
        assert_eq!((*row, row.origin), (1, Origin::Reconstructed));
    }
}
