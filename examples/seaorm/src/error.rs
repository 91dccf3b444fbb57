//! What a handler answers when something goes wrong.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sea_orm::DbErr;

/// The error of every handler.
#[derive(Debug)]
pub(crate) enum AppError {
    /// Nobody is named.
    Anonymous,
    /// There is no such post.
    NotFound,
    /// An instant that is none.
    NotAnInstant,
    /// SeaORM's.
    Database(DbErr),
    /// Threadline's.
    Audit(threadline::seaorm::Error),
}

impl From<DbErr> for AppError {
    fn from(error: DbErr) -> Self {
        Self::Database(error)
    }
}

impl From<threadline::seaorm::Error> for AppError {
    fn from(error: threadline::seaorm::Error) -> Self {
        Self::Audit(error)
    }
}

impl From<threadline::Error> for AppError {
    fn from(error: threadline::Error) -> Self {
        Self::Audit(error.into())
    }
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        let (status, message) = match self {
            Self::Anonymous => (StatusCode::UNAUTHORIZED, "say who you are in the header x-user".to_owned()),
            Self::NotFound => (StatusCode::NOT_FOUND, "there is no such post".to_owned()),
            Self::NotAnInstant => (StatusCode::BAD_REQUEST, "give an instant as in 2026-11-25T12:00:00Z".to_owned()),
            Self::Audit(error) if is_about_the_question(&error) => (StatusCode::NOT_FOUND, error.to_string()),
            Self::Audit(error) => failure(&error),
            Self::Database(error) => failure(&error),
        };
        (status, message).into_response()
    }
}

/// Threadline's errors of a read that has no answer hold no row values, so they can be told.
fn is_about_the_question(error: &threadline::seaorm::Error) -> bool {
    error.as_core().is_some_and(|error| {
        error.is_never_existed() || error.is_deleted_record() || error.is_before_horizon() || error.is_invalid_input()
    })
}

fn failure(error: &dyn std::error::Error) -> (StatusCode, String) {
    eprintln!("error: {error}");
    (StatusCode::INTERNAL_SERVER_ERROR, "something went wrong".to_owned())
}
