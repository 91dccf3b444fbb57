//! The trail in plain SQL: the view that joins it, and the five questions of the book, whose every block answers what the
//! same question is answered in Rust.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]

use serde_json::{Map, Value};
use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use threadline::sqlx::{AuditedPool, Trail};
use threadline::{
    ActorRef, AuditAction, Correlation, Export, ExportFormat, LinkedChange, RowHistory, Schema, Timeline, kernel,
};
use threadline_testkit::{Database, require_server};
use threadline_tests::book;
use time::{Duration, OffsetDateTime};

/// A trail in which each question has an answer, and changes that would be in it if a condition were missing.
const STORY: &str = r#"
CREATE TABLE posts (id bigint PRIMARY KEY, title text, note text);
CREATE SCHEMA other;
CREATE TABLE other.posts (id bigint PRIMARY KEY, title text);
SELECT threadline.enable_capture('posts'), threadline.enable_capture('other.posts');
COMMIT;

BEGIN;
SELECT threadline.set_context('{"type": "user", "id": "42"}', '{"correlation_id": "req-7f3", "request_id": "r-1"}');
SELECT threadline.record_action('{"name": "post.drafted", "category": "editing"}');
INSERT INTO posts VALUES (7, 'Draft', NULL), (8, 'Another', NULL);
INSERT INTO other.posts VALUES (7, 'Not the same');
COMMIT;

BEGIN;
SELECT threadline.set_context('{"type": "admin", "id": "42"}');
SELECT threadline.record_action('{"name": "post.published", "reason": "editor approved", "correlation_id": "req-7f3"}');
UPDATE posts SET title = 'Ship it' WHERE id = 7;
COMMIT;

BEGIN;
SELECT threadline.set_context('{"type": "user", "id": "42"}', '{"correlation_id": "req-800"}');
SELECT threadline.record_action('{"name": "post.published", "status": "error", "reason": "refused", "correlation_id": "req-7f3"}');
COMMIT;

BEGIN;
SELECT threadline.set_context('{"type": "user", "id": "43"}', '{"correlation_id": "req-800"}');
UPDATE posts SET id = 9 WHERE id = 7;
INSERT INTO posts VALUES (7, 'Next', NULL);
COMMIT;

BEGIN;
TRUNCATE posts;
INSERT INTO posts VALUES (7, 'After', 'x'), (10, 'Ten', NULL);
COMMIT;

-- What is too old for the window and for the export.
INSERT INTO threadline.audit_transactions (id, xid, occurred_at, actor_ref, session_role, current_role_name, application_name)
VALUES (900001, '5', now() - interval '40 days', '{"type": "user", "id": "42"}', 'app', 'none', '');
INSERT INTO threadline.audit_changes (transaction_id, xid, captured_at, key_hash, table_schema, table_name, op, table_pk, data_after)
VALUES (900001, '5', now() - interval '40 days', threadline.key_hash('public', 'posts', '{"id": 11}'), 'public', 'posts', 'insert',
        '{"id": 11}', '{"id": 11}');
"#;

fn story() -> Database {
    let setup = format!("BEGIN;\n{}\n{STORY}", kernel::install_script(&Schema::default()));
    require_server().database_from("plain sql", &setup).unwrap()
}

fn pool(database: &Database) -> AuditedPool {
    let options = database.url().parse::<PgConnectOptions>().unwrap();
    AuditedPool::new(PgPoolOptions::new().max_connections(2).connect_lazy_with(options))
}

type Row = Map<String, Value>;

/// The rows of a query, by column.
async fn rows(db: &AuditedPool, sql: &str) -> Vec<Row> {
    let sql = format!("SELECT row_to_json(q)::text FROM ({}) AS q", sql.trim().trim_end_matches(';'));
    let found: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql))
        .fetch_all(db.unaudited())
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    found.iter().map(|row| serde_json::from_str(row).unwrap()).collect()
}

