//! What the service can answer instead.

use std::fmt;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// The service's error. `?` makes it of the database's and of Threadline's.
#[derive(Debug)]
pub enum AppError {
    /// There is no such ticket.
    NoSuchTicket,
    /// It was closed before.
    AlreadyClosed,
    /// The instant is not one.
    BadInstant,
    /// Threadline's error, or sqlx's: each converts into the other without becoming text.
    Database(threadline::sqlx::Error),
}

impl From<threadline::sqlx::Error> for AppError {
    fn from(error: threadline::sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<sqlx::Error> for AppError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchTicket => f.write_str("there is no such ticket"),
            Self::AlreadyClosed => f.write_str("the ticket is closed already"),
            Self::BadInstant => f.write_str("an instant looks like 2026-11-23T12:00:00Z"),
            Self::Database(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for AppError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
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
            Self::Database(error) => match error.as_core() {
                Some(error) if error.is_missing_actor() => StatusCode::UNAUTHORIZED,
                Some(error) if error.is_never_existed() || error.is_deleted_record() => StatusCode::NOT_FOUND,
                Some(error) if error.is_before_horizon() => StatusCode::GONE,
                Some(error) if error.is_malformed_context() || error.is_invalid_input() => StatusCode::BAD_REQUEST,
                Some(error) if error.is_not_captured() => StatusCode::BAD_REQUEST,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            },
        };
        // Threadline's messages hold no row values; what the database says is for the log, not for the caller.
        let said = match &self {
            Self::Database(error) if error.as_core().is_none() => "something went wrong".to_owned(),
            error => error.to_string(),
        };
        (status, Json(json!({ "error": said }))).into_response()
    }
}
