//! A field that no table has is an error, whoever asks; one that has an answer never is.

use futures_util::TryStreamExt;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use threadline::sqlx::{AuditedPool, Error, Trail};
use threadline::{CountChanges, Export, LinkedChange, Schema, Scope, Timeline, kernel};
use threadline_testkit::{Database, require_server};
use time::OffsetDateTime;

use crate::world::{database, pool};

/// The newest changes are of `title`; the oldest is of a column that came and went without a refresh.
const HISTORY: &str = "
    INSERT INTO posts VALUES (1, 'a', 1, 'acme');
    ALTER TABLE posts ADD ghost int; UPDATE posts SET ghost = 1; ALTER TABLE posts DROP ghost;
    UPDATE posts SET title = 'b'; UPDATE posts SET title = 'c'; UPDATE posts SET title = 'd';
";

fn ghosts() -> (Database, AuditedPool) {
    let database = database();
    database.execute(HISTORY).unwrap();
    let db = pool(database.url());
    (database, db)
}

fn posts() -> Timeline {
    Timeline::new().table("posts")
}

fn post() -> Timeline {
    Timeline::new().table_in("public", "posts").key(1)
}

fn everywhere() -> Timeline {
    Timeline::new().since(OffsetDateTime::UNIX_EPOCH)
}

fn told(error: &Error) -> String {
    let core = error.as_core().unwrap_or_else(|| panic!("{error:?}"));
    assert_eq!(core.setting(), Some("changed_field"), "{core}");
    format!("{} {}", core.code(), core.column().unwrap())
}

/// What each read of changes, all of which stop after so many, makes of a question.
async fn answers(db: &AuditedPool, timeline: &Timeline, most: u32) -> Vec<String> {
    let page = db.timeline(&timeline.clone().limit(most)).await.map(|page| page.entries.len() as u64);
    let count = db.count_changes(&CountChanges::of(timeline.clone()).cap(most)).await.map(|found| found.count);
    let streamed: Result<Vec<LinkedChange>, _> = db.stream(timeline.clone()).try_collect().await;
    let streamed = streamed.map(|found| found.len().min(most as usize) as u64);
    let export = Export::new(timeline.clone()).max_rows(most.into());
    let exported = db.export_to(export, Vec::new()).await.map(|summary| summary.returned_count);
    [page, count, streamed, exported].map(|answer| answer.map_or_else(|error| told(&error), |n| n.to_string())).into()
}

#[tokio::test]
async fn a_column_that_only_the_trail_knows_is_found_beyond_the_first_page() {
    let (_database, db) = ghosts();
    for timeline in [posts(), post(), everywhere(), posts().table("notes"), everywhere().schema("public")] {
        for most in [1, 2, 3, 4, 5] {
            let all = most.min(4).to_string();
            let both = timeline.clone().changed_field("title").changed_field("ghost");
            assert_eq!(answers(&db, &both, most).await, vec![all; 4], "{both:?}");
            let alone = timeline.clone().changed_field("ghost");
            assert_eq!(answers(&db, &alone, most).await, ["1"; 4], "{alone:?}");
            // A typing error beside what is found is one all the same, on the first page and on the last.
            let wrong = timeline.clone().changed_field("title").changed_field("titel").changed_field("ghost");
            assert_eq!(answers(&db, &wrong, most).await, ["unknown_column titel"; 4], "{wrong:?}");
        }
    }
}

#[tokio::test]
async fn a_column_that_only_the_trail_knows_is_unknown_where_it_has_no_change() {
    let (_database, db) = ghosts();
    let newest = db.timeline(&posts()).await.unwrap().entries[0].change.captured_at;
    let other = Scope::meta("tenant", "umbrella");
    for timeline in [posts().since(newest), posts().scope(&other), Timeline::new().table("notes")] {
        assert_eq!(answers(&db, &timeline.changed_field("ghost"), 5).await, ["unknown_column ghost"; 4]);
    }
    // A column that is known has no changes there, and that is an answer.
    for timeline in [posts().since(newest).until(newest), posts().scope(&other), Timeline::new().table("notes")] {
        assert_eq!(answers(&db, &timeline.changed_field("n"), 5).await, ["0"; 4]);
    }
}

