//! No adapter's `audited!` is in scope.

use threadline::AuditContext;
use threadline::sqlx::AuditedPool;

#[threadline::audited(action = "post.published")]
async fn publish(db: AuditedPool, ctx: AuditContext) -> Result<(), threadline::sqlx::Error> {
    sqlx::query("UPDATE posts SET published = true").execute(&mut **db).await?;
    Ok(())
}

fn main() {}
