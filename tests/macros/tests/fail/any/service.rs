//! `#[threadline::audited]` where it cannot stand, or with options that are none.

use threadline::sqlx::prelude::*;

type Result<T> = std::result::Result<T, threadline::sqlx::Error>;

#[threadline::audited(action = "post.published")]
async fn no_handle(pool: AuditedPool, ctx: AuditContext) -> Result<()> {
    Ok(())
}

#[threadline::audited(action = "post.published")]
async fn no_context(db: AuditedPool) -> Result<()> {
    Ok(())
}

#[threadline::audited(action = "post.published")]
async fn no_result(db: AuditedPool, ctx: AuditContext) {}

#[threadline::audited(name = "post.published")]
async fn unknown_option(db: AuditedPool, ctx: AuditContext) -> Result<()> {
    Ok(())
}

#[threadline::audited(action = " post.published")]
async fn bad_name(db: AuditedPool, ctx: AuditContext) -> Result<()> {
    Ok(())
}

#[threadline::audited(db = self.pools[0], action = "post.published")]
async fn no_name_for_the_transaction(ctx: AuditContext) -> Result<()> {
    Ok(())
}

#[threadline::audited(action = "post.published")]
struct NoFunction;

trait NoBody {
    #[threadline::audited(action = "post.published")]
    async fn no_body(&self, db: AuditedPool, ctx: AuditContext) -> Result<()>;
}

/// What stands in the way of a function is no error of its callers.
async fn caller(db: AuditedPool, ctx: AuditContext) -> Result<()> {
    unknown_option(db, ctx).await
}

fn main() {}