/// What the columns of a query should hold, by the names that the view gives them.
fn expected(entry: &LinkedChange, columns: &Row) -> Row {
    let object = |value: Value| if let Value::Object(fields) = value { fields } else { Map::new() };
    let mut all = object(serde_json::to_value(&entry.transaction).unwrap());
    let action = object(serde_json::to_value(&entry.action).unwrap());
    for (name, value) in object(serde_json::to_value(&entry.change).unwrap()) {
        all.insert(name, value);
    }
    all.insert("change_id".to_owned(), all["id"].clone());
    for (of_view, of_action) in [
        ("action_id", "id"),
        ("action_name", "name"),
        ("action_status", "status"),
        ("reason", "reason"),
        ("action_correlation_id", "correlation_id"),
        ("recorded_at", "recorded_at"),
    ] {
        all.insert(of_view.to_owned(), action.get(of_action).cloned().unwrap_or_default());
    }
    let pick = |name: &String| {
        let value = all.get(name).unwrap_or_else(|| panic!("the API does not tell {name}"));
        (name.clone(), value.clone())
    };
    columns.keys().map(pick).collect()
}

/// Instants in one form: the server writes them in its own.
fn steady(mut row: Row) -> Row {
    for name in ["captured_at", "occurred_at", "recorded_at"] {
        if let Some(Value::String(at)) = row.get(name) {
            let parsed = OffsetDateTime::parse(at, &time::format_description::well_known::Rfc3339).unwrap();
            row.insert(name.to_owned(), parsed.unix_timestamp_nanos().to_string().into());
        }
    }
    row
}

/// Compares every block under a heading with the changes that the API answers with.
async fn agrees(db: &AuditedPool, heading: &str, blocks: &[String], answer: &[LinkedChange]) {
    for block in blocks {
        let found: Vec<Row> = rows(db, block).await;
        let expected: Vec<Row> = answer.iter().zip(&found).map(|(entry, row)| steady(expected(entry, row))).collect();
        assert_eq!(found.len(), answer.len(), "{heading}: {block}");
        let found: Vec<Row> = found.into_iter().map(steady).collect();
        assert_eq!(found, expected, "{heading}: {block}");
    }
}

fn blocks(heading: &str, count: usize) -> Vec<String> {
    let blocks = book::section(&book::page("questions.md"), heading, "sql");
    assert_eq!(blocks.len(), count, "{heading}");
    blocks
}

fn ago(span: Duration) -> OffsetDateTime {
    OffsetDateTime::now_utc() - span
}

#[tokio::test]
async fn row_history() {
    let database = story();
    let db = pool(&database);
    let history = db.row_history(&RowHistory::by_id("public", "posts", 7)).await.unwrap();
    let ops: Vec<String> = history.entries.iter().map(|entry| entry.change.op.to_string()).collect();
    assert_eq!(ops, ["insert", "truncate", "insert", "update", "update", "insert"]);
    agrees(&db, "Row history", &blocks("Row history", 2), &history.entries).await;
}

#[tokio::test]
async fn actor_window() {
    let database = story();
    let db = pool(&database);
    let actor = ActorRef::user("42").unwrap();
    let everything = db.timeline(&Timeline::new().actor(&actor)).await.unwrap();
    let window = db.timeline(&Timeline::new().actor(&actor).since(ago(Duration::hours(24)))).await.unwrap();
    assert_eq!((everything.entries.len(), window.entries.len()), (4, 3));
    agrees(&db, "Actor window", &blocks("Actor window", 2), &window.entries).await;
}

#[tokio::test]
async fn correlation_bundle() {
    let database = story();
    let db = pool(&database);
    let bundle = db.correlation(&Correlation::of("req-7f3")).await.unwrap();
    assert_eq!((bundle.changes.entries.len(), bundle.actions.len()), (4, 3));
    let blocks = blocks("Correlation bundle", 3);
    agrees(&db, "Correlation bundle", &blocks[..2], &bundle.changes.entries).await;
    let actions = rows(&db, &blocks[2]).await;
    let told = |row: &Row| {
        (row["action_id"].as_i64().unwrap(), row["name"].clone(), row["status"].clone(), row["reason"].clone())
    };
    let expected = |action: &AuditAction| {
        (
            action.id.get(),
            Value::from(action.name.as_str()),
            Value::from(action.status.as_str()),
            action.reason.as_deref().into(),
        )
    };
    assert_eq!(actions.iter().map(told).collect::<Vec<_>>(), bundle.actions.iter().map(expected).collect::<Vec<_>>());
}

