//! What is no handle, no context, and no value of an option.

use threadline::sqlx::prelude::*;

async fn plain_pool(pool: sqlx::PgPool, context: AuditContext) -> Result<(), threadline::sqlx::Error> {
    audited!(pool, context, |_tx| Ok(())).await?;
    Ok(())
}

async fn no_context(db: AuditedPool, actor: ActorRef) -> Result<(), threadline::sqlx::Error> {
    audited!(db, actor, |_tx| Ok(())).await?;
    Ok(())
}

async fn no_text(db: AuditedPool, context: AuditContext) -> Result<(), threadline::sqlx::Error> {
    audited!(db, context, action = 7, |_tx| Ok(())).await?;
    Ok(())
}

fn main() {}
