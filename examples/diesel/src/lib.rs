//! A small help desk over HTTP, on Diesel and axum, audited.
//!
//! ```console
//! $ cargo run -p example-diesel     # prints what to try with curl
//! ```
//!
//! - [`tickets`] holds the models and the handlers, [`desk`] what they do with a connection. Start there.
//! - [`caller`] makes the context of a request; [`error`] is the service's own error type.
//! - [`archive`] is a job that works in a transaction which somebody else opens.

pub mod archive;
pub mod caller;
pub mod desk;
pub mod error;
pub mod schema;
pub mod tickets;

use axum::Router;
use axum::routing::{get, post};
use deadpool_diesel::postgres::Pool;
use diesel::PgConnection;
use diesel::connection::SimpleConnection;
use threadline::manifest;

use crate::error::AppError;

/// What every handler is given: the pool that a service on Diesel has.
#[derive(Clone)]
pub struct AppState {
    pool: Pool,
}

impl AppState {
    /// Creates the tables and switches the audit trail on. A real service does both in its migrations.
    ///
    /// # Errors
    /// The database's.
    pub async fn open(pool: Pool) -> Result<Self, AppError> {
        let state = Self { pool };
        state
            .with(|conn| {
                conn.batch_execute(desk::TABLES)?;
                let manifest = manifest![tickets::Ticket, tickets::Message];
                Ok(threadline::diesel::install_manifest(conn, &manifest)?)
            })
            .await?;
        Ok(state)
    }

    /// Runs blocking code with a connection. What it is about, the context above all, moves into the closure.
    async fn with<T, F>(&self, work: F) -> Result<T, AppError>
    where
        T: Send + 'static,
        F: FnOnce(&mut PgConnection) -> Result<T, AppError> + Send + 'static,
    {
        self.pool.get().await?.interact(work).await?
    }
}

impl std::fmt::Debug for AppState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppState").finish_non_exhaustive()
    }
}

/// The service.
pub fn router(state: AppState) -> Router {
    Router::new()
        .route("/tickets", post(tickets::open))
        .route("/tickets/{id}/close", post(tickets::close))
        .route("/tickets/{id}/history", get(tickets::history))
        .route("/tickets/{id}/at/{instant}", get(tickets::at))
        .with_state(state)
}
