//! What is no context, and no value of an option.

use threadline::sqlx::prelude::*;

type Result = std::result::Result<(), threadline::sqlx::Error>;

async fn an_actor(db: AuditedPool, actor: ActorRef) -> Result {
    audited!(db, actor, |_tx| Ok(())).await?;
    Ok(())
}

async fn no_text(db: AuditedPool, context: AuditContext) -> Result {
    audited!(db, context, action = 7, |_tx| Ok(())).await?;
    Ok(())
}

async fn no_status(db: AuditedPool, context: AuditContext) -> Result {
    audited!(db, context, action = "post.published", status = "error", |_tx| Ok(())).await?;
    Ok(())
}

fn main() {}
