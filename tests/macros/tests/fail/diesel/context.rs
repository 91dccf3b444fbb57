//! What is no context, and no value of an option.

use diesel::prelude::*;
use threadline::diesel::prelude::*;

type Result = std::result::Result<(), threadline::diesel::Error>;

fn an_actor(conn: &mut PgConnection, actor: ActorRef) -> Result {
    audited!(conn, actor, |_conn| Ok(()))?;
    Ok(())
}

fn no_text(conn: &mut PgConnection, context: AuditContext) -> Result {
    audited!(conn, context, action = 7, |_conn| Ok(()))?;
    Ok(())
}

fn no_status(conn: &mut PgConnection, context: AuditContext) -> Result {
    audited!(conn, context, action = "post.published", status = "error", |_conn| Ok(()))?;
    Ok(())
}

fn main() {}
