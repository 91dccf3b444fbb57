//! Tickets: what they are, and what one can do with them over HTTP.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use threadline::sqlx::prelude::*;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::AppState;
use crate::audit;
use crate::caller::Caller;
use crate::error::AppError;

/// The service's own tables. Nothing in them is there for the audit trail.
pub const TABLES: &str = "
    CREATE TABLE tickets (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        subject text NOT NULL,
        email text NOT NULL,
        status text NOT NULL DEFAULT 'open'
    );
    CREATE TABLE messages (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        ticket_id bigint NOT NULL REFERENCES tickets,
        body text NOT NULL
    );
";

/// A ticket, as it is and as it was. The trail records that an address changed and never what it was, so a ticket of the
/// past has none.
#[derive(Clone, Debug, Serialize, sqlx::FromRow, Audited)]
#[audited(table = "tickets", mask(email), require_actor)]
pub struct Ticket {
    id: i64,
    subject: String,
    email: Option<String>,
    status: String,
}

/// A message to whoever opened the ticket.
#[derive(Clone, Debug, sqlx::FromRow, Audited)]
#[audited(table = "messages")]
#[allow(dead_code, reason = "nothing of this small service reads messages")]
pub struct Message {
    id: i64,
    ticket_id: i64,
    body: String,
}

/// What opens a ticket.
#[derive(Debug, Deserialize)]
pub struct NewTicket {
    subject: String,
    email: String,
}

/// Why a ticket is closed.
#[derive(Debug, Deserialize)]
pub struct Closing {
    reason: String,
}

/// `POST /tickets`
pub(crate) async fn open(
    State(AppState { db }): State<AppState>,
    Caller(context): Caller,
    Json(new): Json<NewTicket>,
) -> Result<(StatusCode, Json<Value>), AppError> {
    let outcome = audited!(db, context, action = "ticket.opened", |tx| {
        let id: i64 = sqlx::query_scalar("INSERT INTO tickets (subject, email) VALUES ($1, $2) RETURNING id")
            .bind(&new.subject)
            .bind(&new.email)
            .fetch_one(&mut **tx)
            .await?;
        Ok(id)
    })
    .await?;
    let body = json!({ "id": outcome.value, "audit_transaction": outcome.transaction_id });
    Ok((StatusCode::CREATED, Json(body)))
}

/// `POST /tickets/{id}/close`
pub(crate) async fn close(
    State(AppState { db }): State<AppState>,
    Caller(context): Caller,
    Path(id): Path<i64>,
    Json(Closing { reason }): Json<Closing>,
) -> Result<Json<Value>, AppError> {
    // That somebody tried is recorded although nothing else of a failed transaction remains.
    let session = db.with(&context).on_error_record(Action::new("ticket.close_failed").reason(&reason));
    let outcome = audited!(session, context, action = "ticket.closed", reason = &reason, |tx| {
        let status: Option<String> = sqlx::query_scalar("SELECT status FROM tickets WHERE id = $1 FOR UPDATE")
            .bind(id)
            .fetch_optional(&mut **tx)
            .await?;
        match status.as_deref() {
            None => return Err(AppError::NoSuchTicket),
            Some("closed") => return Err(AppError::AlreadyClosed),
            Some(_) => {}
        }
        sqlx::query("UPDATE tickets SET status = 'closed' WHERE id = $1").bind(id).execute(&mut **tx).await?;

        // The message is not the agent's doing: a scope of its own, under the mailer.
        let mailer = AuditContext::new(ActorRef::service_account("mailer").map_err(threadline::sqlx::Error::from)?);
        audited!(tx, mailer, action = "message.queued", |tx| {
            sqlx::query("INSERT INTO messages (ticket_id, body) VALUES ($1, $2)")
                .bind(id)
                .bind(format!("Your ticket was closed: {reason}"))
                .execute(&mut **tx)
                .await?;
            Ok(())
        })
        .await?;
        Ok(())
    })
    .await?;
    Ok(Json(json!({ "id": id, "audit_transaction": outcome.transaction_id })))
}

/// `GET /tickets/{id}/history`: who did what to it, newest first.
pub(crate) async fn history(
    State(AppState { db }): State<AppState>,
    Path(id): Path<i64>,
) -> Result<Json<Vec<Value>>, AppError> {
    let page = db.row_history(&RowHistory::by_id("public", "tickets", id)).await?;
    Ok(Json(page.entries.iter().map(audit::told).collect()))
}

/// `GET /tickets/{id}/at/{instant}`: the ticket as it was, for example at `2026-11-23T12:00:00Z`.
pub(crate) async fn at(
    State(AppState { db }): State<AppState>,
    Path((id, instant)): Path<(i64, String)>,
) -> Result<Json<Ticket>, AppError> {
    let instant = OffsetDateTime::parse(&instant, &Rfc3339).map_err(|_| AppError::BadInstant)?;
    Ok(Json(db.as_of::<Ticket>(id, instant).await?.row))
}
