//! The JSON that reads give is what the schemas in the book say, and stays so.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]

use serde::Serialize;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use threadline::sqlx::{AuditedPool, Trail};
use threadline::{
    ActorHistory, ActorRef, AsOf, ChangeDiff, Correlation, CountChanges, DiffOptions, Export, ExportFormat, Incident,
    Origin, RowHistory, Schema, Timeline, TransactionId, kernel,
};
use threadline_testkit::{Database, require_server};
use threadline_tests::book;
use threadline_tests::json_schema::JsonSchema;
use time::macros::datetime;

/// Every shape there is: all kinds of changes, actors and images.
const STORY: &str = r#"
CREATE TABLE posts (id bigint PRIMARY KEY, title text, price numeric, secret text, data json);
CREATE TABLE terse (id int PRIMARY KEY, v text);
CREATE TABLE keyless (v text);
SELECT threadline.enable_capture('posts', '{"mask": ["secret"]}'),
       threadline.enable_capture('terse', '{"before_values": false}'), threadline.enable_capture('keyless');
COMMIT;
BEGIN;
SELECT threadline.set_context('{"type": "admin", "id": "7", "on_behalf_of": {"type": "user", "id": "42"}}',
    '{"correlation_id": "corr-1", "request_id": "req-1", "job_id": "job-1", "source": "http", "remote_ip": "192.0.2.1", "meta": {"tenant": "acme"}}');
SELECT threadline.record_action('{"name": "post.published", "status": "ok", "verb": "publish", "category": "editing", "reason": "approved", "comment": "well done"}');
INSERT INTO posts VALUES (7, 'Draft', 0.10000000000000000555, 's', '{"a": [1, null]}');
UPDATE posts SET title = 'Ship it', secret = 't', id = 8;
INSERT INTO terse VALUES (1, 'a'); UPDATE terse SET v = 'b';
INSERT INTO keyless VALUES (NULL);
DELETE FROM posts;
COMMIT;
BEGIN;
SELECT threadline.set_context('{"type": "anonymous"}', '{"correlation_id": "corr-1"}');
SELECT threadline.record_action('{"name": "post.refused", "status": "error"}');
COMMIT;
BEGIN;
TRUNCATE keyless;
COMMIT;
"#;

struct Trailed {
    database: Database,
    db: AuditedPool,
}

fn story() -> Trailed {
    let setup = format!("BEGIN;\n{}\n{STORY}", kernel::install_script(&Schema::default()));
    let database = require_server().database_from("schemas", &setup).unwrap();
    let options = database.url().parse::<PgConnectOptions>().unwrap();
    let db = AuditedPool::new(PgPoolOptions::new().max_connections(2).connect_lazy_with(options));
    Trailed { database, db }
}

fn schema(name: &str) -> JsonSchema {
    JsonSchema::new(&book::page(&format!("schemas/{name}.schema.json")))
}

fn document(of: &impl Serialize) -> Value {
    // By way of text: no digit is lost there.
    serde_json::from_str(&serde_json::to_string(of).unwrap()).unwrap()
}

/// Checks one real document, that its schema says no less and no more than it has, and pins it.
fn holds(name: &str, document: &Value) {
    let schema = schema(name);
    assert_eq!(schema.violations(document), [""; 0], "{name}");
    let fields = document.as_object().unwrap();
    for field in fields.keys() {
        let mut less = fields.clone();
        less.remove(field);
        assert!(!schema.violations(&less.into()).is_empty(), "{name} allows that {field} is missing");
    }
    let mut more = fields.clone();
    more.insert("surprise".to_owned(), json!(1));
    assert!(!schema.violations(&more.into()).is_empty(), "{name} allows more than there is");
    let mut steady = document.clone();
    forget(&mut steady);
    insta::assert_snapshot!(name, serde_json::to_string_pretty(&steady).unwrap());
}

/// Replaces what differs from run to run.
fn forget(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let differs = name.ends_with("_at") || ["xid", "next", "session_role"].contains(&&**name);
                if differs && !value.is_null() {
                    *value = format!("[{name}]").into();
                }
                forget(value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(forget),
        _ => {}
    }
}

#[tokio::test]
async fn linked_change_and_page() {
    let Trailed { database, db } = story();
    let page = db.timeline(&Timeline::new().limit(1_000)).await.unwrap();
    assert_eq!(page.entries.len(), 7);
    holds("page", &document(&page));
    let last = page.entries.last().unwrap();
    holds("linked-change", &document(last));
    let first = db.timeline(&Timeline::new().limit(1)).await.unwrap();
    assert!(first.next.is_some());
    let history = db.row_history(&RowHistory::by_id("public", "posts", 8)).await.unwrap();
    let expired = "SET session_replication_role = replica; DELETE FROM threadline.audit_transactions";
    database.execute(expired).unwrap();
    let orphans = db.timeline(&Timeline::new()).await.unwrap();
    assert!(orphans.entries.iter().all(|entry| entry.transaction.is_none()));
    for page in [&first, &history, &orphans] {
        assert_eq!(schema("page").violations(&document(page)), [""; 0]);
    }
}

