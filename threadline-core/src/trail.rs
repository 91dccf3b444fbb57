//! The rows of the trail.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use time::OffsetDateTime;

use crate::{ActionId, ActionStatus, ActorRef, ChangeId, Error, Json, TransactionId, actor, instant};

/// What happened to the row, or to the whole table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ChangeOp {
    /// The row came to be.
    Insert,
    /// The row changed.
    Update,
    /// The row went away.
    Delete,
    /// Every row of the table went away at once.
    Truncate,
}

impl ChangeOp {
    /// The operation as JSON and SQL spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Truncate => "truncate",
        }
    }
}

impl fmt::Display for ChangeOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for ChangeOp {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        [Self::Insert, Self::Update, Self::Delete, Self::Truncate]
            .into_iter()
            .find(|op| op.as_str() == text)
            .ok_or_else(|| Error::invalid_input("op", "is not known", "Use insert, update, delete or truncate"))
    }
}

/// One captured change of one row, or one TRUNCATE.
///
/// Changes are ordered by `(captured_at, id)`.
///
/// | op | `data_after` | `changed_fields` | `changed_from` |
/// |---|---|---|---|
/// | insert | the row | | |
/// | update | the row | sorted names | prior values of those columns |
/// | delete | | | the whole prior row |
/// | truncate | | | |
///
/// Under a lean policy `data_after` is absent too; without before-values `changed_from` of an update is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AuditChange {
    /// Unique; breaks ties of `captured_at` in capture order.
    pub id: ChangeId,
    /// The audit transaction it belongs to.
    pub transaction_id: TransactionId,
    /// The database transaction's id where it was captured; information, never an identity.
    #[serde(with = "xid")]
    pub xid: u64,
    /// When it was captured, to the microsecond.
    #[serde(with = "instant")]
    pub captured_at: OffsetDateTime,
    /// The table's schema at that time.
    pub table_schema: String,
    /// The table's name at that time; a partitioned table's, not the partition's.
    pub table_name: String,
    /// What happened.
    pub op: ChangeOp,
    /// The row's key after the change, as an object of the key columns; `None` for a table without a key and for
    /// TRUNCATE.
    pub table_pk: Option<Json>,
    /// The row's key before the change, when the change changed it.
    pub previous_pk: Option<Json>,
    /// The row after the change.
    pub data_after: Option<Json>,
    /// The columns that an update changed, sorted.
    pub changed_fields: Option<Vec<String>>,
    /// Prior values of the changed columns; of a deleted row, all values.
    pub changed_from: Option<Json>,
    /// Why the images were withheld, when they were.
    pub withheld: Option<String>,
}

/// One attributed unit of work inside a database transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AuditTransaction {
    /// Unique for the life of the trail.
    pub id: TransactionId,
    /// The database transaction's id where it was captured; information, never an identity.
    #[serde(with = "xid")]
    pub xid: u64,
    /// When its first change was captured.
    #[serde(with = "instant")]
    pub occurred_at: OffsetDateTime,
    /// Who is responsible; `None` when nobody was named.
    #[serde(rename = "actor_ref", deserialize_with = "actor::recorded_option")]
    pub actor: Option<ActorRef>,
    /// The action it belongs to.
    pub action_id: Option<ActionId>,
    /// The id that follows one piece of work through every service.
    pub correlation_id: Option<String>,
    /// The id of the request.
    pub request_id: Option<String>,
    /// The id of the background job.
    pub job_id: Option<String>,
    /// What the work came in through.
    pub source: Option<String>,
    /// The address the request came from, as it was recorded.
    pub remote_ip: Option<String>,
    /// Further notes, a JSON object.
    pub meta: Option<Json>,
    /// The role that logged in to the database.
    pub session_role: String,
    /// The role set at the time; `none` when it is the session's.
    pub current_role_name: String,
    /// The client's `application_name`.
    pub application_name: String,
}

/// One recorded semantic action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AuditAction {
    /// Unique for the life of the trail.
    pub id: ActionId,
    /// What it is called: `post.published`.
    pub name: String,
    /// Who did it.
    #[serde(rename = "actor_ref", deserialize_with = "actor::recorded")]
    pub actor: ActorRef,
    /// How it ended.
    pub status: ActionStatus,
    /// What was done in one word.
    pub verb: Option<String>,
    /// The kind of action.
    pub category: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Whatever a person wrote.
    pub comment: Option<String>,
    /// The id that follows one piece of work through every service.
    pub correlation_id: Option<String>,
    /// The id of the request.
    pub request_id: Option<String>,
    /// The id of the background job.
    pub job_id: Option<String>,
    /// When it was recorded.
    #[serde(with = "instant")]
    pub recorded_at: OffsetDateTime,
}

