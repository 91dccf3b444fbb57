//! A policy that cannot hold is refused, with the table, the column and the way out.

use crate::support::database_with;

const TABLES: &str = "
    CREATE SCHEMA app;
    CREATE TABLE app.users (id int PRIMARY KEY, email text, \"Odd name\" text, a int);
    CREATE TABLE app.keyless (a int);
    CREATE TABLE app.pair (a int, b int, v text, PRIMARY KEY (a, b));
    CREATE VIEW app.view AS SELECT * FROM app.users; CREATE MATERIALIZED VIEW app.stored AS SELECT 1 AS id;
    CREATE SEQUENCE app.sequence; CREATE TYPE app.composite AS (a int); CREATE INDEX an_index ON app.users (a);
    CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing; CREATE FOREIGN TABLE app.elsewhere (id int) SERVER nowhere;
    CREATE TABLE app.parted (id int) PARTITION BY RANGE (id); CREATE TABLE app.part PARTITION OF app.parted DEFAULT;";

#[test]
fn what_is_wrong_with_a_policy_is_named() {
    let (_database, mut session) = database_with(TABLES);
    // (table, policy, SQLSTATE, code, column)
    let cases = [
        ("users", r#"{"exclude": ["nope"]}"#, "TL006", "unknown_column", "nope"),
        ("users", r#"{"mask": ["odd name"]}"#, "TL006", "unknown_column", "odd name"),
        ("users", r#"{"except_columns": ["EMAIL"]}"#, "TL006", "unknown_column", "EMAIL"),
        ("users", r#"{"exclude": ["email"], "mask": ["email"]}"#, "TL004", "invalid_policy", "email"),
        ("users", r#"{"exclude": ["id"]}"#, "TL004", "invalid_policy", "id"),
        ("users", r#"{"mask": ["a", "id"]}"#, "TL004", "invalid_policy", "id"),
        ("pair", r#"{"mask": ["b"]}"#, "TL004", "invalid_policy", "b"),
        ("users", r#"{"mask_placeholder": ""}"#, "TL004", "invalid_policy", ""),
        ("users", r#"{"mask_placeholder": "   "}"#, "TL004", "invalid_policy", ""),
        ("users", r#"{"mask_placeholder": "a\nb"}"#, "TL004", "invalid_policy", ""),
        ("users", r#"{"mask_placeholder": 1}"#, "TL004", "invalid_policy", ""),
        ("users", r#"{"mask_placeholder": null}"#, "TL004", "invalid_policy", ""),
        ("users", r#"{"masked": ["email"]}"#, "TL004", "invalid_policy", ""),
        ("users", r#"{"mask": "email"}"#, "TL004", "invalid_policy", ""),
        ("users", r#"{"mask": [1]}"#, "TL004", "invalid_policy", ""),
        ("users", r#"{"mask": null}"#, "TL004", "invalid_policy", ""),
        ("users", r#"{"before_values": "no"}"#, "TL004", "invalid_policy", ""),
        ("users", r#"{"before_values": null}"#, "TL004", "invalid_policy", ""),
        ("users", r#"{"require_actor": 1}"#, "TL004", "invalid_policy", ""),
        ("users", r#"{"images": "thin"}"#, "TL004", "invalid_policy", ""),
        ("users", r#"{"images": null}"#, "TL004", "invalid_policy", ""),
        ("users", r#"{"truncate": "ignore"}"#, "TL004", "invalid_policy", ""),
        ("users", "[]", "TL004", "invalid_policy", ""),
        ("users", r#""full""#, "TL004", "invalid_policy", ""),
        ("users", "null", "TL004", "invalid_policy", ""),
        ("users", r#"{"images": "lean", "before_values": false}"#, "TL004", "invalid_policy", ""),
        ("users", r#"{"images": "lean", "except_columns": ["a"]}"#, "TL004", "invalid_policy", ""),
        ("users", r#"{"images": "lean", "truncate": "event"}"#, "TL004", "invalid_policy", ""),
        ("keyless", r#"{"images": "lean"}"#, "TL004", "invalid_policy", ""),
    ];
    for (table, policy, sqlstate, code, column) in cases {
        for call in ["enable_capture", "capture_plan"] {
            let refusal = session.refusal(&format!("SELECT threadline.{call}('app.{table}', '{policy}')"));
            refusal.has_code(sqlstate, code);
            refusal.is_about("app", table, column);
        }
    }
    assert_eq!(session.value("SELECT count(*) FROM threadline.audited_tables"), "0");
    assert_eq!(session.value("SELECT count(*) FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid WHERE pronamespace = 'threadline'::regnamespace AND tgrelid::regclass::text LIKE 'app.%'"), "0");
}

#[test]
fn what_cannot_be_captured_is_refused_by_name() {
    let (_database, mut session) = database_with(TABLES);
    session.run("CREATE TEMP TABLE fleeting (id int)");
    for (label, schema, table, word) in [
        ("app.view", "app", "view", "is a view"),
        ("app.stored", "app", "stored", "is a view"),
        ("app.elsewhere", "app", "elsewhere", "foreign table"),
        ("app.sequence", "app", "sequence", "not a table"),
        ("app.composite", "app", "composite", "not a table"),
        ("app.an_index", "app", "an_index", "not a table"),
        ("app.part", "app", "part", "partition"),
        ("threadline.audit_changes", "threadline", "audit_changes", "own tables"),
        ("threadline.audited_tables", "threadline", "audited_tables", "own tables"),
        ("threadline.audit_changes_default", "threadline", "audit_changes_default", "own tables"),
        ("pg_catalog.pg_class", "pg_catalog", "pg_class", "system table"),
        ("information_schema.sql_features", "information_schema", "sql_features", "system table"),
    ] {
        for call in ["enable_capture", "capture_plan"] {
            let refusal = session.refusal(&format!("SELECT threadline.{call}('{label}')"));
            refusal.has_code("TL005", "unsupported_table");
            refusal.is_about(schema, table, "");
            assert!(refusal.message.contains(word), "{refusal:?}");
        }
    }
    let refusal = session.refusal("SELECT threadline.enable_capture('fleeting')");
    refusal.has_code("TL005", "unsupported_table");
    assert_eq!(refusal.table, "fleeting");
    session.refusal("SELECT threadline.enable_capture(1234567::oid::regclass)").has_code("TL005", "unsupported_table");
}

#[test]
fn a_table_that_is_not_captured_can_be_neither_refreshed_nor_disabled() {
    let (_database, mut session) = database_with(TABLES);
    for call in ["refresh_capture", "disable_capture"] {
        let refusal = session.refusal(&format!("SELECT threadline.{call}('app.users')"));
        refusal.has_code("TL009", "not_captured");
        refusal.is_about("app", "users", "");
    }
    session.run("SELECT threadline.enable_capture('app.users'), threadline.disable_capture('app.users')");
    session.refusal("SELECT threadline.disable_capture('app.users')").has_code("TL009", "not_captured");
}

#[test]
fn a_null_policy_is_the_default_one_and_defaults_are_written_out() {
    let (_database, mut session) = database_with(TABLES);
    session.run("SELECT threadline.enable_capture('app.users', NULL), threadline.enable_capture('app.pair', '{\"images\": \"lean\"}')");
    assert_eq!(
        session.column("SELECT policy::text FROM threadline.audited_tables ORDER BY id"),
        [
            r#"{"mask": [], "images": "full", "exclude": [], "truncate": "event", "before_values": true, "require_actor": false, "except_columns": [], "mask_placeholder": "[REDACTED]"}"#,
            r#"{"mask": [], "images": "lean", "exclude": [], "truncate": "rows", "before_values": true, "require_actor": false, "except_columns": [], "mask_placeholder": "[REDACTED]"}"#,
        ]
    );
}
