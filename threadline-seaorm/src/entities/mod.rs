//! Entities for the tables of the trail, for queries of your own.
//!
//! They are SeaORM's plain entities: filter, join, paginate and select partial models as you do with yours. They read the
//! trail in the schema `threadline`. The trail is append-only, so writing through them is refused by the database.
//!
//! ```no_run
//! use sea_orm::{ColumnTrait, EntityTrait, ModelTrait, QueryFilter, QueryOrder, QuerySelect};
//! use threadline_seaorm::entities::{audit_changes, audit_transactions};
//!
//! # async fn example(db: sea_orm::DatabaseConnection) -> Result<(), sea_orm::DbErr> {
//! // The last changes of posts, each with the transaction it was made in.
//! let recent = audit_changes::Entity::find()
//!     .filter(audit_changes::Column::TableName.eq("posts"))
//!     .order_by_desc(audit_changes::Column::CapturedAt)
//!     .order_by_desc(audit_changes::Column::Id)
//!     .limit(20)
//!     .find_also_related(audit_transactions::Entity)
//!     .all(&db)
//!     .await?;
//!
//! // Everything that a request touched.
//! let of_request = audit_transactions::Entity::find()
//!     .filter(audit_transactions::Column::RequestId.eq("req-7f3"))
//!     .find_with_related(audit_changes::Entity)
//!     .all(&db)
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Which indexes there are
//! Changes are found by transaction, by key, and in the order of the trail (`captured_at`, then `id`); transactions by
//! actor, action, correlation, request and job id; actions by name and correlation id. For anything else narrow down by
//! `captured_at` or `occurred_at` first: both tables are partitioned by month. [`Trail`](crate::Trail)'s reads do all of
//! that by themselves.

pub mod audit_actions;
pub mod audit_changes;
pub mod audit_transactions;
