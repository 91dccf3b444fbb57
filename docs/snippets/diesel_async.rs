// What the examples of reads with diesel-async read; they include it.

use threadline_diesel::asynchronous::prelude::*;

type Done<T = ()> = Result<T, Box<dyn std::error::Error>>;

diesel::table! {
    posts (id) {
        id -> BigInt,
        title -> Text,
    }
}

#[derive(diesel::QueryableByName)]
#[diesel(table_name = posts)]
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
    (threadline_testkit::Database, diesel_async::AsyncPgConnection, threadline_core::TransactionId),
    Box<dyn std::error::Error>,
> {
    use diesel_async::{AsyncConnection, SimpleAsyncConnection};

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

/// Runs an example that reads it.
fn read(
    example: impl AsyncFnOnce(&mut diesel_async::AsyncPgConnection, threadline_core::TransactionId) -> Done,
) -> Done {
    wait(async {
        let (_database, mut conn, transaction_id) = trail().await?;
        example(&mut conn, transaction_id).await
    })
}

/// The same with a connection of its own.
fn whole(example: impl AsyncFnOnce(diesel_async::AsyncPgConnection, threadline_core::TransactionId) -> Done) -> Done {
    wait(async {
        let (_database, conn, transaction_id) = trail().await?;
        example(conn, transaction_id).await
    })
}

type Scoped = threadline_diesel::asynchronous::ScopedConnection<diesel_async::AsyncPgConnection>;

/// Runs an example that reads it in a scope.
fn scoped(example: impl AsyncFnOnce(Scoped, threadline_core::TransactionId) -> Done) -> Done {
    wait(async {
        let (_database, conn, transaction_id) = trail().await?;
        example(conn.scoped(), transaction_id).await
    })
}

fn wait<T>(future: impl Future<Output = Done<T>>) -> Done<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}
