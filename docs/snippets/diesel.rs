// What the examples of reads with Diesel read; they include it.

use threadline_diesel::prelude::*;

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
fn trail() -> Result<
    (threadline_testkit::Database, diesel::PgConnection, threadline_core::TransactionId),
    Box<dyn std::error::Error>,
> {
    use diesel::connection::{Connection, SimpleConnection};

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

/// Runs an example that reads it.
fn read(example: impl FnOnce(&mut diesel::PgConnection, threadline_core::TransactionId) -> Done) -> Done {
    let (_database, mut conn, transaction_id) = trail()?;
    example(&mut conn, transaction_id)
}

/// The same with a connection of its own.
fn whole(example: impl FnOnce(diesel::PgConnection, threadline_core::TransactionId) -> Done) -> Done {
    let (_database, conn, transaction_id) = trail()?;
    example(conn, transaction_id)
}

type Scoped = threadline_diesel::ScopedConnection<diesel::PgConnection>;

/// Runs an example that reads it in a scope.
fn scoped(example: impl FnOnce(Scoped, threadline_core::TransactionId) -> Done) -> Done {
    let (_database, conn, transaction_id) = trail()?;
    example(conn.scoped(), transaction_id)
}
