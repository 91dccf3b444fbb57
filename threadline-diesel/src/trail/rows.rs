//! Rows of the trail's tables.

use diesel::pg::Pg;
use diesel::{Queryable, Selectable};
use threadline_core::{ActionId, ActionStatus, ChangeId, ChangeOp, Json, TransactionId};
use time::OffsetDateTime;

use super::columns::{Instant, JsonColumn, NullableAction, NullableJson, Op, Status};
use super::tables::{audit_actions, audit_changes, audit_transactions};

/// A row of [`audit_changes`](super::audit_changes); see [`threadline_core::AuditChange`] for what is where.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = audit_changes, check_for_backend(Pg))]
#[non_exhaustive]
pub struct AuditChange {
    /// Breaks ties of `captured_at`.
    #[diesel(deserialize_as = i64)]
    pub id: ChangeId,
    /// The unit of work it belongs to.
    #[diesel(deserialize_as = i64)]
    pub transaction_id: TransactionId,
    /// The database transaction's id; information, never an identity.
    pub xid: u64,
    /// When it was captured.
    #[diesel(deserialize_as = Instant)]
    pub captured_at: OffsetDateTime,
    /// The table's schema at that time.
    pub table_schema: String,
    /// The table's name at that time.
    pub table_name: String,
    /// What happened.
    #[diesel(deserialize_as = Op)]
    pub op: ChangeOp,
    /// The row's key after the change.
    #[diesel(deserialize_as = NullableJson)]
    pub table_pk: Option<Json>,
    /// The row's key before a change that changed it.
    #[diesel(deserialize_as = NullableJson)]
    pub previous_pk: Option<Json>,
    /// The row after the change.
    #[diesel(deserialize_as = NullableJson)]
    pub data_after: Option<Json>,
    /// The columns that an update changed, sorted.
    pub changed_fields: Option<Vec<String>>,
    /// Prior values of the changed columns; of a deleted row, all values.
    #[diesel(deserialize_as = NullableJson)]
    pub changed_from: Option<Json>,
    /// Why the images were withheld, when they were.
    pub withheld: Option<String>,
}

/// A row of [`audit_transactions`](super::audit_transactions).
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = audit_transactions, check_for_backend(Pg))]
#[non_exhaustive]
pub struct AuditTransaction {
    /// Unique for the life of the trail.
    #[diesel(deserialize_as = i64)]
    pub id: TransactionId,
    /// The database transaction's id; information, never an identity.
    pub xid: u64,
    /// When its first change was captured.
    #[diesel(deserialize_as = Instant)]
    pub occurred_at: OffsetDateTime,
    /// Who is responsible; [`Json::decode`] reads it into an [`ActorRef`](threadline_core::ActorRef).
    #[diesel(deserialize_as = NullableJson)]
    pub actor_ref: Option<Json>,
    /// The action it belongs to.
    #[diesel(deserialize_as = NullableAction)]
    pub action_id: Option<ActionId>,
    /// The id that follows one piece of work through every service.
    pub correlation_id: Option<String>,
    /// The id of the request.
    pub request_id: Option<String>,
    /// The id of the background job.
    pub job_id: Option<String>,
    /// What the work came in through.
    pub source: Option<String>,
    /// The address the request came from.
    pub remote_ip: Option<String>,
    /// Further notes, a JSON object.
    #[diesel(deserialize_as = NullableJson)]
    pub meta: Option<Json>,
    /// The role that logged in to the database.
    pub session_role: String,
    /// The role set at the time; `none` when it is the session's.
    pub current_role_name: String,
    /// The client's `application_name`.
    pub application_name: String,
}

/// A row of [`audit_actions`](super::audit_actions).
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = audit_actions, check_for_backend(Pg))]
#[non_exhaustive]
pub struct AuditAction {
    /// Unique for the life of the trail.
    #[diesel(deserialize_as = i64)]
    pub id: ActionId,
    /// What it is called: `post.published`.
    pub name: String,
    /// Who did it.
    #[diesel(deserialize_as = JsonColumn)]
    pub actor_ref: Json,
    /// How it ended.
    #[diesel(deserialize_as = Status)]
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
    #[diesel(deserialize_as = Instant)]
    pub recorded_at: OffsetDateTime,
}
