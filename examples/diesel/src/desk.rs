//! What the help desk does with a connection, inside a transaction or not. Nothing here knows of HTTP.

use diesel::prelude::*;
use threadline::TransactionId;
use threadline::diesel::prelude::*;

use crate::error::AppError;
use crate::schema::{messages, tickets};
use crate::tickets::NewTicket;

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

/// Opens a ticket and tells its id.
///
/// # Errors
/// The database's, and Threadline's when the context has no actor.
pub fn open(conn: &mut PgConnection, context: &AuditContext, new: &NewTicket) -> Result<Outcome<i64>, AppError> {
    audited!(conn, context, action = "ticket.opened", |conn| {
        let id = diesel::insert_into(tickets::table)
            .values((tickets::subject.eq(&new.subject), tickets::email.eq(&new.email)))
            .returning(tickets::id)
            .get_result(conn)?;
        Ok(id)
    })
}

/// Closes a ticket and tells whoever opened it.
///
/// # Errors
/// [`AppError::NoSuchTicket`], [`AppError::AlreadyClosed`], and as for [`open`].
pub fn close(
    conn: &mut PgConnection,
    context: &AuditContext,
    id: i64,
    reason: &str,
) -> Result<Option<TransactionId>, AppError> {
    // That somebody tried is recorded although nothing else of a failed transaction remains.
    let session = conn.with(context).on_error_record(Action::new("ticket.close_failed").reason(reason));
    let outcome = audited!(session, context, action = "ticket.closed", reason = reason, |conn| {
        let status: Option<String> =
            tickets::table.find(id).select(tickets::status).for_update().first(conn).optional()?;
        match status.as_deref() {
            None => return Err(AppError::NoSuchTicket),
            Some("closed") => return Err(AppError::AlreadyClosed),
            Some(_) => {}
        }
        diesel::update(tickets::table.find(id)).set(tickets::status.eq("closed")).execute(conn)?;

        // The message is not the agent's doing: a scope of its own, under the mailer.
        let mailer = AuditContext::new(ActorRef::service_account("mailer")?);
        audited!(conn, mailer, action = "message.queued", |conn| {
            let body = format!("Your ticket was closed: {reason}");
            diesel::insert_into(messages::table)
                .values((messages::ticket_id.eq(id), messages::body.eq(body)))
                .execute(conn)?;
            Ok(())
        })?;
        Ok(())
    })?;
    Ok(outcome.transaction_id)
}
