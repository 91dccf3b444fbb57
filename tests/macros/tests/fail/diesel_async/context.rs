//! What is no context, and no value of an option.

use diesel_async::AsyncPgConnection;
use threadline::diesel_async::prelude::*;

type Result = std::result::Result<(), threadline::diesel_async::Error>;

async fn an_actor(conn: &mut AsyncPgConnection, actor: ActorRef) -> Result {
    audited!(conn, actor, |_conn| Ok(())).await?;
    Ok(())
}

async fn no_text(conn: &mut AsyncPgConnection, context: AuditContext) -> Result {
    audited!(conn, context, action = 7, |_conn| Ok(())).await?;
    Ok(())
}

async fn no_status(conn: &mut AsyncPgConnection, context: AuditContext) -> Result {
    audited!(conn, context, action = "post.published", status = "error", |_conn| Ok(())).await?;
    Ok(())
}

fn main() {}
