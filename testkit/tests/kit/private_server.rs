//! Private servers: settings, addresses, failures.

use std::path::PathBuf;

use threadline_testkit::{Options, Server};

#[test]
fn settings_override_the_defaults_and_can_be_altered_at_run_time() {
    let server = Server::start(Options {
        settings: vec![("max_connections".into(), "31".into()), ("cluster_name".into(), "it's \\ mine".into())],
        ..Options::default()
    })
    .unwrap();
    let database = server.database().unwrap();
    let show = |name: &str| database.query_text(&format!("SHOW {name}")).unwrap()[0][0].clone().unwrap();
    assert_eq!(show("max_connections"), "31");
    assert_eq!(show("cluster_name"), "it's \\ mine");
    assert_eq!(show("fsync"), "off");
    assert_eq!(show("server_encoding"), "UTF8");
    assert_eq!(show("max_prepared_transactions"), "20");
    database.execute("ALTER SYSTEM SET work_mem = '5MB'").unwrap();
    database.execute("SELECT pg_reload_conf()").unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while show("work_mem") != "5MB" {
        assert!(std::time::Instant::now() < deadline);
    }
}

#[test]
fn a_server_may_listen_on_tcp() {
    let server = Server::start(Options { tcp: true, ..Options::default() }).unwrap();
    assert!(server.url("x").starts_with("postgres://postgres@127.0.0.1:"));
    let database = server.database().unwrap();
    let rows = database.query_text("SELECT host(inet_client_addr())").unwrap();
    assert_eq!(rows, [[Some("127.0.0.1".into())]]);
}

#[test]
fn dropping_a_server_stops_it_and_removes_its_files() {
    let server = Server::start(Options::default()).unwrap();
    let dir = server.socket_dir().unwrap().to_owned();
    let url = server.url("postgres");
    assert!(dir.join("data").exists());
    drop(server);
    assert!(!dir.exists());
    assert!(Server::at(&url).is_err());
}

#[test]
fn the_version_is_the_programs_own() {
    let server = Server::start(Options::default()).unwrap();
    let postgres = server.bin_dir().unwrap().join("postgres");
    let output = std::process::Command::new(postgres).arg("--version").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(&server.version().to_string()), "{text}");
}

#[test]
fn a_folder_without_programs_is_named_in_the_error() {
    let error =
        Server::start(Options { bin_dir: Some(PathBuf::from("/nonexistent/bin")), ..Options::default() }).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/bin"), "{error}");
}

#[test]
fn the_error_of_a_server_that_does_not_start_quotes_its_log() {
    let error = Server::start(Options { settings: vec![("no_such_setting".into(), "1".into())], ..Options::default() })
        .unwrap_err();
    assert!(error.to_string().contains("no_such_setting"), "{error}");
}

#[test]
fn libpq_understands_the_address() {
    let server = threadline_testkit::require_server();
    let Some(psql) = server.bin_dir().map(|dir| dir.join("psql")).filter(|psql| psql.exists()) else {
        // Some builds of PostgreSQL have no client programs; the address's form is a unit test's too.
        return;
    };
    let database = server.database().unwrap();
    let output = std::process::Command::new(psql)
        .args(["-X", "-A", "-t", "-d", database.url(), "-c", "SELECT current_database()"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.trim(), database.name(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_crash_ends_every_session_and_keeps_what_was_committed() {
    let settings = vec![("synchronous_commit".into(), "on".into())];
    let server = Server::start(Options { settings, ..Options::default() }).unwrap();
    let database = server.database().unwrap();
    database.execute("CREATE TABLE kept (id int); INSERT INTO kept VALUES (7)").unwrap();
    let started = "SELECT min(backend_start)::text FROM pg_stat_activity WHERE backend_type = 'checkpointer'";
    let before = database.query_text(started).unwrap();
    server.crash().unwrap();
    assert_ne!(database.query_text(started).unwrap(), before);
    assert_eq!(database.query_text("SELECT id FROM kept").unwrap(), [[Some("7".into())]]);
}
