//! Changes across tables, filtered.

use time::OffsetDateTime;

use super::{
    cursor::{Cursor, Page},
    query::{self, Query, Scope},
    row_history::{page_limit, table_name},
    row_key::{self, RowKey},
};
use crate::{
    ActorKind, ActorRef, ChangeOp, Error, LinkedChange, Operation, Schema, Statement, TransactionId,
    bounds::{self, Limit},
    context::MAX_ID_BYTES,
    instant,
};

/// The longest action name, in characters.
const MAX_ACTION_CHARACTERS: usize = 255;

/// The changes that match every filter, newest first by `(captured_at, id)`, with their transactions and actions.
///
/// A filter that cannot match anything is an error that names it: an empty or over-long id, an interval that ends before
/// it begins, a key without its table. So is a table that was never captured.
///
/// # Examples
/// ```
/// use threadline_core::{ActorRef, ChangeOp, Operation, Schema, Timeline};
///
/// let by_editor = Timeline::new().table("posts").actor(&ActorRef::user("42")?).op(ChangeOp::Update);
/// assert_eq!(by_editor.statement(&Schema::default())?.params().len(), 5);
///
/// let error = Timeline::new().correlation_id(" ").statement(&Schema::default()).unwrap_err();
/// assert_eq!(error.setting(), Some("correlation_id"));
/// # Ok::<(), threadline_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Timeline {
    schema: Option<String>,
    table: Option<String>,
    key: Option<RowKey>,
    op: Option<ChangeOp>,
    actor: Option<Option<ActorRef>>,
    action: Option<String>,
    correlation_id: Option<String>,
    request_id: Option<String>,
    job_id: Option<String>,
    transaction: Option<TransactionId>,
    since: Option<OffsetDateTime>,
    until: Option<OffsetDateTime>,
    limit: Option<u32>,
    cursor: Option<Cursor>,
}

impl Timeline {
    /// How many changes a page has unless said otherwise.
    pub const DEFAULT_LIMIT: u32 = 50;
    /// The most changes a page can have.
    pub const MAX_LIMIT: u32 = 1_000;

    /// Every change.
    pub fn new() -> Self {
        Self::default()
    }

