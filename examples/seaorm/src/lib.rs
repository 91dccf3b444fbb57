//! A blog's service, audited: SeaORM, axum, and Threadline.
//!
//! ```sh
//! cargo run -p example-seaorm      # starts a throwaway PostgreSQL and tells what to try
//! ```
//!
//! - `handlers.rs` is what a user of Threadline writes every day. Start there.
//! - `entity.rs` says what is audited, and what of it is never stored.
//! - `migration.rs` installs it with sea-orm-migration.
//! - `caller.rs` makes the audit context of a request.

mod caller;
mod entity;
mod error;
mod handlers;
mod migration;

use axum::Router;
use axum::routing::{get, post};
use sea_orm::{DatabaseConnection, DbErr};
use sea_orm_migration::MigratorTrait;
use threadline::seaorm::AuditedDatabase;

/// What the requests share. The database can only write inside audited transactions.
#[derive(Clone, Debug)]
pub(crate) struct AppState {
    pub(crate) db: AuditedDatabase,
}

/// Brings the database up to date and gives the service on it.
///
/// # Errors
/// When a migration fails.
pub async fn service(connection: DatabaseConnection) -> Result<Router, DbErr> {
    migration::Migrator::up(&connection, None).await?;
    let state = AppState { db: AuditedDatabase::new(connection) };
    Ok(Router::new()
        .route("/posts", post(handlers::draft))
        .route("/posts/{id}/publish", post(handlers::publish))
        .route("/posts/{id}/history", get(handlers::history))
        .route("/posts/{id}/as-of", get(handlers::as_of))
        .with_state(state))
}
