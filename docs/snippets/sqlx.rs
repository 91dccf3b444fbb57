// What the examples of reads with sqlx read; they include it.

use threadline_sqlx::prelude::*;

type Done<T = ()> = Result<T, Box<dyn std::error::Error>>;

#[derive(sqlx::FromRow)]
struct Post {
    #[allow(dead_code)]
    id: i64,
    title: String,
}

impl Audited for Post {
    fn audited_table() -> AuditedTable {
        AuditedTable::new("public", "posts")
    }

    fn columns() -> &'static [threadline_core::ModelColumn] {
        use threadline_core::ModelColumn;

        const { &[ModelColumn::new("id").key(), ModelColumn::new("title")] }
    }
}

/// A database with a small trail, and the audit transaction that wrote it.
async fn trail() -> Result<
    (threadline_testkit::Database, threadline_sqlx::AuditedPool, threadline_core::TransactionId),
    Box<dyn std::error::Error>,
> {
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

/// Runs an example that reads it.
fn read(example: impl AsyncFnOnce(AuditedPool, threadline_core::TransactionId) -> Done) -> Done {
    wait(async {
        let (_database, db, transaction_id) = trail().await?;
        example(db, transaction_id).await
    })
}

/// Runs an example that reads it in a scope.
fn scoped(example: impl AsyncFnOnce(threadline_sqlx::ScopedPool, threadline_core::TransactionId) -> Done) -> Done {
    read(async |db, transaction_id| example(db.scoped(), transaction_id).await)
}

fn wait<T>(future: impl Future<Output = Done<T>>) -> Done<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}