#[tokio::test]
async fn transactions() {
    let Trailed { database: _database, db } = story();
    let actor = ActorRef::admin("7").unwrap();
    let page = db.actor_history(&ActorHistory::of(&actor)).await.unwrap();
    holds("transactions", &document(&page));
    let nobody = db.actor_history(&ActorHistory::of(None)).await.unwrap();
    assert_eq!(nobody.entries.len(), 1);
    assert_eq!(schema("transactions").violations(&document(&nobody)), [""; 0]);
    let id = page.entries[0].transaction.id;
    holds("transaction", &document(&db.find_transaction(id).await.unwrap()));
}

#[tokio::test]
async fn diffs() {
    let Trailed { database: _database, db } = story();
    let page = db.timeline(&Timeline::new()).await.unwrap();
    let all = DiffOptions::new().with_inserts().with_deletes();
    let update = page.entries.iter().find(|entry| entry.change.previous_pk.is_some()).unwrap();
    holds("diff", &document(&ChangeDiff::of(&update.change)));
    let (mut kinds, mut omitted) = (0, 0);
    for entry in &page.entries {
        for diff in [ChangeDiff::of(&entry.change), ChangeDiff::with(&entry.change, all)] {
            assert_eq!(schema("diff").violations(&document(&diff)), [""; 0]);
            kinds += diff.field_changes.iter().filter(|field| field.kind.is_some()).count();
            omitted += diff.field_changes.iter().filter(|field| field.prior_state.is_some()).count();
        }
    }
    assert!(kinds > 0 && omitted > 0, "every kind of field is there: {kinds}, {omitted}");
}

#[tokio::test]
async fn exports() {
    let Trailed { database: _database, db } = story();
    let at = datetime!(2026-01-02 03:04:05 UTC);
    let export = || Export::new(Timeline::new()).generated_at(at);
    let mut written = Vec::new();
    let summary = db.export_to(export().format(ExportFormat::Json), &mut written).await.unwrap();
    let document: Value = serde_json::from_slice(&written).unwrap();
    assert_eq!(document["changes"].as_array().unwrap().len(), 7);
    holds("export", &document);
    holds("export-summary", &serde_json::to_value(summary).unwrap());
    let mut lines = Vec::new();
    let summary = db.export_to(export().format(ExportFormat::Ndjson).all_rows(), &mut lines).await.unwrap();
    assert_eq!(schema("export-summary").violations(&serde_json::to_value(summary).unwrap()), [""; 0]);
    let lines: Vec<Value> =
        String::from_utf8(lines).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    holds("export-line", lines.last().unwrap());
    for line in &lines {
        assert_eq!(schema("export-line").violations(line), [""; 0]);
    }
    let mut part = Vec::new();
    db.export_to(export().format(ExportFormat::Json).max_rows(1), &mut part).await.unwrap();
    let part: Value = serde_json::from_slice(&part).unwrap();
    assert_eq!((schema("export").violations(&part).len(), &part["truncated"]), (0, &json!(true)));
}

#[tokio::test]
async fn bundles() {
    let Trailed { database: _database, db } = story();
    holds("incident", &document(&db.incident(&Incident::of(TransactionId(1))).await.unwrap()));
    let correlation = db.correlation(&Correlation::of("corr-1")).await.unwrap();
    assert!(correlation.actions.len() == 2 && !correlation.changes.is_empty());
    holds("correlation", &document(&correlation));
    holds("count", &document(&db.count_changes(&CountChanges::of(Timeline::new()).cap(3)).await.unwrap()));
}

#[tokio::test]
async fn rows_as_of() {
    let Trailed { database, db } = story();
    let page = db.timeline(&Timeline::new().table("posts")).await.unwrap();
    let moved = page.entries[1].change.captured_at;
    let row = db.as_of_json(&AsOf::by_id("public", "posts", 8, moved)).await.unwrap();
    assert_eq!(row.origin, Origin::Image);
    holds("row-as-of", &document(&row));
    let sql = "CREATE TABLE older (id int PRIMARY KEY, v text); INSERT INTO older VALUES (1, 'a');
        SELECT threadline.enable_capture('older'); UPDATE older SET v = 'b' WHERE id = 2";
    database.execute(sql).unwrap();
    let row = db.as_of_json(&AsOf::by_id("public", "older", 1, time::OffsetDateTime::now_utc())).await.unwrap();
    assert_eq!(document(&row), json!({"row": {"id": 1, "v": "a"}, "origin": "reconstructed"}));
    assert_eq!(schema("row-as-of").violations(&document(&row)), [""; 0]);
}

#[test]
fn every_schema_of_the_book_has_its_test() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schemas");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap().replace(".schema.json", ""))
        .collect();
    names.sort();
    let source = include_str!("schemas.rs");
    for name in &names {
        assert!(source.contains(&format!("holds(\"{name}\"")), "no test looks at {name}");
    }
    assert_eq!(names.len(), 12);
}
