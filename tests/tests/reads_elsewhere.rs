//! Reads where a service often sends them: to a hot standby, which can write nothing, and through PgBouncer, which changes
//! the session between transactions. The answers are the primary's.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::OnceLock;

use futures_util::TryStreamExt;
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use threadline::sqlx::{AuditedPool, Trail};
use threadline::{
    ActorHistory, ActorRef, AsOf, AuditedTable, Correlation, CountChanges, Export, ExportFormat, Incident,
    LinkedChange, ModelColumn, RowHistory, Schema, TableAsOf, Timeline, TransactionId, kernel,
};
use threadline_testkit::{Database, Options, PgBouncer, PgBouncerOptions, Server, Standby};
use threadline_tests::cannot_run;
use time::{Duration, OffsetDateTime};

const HISTORY: &str = r#"
    CREATE TABLE posts (id int PRIMARY KEY, title text);
    CREATE TABLE notes (id int PRIMARY KEY, title text);
    SELECT threadline.enable_capture('posts', '{}'),
        threadline.enable_capture('notes', '{"images": "lean", "truncate": "refuse"}');
    INSERT INTO posts SELECT g, 'draft' FROM generate_series(1, 700) AS g;
    BEGIN;
    SELECT threadline.set_context('{"type": "user", "id": "42"}', '{"correlation_id": "c-1", "request_id": "r-1"}'),
        threadline.record_action('{"name": "post.published"}');
    UPDATE posts SET title = 'Ship it' WHERE id = 7;
    INSERT INTO notes VALUES (1, 'first');
    COMMIT;
    UPDATE notes SET title = 'second';
    DELETE FROM posts WHERE id = 8;
"#;

/// A private server: nobody's running one is copied.
fn primary() -> &'static (Server, Database) {
    static PRIMARY: OnceLock<(Server, Database)> = OnceLock::new();
    PRIMARY.get_or_init(|| {
        let server = Server::start(Options::default()).unwrap();
        let database = server.database().unwrap();
        database.execute(&format!("BEGIN; {} COMMIT; {HISTORY}", kernel::install_script(&Schema::default()))).unwrap();
        (server, database)
    })
}

fn pool(url: &str) -> AuditedPool {
    let options = url.parse::<PgConnectOptions>().unwrap();
    AuditedPool::new(PgPoolOptions::new().max_connections(4).connect_lazy_with(options))
}

#[derive(Debug, PartialEq, sqlx::FromRow)]
struct Post {
    id: i32,
    title: String,
}

impl threadline::Audited for Post {
    fn audited_table() -> AuditedTable {
        AuditedTable::new("public", "posts")
    }

    fn columns() -> &'static [ModelColumn] {
        &const { [ModelColumn::new("id").key(), ModelColumn::new("title")] }
    }
}

