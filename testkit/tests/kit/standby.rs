//! Hot standbys.

use threadline_testkit::{Options, Server, Standby, require_server};

#[test]
fn a_standby_follows_its_server_and_can_only_be_read() {
    let server = Server::start(Options::default()).unwrap();
    let database = server.database().unwrap();
    database.execute("CREATE TABLE kept (id int); INSERT INTO kept VALUES (7)").unwrap();
    let standby = Standby::start(&server).unwrap();
    let recovering = standby.query_text(database.name(), "SELECT pg_is_in_recovery()::text").unwrap();
    assert_eq!(recovering, [[Some("true".into())]]);
    database.execute("INSERT INTO kept VALUES (8)").unwrap();
    standby.catch_up().unwrap();
    let rows = standby.query_text(database.name(), "SELECT id FROM kept ORDER BY id").unwrap();
    assert_eq!(rows, [[Some("7".into())], [Some("8".into())]]);
    let error = standby.query_text(database.name(), "INSERT INTO kept VALUES (9)").unwrap_err();
    assert_eq!(error.sqlstate().as_deref(), Some("25006"));
}

#[test]
fn a_server_without_programs_cannot_have_a_standby() {
    let shared = require_server();
    let named = Server::at(&shared.url("postgres")).unwrap();
    let error = Standby::start(&named).unwrap_err();
    assert!(error.to_string().contains("private server"), "{error}");
}
