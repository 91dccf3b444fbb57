//! What one actor did.

use time::OffsetDateTime;

use super::{
    conditions::Conditions,
    cursor::{Cursor, Page, without_page},
    query::expand,
    reading::Streamed,
    row_history::page_limit,
    scope::{self, Scope, ScopedRead},
    transaction::{LINKED_TRANSACTION, LinkedTransaction},
};
use crate::{ActorRef, ChangeId, Error, Operation, Schema, Statement, decode, instant};

/// The audit transactions of one actor with their actions, newest first by `(occurred_at, id)`. The changes in them are a
/// [`Timeline`](crate::Timeline) with [`actor`](crate::Timeline::actor).
///
/// In a [`Scope`] a transaction is there when one of its changes is.
///
/// # Examples
/// ```
/// use threadline_core::{ActorHistory, ActorRef, Operation, Schema};
///
/// let history = ActorHistory::of(&ActorRef::user("42")?).limit(20);
/// assert!(history.statement(&Schema::default())?.params().contains(&Some("42".to_owned())));
/// # Ok::<(), threadline_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct ActorHistory {
    pub(super) actor: Option<ActorRef>,
    pub(super) since: Option<OffsetDateTime>,
    pub(super) until: Option<OffsetDateTime>,
    pub(super) limit: Option<u32>,
    pub(super) cursor: Option<Cursor>,
    pub(super) scope: Option<Scope>,
}

impl ActorHistory {
    /// How many transactions a page has unless said otherwise.
    pub const DEFAULT_LIMIT: u32 = 50;
    /// The most transactions a page can have.
    pub const MAX_LIMIT: u32 = 1_000;

    /// What this actor did, on whosever behalf unless the actor says on whose; `None` for what nobody was named for.
    pub fn of<'a>(actor: impl Into<Option<&'a ActorRef>>) -> Self {
        Self { actor: actor.into().cloned(), since: None, until: None, limit: None, cursor: None, scope: None }
    }

    /// Whose first change was captured at this instant or later.
    pub fn since(mut self, at: OffsetDateTime) -> Self {
        self.since = Some(at);
        self
    }

    /// Whose first change was captured at this instant or earlier.
    pub fn until(mut self, at: OffsetDateTime) -> Self {
        self.until = Some(at);
        self
    }

    /// At most so many transactions on a page, 1 to 1000; 50 unless said.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Goes on where another page ended.
    pub fn cursor(mut self, cursor: Cursor) -> Self {
        self.cursor = Some(cursor);
        self
    }

    /// Only what is in this scope. A second scope narrows further.
    pub fn scope(mut self, scope: &Scope) -> Self {
        scope::narrow(&mut self.scope, scope);
        self
    }
}

impl ActorHistory {
    fn page_limit(&self) -> u32 {
        self.limit.unwrap_or(Self::DEFAULT_LIMIT)
    }

    /// Refuses an interval that ends before it begins.
    pub(super) fn validate(&self) -> Result<(), Error> {
        match (self.since, self.until) {
            (Some(since), Some(until)) if since > until => {
                Err(Error::invalid_input("since", "is later than until", "Swap the two, or leave one out"))
            }
            _ => Ok(()),
        }
    }

