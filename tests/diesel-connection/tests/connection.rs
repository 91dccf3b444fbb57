//! Code that knows nothing of Threadline, on a connection that does.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::OnceLock;

use diesel::connection::{InstrumentationEvent, LoadConnection, SimpleConnection};
use diesel::migration::{self, Migration, MigrationSource};
use diesel::pg::{Pg, PgRowByRowLoadingMode};
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, Pool};
use diesel_migrations::MigrationHarness;
use threadline_core::{ActorRef, AuditContext, AuditedTable, Manifest, Schema, kernel};
use threadline_diesel::AuditedConnection;
use threadline_diesel::migrations::AuditMigration;
use threadline_diesel::prelude::*;
use threadline_testkit::{Database, Proxy, require_server};

mod schema {
    diesel::table! {
        posts (id) {
            id -> BigInt,
            title -> Text,
        }
    }
}

use schema::posts;

#[derive(Debug, PartialEq, Eq, AsChangeset, Identifiable, Queryable, Selectable)]
struct Post {
    id: i64,
    title: String,
}

const TABLES: &str = "CREATE TABLE posts (id bigint PRIMARY KEY, title text NOT NULL);
    SELECT threadline.enable_capture('posts', '{}');";

fn database() -> Database {
    static SETUP: OnceLock<String> = OnceLock::new();
    let setup = SETUP.get_or_init(|| format!("BEGIN; {} COMMIT; {TABLES}", kernel::install_script(&Schema::default())));
    require_server().database_from("diesel-connection", setup).unwrap()
}

fn user(id: &str) -> AuditContext {
    AuditContext::new(ActorRef::user(id).unwrap())
}

fn connect(database: &Database, id: &str) -> AuditedConnection<PgConnection> {
    AuditedConnection::new(PgConnection::establish(database.url()).unwrap(), &user(id)).unwrap()
}

/// The captured changes in order, each as "key actor".
fn trail(database: &Database) -> Vec<String> {
    let sql = "SELECT concat_ws(' ', c.table_pk ->> 'id', coalesce(t.actor_ref ->> 'id', '-'))
        FROM threadline.audit_changes c JOIN threadline.audit_transactions t ON t.id = c.transaction_id
        ORDER BY c.captured_at, c.id";
    database.query_text(sql).unwrap().into_iter().map(|row| row.into_iter().next().unwrap().unwrap()).collect()
}

fn insert<C: LoadConnection<Backend = Pg>>(conn: &mut C, id: i64) -> QueryResult<usize> {
    diesel::insert_into(posts::table).values((posts::id.eq(id), posts::title.eq("title"))).execute(conn)
}

/// Somebody else's code.
fn write<C: LoadConnection<Backend = Pg>>(conn: &mut C, id: i64) -> QueryResult<()> {
    conn.transaction(|conn| {
        insert(conn, id)?;
        conn.transaction(|conn| insert(conn, id + 1))?;
        let failed = conn.transaction(|conn| {
            insert(conn, id + 2)?;
            Err::<(), _>(diesel::result::Error::RollbackTransaction)
        });
        assert!(failed.is_err());
        Ok(())
    })
}

#[test]
fn plain_transactions_are_attributed() {
    let database = database();
    let mut conn = connect(&database, "42");
    write(&mut conn, 1).unwrap();
    write(&mut conn, 4).unwrap();
    assert_eq!(trail(&database), ["1 42", "2 42", "4 42", "5 42"]);
}

#[test]
fn a_pooled_connection_carries_nothing_to_the_next_borrower() {
    let database = database();
    let pool = Pool::builder().max_size(1).build(ConnectionManager::<PgConnection>::new(database.url())).unwrap();
    write(&mut AuditedConnection::new(pool.get().unwrap(), &user("42")).unwrap(), 1).unwrap();
    write(&mut pool.get().unwrap(), 4).unwrap();
    write(&mut AuditedConnection::new(pool.get().unwrap(), &user("43")).unwrap(), 7).unwrap();
    assert_eq!(trail(&database), ["1 42", "2 42", "4 -", "5 -", "7 43", "8 43"]);
}