/// A change with the transaction it belongs to and the action that explains it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LinkedChange {
    /// What changed.
    pub change: AuditChange,
    /// Who changed it; `None` only when that row expired before the change.
    pub transaction: Option<AuditTransaction>,
    /// Why, when an action was recorded.
    pub action: Option<AuditAction>,
}

/// PostgreSQL's xid8 has no number type in JSON terms: it travels as text.
pub(crate) mod xid {
    use super::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(xid: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(xid)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use time::macros::datetime;

    use super::*;

    /// A change to start a test from, captured at microsecond `at` of 2026 in transaction `xid`.
    pub(crate) fn change(id: i64, xid: u64, at: i64, op: ChangeOp) -> AuditChange {
        AuditChange {
            id: ChangeId(id),
            transaction_id: TransactionId(1),
            xid,
            captured_at: datetime!(2026-01-01 0:00 UTC) + time::Duration::microseconds(at),
            table_schema: "public".to_owned(),
            table_name: "posts".to_owned(),
            op,
            table_pk: None,
            previous_pk: None,
            data_after: None,
            changed_fields: None,
            changed_from: None,
            withheld: None,
        }
    }

    /// One row as the reads return it.
    pub(crate) const LINKED: &str = r#"{"change": {"id": 7, "transaction_id": 3, "xid": "18446744073709551615",
        "captured_at": "2026-02-03T04:05:06.000007Z", "table_schema": "public", "table_name": "posts", "op": "update",
        "table_pk": {"id": 1}, "previous_pk": null, "data_after": {"id": 1, "price": 0.10000000000000000555},
        "changed_fields": ["price"], "changed_from": {"price": null}, "withheld": null},
        "transaction": {"id": 3, "xid": "9", "occurred_at": "2026-02-03T04:05:06.000001Z",
        "actor_ref": {"id": "42", "type": "user"}, "action_id": 5, "correlation_id": "c", "request_id": null,
        "job_id": null, "source": null, "remote_ip": null, "meta": {"n": 1.10}, "session_role": "app",
        "current_role_name": "none", "application_name": ""},
        "action": {"id": 5, "name": "post.published", "actor_ref": {"id": "42", "type": "user"}, "status": "ok",
        "verb": null, "category": null, "reason": null, "comment": null, "correlation_id": "c", "request_id": null,
        "job_id": null, "recorded_at": "2026-02-03T04:05:06.000009Z"}}"#;

    #[test]
    fn a_row_is_read_whole() {
        let linked: LinkedChange = serde_json::from_str(LINKED).unwrap();
        assert_eq!(linked.change.xid, u64::MAX);
        assert_eq!(linked.change.captured_at, datetime!(2026-02-03 04:05:06.000_007 UTC));
        assert_eq!(linked.change.data_after.as_ref().unwrap().get(), r#"{"id": 1, "price": 0.10000000000000000555}"#);
        let transaction = linked.transaction.as_ref().unwrap();
        assert_eq!(transaction.actor, Some(ActorRef::user("42").unwrap()));
        assert_eq!(transaction.meta.as_ref().unwrap().get(), r#"{"n": 1.10}"#);
        assert_eq!(linked.action.as_ref().unwrap().name, "post.published");
        let again: LinkedChange = serde_json::from_str(&serde_json::to_string(&linked).unwrap()).unwrap();
        assert_eq!(again, linked);
    }

    #[test]
    fn an_actor_that_is_stricter_today_does_not_break_the_read() {
        let odd = LINKED.replace(r#"{"id": "42", "type": "user"}"#, r#"{"id": " \n", "type": "user", "name": "x"}"#);
        let linked: LinkedChange = serde_json::from_str(&odd).unwrap();
        assert_eq!(linked.transaction.unwrap().actor.unwrap().id(), Some(" \n"));
    }

    #[test]
    fn operations_round_trip() {
        for op in [ChangeOp::Insert, ChangeOp::Update, ChangeOp::Delete, ChangeOp::Truncate] {
            assert_eq!(op.to_string().parse::<ChangeOp>().unwrap(), op);
        }
        assert!("merge".parse::<ChangeOp>().unwrap_err().is_invalid_input());
    }
}
