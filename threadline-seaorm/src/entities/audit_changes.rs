//! `audit_changes`: one row per captured row change.
#![allow(missing_docs, reason = "SeaORM derives items that it does not document")]

use sea_orm::entity::prelude::*;

/// One captured change. Changes are ordered by `(captured_at, id)`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(schema_name = "threadline", table_name = "audit_changes")]
pub struct Model {
    /// From a sequence; unique for the life of the trail, and no order by itself.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The [audit transaction](super::audit_transactions) it was made in.
    pub transaction_id: i64,
    /// When, never decreasing within a database transaction.
    pub captured_at: TimeDateTimeWithTimeZone,
    /// The schema of the changed table.
    pub table_schema: String,
    /// The changed table; for a partition, the table it is a partition of.
    pub table_name: String,
    /// `insert`, `update`, `delete` or `truncate`.
    pub op: String,
    /// The key of the row, by column.
    pub table_pk: Option<Json>,
    /// The key that the row had before, when it changed.
    pub previous_pk: Option<Json>,
    /// The row after an insert or update, as far as the policy keeps it.
    pub data_after: Option<Json>,
    /// The columns that an update changed, sorted.
    pub changed_fields: Option<Vec<String>>,
    /// What the changed columns held before; after a delete the whole row.
    pub changed_from: Option<Json>,
    /// Why the images were not kept, when they were not.
    pub withheld: Option<String>,
}

/// What a change belongs to.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    /// Who, when and why.
    #[sea_orm(
        belongs_to = "super::audit_transactions::Entity",
        from = "Column::TransactionId",
        to = "super::audit_transactions::Column::Id"
    )]
    Transaction,
}

impl Related<super::audit_transactions::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Transaction.def()
    }
}

/// The actions that the change's transaction was recorded for.
impl Related<super::audit_actions::Entity> for Entity {
    fn to() -> RelationDef {
        super::audit_transactions::Relation::Action.def()
    }

    fn via() -> Option<RelationDef> {
        Some(Relation::Transaction.def())
    }
}

impl ActiveModelBehavior for ActiveModel {}
