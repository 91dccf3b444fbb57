// What the examples of reads with SeaORM read; they include it.

use threadline_seaorm::prelude::*;

type Done<T = ()> = Result<T, Box<dyn std::error::Error>>;

#[derive(sea_orm::FromQueryResult)]
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
    (threadline_testkit::Database, threadline_seaorm::AuditedDatabase, threadline_core::TransactionId),
    Box<dyn std::error::Error>,
> {
    use sea_orm::ConnectionTrait;

    let server = threadline_testkit::require_server().database()?;
    let connection = sea_orm::Database::connect(server.url()).await?;
    connection.execute_unprepared("CREATE TABLE posts (id bigint PRIMARY KEY, title text NOT NULL)").await?;
    let manifest = Manifest::new().table(AuditedTable::new("public", "posts"));
    threadline_seaorm::install_manifest(&connection, &manifest).await?;

    let db = AuditedDatabase::new(connection);
    let context = AuditContext::new(ActorRef::user("42")?).correlation_id("req-7f3").meta("tenant", "acme");
    let written = db
        .transaction(&context, async |tx| {
            tx.record_action(&Action::new("post.published")).await?;
            tx.execute_unprepared("INSERT INTO posts VALUES (7, 'Draft'), (8, 'Other')").await?;
            tx.execute_unprepared("UPDATE posts SET title = 'Ship it' WHERE id = 7").await?;
            Ok::<_, threadline_seaorm::Error>(())
        })
        .await?;
    let transaction_id = written.transaction_id.ok_or("nothing was written")?;
    Ok((server, db, transaction_id))
}

/// Runs an example that reads it.
fn read(example: impl AsyncFnOnce(AuditedDatabase, threadline_core::TransactionId) -> Done) -> Done {
    wait(async {
        let (_server, db, transaction_id) = trail().await?;
        example(db, transaction_id).await
    })
}

/// Runs an example that reads it in a scope.
fn scoped(
    example: impl AsyncFnOnce(threadline_seaorm::ScopedDatabase, threadline_core::TransactionId) -> Done,
) -> Done {
    read(async |db, transaction_id| example(db.scoped(), transaction_id).await)
}

fn wait<T>(future: impl Future<Output = Done<T>>) -> Done<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}
