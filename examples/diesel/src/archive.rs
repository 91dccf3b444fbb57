//! A job that runs in a transaction which somebody else opens: a scheduler, a migration, a test.

use diesel::prelude::*;
use threadline::diesel::prelude::*;

use crate::schema::tickets;

/// Archives every closed ticket, in the transaction that is open on `conn`, and tells how many there were.
///
/// # Errors
/// [`is_not_in_transaction`](threadline::diesel::Error::is_not_in_transaction) when none is open; the database's.
pub fn archive_closed(conn: &mut PgConnection) -> Result<usize, threadline::diesel::Error> {
    let context = AuditContext::new(ActorRef::job("archive")?);
    let mut audited = attach(&context, conn)?;
    audited.record_action(&Action::new("tickets.archived"))?;
    let closed = tickets::table.filter(tickets::status.eq("closed"));
    let archived = diesel::update(closed).set(tickets::status.eq("archived")).execute(&mut *audited)?;
    audited.detach()?;
    Ok(archived)
}