/// The answers of every read, in one text.
async fn answers(db: &AuditedPool) -> String {
    let actor = ActorRef::user("42").unwrap();
    let page = db.timeline(&Timeline::new().table("posts").limit(5)).await.unwrap();
    let later = db.timeline(&Timeline::new().table("posts").limit(5).cursor(page.next.unwrap())).await.unwrap();
    let mine = db.timeline(&Timeline::new().actor(&actor)).await.unwrap();
    let id = mine.entries[0].change.transaction_id;
    let (of_row, of_key) =
        (RowHistory::by_id("public", "posts", 7), Timeline::new().table_in("public", "posts").key(7));
    let now = OffsetDateTime::now_utc();
    let published = mine.entries[0].change.captured_at;
    let streamed: Vec<LinkedChange> = db.stream(Timeline::new().table("posts")).try_collect().await.unwrap();
    let mut whole = Vec::new();
    for table in ["posts", "notes"] {
        let rows = db.stream(TableAsOf::new("public", table, published));
        whole.extend(rows.map_ok(|row| format!("{row:?}")).try_collect::<Vec<_>>().await.unwrap());
    }
    let typed: Vec<_> = db.table_as_of::<Post>(published).try_collect().await.unwrap();
    assert_eq!(typed.len(), 700);
    // In no particular order.
    whole.sort();
    let mut texts = vec![
        format!("{whole:?}"),
        format!("{page:?}\n{later:?}\n{mine:?}"),
        format!("{:?}", db.row_history(&of_row).await.unwrap()),
        format!("{:?}", db.timeline(&of_key).await.unwrap()),
        format!("{:?}", db.count_changes(&CountChanges::of(Timeline::new().action("post.published"))).await.unwrap()),
        format!("{:?}", db.find_transaction(id).await.unwrap()),
        format!("{:?}", db.incident(&Incident::of(id)).await.unwrap()),
        format!("{:?}", db.correlation(&Correlation::of("c-1")).await.unwrap()),
        format!("{:?}", db.actor_history(&ActorHistory::of(&actor)).await.unwrap()),
        format!("{:?}", streamed.iter().map(|entry| entry.change.id).collect::<Vec<_>>()),
        format!("{:?}", db.as_of_json(&AsOf::by_id("public", "posts", 7, published)).await.unwrap()),
        // Rebuilt from the live row, which takes a look at the table itself.
        format!("{:?}", db.as_of_json(&AsOf::by_id("public", "notes", 1, published)).await.unwrap()),
        format!("{:?}", db.as_of::<Post>(9, now).await.unwrap()),
    ];
    for format in [ExportFormat::Csv, ExportFormat::Json, ExportFormat::Ndjson] {
        let mut written = Vec::new();
        let export = Export::new(Timeline::new().table("posts")).format(format).generated_at(published);
        let summary = db.export_to(export, &mut written).await.unwrap();
        assert_eq!(summary.returned_count, 702);
        texts.push(String::from_utf8(written).unwrap());
    }
    let gone = db.as_of_json(&AsOf::by_id("public", "posts", 8, now)).await.unwrap_err();
    assert!(gone.as_core().unwrap().is_deleted_record(), "{gone}");
    let unknown = db.timeline(&Timeline::new().table("postss")).await.unwrap_err();
    assert!(unknown.as_core().unwrap().is_not_captured(), "{unknown}");
    let field = |name: &str| Timeline::new().table("posts").changed_field(name);
    for fields in [field("titel"), field("title").changed_field("titel")] {
        for error in [
            db.timeline(&fields).await.unwrap_err(),
            db.count_changes(&CountChanges::of(fields.clone())).await.unwrap_err(),
            db.stream(fields.clone()).try_collect::<Vec<_>>().await.unwrap_err(),
            db.export_to(Export::new(fields.clone()), Vec::new()).await.unwrap_err(),
        ] {
            assert!(error.as_core().unwrap().is_unknown_column(), "{error}");
        }
    }
    texts.push(format!("{:?}", db.timeline(&field("title").changed_field("id")).await.unwrap()));
    let none = db.find_transaction(TransactionId(999)).await.unwrap_err();
    assert!(none.as_core().unwrap().is_not_found(), "{none}");
    texts.join("\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_read_works_on_a_hot_standby() {
    let (server, database) = primary();
    if !server.bin_dir().is_some_and(|folder| folder.join("pg_basebackup").exists()) {
        return cannot_run("the server comes without pg_basebackup, which makes a standby");
    }
    let standby = Standby::start(server).unwrap();
    standby.catch_up().unwrap();
    let db = pool(&standby.url(database.name()));
    let recovering: bool = sqlx::query_scalar("SELECT pg_is_in_recovery()").fetch_one(db.unaudited()).await.unwrap();
    assert!(recovering);
    assert_eq!(answers(&db).await, answers(&pool(database.url())).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_read_works_through_pgbouncer() {
    let (server, database) = primary();
    let pooler = PgBouncer::start(server, PgBouncerOptions { pool_size: 2, ..PgBouncerOptions::default() }).unwrap();
    let expected = answers(&pool(database.url())).await;
    let through: Vec<AuditedPool> = (0..3).map(|_| pool(&pooler.url(database.name()))).collect();
    // More clients than server connections, so that they take turns.
    let (one, two, three) = tokio::join!(answers(&through[0]), answers(&through[1]), answers(&through[2]));
    assert!([one, two, three].iter().all(|answer| *answer == expected));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_leaves_no_setting_behind_in_a_pooled_session() {
    let (server, database) = primary();
    let pooler = PgBouncer::start(server, PgBouncerOptions { pool_size: 1, ..PgBouncerOptions::default() }).unwrap();
    let db = pool(&pooler.url(database.name()));
    let settings = "SELECT json_object_agg(name, setting)::text FROM pg_settings WHERE name ~ '^(jit|enable_|plan_cache|search_path|timezone|datestyle|transaction_)'";
    let settings = || async {
        let text: String = sqlx::query_scalar(settings).persistent(false).fetch_one(db.unaudited()).await.unwrap();
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let before = settings().await;
    answers(&db).await;
    let (mine, export) = (Timeline::new().since(OffsetDateTime::now_utc() - Duration::DAY), Vec::new());
    db.export_to(Export::new(mine), export).await.unwrap();
    assert_eq!(settings().await, before);
}
