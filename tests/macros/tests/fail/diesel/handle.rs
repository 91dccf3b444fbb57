//! What is no handle: a pool, what cannot be written through, and the arguments in the wrong order.

use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, Pool};
use threadline::diesel::prelude::*;

type Result = std::result::Result<(), threadline::diesel::Error>;

struct State {
    pool: Pool<ConnectionManager<PgConnection>>,
}

fn pool_in_state(state: &State, context: &AuditContext) -> Result {
    audited!(state.pool, context, |_conn| Ok(()))?;
    Ok(())
}

fn borrowed_pool(pool: &Pool<ConnectionManager<PgConnection>>, context: &AuditContext) -> Result {
    audited!(pool, context, |_conn| Ok(()))?;
    Ok(())
}

fn shared_connection(conn: &PgConnection, context: &AuditContext) -> Result {
    audited!(conn, context, |_conn| Ok(()))?;
    Ok(())
}

fn wrong_order(conn: &mut PgConnection, context: AuditContext) -> Result {
    audited!(context, conn, |_conn| Ok(()))?;
    Ok(())
}

fn something_else(url: String, context: AuditContext) -> Result {
    audited!(url, context, |_conn| Ok(()))?;
    Ok(())
}

fn awaited(conn: &mut PgConnection, context: &AuditContext) -> Result {
    audited!(conn, context, async |_conn| Ok(()))?;
    Ok(())
}

fn main() {}
