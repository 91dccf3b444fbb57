//! What the tests share: a database with captured tables, and looks at it from outside.

use std::ops::Deref;
use std::sync::OnceLock;
use std::time::Duration;

use sea_orm::sqlx::PgPool;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement};
use threadline_core::{ActorRef, AuditContext, Schema, kernel};
use threadline_seaorm::AuditedDatabase;
use threadline_testkit::{CAPTURED_TABLES, Database, Proxy, require_server};

use crate::entity::posts;

const MORE_TABLES: &str = "
    ALTER TABLE posts ADD COLUMN published boolean NOT NULL DEFAULT false;
    CREATE TABLE authors (id serial PRIMARY KEY, name text NOT NULL);
    CREATE TABLE articles (id serial PRIMARY KEY, author_id int NOT NULL REFERENCES authors, title text NOT NULL);
    SELECT threadline.enable_capture('authors', '{}'), threadline.enable_capture('articles', '{}'),
        threadline.refresh_capture('posts');
";

/// A fresh database and the way to it.
pub(crate) struct Target {
    pub(crate) database: Database,
}

impl Target {
    pub(crate) fn new() -> Self {
        crate::failures::listen();
        static SETUP: OnceLock<String> = OnceLock::new();
        let setup = SETUP.get_or_init(|| {
            format!("BEGIN; {} COMMIT; {CAPTURED_TABLES} {MORE_TABLES}", kernel::install_script(&Schema::default()))
        });
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
