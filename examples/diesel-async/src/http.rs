//! The door: routes, who is calling, errors as status codes.

use axum::Router;
use axum::extract::{FromRequestParts, Json, Path, Query, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use threadline::{ActorRef, AuditContext, LinkedChange};
use time::OffsetDateTime;

use crate::library::{Book, Done, Error, Library};

pub(crate) fn routes(library: Library) -> Router {
    Router::new()
        .route("/books/{id}", get(book))
        .route("/books/{id}/history", get(history))
        .route("/books/{id}/borrow", post(borrow))
        .route("/books/{id}/return", post(give_back))
        .with_state(library)
}

/// Who is calling, from the headers that a real service's authentication would have set.
struct Caller {
    user: String,
    context: AuditContext,
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let nobody = (StatusCode::UNAUTHORIZED, "say who you are in the header x-user\n");
        let user = header("x-user").ok_or(nobody)?.to_owned();
        let actor = ActorRef::user(&user).map_err(|_| nobody)?;
        let mut context = AuditContext::new(actor).source("http");
        if let Some(id) = header("x-request-id") {
            context = context.request_id(id);
        }
        Ok(Self { user, context })
    }
}

#[derive(Serialize)]
struct Receipt {
    book: Book,
    audit_transaction: Option<i64>,
}

impl From<Done> for Json<Receipt> {
    fn from(done: Done) -> Self {
        Json(Receipt { book: done.book, audit_transaction: done.audit_transaction.map(|id| id.0) })
    }
}

async fn borrow(State(library): State<Library>, caller: Caller, Path(id): Path<i64>) -> Result<Json<Receipt>, Error> {
    Ok(library.borrow(&caller.user, &caller.context, id).await?.into())
}

async fn give_back(
    State(library): State<Library>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<Json<Receipt>, Error> {
    Ok(library.give_back(&caller.context, id).await?.into())
}

#[derive(Deserialize)]
struct At {
    #[serde(default, with = "time::serde::rfc3339::option")]
    at: Option<OffsetDateTime>,
}

async fn book(
    State(library): State<Library>,
    Path(id): Path<i64>,
    Query(At { at }): Query<At>,
) -> Result<Json<Book>, Error> {
    Ok(Json(match at {
        Some(at) => library.book_at(id, at).await?,
        None => library.book(id).await?,
    }))
}

/// One line of a book's history.
#[derive(Serialize)]
struct Event {
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    who: Option<String>,
    what: Option<String>,
    changed: Vec<String>,
}

impl From<LinkedChange> for Event {
    fn from(entry: LinkedChange) -> Self {
        Self {
            at: entry.change.captured_at,
            who: entry.transaction.and_then(|transaction| transaction.actor).map(|actor| actor.to_string()),
            what: entry.action.map(|action| action.name),
            changed: entry.change.changed_fields.unwrap_or_default(),
        }
    }
}

async fn history(State(library): State<Library>, Path(id): Path<i64>) -> Result<Json<Vec<Event>>, Error> {
    Ok(Json(library.history(id).await?.into_iter().map(Event::from).collect()))
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::NoSuchBook => StatusCode::NOT_FOUND,
            Self::LentOut | Self::NotLentOut => StatusCode::CONFLICT,
            Self::Audit(error) if error.as_core().is_some_and(|error| error.is_never_existed()) => {
                StatusCode::NOT_FOUND
            }
            Self::Audit(error) if error.as_core().is_some_and(|error| error.is_before_horizon()) => {
                StatusCode::NOT_FOUND
            }
            // A database's message may quote a row.
            Self::Audit(_) | Self::Other(_) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        };
        (status, format!("{self}\n")).into_response()
    }
}