    /// The transactions, at most `limit`, with `before` ahead of the statement.
    fn select(&self, schema: &Schema, before: &str, limit: Option<u32>) -> Result<Statement, Error> {
        self.validate()?;
        let mut conditions = Conditions::default();
        match &self.actor {
            Some(actor) => conditions.actor(actor),
            None => conditions.nobody(),
        }
        let mut filters = vec![conditions.search()];
        if let Some(since) = self.since {
            let at = conditions.param(instant::ceil(since, "since")?);
            filters.push(format!("t.occurred_at >= {at}::text::timestamptz"));
        }
        if let Some(until) = self.until {
            let at = conditions.param(instant::floor(until, "until")?);
            filters.push(format!("t.occurred_at <= {at}::text::timestamptz"));
        }
        if let Some(cursor) = &self.cursor {
            let at =
                format!("{}::text::timestamptz", conditions.param(instant::floor(cursor.captured_at(), "cursor")?));
            let id = conditions.param(cursor.id().to_string());
            // The first half has the index.
            filters.push(format!("t.occurred_at <= {at} AND (t.occurred_at, t.id) < ({at}, {id}::text::bigint)"));
        }
        let limit = match limit {
            Some(limit) => format!(" LIMIT {}::text::bigint", conditions.param(limit.to_string())),
            None => String::new(),
        };
        if let Some(scope) = &self.scope {
            let mut in_scope = conditions.with_params();
            scope.conditions(&mut in_scope)?;
            filters.push(format!(
                "EXISTS (SELECT FROM {{schema}}.audit_changes AS c WHERE {})",
                in_scope.of_change_and_transaction(&["c.transaction_id = t.id"]),
            ));
            conditions = in_scope;
        }
        let sql = format!(
            "{before}SELECT {LINKED_TRANSACTION}\nFROM (\n    SELECT t.* FROM {{schema}}.audit_transactions AS t\n    \
             WHERE {}\n    \
             ORDER BY t.actor_ref ->> 'type' DESC, t.actor_ref ->> 'id' DESC, t.occurred_at DESC, t.id DESC{limit}\n\
             ) AS t LEFT JOIN {{schema}}.audit_actions AS a ON a.id = t.action_id\n\
             ORDER BY t.occurred_at DESC, t.id DESC",
            filters.join("\n      AND "),
        );
        let statement = Statement::new(schema.expand(&expand(&sql)));
        Ok(conditions.into_params().into_iter().fold(statement, Statement::bind))
    }
}

impl Operation for ActorHistory {
    type Output = Page<LinkedTransaction>;

    fn statement(&self, schema: &Schema) -> Result<Statement, Error> {
        page_limit(self.page_limit(), Self::MAX_LIMIT)?;
        self.select(schema, "", Some(self.page_limit() + 1))
    }

    fn decode(&self, rows: Vec<String>) -> Result<Page<LinkedTransaction>, Error> {
        let entries: Result<Vec<LinkedTransaction>, Error> = rows.iter().map(|row| linked_transaction(row)).collect();
        Ok(Page::of(entries?, self.page_limit(), |entry| {
            Cursor::new(entry.transaction.occurred_at, ChangeId(entry.transaction.id.get()))
        }))
    }
}

fn linked_transaction(row: &str) -> Result<LinkedTransaction, Error> {
    decode::row(row, "an audit transaction")
}

/// Every transaction of the actor, newest first. It has no pages, so no limit and no cursor.
impl Streamed for ActorHistory {
    type Item = LinkedTransaction;

    fn declare(&self, schema: &Schema, name: &str) -> Result<Statement, Error> {
        without_page(self.limit, self.cursor)?;
        self.select(schema, &format!("DECLARE {name} NO SCROLL CURSOR FOR\n"), None)
    }

    fn item(&self, row: String) -> Result<Option<LinkedTransaction>, Error> {
        linked_transaction(&row).map(Some)
    }
}

impl ScopedRead for ActorHistory {
    fn in_scope(self, scope: &Scope) -> Self {
        self.scope(scope)
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn statements() {
        let actor = ActorRef::user("42").unwrap();
        let at = datetime!(2026-01-02 03:04:05 UTC);
        let cursor = "1000645e8f7a3c0000000000000000002a".parse().unwrap();
        let history = ActorHistory::of(&actor).since(at).until(at).limit(5).cursor(cursor);
        insta::assert_snapshot!("page", history.statement(&Schema::default()).unwrap().snapshot());
        let scoped = ActorHistory::of(None).scope(&Scope::meta("tenant", "acme").and(Scope::field("tenant", 1)));
        insta::assert_snapshot!("nobody_in_scope", scoped.statement(&Schema::default()).unwrap().snapshot());
        let all = ActorHistory::of(&actor).since(at).declare(&Schema::default(), "c").unwrap();
        insta::assert_snapshot!("all", all.snapshot());
    }

    #[test]
    fn values_out_of_bounds_are_named() {
        let at = datetime!(2026-01-02 03:04:05 UTC);
        for (history, setting) in [
            (ActorHistory::of(None).limit(0), "limit"),
            (ActorHistory::of(None).since(at).until(at - time::Duration::SECOND), "since"),
            (ActorHistory::of(None).scope(&Scope::field("", 1)), "scope"),
        ] {
            assert_eq!(history.statement(&Schema::default()).unwrap_err().setting(), Some(setting));
        }
    }
}
