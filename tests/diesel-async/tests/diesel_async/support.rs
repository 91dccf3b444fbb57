//! What the tests share: a database with captured tables, and ways to it.

use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use diesel::QueryResult;
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, bb8, deadpool};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use futures_util::FutureExt;
use threadline_core::{ActorRef, AuditContext, Schema, kernel};
use threadline_diesel::asynchronous::AuditDsl;
use threadline_testkit::{Database, Proxy, require_server};

const TABLES: &str = r#"
    CREATE TABLE posts (id bigint PRIMARY KEY, title text NOT NULL);
    CREATE TABLE counters (id int PRIMARY KEY, n int NOT NULL);
    INSERT INTO counters VALUES (1, 0), (2, 0);
    CREATE TABLE comments (id bigint PRIMARY KEY, post_id bigint NOT NULL
        REFERENCES posts DEFERRABLE INITIALLY DEFERRED);
    CREATE TABLE payments (id bigint PRIMARY KEY, amount int NOT NULL);
    CREATE TABLE plain (id bigint PRIMARY KEY);
    SELECT threadline.enable_capture('posts', '{}'), threadline.enable_capture('counters', '{}'),
        threadline.enable_capture('comments', '{}'), threadline.enable_capture('payments', '{"require_actor": true}');
"#;

/// A fresh database and the ways to it.
pub(crate) struct Target {
    pub(crate) database: Database,
    pub(crate) url: String,
}

impl Target {
    pub(crate) fn new() -> Self {
        crate::failures::listen();
        static SETUP: OnceLock<String> = OnceLock::new();
        let setup =
            SETUP.get_or_init(|| format!("BEGIN; {} COMMIT; {TABLES}", kernel::install_script(&Schema::default())));
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

    /// Rows as text, over a session of their own.
    pub(crate) fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        self.database.query_text(sql).unwrap()
    }

    pub(crate) fn value(&self, sql: &str) -> Option<String> {
        self.rows(sql).into_iter().next().unwrap().into_iter().next().unwrap()
    }

    pub(crate) fn count(&self, table: &str) -> i64 {
        self.value(&format!("SELECT count(*) FROM {table}")).unwrap().parse().unwrap()
    }

    /// The captured changes in order, each as "table op key actor action", with - for what is absent.
    pub(crate) fn trail(&self) -> Vec<String> {
        let sql = "SELECT concat_ws(' ', c.table_name, c.op, c.table_pk ->> 'id',
                coalesce(t.actor_ref ->> 'id', '-'), coalesce(a.name, '-'))
            FROM threadline.audit_changes c JOIN threadline.audit_transactions t ON t.id = c.transaction_id
            LEFT JOIN threadline.audit_actions a ON a.id = t.action_id ORDER BY c.captured_at, c.id";
        self.rows(sql).into_iter().map(|row| row.into_iter().next().unwrap().unwrap()).collect()
    }

    /// The recorded actions in order, each as "name status actor".
    pub(crate) fn actions(&self) -> Vec<String> {
        let sql = "SELECT concat_ws(' ', name, status, actor_ref ->> 'id') FROM threadline.audit_actions ORDER BY id";
        self.rows(sql).into_iter().map(|row| row.into_iter().next().unwrap().unwrap()).collect()
    }

    /// Waits until no session of this database is inside a transaction.
    pub(crate) async fn until_quiet(&self) {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
            AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND xact_start IS NOT NULL";
        until("every transaction to end", async || self.value(sql).as_deref() == Some("0")).await;
    }
}

/// Waits for a condition that something else brings about.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition().await {
        assert!(Instant::now() < deadline, "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
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

/// Polls `future` once, with every answer held back, and drops it.
pub(crate) async fn cancelled<F: Future>(proxy: &Proxy, future: F) {
    let _held = proxy.hold().await;
    assert!(future.now_or_never().is_none());
}

/// Polls `future` at most `polls + 1` times, each time because it was woken, then drops it: `None`.
pub(crate) async fn dropped_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    Cancellable { future: Box::pin(future), polls_left: polls }.await
}

struct Cancellable<F> {
    future: Pin<Box<F>>,
    polls_left: usize,
}

impl<F: Future> Future for Cancellable<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.future.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending if self.polls_left == 0 => Poll::Ready(None),
            Poll::Pending => {
                self.polls_left -= 1;
                Poll::Pending
            }
        }
    }
}
