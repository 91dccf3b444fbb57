//! PgBouncer in front of a server.

use std::path::PathBuf;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Row};
use threadline_testkit::{Database, PgBouncer, PgBouncerOptions, PoolMode, PreparedStatements, require_server};

/// The server processes that two clients, connected at the same time, are given.
fn backends(pooler: &PgBouncer, database: &Database) -> (i32, i32) {
    let url = pooler.url(database.name());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        let mut one = PgConnection::connect(&url).await.unwrap();
        let mut other = PgConnection::connect(&url).await.unwrap();
        (backend(&mut one).await, backend(&mut other).await)
    })
}

async fn backend(connection: &mut PgConnection) -> i32 {
    let sql = AssertSqlSafe("SELECT pg_backend_pid()::text".to_owned());
    let row = sqlx::raw_sql(sql).fetch_one(connection).await.unwrap();
    row.get::<String, _>(0).parse().unwrap()
}

fn options() -> PgBouncerOptions {
    PgBouncerOptions { pool_size: 1, ..PgBouncerOptions::default() }
}

#[test]
fn in_transaction_mode_clients_share_a_server_connection() {
    let database = require_server().database().unwrap();
    let pooler = PgBouncer::start(require_server(), options()).unwrap();
    let (one, other) = backends(&pooler, &database);
    assert_eq!(one, other);
    assert!(pooler.version().starts_with("1."), "{}", pooler.version());
}

#[test]
fn in_session_mode_each_client_has_its_own() {
    let database = require_server().database().unwrap();
    let pooler =
        PgBouncer::start(require_server(), PgBouncerOptions { pool_size: 2, mode: PoolMode::Session, ..options() })
            .unwrap();
    let (one, other) = backends(&pooler, &database);
    assert_ne!(one, other);
}

#[test]
fn it_may_listen_on_tcp() {
    let database = require_server().database().unwrap();
    let pooler = PgBouncer::start(require_server(), PgBouncerOptions { tcp: true, ..options() }).unwrap();
    assert!(pooler.url("x").contains("@127.0.0.1:"), "{}", pooler.url("x"));
    let (one, other) = backends(&pooler, &database);
    assert_eq!(one, other);
}

#[test]
fn other_roles_may_connect_when_they_are_named() {
    let server = require_server();
    let database = server.database().unwrap();
    let role = format!("{}_app", database.name());
    database.execute(&format!("CREATE ROLE {role} LOGIN")).unwrap();
    let pooler = PgBouncer::start(server, PgBouncerOptions { roles: vec![role.clone()], ..options() }).unwrap();
    let own = database.query_text("SELECT current_user").unwrap()[0][0].clone().unwrap();
    let url = pooler.url(database.name()).replacen(&format!("//{own}@"), &format!("//{role}@"), 1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let user: String = runtime.block_on(async {
        let mut connection = PgConnection::connect(&url).await.unwrap();
        let sql = AssertSqlSafe("SELECT current_user::text".to_owned());
        sqlx::raw_sql(sql).fetch_one(&mut connection).await.unwrap().get(0)
    });
    assert_eq!(user, role);
    database.execute(&format!("DROP ROLE {role}")).unwrap();
}

#[test]
fn a_setting_it_does_not_know_fails_with_its_own_words() {
    let error = PgBouncer::start(
        require_server(),
        PgBouncerOptions { settings: vec![("no_such_setting".into(), "1".into())], ..options() },
    )
    .unwrap_err();
    assert!(error.to_string().contains("no_such_setting"), "{error}");
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let error = PgBouncer::start(
        require_server(),
        PgBouncerOptions { binary: Some(PathBuf::from("/nonexistent/pgbouncer")), ..options() },
    )
    .unwrap_err();
    assert!(error.to_string().contains("/nonexistent/pgbouncer"), "{error}");
}

/// Two clients take turns on one server connection, and one of them has prepared a statement by name.
fn a_name_of_another_client(pooler: &PgBouncer, database: &Database) -> Result<i32, sqlx::Error> {
    let url = pooler.url(database.name());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        let mut one = PgConnection::connect(&url).await?;
        let mut other = PgConnection::connect(&url).await?;
        for connection in [&mut one, &mut other] {
            sqlx::query("SELECT 1").fetch_one(connection).await?;
        }
        Ok(sqlx::query("SELECT 2").fetch_one(&mut one).await?.get(0))
    })
}

#[test]
fn before_1_21_clients_meet_each_others_prepared_statements() {
    let database = require_server().database().unwrap();
    let options = PgBouncerOptions { prepared_statements: PreparedStatements::Unsupported, ..options() };
    let pooler = PgBouncer::start(require_server(), options).unwrap();
    let error = a_name_of_another_client(&pooler, &database).unwrap_err();
    assert!(error.to_string().contains("prepared statement"), "{error}");
}

/// Without such a program this is said loudly, and CI fails.
#[test]
fn from_1_21_on_prepared_statements_are_kept_apart() {
    let database = require_server().database().unwrap();
    let options = PgBouncerOptions { prepared_statements: PreparedStatements::Supported, ..options() };
    match PgBouncer::start(require_server(), options) {
        Ok(pooler) => assert_eq!(a_name_of_another_client(&pooler, &database).unwrap(), 2),
        Err(error) if std::env::var_os("CI").is_none() => eprintln!("NOT RUN: {error}"),
        Err(error) => panic!("{error}"),
    }
}
