//! What is no handle: a pool, a blocking connection, and the arguments in the wrong order.

use diesel::PgConnection;
use diesel_async::AsyncPgConnection;
use diesel_async::pooled_connection::deadpool::Pool;
use threadline::diesel_async::prelude::*;

type Result = std::result::Result<(), threadline::diesel_async::Error>;

struct State {
    pool: Pool<AsyncPgConnection>,
}

async fn pool_in_state(state: &State, context: &AuditContext) -> Result {
    audited!(state.pool, context, |_conn| Ok(())).await?;
    Ok(())
}

async fn borrowed_pool(pool: &Pool<AsyncPgConnection>, context: &AuditContext) -> Result {
    audited!(pool, context, |_conn| Ok(())).await?;
    Ok(())
}

async fn blocking_connection(mut conn: PgConnection, context: &AuditContext) -> Result {
    audited!(conn, context, |_conn| Ok(())).await?;
    Ok(())
}

async fn wrong_order(conn: &mut AsyncPgConnection, context: AuditContext) -> Result {
    audited!(context, conn, |_conn| Ok(())).await?;
    Ok(())
}

async fn something_else(url: String, context: AuditContext) -> Result {
    audited!(url, context, |_conn| Ok(())).await?;
    Ok(())
}

fn main() {}
