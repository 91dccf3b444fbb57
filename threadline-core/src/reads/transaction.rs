//! One audit transaction: who, why, and everything it changed.

use serde::{Deserialize, Serialize};

use super::{
    conditions::Conditions,
    cursor::{Cursor, Page},
    diff::ChangeDiff,
    query::expand,
    scope::{self, Scope, ScopedRead},
    timeline::Timeline,
};
use crate::{
    AuditAction, AuditChange, AuditTransaction, Error, LinkedChange, Operation, Schema, Statement, TransactionId,
    decode, error::Kind,
};

/// An audit transaction with the action that explains it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LinkedTransaction {
    /// Who did it.
    pub transaction: AuditTransaction,
    /// Why, when an action was recorded.
    pub action: Option<AuditAction>,
}

/// One audit transaction, without its changes; those are a [`Timeline`] with
/// [`transaction_id`](Timeline::transaction_id), or an [`Incident`].
///
/// In a [`Scope`] the transaction is there when one of its changes is.
///
/// # Errors of the answer
/// [`is_not_found`](Error::is_not_found): there is none with this id, it expired, or it is out of scope.
///
/// # Examples
/// ```
/// use threadline_core::{Operation, Schema, TransactionId, TransactionLookup};
///
/// let lookup = TransactionLookup::new(TransactionId(7));
/// assert_eq!(lookup.statement(&Schema::default())?.params(), [Some("7".to_owned())]);
/// assert!(lookup.decode(Vec::new()).unwrap_err().is_not_found());
/// # Ok::<(), threadline_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct TransactionLookup {
    id: TransactionId,
    scope: Option<Scope>,
}

impl TransactionLookup {
    /// The audit transaction with this id.
    pub fn new(id: TransactionId) -> Self {
        Self { id, scope: None }
    }

    /// Only when it is in this scope. A second scope narrows further.
    pub fn scope(mut self, scope: &Scope) -> Self {
        scope::narrow(&mut self.scope, scope);
        self
    }
}

/// `t` and its action `a` as JSON.
pub(super) const LINKED_TRANSACTION: &str = "pg_catalog.json_build_object('transaction', {transaction_json}, \
     'action', CASE WHEN a.id IS NOT NULL THEN {action_json} END)::text";

impl Operation for TransactionLookup {
    type Output = LinkedTransaction;

    fn statement(&self, schema: &Schema) -> Result<Statement, Error> {
        let mut conditions = Conditions::default();
        let id = conditions.param(self.id.to_string());
        let mut sql = format!(
            "SELECT {LINKED_TRANSACTION}\nFROM {{schema}}.audit_transactions AS t LEFT JOIN {{schema}}.audit_actions AS a \
             ON a.id = t.action_id\nWHERE t.id = {id}::text::bigint",
        );
        if let Some(scope) = &self.scope {
            scope.conditions(&mut conditions)?;
            sql.push_str(&format!(
                " AND EXISTS (\n    SELECT FROM {{schema}}.audit_changes AS c WHERE {}\n)",
                conditions.of_change_and_transaction(&["c.transaction_id = t.id"]),
            ));
        }
        let statement = Statement::new(schema.expand(&expand(&sql)));
        Ok(conditions.into_params().into_iter().fold(statement, Statement::bind))
    }

    fn decode(&self, rows: Vec<String>) -> Result<LinkedTransaction, Error> {
        match rows.as_slice() {
            [] => Err(not_found()),
            rows => decode::only_row(rows, "an audit transaction"),
        }
    }
}

fn not_found() -> Error {
    Error::new(Kind::NotFound, "there is no audit transaction with that id in the trail")
        .remedy_text("Check the id; older transactions may have expired")
}

impl ScopedRead for TransactionLookup {
    fn in_scope(self, scope: &Scope) -> Self {
        self.scope(scope)
    }
}

/// Everything about one audit transaction for whoever has to find out what happened: who, why, and a page of its changes
/// with what each changed.
///
/// # Errors of the answer
/// [`is_not_found`](Error::is_not_found): there is no change of a transaction with this id, they expired, or they are out
/// of scope.
///
/// # Examples
/// ```
/// use threadline_core::{Incident, Operation, Schema, TransactionId};
///
/// let incident = Incident::of(TransactionId(7)).limit(50);
/// assert!(incident.statement(&Schema::default())?.params().contains(&Some("7".to_owned())));
/// # Ok::<(), threadline_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Incident {
    timeline: Timeline,
}

/// One audit transaction with its action and its changes, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IncidentBundle {
    /// Who did it; `None` only when that row expired before its changes.
    pub transaction: Option<AuditTransaction>,
    /// Why, when an action was recorded.
    pub action: Option<AuditAction>,
    /// What it changed.
    pub changes: Vec<IncidentChange>,
    /// Where the next changes begin; `None` when these are the last.
    pub next: Option<Cursor>,
}

/// One change of an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IncidentChange {
    /// The change as the trail holds it.
    pub change: AuditChange,
    /// What it changed, column by column.
    pub diff: ChangeDiff,
}

impl Incident {
    /// How many changes there are at most unless said otherwise.
    pub const DEFAULT_LIMIT: u32 = 200;

    /// What happened in this audit transaction.
    pub fn of(id: TransactionId) -> Self {
        Self { timeline: Timeline::new().transaction_id(id).limit(Self::DEFAULT_LIMIT) }
    }

    /// At most so many changes, 1 to 1000; 200 unless said.
    pub fn limit(mut self, limit: u32) -> Self {
        self.timeline = self.timeline.limit(limit);
        self
    }

    /// Goes on where another bundle of the same transaction ended.
    pub fn cursor(mut self, cursor: Cursor) -> Self {
        self.timeline = self.timeline.cursor(cursor);
        self
    }

    /// Only what is in this scope. A second scope narrows further.
    pub fn scope(mut self, scope: &Scope) -> Self {
        self.timeline = self.timeline.scope(scope);
        self
    }
}

impl Operation for Incident {
    type Output = IncidentBundle;

    fn statement(&self, schema: &Schema) -> Result<Statement, Error> {
        self.timeline.statement(schema)
    }

    fn decode(&self, rows: Vec<String>) -> Result<IncidentBundle, Error> {
        let page: Page<LinkedChange> = self.timeline.decode(rows)?;
        let (transaction, action) = match page.entries.first() {
            Some(first) => (first.transaction.clone(), first.action.clone()),
            None => return Err(not_found()),
        };
        let changes = page
            .entries
            .into_iter()
            .map(|entry| IncidentChange { diff: ChangeDiff::of(&entry.change), change: entry.change });
        Ok(IncidentBundle { transaction, action, changes: changes.collect(), next: page.next })
    }
}

impl ScopedRead for Incident {
    fn in_scope(self, scope: &Scope) -> Self {
        self.scope(scope)
    }
}
