//! A job that runs in a transaction which somebody else opens: a scheduler, a migration, a test.

use sqlx::PgConnection;
use threadline::sqlx::prelude::*;

/// Archives every closed ticket, in the transaction that is open on `connection`, and tells how many there were.
///
/// # Errors
/// [`is_not_in_transaction`](threadline::sqlx::Error::is_not_in_transaction) when none is open; the database's.
pub async fn archive_closed(connection: &mut PgConnection) -> Result<u64, threadline::sqlx::Error> {
    let context = AuditContext::new(ActorRef::job("archive")?);
    let mut audited = attach(&context, connection).await?;
    audited.record_action(&Action::new("tickets.archived")).await?;
    let archive = "UPDATE tickets SET status = 'archived' WHERE status = 'closed'";
    let archived = sqlx::query(archive).execute(&mut **audited).await?.rows_affected();
    audited.detach().await?;
    Ok(archived)
}