#[tokio::test]
async fn export_parity() {
    let database = story();
    let db = pool(&database);
    let timeline = || Timeline::new().table_in("public", "posts").since(ago(Duration::days(30)));
    let page = db.timeline(&timeline()).await.unwrap();
    let blocks = blocks("Export parity", 2);
    assert_eq!(page.entries.len(), 8);
    agrees(&db, "Export parity", &blocks, &page.entries).await;

    let mut written = Vec::new();
    db.export_to(Export::new(timeline()).format(ExportFormat::Ndjson), &mut written).await.unwrap();
    let exported: Vec<Row> =
        String::from_utf8(written).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut csv = Vec::new();
    db.export_to(Export::new(timeline()), &mut csv).await.unwrap();
    let header = String::from_utf8(csv).unwrap();
    let header: Vec<&str> = header.lines().next().unwrap().split(',').collect();
    for block in blocks {
        let found = rows(&db, &block).await;
        assert_eq!(found.len(), exported.len());
        for (row, line) in found.iter().zip(&exported) {
            let row = steady(row.clone());
            let line = steady(line.clone());
            for (name, value) in &row {
                assert!(header.contains(&name.as_str()), "an export has no column {name}");
                match name.as_str() {
                    "correlation_id" | "action_id" => assert_eq!(Some(value), line["transaction"].get(name)),
                    _ => assert_eq!(Some(value), line.get(name), "{name}"),
                }
            }
        }
    }
}

#[tokio::test]
async fn action_to_changes() {
    let database = story();
    let db = pool(&database);
    let page = db.timeline(&Timeline::new().action("post.published")).await.unwrap();
    assert_eq!(page.entries.len(), 1);
    agrees(&db, "Action to changes", &blocks("Action to changes", 2), &page.entries).await;
}

#[test]
fn the_view_is_pinned() {
    let database = story();
    let columns = database
        .query_text(
            "SELECT a.attname || ' ' || format_type(a.atttypid, NULL) FROM pg_attribute a
             WHERE a.attrelid = 'threadline.linked_changes'::regclass AND a.attnum > 0 ORDER BY a.attnum",
        )
        .unwrap();
    let columns: Vec<String> = columns.into_iter().map(|row| row[0].clone().unwrap()).collect();
    insta::assert_snapshot!("linked_changes", columns.join("\n"));
    // The book lists what there is.
    let page = book::page("questions.md");
    let table: String = page.lines().filter(|line| line.starts_with("| `")).collect();
    for column in columns {
        let name = column.split(' ').next().unwrap();
        assert!(table.contains(&format!("`{name}`")), "the book does not name {name}");
    }
}

#[tokio::test]
async fn the_view_tells_what_the_timeline_tells() {
    let database = story();
    let db = pool(&database);
    let page = db.timeline(&Timeline::new().limit(1_000)).await.unwrap();
    let sql = "SELECT change_id, captured_at, op, table_schema, table_name, table_pk, previous_pk, changed_fields, changed_from,
            data_after, withheld, transaction_id, occurred_at, actor_ref, correlation_id, request_id, job_id, source, remote_ip,
            meta, session_role, current_role_name, application_name, action_id, action_name, action_status, reason,
            action_correlation_id, recorded_at
        FROM threadline.linked_changes ORDER BY captured_at DESC, change_id DESC";
    assert_eq!(page.entries.len(), 10);
    agrees(&db, "the view", &[sql.to_owned()], &page.entries).await;
}

#[test]
fn a_change_is_told_although_what_explains_it_expired() {
    let database = story();
    let count = |condition: &str| {
        let sql = format!("SELECT count(*) FROM threadline.linked_changes WHERE {condition}");
        database.query_text(&sql).unwrap()[0][0].clone().unwrap()
    };
    let all = count("true");
    assert_eq!(count("transaction_id IS NOT NULL AND occurred_at IS NULL"), "0");
    // As retention does; here by whoever may switch the guards off.
    database
        .execute(
            "SET session_replication_role = replica;
             DELETE FROM threadline.audit_actions WHERE name = 'post.published';
             DELETE FROM threadline.audit_transactions WHERE actor_ref @> '{\"id\": \"43\"}'",
        )
        .unwrap();
    assert_eq!(count("true"), all);
    assert_eq!(count("occurred_at IS NULL AND actor_ref IS NULL"), "2");
    assert_eq!(count("action_id IS NOT NULL AND action_name IS NULL"), "1");
}