#[tokio::test]
async fn a_later_page_is_not_checked_again() {
    let (_database, db) = ghosts();
    let fields = posts().changed_field("ghost").changed_field("title");
    let page = db.timeline(&fields.clone().limit(4)).await.unwrap();
    assert!(page.next.is_none() && page.entries.len() == 4);
    let page = db.timeline(&posts().limit(4)).await.unwrap();
    let beyond = posts().changed_field("ghost").limit(4).cursor(page.next.unwrap());
    assert!(db.timeline(&beyond).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_column_is_known_to_the_transaction_that_adds_it() {
    let database = database();
    let db = pool(database.url());
    let mut tx = db.unaudited().begin().await.unwrap();
    let field = || posts().changed_field("fresh");
    assert_eq!(told(&tx.timeline(&field()).await.unwrap_err()), "unknown_column fresh");
    sqlx::raw_sql("ALTER TABLE posts ADD fresh int").execute(&mut *tx).await.unwrap();
    assert!(tx.timeline(&field()).await.unwrap().is_empty());
    assert_eq!(told(&db.timeline(&field()).await.unwrap_err()), "unknown_column fresh");
    tx.rollback().await.unwrap();
    assert_eq!(told(&db.timeline(&field()).await.unwrap_err()), "unknown_column fresh");
}

#[tokio::test]
async fn a_table_that_is_not_captured_and_a_key_of_another_kind_are_told_first() {
    let (_database, db) = ghosts();
    let error = db.timeline(&posts().table("postss").changed_field("titel")).await.unwrap_err();
    assert!(error.as_core().unwrap().is_not_captured(), "{error}");
    let wrong_key = Timeline::new().table_in("public", "posts").key("1").changed_field("titel");
    let error = db.timeline(&wrong_key).await.unwrap_err();
    assert_eq!(error.as_core().unwrap().setting(), Some("key"), "{error}");
    let error = db.stream(wrong_key).try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(error.as_core().unwrap().setting(), Some("key"), "{error}");
}

#[tokio::test]
async fn odd_names_are_fields_as_others_are_under_any_schema_and_for_a_reader() {
    let schema = Schema::new("Audit \"trail\"").unwrap();
    let setup = format!(
        r#"BEGIN; {} COMMIT;
        CREATE SCHEMA "o'dd"; CREATE TABLE "o'dd"."t$1" (id int PRIMARY KEY, "a'b""c$2\" int, "Größe" int);
        SELECT "Audit ""trail""".enable_capture('"o''dd"."t$1"', '{{}}');
        INSERT INTO "o'dd"."t$1" VALUES (1, 1, 1); UPDATE "o'dd"."t$1" SET "a'b""c$2\" = 2;
        DO $$ BEGIN CREATE ROLE threadline_test_reader;
            EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
        SELECT "Audit ""trail""".grant_reader('threadline_test_reader')"#,
        kernel::install_script(&schema)
    );
    let database = require_server().database().unwrap();
    database.execute(&setup).unwrap();
    let options = database.url().parse::<PgConnectOptions>().unwrap().options([("role", "threadline_test_reader")]);
    let db = PgPoolOptions::new().max_connections(2).connect_lazy_with(options);
    let db = AuditedPool::new(db).with_schema(schema);
    let odd = || Timeline::new().table_in("o'dd", "t$1");
    for timeline in [odd(), odd().key(1), everywhere()] {
        assert_eq!(answers(&db, &timeline.clone().changed_field("a'b\"c$2\\"), 5).await, ["1"; 4]);
        assert_eq!(answers(&db, &timeline.clone().changed_field("Größe"), 5).await, ["0"; 4]);
        for field in ["größe", "a'b", "$1", "') OR true --"] {
            let wrong = timeline.clone().changed_field(field).changed_field("a'b\"c$2\\");
            assert_eq!(answers(&db, &wrong, 5).await, vec![format!("unknown_column {field}"); 4]);
        }
    }
}
