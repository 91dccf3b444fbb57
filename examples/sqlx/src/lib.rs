//! A small help desk over HTTP, on sqlx and axum, audited.
//!
//! ```console
//! $ cargo run -p example-sqlx       # prints what to try with curl
//! ```
//!
//! - [`tickets`] holds the model, the service's own SQL and the handlers. Start there.
//! - [`caller`] makes the context of a request; [`error`] is the service's own error type.
//! - [`audit`] answers what happened, by any filter of the timeline.
//! - [`archive`] is a job that works in a transaction which somebody else opens.

pub mod archive;
pub mod audit;
pub mod caller;
pub mod error;
pub mod tickets;

use axum::Router;
use axum::routing::{get, post};
use sqlx::PgPool;
use threadline::manifest;
use threadline::sqlx::prelude::*;

/// What every handler is given. Its database handle can only begin audited transactions, and read.
#[derive(Clone, Debug)]
pub struct AppState {
    db: AuditedPool,
}

impl AppState {
    /// Creates the tables and switches the audit trail on. A real service does both in its migrations.
    ///
    /// # Errors
    /// The database's.
    pub async fn open(pool: PgPool) -> Result<Self, threadline::sqlx::Error> {
        sqlx::raw_sql(tickets::TABLES).execute(&pool).await?;
        threadline::sqlx::install_manifest(&pool, &manifest![tickets::Ticket, tickets::Message]).await?;
        Ok(Self { db: AuditedPool::new(pool) })
    }
}

/// The service.
pub fn router(state: AppState) -> Router {
    Router::new()
        .route("/tickets", post(tickets::open))
        .route("/tickets/{id}/close", post(tickets::close))
        .route("/tickets/{id}/history", get(tickets::history))
        .route("/tickets/{id}/at/{instant}", get(tickets::at))
        .route("/audit", get(audit::timeline))
        .with_state(state)
}
