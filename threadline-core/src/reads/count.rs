//! How many changes there are.

use serde::{Deserialize, Serialize};

use super::{
    query::{self, Query},
    row_key::KeyFacts,
    scope::{Scope, ScopedRead},
    timeline::Timeline,
};
use crate::{Error, Operation, Schema, Statement, decode};

/// How many changes match the filters of a timeline, counted up to a cap.
///
/// # Examples
/// ```
/// use threadline_core::{CountChanges, Operation, Schema, Timeline};
///
/// let count = CountChanges::of(Timeline::new().table("posts")).cap(1_000);
/// let answer = count.decode(vec![r#"{"count": 1001, "nothing": null}"#.to_owned()])?;
/// assert_eq!(answer.to_string(), "more than 1000");
/// assert!(answer.is_capped());
/// # Ok::<(), threadline_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct CountChanges {
    timeline: Timeline,
    cap: u32,
}

impl CountChanges {
    /// How far is counted unless said otherwise.
    pub const DEFAULT_CAP: u32 = 10_000;
    /// How far can be counted at most.
    pub const MAX_CAP: u32 = 10_000_000;

    /// How many changes match these filters.
    pub fn of(timeline: Timeline) -> Self {
        Self { timeline, cap: Self::DEFAULT_CAP }
    }

    /// Counts so far and no further, 1 to 10,000,000; 10,000 unless said.
    pub fn cap(mut self, cap: u32) -> Self {
        self.cap = cap;
        self
    }
}

/// A number of changes, or that there are more than were counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChangeCount {
    /// How many there are; when capped, the cap.
    pub count: u64,
    /// Whether there are more.
    #[serde(rename = "capped")]
    pub is_more: bool,
}

impl ChangeCount {
    /// Whether there are more than were counted.
    #[must_use]
    pub fn is_capped(&self) -> bool {
        self.is_more
    }
}

impl std::fmt::Display for ChangeCount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let more = if self.is_more { "more than " } else { "" };
        write!(f, "{more}{}", self.count)
    }
}

#[derive(Deserialize)]
struct Answer {
    count: u64,
    nothing: Option<KeyFacts>,
}

impl Operation for CountChanges {
    type Output = ChangeCount;

    fn statement(&self, schema: &Schema) -> Result<Statement, Error> {
        if !(1..=Self::MAX_CAP).contains(&self.cap) {
            let problem = format!("is not within 1 to {}", Self::MAX_CAP);
            return Err(Error::invalid_input("cap", &problem, "Say how far to count"));
        }
        Query::new(schema, self.timeline.without_page()?)?.count(self.cap)
    }

    fn decode(&self, rows: Vec<String>) -> Result<ChangeCount, Error> {
        let answer: Answer = decode::only_row(&rows, "a number of changes")?;
        if let Some(facts) = &answer.nothing {
            query::explain(self.timeline.filters(), facts)?;
        }
        let cap = u64::from(self.cap);
        Ok(ChangeCount { count: answer.count.min(cap), is_more: answer.count > cap })
    }
}

impl ScopedRead for CountChanges {
    fn in_scope(self, scope: &Scope) -> Self {
        Self { timeline: self.timeline.scope(scope), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statement() {
        let count = CountChanges::of(Timeline::new().table("posts").correlation_id("c")).cap(5);
        insta::assert_snapshot!("count", count.statement(&Schema::default()).unwrap().snapshot());
    }

    #[test]
    fn what_belongs_to_pages_is_refused() {
        let cursor = "1000645e8f7a3c0000000000000000002a".parse().unwrap();
        for (count, setting) in [
            (CountChanges::of(Timeline::new().limit(5)), "limit"),
            (CountChanges::of(Timeline::new().cursor(cursor)), "cursor"),
            (CountChanges::of(Timeline::new()).cap(0), "cap"),
        ] {
            assert_eq!(count.statement(&Schema::default()).unwrap_err().setting(), Some(setting));
        }
    }

    #[test]
    fn a_table_that_is_not_captured_has_no_number() {
        let count = CountChanges::of(Timeline::new().table("posts").table("other"));
        let nothing = |facts: &str| count.decode(vec![format!(r#"{{"count": 0, "nothing": {facts}}}"#)]);
        assert_eq!(nothing(r#"{"captured": true, "missing": null}"#).unwrap().count, 0);
        let error = nothing(r#"{"captured": false, "missing": 1}"#).unwrap_err();
        assert_eq!((error.is_not_captured(), error.table(), error.setting()), (true, Some("other"), Some("table")));
    }
}
