//! What the tests share: a database with captured tables, and ways to it.

use std::ops::Deref;
use std::sync::OnceLock;

use diesel::QueryResult;
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, bb8, deadpool};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use threadline_core::{ActorRef, AuditContext, Schema, kernel};
use threadline_diesel::asynchronous::AuditDsl;
use threadline_testkit::{CAPTURED_TABLES, Database, Proxy, require_server};

/// A fresh database and the ways to it.
pub(crate) struct Target {
    pub(crate) database: Database,
    pub(crate) url: String,
}

impl Target {
    pub(crate) fn new() -> Self {
        crate::failures::listen();
        static SETUP: OnceLock<String> = OnceLock::new();
        let setup = SETUP
            .get_or_init(|| format!("BEGIN; {} COMMIT; {CAPTURED_TABLES}", kernel::install_script(&Schema::default())));
        let database = require_server().database_from("diesel-async", setup).unwrap();
        Self { url: database.url().to_owned(), database }
    }

    /// A connection that is in no pool.
    pub(crate) async fn connect(&self) -> AsyncPgConnection {
        AsyncPgConnection::establish(&self.url).await.unwrap()
    }

    /// A pool of at most this many connections, which are made when needed.
    pub(crate) fn pool(&self, connections: usize) -> deadpool::Pool<AsyncPgConnection> {
        deadpool::Pool::builder(AsyncDieselConnectionManager::new(&self.url)).max_size(connections).build().unwrap()
    }

    pub(crate) async fn bb8(&self, connections: u32) -> bb8::Pool<AsyncPgConnection> {
        let manager = AsyncDieselConnectionManager::new(&self.url);
        bb8::Pool::builder().max_size(connections).build(manager).await.unwrap()
    }

    /// A connection whose answers can be held back and counted.
    pub(crate) async fn watched(&self) -> (AsyncPgConnection, Proxy) {
        let proxy = Proxy::before(&self.url).await.unwrap();
        (AsyncPgConnection::establish(proxy.url()).await.unwrap(), proxy)
    }

    /// Runs SQL over a session of its own.
    pub(crate) fn set_up(&self, sql: &str) {
        // Diesel's `execute` is there for every type.
        Database::execute(&self.database, sql).unwrap();
    }
}

/// What is in the database, seen from outside.
impl Deref for Target {
    type Target = Database;

    fn deref(&self) -> &Database {
        &self.database
    }
}

pub(crate) fn user(id: &str) -> AuditContext {
    AuditContext::new(ActorRef::user(id).unwrap())
}

pub(crate) async fn run<C: AuditDsl>(conn: &mut C, sql: &str) -> QueryResult<()> {
    conn.batch_execute(sql).await
}

pub(crate) async fn text<C: AuditDsl>(conn: &mut C, sql: &str) -> QueryResult<String> {
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::Text)]
        value: String,
    }
    let row: Row = diesel::sql_query(format!("SELECT coalesce(({sql})::text, '') AS value")).get_result(conn).await?;
    Ok(row.value)
}

pub(crate) async fn insert_post<C: AuditDsl>(conn: &mut C, id: i64) -> QueryResult<()> {
    diesel::sql_query("INSERT INTO posts VALUES ($1, 'title')")
        .bind::<diesel::sql_types::BigInt, _>(id)
        .execute(conn)
        .await
        .map(drop)
}

/// The id of the actor that the session would record now; empty when it has none.
pub(crate) async fn actor<C: AuditDsl>(conn: &mut C) -> QueryResult<String> {
    text(conn, "nullif(current_setting('threadline.actor_ref', true), '')::json ->> 'id'").await
}

/// Whether the session keeps a transaction-local setting from one message to the next, that is, has one open.
pub(crate) async fn has_transaction<C: AuditDsl>(conn: &mut C) -> bool {
    run(conn, "SELECT set_config('test.probe', 'open', true)").await.unwrap();
    text(conn, "current_setting('test.probe', true)").await.unwrap() == "open"
}
