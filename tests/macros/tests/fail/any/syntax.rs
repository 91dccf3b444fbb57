//! What is missing, unknown, said twice or in the wrong place.

use threadline::sqlx::prelude::*;

type Result = std::result::Result<(), threadline::sqlx::Error>;

async fn missing(db: AuditedPool, context: AuditContext) -> Result {
    audited!().await?;
    audited!(action = "post.published", |tx| Ok(())).await?;
    audited!(db, |tx| Ok(())).await?;
    audited!(db, action = "post.published", |tx| Ok(())).await?;
    audited!(db, context, action = "post.published").await?;
    Ok(())
}

async fn options(db: AuditedPool, context: AuditContext) -> Result {
    audited!(db, context, action = "post.published", reson = "editor approved", |tx| Ok(())).await?;
    audited!(db, context, action = "post.published", action = "post.renamed", |tx| Ok(())).await?;
    audited!(db, context, reason = "editor approved", |tx| Ok(())).await?;
    audited!(db, context, action = , |tx| Ok(())).await?;
    audited!(db, context, |tx| Ok(()), action = "post.published").await?;
    Ok(())
}

async fn names(db: AuditedPool, context: AuditContext) -> Result {
    audited!(db, context, action = "", |tx| Ok(())).await?;
    audited!(db, context, action = "post.published ", |tx| Ok(())).await?;
    audited!(db, context, action = "post.published", correlation_id = "a\nb", |tx| Ok(())).await?;
    Ok(())
}

async fn closures(db: AuditedPool, context: AuditContext) -> Result {
    audited!(db, context, || Ok(())).await?;
    audited!(db, context, |tx, more| Ok(())).await?;
    audited!(db, context, publish).await?;
    Ok(())
}

fn main() {}