#[test]
fn readers_may_read_the_view_and_nobody_else() {
    let database = story();
    let role = format!("plain_sql_{}", database.name());
    let as_role = |sql: &str| database.query_text(&format!("SET ROLE \"{role}\"; {sql}"));
    database.execute(&format!("CREATE ROLE \"{role}\" NOLOGIN")).unwrap();
    let refused = as_role("SELECT count(*) FROM threadline.linked_changes").unwrap_err();
    database.execute(&format!("SELECT threadline.grant_reader('{role}')")).unwrap();
    let counted = as_role("SELECT count(*) FROM threadline.linked_changes");
    let written = as_role("DELETE FROM threadline.linked_changes").unwrap_err();
    database.execute(&format!("DROP OWNED BY \"{role}\"; DROP ROLE \"{role}\"")).unwrap();
    assert_eq!(refused.sqlstate().as_deref(), Some("42501"));
    assert!(counted.is_ok(), "{counted:?}");
    // A view of several tables takes no writes.
    assert_eq!(written.sqlstate().as_deref(), Some("55000"));
}

#[test]
fn the_questions_are_answered_through_indexes() {
    let database = story();
    database
        .execute(
            r#"INSERT INTO threadline.audit_actions (id, name, actor_ref, status, correlation_id, recorded_at)
            SELECT 1000000 + g, 'other.' || g, '{"type": "anonymous"}', 'ok', 'c-' || g, now() FROM generate_series(1, 5000) AS g;
            INSERT INTO threadline.audit_transactions (id, xid, occurred_at, actor_ref, action_id, correlation_id, session_role, current_role_name, application_name)
            SELECT 1000000 + g, '5', now() - g * interval '1 second', jsonb_build_object('type', 'user', 'id', (1000 + g % 5000)::text),
                1000001 + g % 5000, 'c-' || g, 'app', 'none', ''
            FROM generate_series(1, 40000) AS g;
            INSERT INTO threadline.audit_changes (transaction_id, xid, captured_at, key_hash, table_schema, table_name, op, table_pk, data_after)
            SELECT 1000000 + g, '5', now() - g * interval '1 second', threadline.key_hash('public', 'posts', jsonb_build_object('id', 1000 + g)),
                'public', 'posts', 'insert', jsonb_build_object('id', 1000 + g), jsonb_build_object('id', 1000 + g)
            FROM generate_series(1, 40000) AS g;
            ANALYZE threadline.audit_transactions, threadline.audit_changes, threadline.audit_actions;"#,
        )
        .unwrap();
    let big = "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'threadline'::regnamespace AND c.relkind = 'r' AND c.reltuples > 1000";
    let big: Vec<String> = database.query_text(big).unwrap().into_iter().map(|row| row[0].clone().unwrap()).collect();
    assert!(big.len() >= 2, "{big:?}");
    for (heading, count) in
        [("Row history", 2), ("Actor window", 2), ("Correlation bundle", 3), ("Action to changes", 2)]
    {
        for block in blocks(heading, count) {
            let plan = database.query_text(&format!("EXPLAIN {block}")).unwrap();
            let plan: Vec<String> = plan.into_iter().map(|row| row[0].clone().unwrap()).collect();
            // Neither from end to end nor along the order of the trail: each look-up names what it looks for.
            let looked_through =
                plan.iter().zip(plan.iter().skip(1).map(String::as_str).chain([""])).find(|(line, next)| {
                    let of_big = big.iter().any(|name| line.contains(&format!(" on {name} ")));
                    of_big && !line.contains("Bitmap Heap Scan") && !next.trim_start().starts_with("Index Cond")
                });
            assert_eq!(looked_through, None, "{heading}:\n{}", plan.join("\n"));
        }
    }
}
