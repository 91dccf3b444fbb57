//! Tickets: what they are, and what one can do with them over HTTP.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use threadline::diesel::prelude::*;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::caller::Caller;
use crate::error::AppError;
use crate::schema::{messages, tickets};
use crate::{AppState, desk};

/// A ticket, as it is and as it was. The trail records that an address changed and never what it was, so a ticket of the
/// past has none.
#[derive(Clone, Debug, Serialize, QueryableByName, Audited)]
#[diesel(table_name = tickets)]
#[audited(mask(email), require_actor)]
pub struct Ticket {
    id: i64,
    subject: String,
    #[diesel(sql_type = diesel::sql_types::Nullable<diesel::sql_types::Text>)]
    email: Option<String>,
    status: String,
}

/// A message to whoever opened the ticket.
#[derive(Clone, Debug, Queryable, Selectable, Audited)]
#[diesel(table_name = messages)]
#[allow(dead_code, reason = "nothing of this small service reads messages")]
pub struct Message {
    id: i64,
    ticket_id: i64,
    body: String,
}

/// What opens a ticket.
#[derive(Debug, Deserialize)]
pub struct NewTicket {
    pub(crate) subject: String,
    pub(crate) email: String,
}

/// Why a ticket is closed.
#[derive(Debug, Deserialize)]
pub struct Closing {
    reason: String,
}

/// `POST /tickets`
pub(crate) async fn open(
    State(state): State<AppState>,
    Caller(context): Caller,
    Json(new): Json<NewTicket>,
) -> Result<(StatusCode, Json<Value>), AppError> {
    let outcome = state.with(move |conn| desk::open(conn, &context, &new)).await?;
    let body = json!({ "id": outcome.value, "audit_transaction": outcome.transaction_id });
    Ok((StatusCode::CREATED, Json(body)))
}

/// `POST /tickets/{id}/close`
pub(crate) async fn close(
    State(state): State<AppState>,
    Caller(context): Caller,
    Path(id): Path<i64>,
    Json(Closing { reason }): Json<Closing>,
) -> Result<Json<Value>, AppError> {
    let transaction = state.with(move |conn| desk::close(conn, &context, id, &reason)).await?;
    Ok(Json(json!({ "id": id, "audit_transaction": transaction })))
}

/// `GET /tickets/{id}/history`: who did what to it, newest first.
pub(crate) async fn history(State(state): State<AppState>, Path(id): Path<i64>) -> Result<Json<Vec<Value>>, AppError> {
    let query = RowHistory::by_id("public", "tickets", id);
    let page = state.with(move |conn| Ok(conn.row_history(&query)?)).await?;
    let told = page.entries.iter().map(|entry| {
        json!({
            "at": entry.change.captured_at.format(&Rfc3339).ok(),
            "op": entry.change.op,
            "changed": entry.change.changed_fields,
            "by": entry.transaction.as_ref().and_then(|by| by.actor.as_ref()).map(ToString::to_string),
            "request": entry.transaction.as_ref().and_then(|by| by.request_id.as_deref()),
            "action": entry.action.as_ref().map(|action| &action.name),
            "reason": entry.action.as_ref().and_then(|action| action.reason.as_deref()),
        })
    });
    Ok(Json(told.collect()))
}

/// `GET /tickets/{id}/at/{instant}`: the ticket as it was, for example at `2026-11-23T12:00:00Z`.
pub(crate) async fn at(
    State(state): State<AppState>,
    Path((id, instant)): Path<(i64, String)>,
) -> Result<Json<Ticket>, AppError> {
    let instant = OffsetDateTime::parse(&instant, &Rfc3339).map_err(|_| AppError::BadInstant)?;
    let ticket = state.with(move |conn| Ok(conn.as_of::<Ticket>(id, instant)?)).await?;
    Ok(Json(ticket.row))
}
