//! Who calls, and under which request.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use threadline::diesel::prelude::*;

/// The audit context of a request. A real service learns the user from its session or token instead of a header.
///
/// Without a user the context has no actor, and no transaction begins with it: writing is refused, reading is not.
#[derive(Clone, Debug)]
pub struct Caller(pub AuditContext);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let mut context = AuditContext::without_actor().source("http");
        if let Some(actor) = header("x-user-id").and_then(|id| ActorRef::user(id).ok()) {
            context = context.with_actor(actor);
        }
        if let Some(id) = header("x-request-id") {
            context = context.request_id(id);
        }
        Ok(Self(context))
    }
}
