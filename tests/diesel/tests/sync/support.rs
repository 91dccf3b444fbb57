//! What the tests share: a database with captured tables, reached directly or through a pooler.

use std::ops::Deref;
use std::sync::OnceLock;

use diesel::connection::{CacheSize, LoadConnection};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::r2d2::{self, ConnectionManager, CustomizeConnection, Pool};
use diesel::sql_types::{Nullable, Text};
use threadline_core::{ActorRef, AuditContext, Schema, kernel};
use threadline_testkit::{CAPTURED_TABLES, Database, PgBouncer, PgBouncerOptions, Proxy, require_server};

diesel::table! {
    posts (id) {
        id -> BigInt,
        title -> Text,
    }
}

/// Makes of each `fn name(target: &Target)` one test that talks to the server and one behind PgBouncer.
macro_rules! on_both {
    ($($(#[$attribute:meta])* $name:ident),* $(,)?) => {
        mod direct {
            $(
                $(#[$attribute])*
                #[test]
                fn $name() {
                    super::$name(&crate::support::Target::direct());
                }
            )*
        }
        mod pgbouncer {
            $(
                $(#[$attribute])*
                #[test]
                fn $name() {
                    super::$name(&crate::support::Target::pgbouncer());
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
    pub(crate) behind_pooler: bool,
}

impl Target {
    pub(crate) fn direct() -> Self {
        let database = captured();
        Self { url: database.url().to_owned(), database, behind_pooler: false }
    }

    /// PgBouncer in transaction mode with two server connections; Debian's 1.18 knows no prepared statements.
    pub(crate) fn pgbouncer() -> Self {
        let database = captured();
        Self { url: pooler().url(database.name()), database, behind_pooler: true }
    }

    pub(crate) fn connect(&self) -> PgConnection {
        self.connect_to(&self.url)
    }

    pub(crate) fn connect_to(&self, url: &str) -> PgConnection {
        let mut conn = PgConnection::establish(url).unwrap();
        self.prepare(&mut conn);
        conn
    }

    /// What a pooler without prepared statements asks of Diesel.
    fn prepare(&self, conn: &mut PgConnection) {
        if self.behind_pooler {
            conn.set_prepared_statement_cache_size(CacheSize::Disabled);
        }
    }

    /// A pool of at most this many connections, which are made when needed.
    pub(crate) fn pool(&self, connections: u32) -> Pool<ConnectionManager<PgConnection>> {
        self.pool_at(&self.url, connections)
    }

    pub(crate) fn pool_at(&self, url: &str, connections: u32) -> Pool<ConnectionManager<PgConnection>> {
        Pool::builder()
            .max_size(connections)
            .min_idle(Some(0))
            .connection_customizer(Box::new(Customizer(self.behind_pooler)))
            .build_unchecked(ConnectionManager::new(url))
    }

    /// A connection whose round trips are counted and whose COMMIT can be broken, and the runtime that works for it.
    pub(crate) fn through_proxy(&self) -> (PgConnection, Proxy, tokio::runtime::Runtime) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let proxy = runtime.block_on(Proxy::before(&self.url)).unwrap();
        (self.connect_to(proxy.url()), proxy, runtime)
    }
}

/// What is in the database, seen from outside.
impl Deref for Target {
    type Target = Database;

    fn deref(&self) -> &Database {
        &self.database
    }
}

#[derive(Debug)]
struct Customizer(bool);

impl CustomizeConnection<PgConnection, r2d2::Error> for Customizer {
    fn on_acquire(&self, conn: &mut PgConnection) -> Result<(), r2d2::Error> {
        if self.0 {
            conn.set_prepared_statement_cache_size(CacheSize::Disabled);
        }
        Ok(())
    }
}

fn captured() -> Database {
    crate::failures::listen();
    static SETUP: OnceLock<String> = OnceLock::new();
    let setup = SETUP
        .get_or_init(|| format!("BEGIN; {} COMMIT; {CAPTURED_TABLES}", kernel::install_script(&Schema::default())));
    require_server().database_from("diesel", setup).unwrap()
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

/// As code of a user's that is generic over the connection.
pub(crate) fn insert_post<C>(conn: &mut C, id: i64) -> QueryResult<usize>
where
    C: LoadConnection<Backend = Pg>,
{
    diesel::insert_into(posts::table).values((posts::id.eq(id), posts::title.eq("title"))).execute(conn)
}

/// Runs a statement as one message, which is right behind every pooler.
pub(crate) fn run<C: LoadConnection<Backend = Pg>>(conn: &mut C, sql: &str) -> QueryResult<()> {
    conn.batch_execute(sql)
}

#[derive(QueryableByName)]
struct Value {
    #[diesel(sql_type = Nullable<Text>)]
    value: Option<String>,
}

pub(crate) fn text<C: LoadConnection<Backend = Pg>>(conn: &mut C, expression: &str) -> QueryResult<Option<String>> {
    let row: Value = diesel::sql_query(format!("SELECT ({expression})::text AS value")).get_result(conn)?;
    Ok(row.value)
}

/// The id of the actor that the session would record now; empty when it has none.
pub(crate) fn actor<C: LoadConnection<Backend = Pg>>(conn: &mut C) -> String {
    let sql = "nullif(current_setting('threadline.actor_ref', true), '')::json ->> 'id'";
    text(conn, sql).unwrap().unwrap_or_default()
}

/// Whether the session keeps a transaction-local setting from one message to the next, that is, has one open.
pub(crate) fn has_transaction<C: LoadConnection<Backend = Pg>>(conn: &mut C) -> bool {
    run(conn, "SELECT set_config('test.probe', 'open', true)").unwrap();
    text(conn, "current_setting('test.probe', true)").unwrap().as_deref() == Some("open")
}
