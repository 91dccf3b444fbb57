//! What the tests share: a database with captured tables, reached directly or through a pooler.

use std::ops::Deref;
use std::sync::OnceLock;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row};
use threadline::sqlx::AuditedPool;
use threadline::{ActorRef, AuditContext, Schema, kernel};
use threadline_testkit::{CAPTURED_TABLES, Database, PgBouncer, PgBouncerOptions, Proxy, require_server};

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
}

/// What is in the database, seen from outside.
impl Deref for Target {
    type Target = Database;

    fn deref(&self) -> &Database {
        &self.database
    }
}

fn captured() -> Database {
    crate::failures::listen();
    static SETUP: OnceLock<String> = OnceLock::new();
    let setup = SETUP
        .get_or_init(|| format!("BEGIN; {} COMMIT; {CAPTURED_TABLES}", kernel::install_script(&Schema::default())));
    require_server().database_from("sqlx", setup).unwrap()
}

fn pooler() -> &'static PgBouncer {
    static POOLER: OnceLock<PgBouncer> = OnceLock::new();
    POOLER.get_or_init(|| match PgBouncer::start(require_server(), PgBouncerOptions::default()) {
        Ok(pooler) => pooler,
        Err(error) => panic!("these tests need PgBouncer: {error}"),
    })
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
