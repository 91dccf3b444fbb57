//! What the service can answer instead.

use std::fmt;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use deadpool_diesel::InteractError;
use deadpool_diesel::postgres::PoolError;
use serde_json::json;

/// The service's error. `?` makes it of the pool's, the database's and Threadline's.
#[derive(Debug)]
pub enum AppError {
    /// There is no such ticket.
    NoSuchTicket,
    /// It was closed before.
    AlreadyClosed,
    /// The instant is not one.
    BadInstant,
    /// The pool has no connection to lend.
    NoConnection(PoolError),
    /// The blocking code panicked, or was aborted.
    Stopped(InteractError),
    /// Threadline's error, or Diesel's: each converts into the other without becoming text.
    Database(threadline::diesel::Error),
}

impl From<PoolError> for AppError {
    fn from(error: PoolError) -> Self {
        Self::NoConnection(error)
    }
}

impl From<InteractError> for AppError {
    fn from(error: InteractError) -> Self {
        Self::Stopped(error)
    }
}

impl From<threadline::diesel::Error> for AppError {
    fn from(error: threadline::diesel::Error) -> Self {
        Self::Database(error)
    }
}

impl From<threadline::Error> for AppError {
    fn from(error: threadline::Error) -> Self {
        Self::Database(error.into())
    }
}

impl From<diesel::result::Error> for AppError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Database(error.into())
    }
}

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchTicket => f.write_str("there is no such ticket"),
            Self::AlreadyClosed => f.write_str("the ticket is closed already"),
            Self::BadInstant => f.write_str("an instant looks like 2026-11-23T12:00:00Z"),
            Self::NoConnection(error) => error.fmt(f),
            Self::Stopped(error) => error.fmt(f),
            Self::Database(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for AppError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoConnection(error) => error.source(),
            Self::Stopped(error) => error.source(),
            Self::Database(error) => error.source(),
            Self::NoSuchTicket | Self::AlreadyClosed | Self::BadInstant => None,
        }
    }
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::NoSuchTicket => StatusCode::NOT_FOUND,
            Self::AlreadyClosed => StatusCode::CONFLICT,
            Self::BadInstant => StatusCode::BAD_REQUEST,
            Self::NoConnection(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Stopped(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Database(error) => match error.as_core() {
                Some(error) if error.is_missing_actor() => StatusCode::UNAUTHORIZED,
                Some(error) if error.is_never_existed() || error.is_deleted_record() => StatusCode::NOT_FOUND,
                Some(error) if error.is_before_horizon() => StatusCode::GONE,
                Some(error) if error.is_malformed_context() => StatusCode::BAD_REQUEST,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            },
        };
        // Threadline's messages hold no row values; what the database says is for the log, not for the caller.
        let said = match &self {
            Self::Database(error) if error.as_core().is_some() => error.to_string(),
            Self::Database(_) | Self::NoConnection(_) | Self::Stopped(_) => "something went wrong".to_owned(),
            error => error.to_string(),
        };
        (status, Json(json!({ "error": said }))).into_response()
    }
}
