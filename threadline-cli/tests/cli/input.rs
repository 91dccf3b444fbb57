//! Arguments that make no sense.

use crate::support::bare;

#[test]
fn wrong_input_is_refused_before_anything_is_connected_to() {
    let cases: [(&[&str], &str); 25] = [
        (&["timelines"], "unrecognized subcommand 'timelines'"),
        (&["enable"], "<TABLE>"),
        (&["plan"], "<TABLE>"),
        (&["enable", "a.b.c"], "more than two parts"),
        (&["enable", "my table"], "needs double quotes"),
        (&["enable", "posts", "--images", "fat"], "possible values: full, lean"),
        (&["enable", "posts", "--truncate", "ignore"], "possible values: event, rows, refuse"),
        (&["enable", "posts", "--before-values", "maybe"], "possible values: true, false"),
        (&["timeline", "--op", "merge"], "possible values: insert, update, delete, truncate"),
        (&["timeline", "--actor", "robot:7"], "the actor's type is not known"),
        (&["timeline", "--key", "7"], "--table <TABLE>"),
        (&["timeline", "--limit", "0"], "0 is not in 1..=1000"),
        (&["timeline", "--cursor", "garbage"], "cursor is malformed"),
        (&["timeline", "--since", "2026-11-23 15:04:05"], "it has no offset from UTC"),
        (&["history", "posts", "{id: 7}"], "key is not JSON"),
        (&["as-of", "posts", "7"], "--at <TIME>"),
        (&["timeline", "--action-status", "maybe"], "possible values: ok, error"),
        (&["count", "--cap", "0"], "0 is not in 1..=10000000"),
        (&["transaction", "seven"], "invalid digit"),
        (&["incident"], "<TRANSACTION>"),
        (&["actor", "robot:7"], "the actor's type is not known"),
        (&["diff", "1", "--transaction", "x"], "invalid digit"),
        (&["export", "--format", "xml"], "possible values: csv, json, ndjson"),
        (&["export", "--all-rows", "--max-rows", "5"], "cannot be used with"),
        (&["export", "--max-rows", "0"], "0 is not in 1.."),
    ];
    for (arguments, message) in cases {
        let stderr = bare(arguments).failed(2);
        assert!(stderr.contains(message), "{arguments:?}: {stderr}");
    }
}

#[test]
fn an_export_that_cannot_be_is_refused_before_anything_is_connected_to() {
    let stderr = bare(&["export", "--json"]).failed(2);
    assert!(stderr.contains("--output"), "{stderr}");
    let stderr = bare(&["export", "--output", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]).failed(2);
    assert!(stderr.contains("exists already") && stderr.contains("--overwrite"), "{stderr}");
}

#[test]
fn a_schema_that_cannot_be_is_refused() {
    for schema in ["", "pg_catalog", "it's"] {
        let stderr = bare(&["--schema", schema, "install", "--dry-run"]).failed(2);
        assert!(stderr.contains("--schema <NAME>"), "{stderr}");
    }
}

#[test]
fn filters_that_contradict_each_other_are_refused() {
    let database = crate::support::story();
    let stderr = crate::support::on(&database, &["timeline", "--since", "now", "--until", "1h ago"]).failed(2);
    assert!(stderr.contains("since is later than until"), "{stderr}");
    let stderr = crate::support::on(&database, &["timeline", "--correlation-id", " "]).failed(2);
    assert!(stderr.contains("correlation_id"), "{stderr}");
    let stderr = crate::support::on(&database, &["timeline", "--table", "no_such"]).failed(2);
    assert!(stderr.contains("table no_such is not captured"), "{stderr}");
    for arguments in [
        &["timeline", "--op", "update"][..],
        &["count", "--changed-field", "title"],
        &["export", "--action-category", "editing"],
        &["timeline", "--action-status", "ok"],
    ] {
        let stderr = crate::support::on(&database, arguments).failed(2);
        assert!(stderr.contains("alone would have to look at the whole trail"), "{stderr}");
    }
    let stderr = crate::support::on(
        &database,
        &["timeline", "--table", "posts", "--table", "billing.lines", "--key", r#"{"id": 7}"#],
    )
    .failed(2);
    assert!(stderr.contains("needs a schema and one table"), "{stderr}");
}

#[test]
fn a_field_that_no_table_has_is_refused() {
    let database = crate::support::story();
    let expected = "changed_field titel is no column that table public.posts has or had";
    for command in ["timeline", "count", "export"] {
        let filters = [command, "--table", "posts", "--changed-field", "note", "--changed-field", "titel"];
        let stderr = crate::support::on(&database, &filters).failed(2);
        assert!(stderr.contains(expected) && stderr.contains("Check the spelling"), "{command}: {stderr}");
        let stderr = crate::support::on(&database, &[&filters[..], &["--since", "5 seconds ago"]].concat()).failed(2);
        assert!(stderr.contains(expected), "{command}: {stderr}");
    }
    let stderr = crate::support::on(&database, &["timeline", "--since", "1h ago", "--changed-field", "x"]).failed(2);
    assert!(stderr.contains("no column that any captured table has or had"), "{stderr}");
    let json = ["count", "--json", "--table", "posts", "--changed-field", "titel"];
    let error: serde_json::Value = serde_json::from_str(&crate::support::on(&database, &json).failed(2)).unwrap();
    assert_eq!(error["error"]["code"], "unknown_column", "{error}");
    assert_eq!(error["error"]["column"], "titel", "{error}");
}
