//! What `audited!` gives is an outcome, not the closure's value alone.

use threadline::sqlx::prelude::*;

async fn published(db: AuditedPool, context: AuditContext) -> Result<u64, threadline::sqlx::Error> {
    let written: u64 = audited!(db, context, action = "post.published", |tx| {
        let done = sqlx::query("UPDATE posts SET published = true").execute(&mut **tx).await?;
        Ok::<_, threadline::sqlx::Error>(done.rows_affected())
    })
    .await?;
    Ok(written)
}

fn main() {}
