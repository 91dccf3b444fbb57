//! Who calls, and in which request: the audit context of everything that a handler does.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use threadline::{ActorRef, AuditContext};

use crate::AppState;
use crate::error::AppError;

/// The caller's audit context. A handler that takes it cannot be called anonymously.
///
/// Where this reads `x-user`, a service of yours asks its own authentication.
pub(crate) struct Caller(pub(crate) AuditContext);

impl FromRequestParts<AppState> for Caller {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, AppError> {
        let user = header(&parts.headers, "x-user").ok_or(AppError::Anonymous)?;
        let mut context = AuditContext::new(ActorRef::user(user)?).source("api");
        if let Some(id) = header(&parts.headers, "x-request-id") {
            context = context.request_id(id);
        }
        Ok(Self(context))
    }
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}
