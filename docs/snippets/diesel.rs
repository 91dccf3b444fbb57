// What the examples of reads with Diesel read; they include it.

/// A database with a small trail, and the audit transaction that wrote it.
fn trail() -> Result<
    (threadline_testkit::Database, diesel::PgConnection, threadline_core::TransactionId),
    Box<dyn std::error::Error>,
> {
    use diesel::connection::{Connection, SimpleConnection};
    use threadline_diesel::prelude::*;

    let database = threadline_testkit::require_server().database()?;
    let mut conn = diesel::PgConnection::establish(database.url())?;
    conn.batch_execute("CREATE TABLE posts (id bigint PRIMARY KEY, title text NOT NULL)")?;
    let manifest = Manifest::new().table(AuditedTable::new("public", "posts"));
    threadline_diesel::install_manifest(&mut conn, &manifest)?;

    let context = AuditContext::new(ActorRef::user("42")?).correlation_id("req-7f3").meta("tenant", "acme");
    let written = conn.audited(&context, |conn| {
        conn.record_action(&Action::new("post.published"))?;
        conn.batch_execute("INSERT INTO posts VALUES (7, 'Draft'), (8, 'Other')")?;
        conn.batch_execute("UPDATE posts SET title = 'Ship it' WHERE id = 7")?;
        Ok::<_, threadline_diesel::Error>(())
    })?;
    let transaction_id = written.transaction_id.ok_or("nothing was written")?;
    Ok((database, conn, transaction_id))
}
