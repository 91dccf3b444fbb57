//! `audit_actions`: semantic actions.
#![allow(missing_docs, reason = "SeaORM derives items that it does not document")]

use sea_orm::entity::prelude::*;

/// One recorded action.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(schema_name = "threadline", table_name = "audit_actions")]
pub struct Model {
    /// From a sequence; unique for the life of the trail.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// What was done, such as `post.published`.
    pub name: String,
    /// Who, as the JSON of a [`threadline_core::ActorRef`].
    pub actor_ref: Json,
    /// `ok` or `error`.
    pub status: String,
    /// The verb of the action.
    pub verb: Option<String>,
    /// The kind of action.
    pub category: Option<String>,
    /// Why, in a phrase.
    pub reason: Option<String>,
    /// Why, at length.
    pub comment: Option<String>,
    /// The id that follows one piece of work through every service and job.
    pub correlation_id: Option<String>,
    /// The id of the one request.
    pub request_id: Option<String>,
    /// The id of the background job.
    pub job_id: Option<String>,
    /// When.
    pub recorded_at: TimeDateTimeWithTimeZone,
}

/// What an action covers.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    /// The units of work that were done for it.
    #[sea_orm(has_many = "super::audit_transactions::Entity")]
    Transactions,
}

impl Related<super::audit_transactions::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Transactions.def()
    }
}

/// The changes that were made for it.
impl Related<super::audit_changes::Entity> for Entity {
    fn to() -> RelationDef {
        super::audit_transactions::Relation::Changes.def()
    }

    fn via() -> Option<RelationDef> {
        Some(Relation::Transactions.def())
    }
}

impl ActiveModelBehavior for ActiveModel {}
