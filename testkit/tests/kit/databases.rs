//! One database per test, from templates or empty.

use std::thread;

use sqlx::Connection;
use sqlx::postgres::PgConnection;
use threadline_testkit::require_server;

#[test]
fn databases_are_separate() {
    let server = require_server();
    let (one, other) = (server.database().unwrap(), server.database().unwrap());
    assert_ne!(one.name(), other.name());
    one.execute("CREATE TABLE t (x int)").unwrap();
    let error = other.execute("SELECT * FROM t").unwrap_err();
    assert_eq!(error.sqlstate().as_deref(), Some("42P01"));
}

#[test]
fn statements_of_one_call_are_one_transaction() {
    let database = require_server().database().unwrap();
    database.execute("CREATE TABLE t (x int); INSERT INTO t VALUES (1); SELECT 1/0").unwrap_err();
    let rows = database.query_text("SELECT to_regclass('t')").unwrap();
    assert_eq!(rows, [[None]]);
}

#[test]
fn every_value_comes_back_as_text() {
    let database = require_server().database().unwrap();
    let rows = database
        .query_text(
            "SELECT 1, 1.50::numeric, NULL, '{a,b}'::text[], 'x''y', '{\"a\": 1}'::jsonb, '\\xff'::bytea, true; SELECT 2",
        )
        .unwrap();
    let text = |values: &[&str]| values.iter().map(|value| Some((*value).to_owned())).collect::<Vec<_>>();
    let mut first = text(&["1", "1.50", "NULL", "{a,b}", "x'y", "{\"a\": 1}", "\\xff", "t"]);
    first[2] = None;
    assert_eq!(rows, [first, text(&["2"])]);
}

#[test]
fn copies_of_a_template_are_independent_and_made_in_parallel() {
    let server = require_server();
    let setup = "CREATE TABLE t (x int); INSERT INTO t SELECT generate_series(1, 1000)";
    let names: Vec<String> = thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|worker| {
                scope.spawn(move || {
                    let database = server.database_from("parallel", setup).unwrap();
                    database.execute(&format!("DELETE FROM t WHERE x > {worker}")).unwrap();
                    let rows = database.query_text("SELECT count(*) FROM t").unwrap();
                    assert_eq!(rows, [[Some(worker.to_string())]]);
                    database.name().to_owned()
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let distinct: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(distinct.len(), 8);
}

#[test]
fn a_template_whose_set_up_fails_says_so_and_can_be_tried_again() {
    let server = require_server();
    let error = server.database_from("broken", "SELECT 1/0").unwrap_err();
    assert!(error.to_string().contains("broken"), "{error}");
    assert_eq!(error.sqlstate().as_deref(), Some("22012"));
    let _database = server.database_from("broken", "SELECT 1").unwrap();
}

#[test]
fn one_key_does_not_stand_for_two_templates() {
    let server = require_server();
    let _database = server.database_from("twice", "SELECT 1").unwrap();
    let error = server.database_from("twice", "SELECT 2").unwrap_err();
    assert!(error.to_string().contains("key of its own"), "{error}");
}

#[test]
fn a_database_goes_even_while_someone_is_connected() {
    let server = require_server();
    let observer = server.database().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        // Blocking calls inside a runtime, as an async test makes them.
        let database = server.database().unwrap();
        let name = database.name().to_owned();
        let mut connection = PgConnection::connect(database.url()).await.unwrap();
        drop(database);
        let exists = format!("SELECT FROM pg_database WHERE datname = '{name}'");
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while !observer.query_text(&exists).unwrap().is_empty() {
            assert!(std::time::Instant::now() < deadline, "still there after 30 s");
        }
        connection.ping().await.unwrap_err();
    });
}
