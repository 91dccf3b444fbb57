//! The cells that cannot apply.

use serde::Deserialize;

use crate::{Route, cases};

/// The adapters that the table has a column for.
pub const ADAPTERS: [&str; 4] = ["sqlx", "seaorm", "diesel", "diesel-async"];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    exception: Vec<Exception>,
}

/// One entry of `exceptions.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// The adapter's name.
    pub adapter: String,
    /// Names of cases, `topic::*` or `*`.
    pub cases: Vec<String>,
    /// Names of routes; all when there are none.
    #[serde(default)]
    pub routes: Vec<String>,
    /// Why.
    pub reason: String,
}

impl Exception {
    /// Whether this cell is meant.
    #[must_use]
    pub fn covers(&self, adapter: &str, route: Route, case: &str) -> bool {
        self.adapter == adapter
            && (self.routes.is_empty() || self.routes.iter().any(|name| name == route.name()))
            && self.cases.iter().any(|pattern| matches(pattern, case))
    }

    /// What is wrong with the entry: a name that does not exist any more, a reason that is missing.
    fn problem(&self) -> Option<String> {
        if !ADAPTERS.contains(&self.adapter.as_str()) {
            return Some(format!("there is no adapter {}", self.adapter));
        }
        if let Some(route) = self.routes.iter().find(|name| Route::named(name).is_none()) {
            return Some(format!("there is no route {route}"));
        }
        if let Some(pattern) = self.cases.iter().find(|pattern| !cases::NAMES.iter().any(|name| matches(pattern, name)))
        {
            return Some(format!("no case is called {pattern}"));
        }
        if self.cases.is_empty() || self.reason.trim().len() < 10 {
            return Some(format!("an exception of {} has no cases or no reason", self.adapter));
        }
        None
    }
}

fn matches(pattern: &str, case: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => case.starts_with(prefix),
        None => pattern == case,
    }
}

/// The checked list.
///
/// # Panics
/// When the list cannot be read, or names what does not exist.
#[must_use]
pub fn all() -> Vec<Exception> {
    let file: File = toml::from_str(include_str!("../exceptions.toml")).expect("exceptions.toml can be read");
    if let Some(problem) = file.exception.iter().find_map(Exception::problem) {
        panic!("exceptions.toml: {problem}");
    }
    file.exception
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exception(cases: &[&str], routes: &[&str]) -> Exception {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Exception {
            adapter: "diesel".to_owned(),
            cases: owned(cases),
            routes: owned(routes),
            reason: "a blocking call".to_owned(),
        }
    }

    #[test]
    fn a_topic_is_covered_by_a_star() {
        let exception = exception(&["cancellation::*"], &["direct"]);
        assert!(exception.covers("diesel", Route::Direct, "cancellation::of_a_read"));
        assert!(!exception.covers("diesel", Route::NewPgBouncer, "cancellation::of_a_read"));
        assert!(!exception.covers("diesel-async", Route::Direct, "cancellation::of_a_read"));
        assert!(!exception.covers("diesel", Route::Direct, "context::all"));
    }

    #[test]
    fn names_that_do_not_exist_are_problems() {
        assert_eq!(exception(&["cancellation::*"], &[]).problem(), None);
        assert_eq!(exception(&["nothing::*"], &[]).problem().as_deref(), Some("no case is called nothing::*"));
        assert_eq!(exception(&["*"], &["tunnel"]).problem().as_deref(), Some("there is no route tunnel"));
    }
}
