//! `audit_transactions`: one row per attributed unit of work in a database transaction.
#![allow(missing_docs, reason = "SeaORM derives items that it does not document")]

use sea_orm::entity::prelude::*;

/// One attributed unit of work.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(schema_name = "threadline", table_name = "audit_transactions")]
pub struct Model {
    /// From a sequence; unique for the life of the trail.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// When its first change was captured.
    pub occurred_at: TimeDateTimeWithTimeZone,
    /// Who, as the JSON of a [`threadline_core::ActorRef`].
    pub actor_ref: Option<Json>,
    /// The first action that covers it.
    pub action_id: Option<i64>,
    /// The id that follows one piece of work through every service and job.
    pub correlation_id: Option<String>,
    /// The id of the one request.
    pub request_id: Option<String>,
    /// The id of the background job.
    pub job_id: Option<String>,
    /// What the work came in through.
    pub source: Option<String>,
    /// The address the request came from.
    pub remote_ip: Option<String>,
    /// The context's notes.
    pub meta: Option<Json>,
    /// The role that opened the session.
    pub session_role: String,
    /// The role that the session had taken on.
    pub current_role_name: String,
    /// What the session called itself.
    pub application_name: String,
}

/// What a transaction belongs to and holds.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    /// Why.
    #[sea_orm(
        belongs_to = "super::audit_actions::Entity",
        from = "Column::ActionId",
        to = "super::audit_actions::Column::Id"
    )]
    Action,
    /// What changed.
    #[sea_orm(has_many = "super::audit_changes::Entity")]
    Changes,
}

impl Related<super::audit_actions::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Action.def()
    }
}

impl Related<super::audit_changes::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Changes.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
