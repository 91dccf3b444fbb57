//! A server that `DATABASE_URL` names: used as it is, and left as it was.

use crate::owner::Owner;
use threadline_testkit::{Options, Server};

fn running_server() -> Server {
    Server::start(Options { tcp: true, ..Options::default() }).unwrap()
}

fn ours(server: &Server) -> Vec<String> {
    let rows = server
        .database()
        .unwrap()
        .query_text("SELECT datname FROM pg_database WHERE datname ~ '^threadline_test_' ORDER BY 1")
        .unwrap();
    rows.into_iter().flatten().flatten().collect()
}

fn start_owner(server: &Server) -> Owner {
    let url = server.url("postgres");
    Owner::start(|command| {
        command.env("DATABASE_URL", url);
    })
}

#[test]
fn the_named_server_is_used_instead_of_a_private_one() {
    let server = running_server();
    let mut owner = start_owner(&server);
    assert!(!owner.owned.contains_key("dir"));
    assert!(ours(&server).contains(&owner.owned["database"]));
    assert!(owner.order("return").success());
    // The database went with its value; the template waits for the next run.
    assert!(!ours(&server).contains(&owner.owned["database"]));
}

#[test]
fn the_next_run_removes_what_a_killed_run_left_and_nothing_else() {
    let server = running_server();
    let mut killed = start_owner(&server);
    killed.child.kill().unwrap();
    killed.child.wait().unwrap();
    let mut alive = start_owner(&server);
    let keeper = server.database().unwrap();
    keeper.execute("CREATE DATABASE threadline_test_notes").unwrap();
    let left = |name: &str| ours(&server).iter().any(|database| database == name);
    assert!(left(&alive.owned["database"]));

    // The killed run's session may take a moment to end; each run looks again.
    crate::owner::eventually("a run has removed the leftovers", || {
        drop(Server::at(&server.url("postgres")).unwrap());
        !left(&killed.owned["database"])
    });
    assert!(left(&alive.owned["database"]), "a live run's database was removed");
    keeper.execute("SELECT 1").unwrap();
    assert!(left("threadline_test_notes"), "someone else's database was removed");
    assert!(alive.order("return").success());
}

#[test]
fn a_server_value_takes_its_templates_with_it() {
    let server = running_server();
    let before = ours(&server);
    let user = Server::at(&server.url("postgres")).unwrap();
    drop(user.database_from("t", "SELECT 1").unwrap());
    assert_ne!(ours(&server), before);
    drop(user);
    assert_eq!(ours(&server), before);
}

#[test]
fn a_role_that_may_not_create_databases_is_told_so() {
    let server = running_server();
    server.database().unwrap().execute("CREATE ROLE weak LOGIN").unwrap();
    let url = server.url("postgres").replace("postgres@", "weak@");
    let error = Server::at(&url).unwrap_err();
    assert!(error.to_string().contains("CREATEDB"), "{error}");
}

#[test]
fn a_role_that_may_create_databases_is_enough() {
    let server = running_server();
    server.database().unwrap().execute("CREATE ROLE maker LOGIN CREATEDB").unwrap();
    let url = server.url("postgres").replace("postgres@", "maker@");
    let user = Server::at(&url).unwrap();
    let database = user.database_from("t", "CREATE TABLE t (x int)").unwrap();
    assert_eq!(database.query_text("TABLE t").unwrap().len(), 0);
}
