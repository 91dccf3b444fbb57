//! Everything that one piece of work left behind, in every transaction and service that took part.

use serde::{Deserialize, Serialize};

use super::{
    cursor::{Cursor, Page},
    query::expand,
    scope::{Scope, ScopedRead},
    timeline::Timeline,
};
use crate::{AuditAction, Error, LinkedChange, Operation, Schema, Statement, decode};

/// A page of the changes recorded under a correlation id, and the actions recorded under it: also those that changed
/// nothing, because they failed for example.
///
/// In a [`Scope`] there are only actions that cover a change in scope.
///
/// # Examples
/// ```
/// use threadline_core::{Correlation, Operation, Schema};
///
/// let correlation = Correlation::of("req-7f3").limit(100);
/// assert!(correlation.statement(&Schema::default())?.params().contains(&Some("req-7f3".to_owned())));
/// let error = Correlation::of(" ").statement(&Schema::default()).unwrap_err();
/// assert_eq!(error.setting(), Some("correlation_id"));
/// # Ok::<(), threadline_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Correlation {
    id: String,
    timeline: Timeline,
    scoped: bool,
}

/// What was recorded under one correlation id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CorrelationBundle {
    /// The actions, newest first, at most 1000; on the first page only.
    pub actions: Vec<AuditAction>,
    /// The changes, newest first.
    pub changes: Page<LinkedChange>,
}

impl Correlation {
    /// How many changes there are at most unless said otherwise.
    pub const DEFAULT_LIMIT: u32 = 200;

    /// What was recorded under this id.
    pub fn of(correlation_id: impl Into<String>) -> Self {
        let id = correlation_id.into().trim().to_owned();
        let timeline = Timeline::new().correlation_id(id.as_str()).limit(Self::DEFAULT_LIMIT);
        Self { id, timeline, scoped: false }
    }

    /// At most so many changes, 1 to 1000; 200 unless said.
    pub fn limit(mut self, limit: u32) -> Self {
        self.timeline = self.timeline.limit(limit);
        self
    }

    /// Goes on where another page ended.
    pub fn cursor(mut self, cursor: Cursor) -> Self {
        self.timeline = self.timeline.cursor(cursor);
        self
    }

    /// Only what is in this scope. A second scope narrows further.
    pub fn scope(mut self, scope: &Scope) -> Self {
        self.timeline = self.timeline.scope(scope);
        self.scoped = true;
        self
    }
}

#[derive(Deserialize)]
struct ActionRow {
    recorded: AuditAction,
}

/// How the rows of actions begin; those of changes begin otherwise.
const ACTION_ROW: &str = "{\"recorded\"";

impl Operation for Correlation {
    type Output = CorrelationBundle;

    fn statement(&self, schema: &Schema) -> Result<Statement, Error> {
        let changes = self.timeline.statement(schema)?;
        if self.timeline.is_later_page() || self.scoped {
            return Ok(changes);
        }
        // Two answers in one statement: in one snapshot.
        let id = changes.params().len() + 1;
        let actions = expand(&format!(
            "SELECT pg_catalog.concat('{ACTION_ROW}:', {{action_json}}, '}}') AS row_text FROM (\n    SELECT a.* FROM \
             {{schema}}.audit_actions AS a WHERE a.correlation_id = ${id}::text\n    ORDER BY a.recorded_at DESC, a.id DESC \
             LIMIT 1000\n) AS a"
        ));
        let sql = format!(
            "SELECT * FROM (\n{}) AS changes\nUNION ALL\nSELECT * FROM (\n{}\n) AS actions",
            changes.sql(),
            schema.expand(&actions),
        );
        let statement = changes.params().iter().cloned().fold(Statement::new(sql), Statement::bind_option);
        Ok(statement.bind(self.id.as_str()))
    }

    fn decode(&self, rows: Vec<String>) -> Result<CorrelationBundle, Error> {
        let (actions, changes): (Vec<String>, Vec<String>) =
            rows.into_iter().partition(|row| row.starts_with(ACTION_ROW));
        let changes = self.timeline.decode(changes)?;
        let mut actions: Vec<AuditAction> = actions
            .iter()
            .map(|row| decode::row(row, "an action of the trail").map(|row: ActionRow| row.recorded))
            .collect::<Result<_, Error>>()?;
        if self.scoped && !self.timeline.is_later_page() {
            // Of actions without a change in scope nothing is to be told.
            actions = changes.entries.iter().filter_map(|entry| entry.action.clone()).collect();
            actions.sort_by_key(|action| action.id);
            actions.dedup_by_key(|action| action.id);
        }
        actions.sort_by_key(|action| std::cmp::Reverse((action.recorded_at, action.id)));
        Ok(CorrelationBundle { actions, changes })
    }
}

impl ScopedRead for Correlation {
    fn in_scope(self, scope: &Scope) -> Self {
        self.scope(scope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trail::tests::LINKED;

    #[test]
    fn statement() {
        insta::assert_snapshot!("correlation", Correlation::of("c").statement(&Schema::default()).unwrap().snapshot());
    }

    #[test]
    fn actions_and_changes_come_apart() {
        let action = r#"{"recorded":{"id": 9, "name": "failed", "actor_ref": {"type": "anonymous"}, "status": "error",
            "verb": null, "category": null, "reason": null, "comment": null, "correlation_id": "c", "request_id": null,
            "job_id": null, "recorded_at": "2026-02-03T04:05:06.000009Z"}}"#;
        let rows = vec![LINKED.to_owned(), action.to_owned()];
        let bundle = Correlation::of("c").decode(rows.clone()).unwrap();
        assert_eq!((bundle.actions.len(), bundle.changes.entries.len()), (1, 1));
        assert_eq!(bundle.actions[0].name, "failed");
        let scoped = Correlation::of("c").scope(&Scope::meta("tenant", 1)).decode(rows[..1].to_vec()).unwrap();
        assert_eq!(scoped.actions[0].name, "post.published");
    }
}
