//! What the tests share: a database with captured tables, reached directly or through a pooler.

use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row};
use threadline::sqlx::AuditedPool;
use threadline::{ActorRef, AuditContext, Schema, kernel};
use threadline_testkit::{Database, PgBouncer, PgBouncerOptions, Proxy, require_server};

/// Makes of each `async fn name(target: Target)` one test that talks to the server and one behind PgBouncer.
macro_rules! on_both {
    ($($(#[$attribute:meta])* $name:ident),* $(,)?) => {
        mod direct {
            $(
                $(#[$attribute])*
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(crate::support::Target::direct()).await;
                }
            )*
        }
        mod pgbouncer {
            $(
                $(#[$attribute])*
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(crate::support::Target::pgbouncer()).await;
                }
            )*
        }
    };
}
pub(crate) use on_both;

const TABLES: &str = r"
    CREATE TABLE posts (id bigint PRIMARY KEY, title text NOT NULL);
    CREATE TABLE counters (id int PRIMARY KEY, n int NOT NULL);
    INSERT INTO counters VALUES (1, 0), (2, 0);
    CREATE TABLE comments (id bigint PRIMARY KEY, post_id bigint NOT NULL
        REFERENCES posts DEFERRABLE INITIALLY DEFERRED);
    CREATE TABLE payments (id bigint PRIMARY KEY, amount int NOT NULL);
    CREATE TABLE plain (id bigint PRIMARY KEY);
    SELECT threadline.enable_capture('posts', '{}'), threadline.enable_capture('counters', '{}'),
        threadline.enable_capture('comments', '{}'),
        threadline.enable_capture('payments', '{\x22require_actor\x22: true}');
";

/// A fresh database and the way to it.
pub(crate) struct Target {
    pub(crate) database: Database,
    pub(crate) url: String,
}

impl Target {
    pub(crate) fn direct() -> Self {
        let database = captured();
        Self { url: database.url().to_owned(), database }
    }

    pub(crate) fn pgbouncer() -> Self {
        let database = captured();
        Self { url: pooler().url(database.name()), database }
    }

    /// A pool of at most this many connections, which are made when needed.
    pub(crate) fn pool(&self, connections: u32) -> PgPool {
        self.pool_at(&self.url, connections)
    }

    pub(crate) fn pool_at(&self, url: &str, connections: u32) -> PgPool {
        PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(Duration::from_secs(20))
            .connect_lazy_with(url.parse::<PgConnectOptions>().unwrap())
    }

    /// A pool of one connection whose answers can be held back.
    pub(crate) async fn held(&self) -> (PgPool, Proxy) {
        let proxy = Proxy::before(&self.url).await.unwrap();
        (self.pool_at(proxy.url(), 1), proxy)
    }

    pub(crate) fn audited(&self, connections: u32) -> AuditedPool {
        AuditedPool::new(self.pool(connections))
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

fn captured() -> Database {
    crate::failures::listen();
    static SETUP: OnceLock<String> = OnceLock::new();
    let setup = SETUP.get_or_init(|| {
        format!("BEGIN; {} COMMIT; {}", kernel::install_script(&Schema::default()), TABLES.replace(r"\x22", "\""))
    });
    require_server().database_from("sqlx", setup).unwrap()
}

fn pooler() -> &'static PgBouncer {
    static POOLER: OnceLock<PgBouncer> = OnceLock::new();
    POOLER.get_or_init(|| match PgBouncer::start(require_server(), PgBouncerOptions::default()) {
        Ok(pooler) => pooler,
        Err(error) => panic!("these tests need PgBouncer: {error}"),
    })
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

/// Runs a statement as one message, which is right behind every pooler.
pub(crate) async fn run(connection: &mut PgConnection, sql: &str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await.map(drop)
}

pub(crate) async fn text(connection: &mut PgConnection, sql: &str) -> Result<Option<String>, sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_one(connection).await?.try_get(0)
}

pub(crate) async fn insert_post(connection: &mut PgConnection, id: i64) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO posts VALUES ($1, 'title')").bind(id).persistent(false).execute(connection).await.map(drop)
}

/// The id of the actor that the session would record now; empty when it has none.
pub(crate) async fn actor(connection: &mut PgConnection) -> Result<String, sqlx::Error> {
    let sql = "SELECT (nullif(current_setting('threadline.actor_ref', true), '')::json ->> 'id')::text";
    Ok(text(connection, sql).await?.unwrap_or_default())
}

/// Whether the session keeps a transaction-local setting from one message to the next, that is, has one open.
pub(crate) async fn has_transaction(connection: &mut PgConnection) -> bool {
    run(connection, "SELECT set_config('test.probe', 'open', true)").await.unwrap();
    let probe = text(connection, "SELECT current_setting('test.probe', true)").await.unwrap();
    probe.as_deref() == Some("open")
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