#[test]
fn an_audited_transaction_names_its_own_context() {
    let database = database();
    let mut conn = connect(&database, "42");
    conn.audited(&user("43"), |conn| insert(conn, 1)).unwrap();
    conn.transaction(|conn| {
        insert(conn, 2)?;
        conn.audited(&user("44"), |conn| insert(conn, 3))?;
        insert(conn, 4)
    })
    .unwrap();
    assert_eq!(trail(&database), ["1 43", "2 42", "3 44", "4 42"]);
}

#[test]
fn outside_a_transaction_nobody_is_named() {
    let database = database();
    let mut conn = connect(&database, "42");
    insert(&mut conn, 1).unwrap();
    assert_eq!(trail(&database), ["1 -"]);
    insert(&mut conn.into_inner(), 2).unwrap();
}

#[test]
fn a_missing_actor_is_refused() {
    let database = database();
    let conn = PgConnection::establish(database.url()).unwrap();
    assert!(AuditedConnection::new(conn, &AuditContext::without_actor()).unwrap_err().is_missing_actor());
    assert!(AuditedConnection::<PgConnection>::establish(database.url()).is_err());
}

#[test]
fn what_diesel_does_with_a_connection_it_does_with_this_one() {
    let database = database();
    let mut conn = connect(&database, "42");
    conn.transaction(|conn| {
        insert(conn, 1)?;
        let ids = posts::table.select(posts::id).load_iter::<i64, PgRowByRowLoadingMode>(conn)?;
        assert_eq!(ids.collect::<QueryResult<Vec<_>>>()?, [1]);
        let post = Post { id: 1, title: "saved".to_owned() };
        assert_eq!(post.save_changes::<Post>(conn)?, post);
        QueryResult::Ok(())
    })
    .unwrap();
    conn.test_transaction::<_, diesel::result::Error, _>(|conn| insert(conn, 2));
    conn.begin_test_transaction().unwrap();
    assert_eq!(trail(&database), ["1 42", "1 42"]);
}

#[test]
fn a_transaction_costs_no_round_trip_more() {
    let database = database();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let proxy = runtime.block_on(Proxy::before(database.url())).unwrap();
    let conn = PgConnection::establish(proxy.url()).unwrap();
    let mut conn = AuditedConnection::new(conn, &user("42")).unwrap();
    proxy.round_trips();
    conn.transaction(|conn| conn.batch_execute("INSERT INTO posts VALUES (1, '')")).unwrap();
    assert_eq!(proxy.round_trips(), 3, "BEGIN with the context, INSERT, COMMIT");
}

#[test]
fn instrumentation_sees_the_transaction_begin() {
    let (told, events) = std::sync::mpsc::channel();
    let database = database();
    let mut conn = connect(&database, "42");
    conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
        let told = match event {
            InstrumentationEvent::BeginTransaction { depth, .. } => told.send(format!("begin {depth}")),
            InstrumentationEvent::CommitTransaction { depth, .. } => told.send(format!("commit {depth}")),
            _ => Ok(()),
        };
        told.unwrap();
    });
    conn.transaction(|conn| conn.transaction(|conn| insert(conn, 1))).unwrap();
    drop(conn);
    assert_eq!(events.iter().collect::<Vec<_>>(), ["begin 1", "begin 2", "commit 2", "commit 1"]);
}

#[test]
fn migrations_run_on_it() {
    struct Migrations(Manifest);
    impl MigrationSource<Pg> for Migrations {
        fn migrations(&self) -> migration::Result<Vec<Box<dyn Migration<Pg>>>> {
            let schema = Schema::default();
            Ok(vec![
                Box::new(AuditMigration::install("2026-01-01-000000", &schema)),
                Box::new(AuditMigration::capture("2026-01-01-000001", &schema, &self.0)?),
            ])
        }
    }
    let database = database();
    let mut conn = connect(&database, "42");
    let manifest = Manifest::new().table(AuditedTable::new("public", "posts"));
    assert_eq!(conn.run_pending_migrations(Migrations(manifest)).unwrap().len(), 2);
}
