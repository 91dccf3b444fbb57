//! The SQL that capture generates, pinned: a change of the generator shows here as a change of text.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation is a failed test")]

use threadline_core::{Schema, kernel};
use threadline_testkit::{Database, require_server};

const TABLES: &str = "
    CREATE TYPE mood AS ENUM ('good', 'bad');
    CREATE DOMAIN cents AS bigint CHECK (value >= 0);
    CREATE TABLE plain (id bigint PRIMARY KEY, title text, price cents, feeling mood, payload json, settings jsonb, at timestamptz);
    CREATE TABLE redacted (id uuid PRIMARY KEY, email text, password text, note text);
    CREATE TABLE \"No Key\" (\"a b\" integer, \"select\" real);
    CREATE TABLE events (id integer, day date, body text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
    CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
    CREATE TABLE triggered (id integer PRIMARY KEY, log text);
    CREATE FUNCTION write_log() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
    CREATE TRIGGER write_log AFTER UPDATE ON triggered FOR EACH ROW EXECUTE FUNCTION write_log();
";

fn database() -> Database {
    let setup = format!("{}\n{TABLES}", kernel::install_script(&Schema::default()));
    require_server().database_from("plan_snapshots", &setup).expect("a database with tables to capture")
}

fn plan(table: &str, policy: &str) -> String {
    let rows = database().query_text(&format!("SELECT threadline.capture_plan('{table}', '{policy}')")).unwrap();
    let plan = rows[0][0].clone().unwrap();
    // The owner of the trail depends on what the server lets the installer do.
    plan.replace("OWNER TO threadline_owner", "OWNER TO [owner]")
}

#[test]
fn a_plain_table() {
    insta::assert_snapshot!(plan("plain", "{}"));
}

#[test]
fn a_redacted_lean_table_that_wants_an_actor() {
    insta::assert_snapshot!(plan(
        "redacted",
        r#"{"mask": ["email"], "exclude": ["password"], "images": "lean", "require_actor": true}"#
    ));
}

#[test]
fn a_table_without_a_key_and_with_names_to_quote() {
    insta::assert_snapshot!(plan("\"No Key\"", r#"{"before_values": false}"#));
}

#[test]
fn a_partitioned_table() {
    insta::assert_snapshot!(plan("events", "{}"));
}

#[test]
fn a_table_with_triggers_of_its_own() {
    insta::assert_snapshot!(plan("triggered", r#"{"truncate": "refuse", "except_columns": ["log"]}"#));
}
