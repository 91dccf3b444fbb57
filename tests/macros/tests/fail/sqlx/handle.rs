//! What is no handle: sqlx's own, and the arguments in the wrong order.

use threadline::sqlx::prelude::*;

type Result = std::result::Result<(), threadline::sqlx::Error>;

async fn plain_pool(pool: sqlx::PgPool, context: AuditContext) -> Result {
    audited!(pool, context, |_tx| Ok(())).await?;
    Ok(())
}

async fn borrowed_pool(pool: &sqlx::PgPool, context: &AuditContext) -> Result {
    audited!(pool, context, |_tx| Ok(())).await?;
    Ok(())
}

async fn plain_transaction(mut tx: sqlx::Transaction<'_, sqlx::Postgres>, context: AuditContext) -> Result {
    audited!(tx, context, |_tx| Ok(())).await?;
    Ok(())
}

async fn plain_connection(conn: &mut sqlx::PgConnection, context: AuditContext) -> Result {
    audited!(conn, context, |_tx| Ok(())).await?;
    Ok(())
}

async fn wrong_order(db: &AuditedPool, context: &AuditContext) -> Result {
    audited!(context, db, |_tx| Ok(())).await?;
    Ok(())
}

async fn something_else(url: String, context: AuditContext) -> Result {
    audited!(url, context, |_tx| Ok(())).await?;
    Ok(())
}

fn main() {}
