//! What the tests share: a database with captured tables, and looks at it from outside.

use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use sea_orm::sqlx::PgPool;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement};
use threadline_core::{ActorRef, AuditContext, Schema, kernel};
use threadline_seaorm::AuditedDatabase;
use threadline_testkit::{Database, Proxy, require_server};

use crate::entity::posts;

const TABLES: &str = r#"
    CREATE TABLE posts (id bigint PRIMARY KEY, title text NOT NULL, published boolean NOT NULL DEFAULT false);
    CREATE TABLE counters (id int PRIMARY KEY, n int NOT NULL);
    INSERT INTO counters VALUES (1, 0), (2, 0);
    CREATE TABLE comments (id bigint PRIMARY KEY, post_id bigint NOT NULL
        REFERENCES posts DEFERRABLE INITIALLY DEFERRED);
    CREATE TABLE payments (id bigint PRIMARY KEY, amount int NOT NULL);
    CREATE TABLE plain (id bigint PRIMARY KEY);
    CREATE TABLE authors (id serial PRIMARY KEY, name text NOT NULL);
    CREATE TABLE articles (id serial PRIMARY KEY, author_id int NOT NULL REFERENCES authors, title text NOT NULL);
    SELECT threadline.enable_capture('posts', '{}'), threadline.enable_capture('counters', '{}'),
        threadline.enable_capture('comments', '{}'), threadline.enable_capture('payments', '{"require_actor": true}'),
        threadline.enable_capture('authors', '{}'), threadline.enable_capture('articles', '{}');
"#;

/// A fresh database and the way to it.
pub(crate) struct Target {
    pub(crate) database: Database,
}

impl Target {
    pub(crate) fn new() -> Self {
        crate::failures::listen();
        static SETUP: OnceLock<String> = OnceLock::new();
        let setup =
            SETUP.get_or_init(|| format!("BEGIN; {} COMMIT; {TABLES}", kernel::install_script(&Schema::default())));
        Self { database: require_server().database_from("seaorm", setup).unwrap() }
    }

    /// A pool of at most this many connections, which are made when needed.
    pub(crate) fn connection(&self, connections: u32) -> DatabaseConnection {
        Self::connection_to(self.database.url(), connections)
    }

    pub(crate) fn connection_to(url: &str, connections: u32) -> DatabaseConnection {
        let options = PgPoolOptions::new().max_connections(connections).acquire_timeout(Duration::from_secs(20));
        options.connect_lazy_with(url.parse::<PgConnectOptions>().unwrap()).into()
    }

    pub(crate) fn audited(&self, connections: u32) -> AuditedDatabase {
        AuditedDatabase::new(self.connection(connections))
    }

    /// A pool of one connection whose answers can be held back.
    pub(crate) async fn held(&self) -> (AuditedDatabase, Proxy) {
        let proxy = Proxy::before(self.database.url()).await.unwrap();
        (AuditedDatabase::new(Self::connection_to(proxy.url(), 1)), proxy)
    }

    /// Rows as text, over a session of their own that is not pooled.
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

/// Inserts with an active model, as users do.
pub(crate) async fn insert_post<C: ConnectionTrait>(db: &C, id: i64) -> Result<(), DbErr> {
    posts::ActiveModel { id: Set(id), title: Set("title".to_owned()), ..Default::default() }.insert(db).await.map(drop)
}

pub(crate) async fn text<C: ConnectionTrait>(db: &C, sql: &str) -> Result<String, DbErr> {
    let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
    row.expect("one row").try_get_by_index::<Option<String>>(0).map(Option::unwrap_or_default)
}

/// The id of the actor that the session would record now; empty when it has none.
pub(crate) async fn actor<C: ConnectionTrait>(db: &C) -> Result<String, DbErr> {
    text(db, "SELECT (nullif(current_setting('threadline.actor_ref', true), '')::json ->> 'id')::text").await
}

/// Whether the next borrower of the only connection finds neither a transaction nor an actor.
pub(crate) async fn is_clean(db: &DatabaseConnection) -> bool {
    let pool: &PgPool = db.get_postgres_connection_pool();
    let mut connection = pool.acquire().await.unwrap();
    let probe = "SELECT set_config('test.probe', 'open', true), current_setting('threadline.actor_ref', true)";
    let (_, actor): (String, Option<String>) =
        sea_orm::sqlx::query_as(probe).fetch_one(&mut *connection).await.unwrap();
    let after = "SELECT current_setting('test.probe', true)";
    let open: Option<String> = sea_orm::sqlx::query_scalar(after).fetch_one(&mut *connection).await.unwrap();
    actor.unwrap_or_default().is_empty() && open.as_deref() != Some("open")
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
