// What the examples of reads with diesel-async read; they include it.

/// A database with a small trail, and the audit transaction that wrote it.
async fn trail() -> Result<
    (threadline_testkit::Database, diesel_async::AsyncPgConnection, threadline_core::TransactionId),
    Box<dyn std::error::Error>,
> {
    use diesel_async::{AsyncConnection, SimpleAsyncConnection};
    use threadline_diesel::asynchronous::prelude::*;

    let database = threadline_testkit::require_server().database()?;
    let mut conn = diesel_async::AsyncPgConnection::establish(database.url()).await?;
    conn.batch_execute("CREATE TABLE posts (id bigint PRIMARY KEY, title text NOT NULL)").await?;
    let manifest = Manifest::new().table(AuditedTable::new("public", "posts"));
    threadline_diesel::asynchronous::install_manifest(&mut conn, &manifest).await?;

    let context = AuditContext::new(ActorRef::user("42")?).correlation_id("req-7f3").meta("tenant", "acme");
    let written = conn
        .audited(&context, async |conn| {
            conn.record_action(&Action::new("post.published")).await?;
            conn.batch_execute("INSERT INTO posts VALUES (7, 'Draft'), (8, 'Other')").await?;
            conn.batch_execute("UPDATE posts SET title = 'Ship it' WHERE id = 7").await?;
            Ok::<_, threadline_diesel::Error>(())
        })
        .await?;
    let transaction_id = written.transaction_id.ok_or("nothing was written")?;
    Ok((database, conn, transaction_id))
}