    /// Of tables that are in this schema today, wherever they were before.
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = Some(schema.into());
        self
    }

    /// Of the table called so today, whatever it was called before; without a schema, of all tables called so.
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.table = Some(table.into());
        self
    }

    /// Of the row with this key, TRUNCATEs of the table included; needs schema and table. The history of a row without
    /// further filters is [`RowHistory`](crate::RowHistory).
    pub fn key(mut self, key: impl Into<RowKey>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Of this kind.
    pub fn op(mut self, op: ChangeOp) -> Self {
        self.op = Some(op);
        self
    }

    /// Of this actor, on whosever behalf unless the actor says on whose. `None`, as from a context without an actor,
    /// means changes that nobody was named for.
    pub fn actor<'a>(mut self, actor: impl Into<Option<&'a ActorRef>>) -> Self {
        self.actor = Some(actor.into().cloned());
        self
    }

    /// Covered by an action of this name.
    pub fn action(mut self, name: impl Into<String>) -> Self {
        self.action = Some(name.into().trim().to_owned());
        self
    }

    /// Recorded under this correlation id, or covered by an action that was.
    pub fn correlation_id(mut self, id: impl Into<String>) -> Self {
        self.correlation_id = Some(id.into().trim().to_owned());
        self
    }

    /// Recorded under this request id.
    pub fn request_id(mut self, id: impl Into<String>) -> Self {
        self.request_id = Some(id.into().trim().to_owned());
        self
    }

    /// Recorded under this job id.
    pub fn job_id(mut self, id: impl Into<String>) -> Self {
        self.job_id = Some(id.into().trim().to_owned());
        self
    }

    /// Of this audit transaction.
    pub fn transaction_id(mut self, id: TransactionId) -> Self {
        self.transaction = Some(id);
        self
    }

    /// Captured at this instant or later.
    pub fn since(mut self, at: OffsetDateTime) -> Self {
        self.since = Some(at);
        self
    }

    /// Captured at this instant or earlier.
    pub fn until(mut self, at: OffsetDateTime) -> Self {
        self.until = Some(at);
        self
    }

    /// At most so many changes on a page, 1 to 1000; 50 unless said.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Goes on where another page of the same filters ended.
    pub fn cursor(mut self, cursor: Cursor) -> Self {
        self.cursor = Some(cursor);
        self
    }

    fn page_limit(&self) -> u32 {
        self.limit.unwrap_or(Self::DEFAULT_LIMIT)
    }

    fn validate(&self) -> Result<(), Error> {
        for (setting, name) in [("schema", &self.schema), ("table", &self.table)] {
            if let Some(name) = name {
                table_name(name, setting)?;
            }
        }
        let lines = [
            ("action", &self.action, Limit::Characters(MAX_ACTION_CHARACTERS)),
            ("correlation_id", &self.correlation_id, Limit::Bytes(MAX_ID_BYTES)),
            ("request_id", &self.request_id, Limit::Bytes(MAX_ID_BYTES)),
            ("job_id", &self.job_id, Limit::Bytes(MAX_ID_BYTES)),
        ];
        for (setting, text, limit) in lines {
            if let Some(text) = text {
                bounds::line(text, limit).map_err(|problem| {
                    Error::invalid_input(setting, &problem, "Give the value to look for, or leave the filter out")
                })?;
            }
        }
        if let (Some(since), Some(until)) = (self.since, self.until)
            && since > until
        {
            return Err(Error::invalid_input("since", "is later than until", "Swap the two, or leave one out"));
        }
        page_limit(self.page_limit(), Self::MAX_LIMIT)
    }

    fn scope(&self) -> Result<Scope<'_>, Error> {
        Ok(match (self.schema.as_deref(), self.table.as_deref(), &self.key) {
            (Some(schema), Some(table), Some(key)) => Scope::Row { schema, table, key, before: self.cursor },
            (_, _, Some(_)) => {
                let remedy = "Name schema and table of the row as well";
                return Err(Error::invalid_input("key", "needs a schema and a table", remedy));
            }
            (None, None, None) => Scope::All,
            (schema, table, None) => Scope::Tables(schema, table),
        })
    }

    fn filter(&self, query: &mut Query<'_>) -> Result<(), Error> {
        if let Some(op) = self.op {
            let op = query.param(op.as_str());
            query.filter(format!("c.op = {op}::text"));
        }
        if let Some(id) = self.transaction {
            let id = query.param(id.to_string());
            query.filter(format!("c.transaction_id = {id}::text::bigint"));
        }
        if let Some(since) = self.since {
            let at = query.param(instant::ceil(since, "since")?);
            query.filter(format!("c.captured_at >= {at}::text::timestamptz"));
        }
        if let Some(until) = self.until {
            let at = query.param(instant::floor(until, "until")?);
            query.filter(format!("c.captured_at <= {at}::text::timestamptz"));
        }
        match &self.actor {
            Some(Some(actor)) => filter_actor(query, actor),
            Some(None) => query.filter(in_transactions("t.actor_ref IS NULL")),
            None => {}
        }
        if let Some(name) = &self.action {
            let name = query.param(name);
            query.filter(in_transactions(&format!(
                "t.action_id IN (SELECT a.id FROM {{schema}}.audit_actions AS a WHERE a.name = {name}::text)"
            )));
        }
        if let Some(id) = &self.correlation_id {
            let id = query.param(id);
            // A union, not OR: each side has its index.
            query.filter(format!(
                "c.transaction_id IN (SELECT t.id FROM {{schema}}.audit_transactions AS t WHERE t.correlation_id = {id}::text \
                 UNION SELECT t.id FROM {{schema}}.audit_actions AS a JOIN {{schema}}.audit_transactions AS t \
                 ON t.action_id = a.id WHERE a.correlation_id = {id}::text)"
            ));
        }
        for (column, id) in [("request_id", &self.request_id), ("job_id", &self.job_id)] {
            if let Some(id) = id {
                let id = query.param(id);
                query.filter(in_transactions(&format!("t.{column} = {id}::text")));
            }
        }
        // A row's changes are read from the cursor on.
        if let (Some(cursor), None) = (&self.cursor, &self.key) {
            query.go_on_after(cursor)?;
        }
        Ok(())
    }
}

fn in_transactions(condition: &str) -> String {
    format!("c.transaction_id IN (SELECT t.id FROM {{schema}}.audit_transactions AS t WHERE {condition})")
}

fn filter_actor(query: &mut Query<'_>, actor: &ActorRef) {
    let kind = query.param(actor.kind().as_str());
    let mut condition = format!("t.actor_ref ->> 'type' = {kind}::text");
    if actor.kind() != ActorKind::Anonymous {
        let id = query.param(actor.id().unwrap_or_default());
        condition.push_str(&format!(" AND t.actor_ref ->> 'id' = {id}::text"));
    }
    if let Some(principal) = actor.principal() {
        let principal = query.param(principal.to_json());
        condition.push_str(&format!(" AND t.actor_ref -> 'on_behalf_of' = {principal}::text::jsonb"));
    }
    query.filter(in_transactions(&condition));
}

impl Operation for Timeline {
    type Output = Page<LinkedChange>;

    fn statement(&self, schema: &Schema) -> Result<Statement, Error> {
        self.validate()?;
        let scope = self.scope()?;
        let mut query = Query::new(schema);
        self.filter(&mut query)?;
        // A later page may well be empty.
        query.finish(scope, self.page_limit(), self.cursor.is_none())
    }

    fn decode(&self, rows: Vec<String>) -> Result<Page<LinkedChange>, Error> {
        let (schema, table) = (self.schema.as_deref().unwrap_or_default(), self.table.as_deref().unwrap_or_default());
        let entries = query::linked_changes(&rows, |facts| match &self.key {
            Some(key) => key.explain(schema, table, facts),
            None if facts.captured => Ok(()),
            None => Err(row_key::not_captured(schema, table)),
        })?;
        Ok(Page::of(entries, self.page_limit(), |entry| Cursor::at(&entry.change)))
    }
}

#[cfg(test)]
#[path = "timeline_tests.rs"]
mod tests;
