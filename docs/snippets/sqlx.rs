// What the examples of reads with sqlx read; they include it.

/// A database with a small trail, and the audit transaction that wrote it.
async fn trail() -> Result<
    (threadline_testkit::Database, threadline_sqlx::AuditedPool, threadline_core::TransactionId),
    Box<dyn std::error::Error>,
> {
    use threadline_sqlx::prelude::*;

    let database = threadline_testkit::require_server().database()?;
    let db = AuditedPool::new(sqlx::PgPool::connect(database.url()).await?);
    sqlx::raw_sql("CREATE TABLE posts (id bigint PRIMARY KEY, title text NOT NULL)").execute(db.unaudited()).await?;
    let manifest = Manifest::new().table(AuditedTable::new("public", "posts"));
    threadline_sqlx::install_manifest(db.unaudited(), &manifest).await?;

    let context = AuditContext::new(ActorRef::user("42")?).correlation_id("req-7f3").meta("tenant", "acme");
    let written = db
        .transaction(&context, async |tx| {
            tx.record_action(&Action::new("post.published")).await?;
            sqlx::raw_sql("INSERT INTO posts VALUES (7, 'Draft'), (8, 'Other')").execute(&mut **tx).await?;
            sqlx::raw_sql("UPDATE posts SET title = 'Ship it' WHERE id = 7").execute(&mut **tx).await?;
            Ok::<_, threadline_sqlx::Error>(())
        })
        .await?;
    let transaction_id = written.transaction_id.ok_or("nothing was written")?;
    Ok((database, db, transaction_id))
}
