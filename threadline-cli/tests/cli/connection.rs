//! Without a database, or without a kernel in it.

use crate::support::{bare, command, empty, on, run};

#[test]
fn a_database_must_be_named() {
    for url in [None, Some("")] {
        let mut command = command(&["timeline"]);
        if let Some(url) = url {
            command.env("DATABASE_URL", url);
        }
        let stderr = run(command).failed(2);
        assert!(stderr.starts_with("error: no database is named\nhelp: "), "{stderr}");
    }
}

#[test]
fn a_server_that_is_not_there_has_a_code_of_its_own() {
    let run = bare(&["timeline", "--database-url", "postgres://me:hidden@127.0.0.1:1/db"]);
    let stderr = run.failed(3);
    assert!(stderr.starts_with("error: cannot connect to database db at 127.0.0.1:1 as me: "), "{stderr}");
    assert!(!stderr.contains("hidden"), "{stderr}");
}

#[test]
fn so_has_a_database_that_is_not_there() {
    let database = empty();
    let url = database.url().replace(database.name(), "no_such_database");
    let stderr = bare(&["install", "--database-url", &url]).failed(3);
    assert!(stderr.contains("no_such_database"), "{stderr}");
}

#[test]
fn a_malformed_url_is_wrong_input_and_stays_hidden() {
    for url in ["postgres://me:hidden@host:port/db", "mysql://me:hidden@host/db", "me:hidden@host"] {
        let stderr = bare(&["timeline", "--database-url", url]).failed(2);
        assert!(stderr.contains("the database's URL cannot be read"), "{stderr}");
        assert!(!stderr.contains("hidden"), "{stderr}");
    }
}

#[test]
fn a_url_in_the_wrong_place_stays_hidden_too() {
    let stderr = bare(&["postgres://me:hidden@host/db"]).failed(2);
    assert!(stderr.contains("postgres://me:***@host/db"), "{stderr}");
}

#[test]
fn every_command_tells_that_the_kernel_is_missing() {
    let database = empty();
    database.execute("CREATE TABLE posts (id int PRIMARY KEY)").unwrap();
    let commands: [&[&str]; 6] = [
        &["plan", "posts"],
        &["enable", "posts"],
        &["timeline"],
        &["timeline", "--table", "posts"],
        &["history", "posts", "7"],
        &["as-of", "posts", "7", "--at", "now"],
    ];
    for arguments in commands {
        let stderr = on(&database, arguments).failed(3);
        assert!(stderr.contains("the kernel is not installed in schema \"threadline\""), "{stderr}");
        assert!(stderr.contains("\nhelp: Install or upgrade it with `threadline install`"), "{stderr}");
    }
}

#[test]
fn with_json_an_error_is_one_document() {
    let stderr = on(&empty(), &["timeline", "--json"]).failed(3);
    let document: serde_json::Value = serde_json::from_str(&stderr).unwrap();
    assert_eq!(document["error"]["code"], "not_installed");
    assert!(document["error"]["remedy"].as_str().unwrap().contains("threadline install"));
}
