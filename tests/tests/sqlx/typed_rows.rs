//! A row as it was, decoded by sqlx into the struct that the application reads its rows with.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::TryStreamExt;
use serde_json::{Value, json, value::RawValue};
use sqlx::postgres::types::{PgInterval, PgRange};
use sqlx::types::{Decimal, Json};
use sqlx::{FromRow, Type};
use threadline::sqlx::{AuditedPool, Error, Trail};
use threadline::{AsOf, Audited, AuditedTable, ModelColumn, Origin, RowAsOf, RowHistory, RowKey, TableAsOf};
use time::macros::{date, datetime};
use time::{Date, OffsetDateTime, PrimitiveDateTime};

use crate::reading::{NOW, instant};
use crate::support::{Target, on_both, user};

on_both! {
    a_row_of_many_types_comes_back_as_it_was,
    what_the_trail_does_not_hold_is_none_or_an_error_that_names_it,
    a_column_that_is_not_what_it_was_is_named,
    a_row_that_was_rebuilt_says_so,
    a_table_is_read_as_it_was,
    a_row_is_followed_to_another_key,
    a_key_of_the_wrong_type_is_refused_alike_by_history_and_as_of,
    a_row_is_read_inside_the_transaction_that_changes_it,
}

/// Makes a type a model of a table in `public`; columns that end in `?` are nullable.
macro_rules! model {
    ($model:ident, $table:literal, $key:literal $(, $column:literal $($nullable:ident)?)*) => {
        impl Audited for $model {
            fn audited_table() -> AuditedTable {
                AuditedTable::new("public", $table)
            }

            fn columns() -> &'static [ModelColumn] {
                &const { [ModelColumn::new($key).key() $(, ModelColumn::new($column)$(.$nullable())?)*] }
            }
        }
    };
}

#[derive(Clone, Copy, Debug, PartialEq, Type)]
#[sqlx(type_name = "mood", rename_all = "lowercase")]
enum Mood {
    Sad,
    Happy,
}

#[derive(Debug, PartialEq, Type)]
#[sqlx(type_name = "place")]
struct Place {
    street: Option<String>,
    number: Option<i32>,
}

#[derive(Debug, FromRow)]
struct Thing {
    id: i64,
    price: Decimal,
    ratio: f64,
    tiny: f32,
    bytes: Vec<u8>,
    span: PgRange<i32>,
    mood: Mood,
    moods: Vec<Mood>,
    place: Place,
    at: OffsetDateTime,
    local: PrimitiveDateTime,
    day: Date,
    pause: PgInterval,
    tags: Vec<Option<String>>,
    raw: Json<Box<RawValue>>,
    document: Json<Value>,
    nothing: Option<Json<Value>>,
    short: String,
}

model!(
    Thing, "things", "id", "price", "ratio", "tiny", "bytes", "span", "mood", "moods", "place", "at", "local", "day",
    "pause", "tags", "raw", "document", "nothing" nullable, "short"
);

const THINGS: &str = r#"
    CREATE TYPE mood AS ENUM ('sad', 'happy');
    CREATE TYPE place AS (street text, number int);
    CREATE DOMAIN shorttext AS text NOT NULL CHECK (length(VALUE) < 10);
    CREATE TABLE things (id bigint PRIMARY KEY, price numeric(20, 5), ratio float8, tiny float4, bytes bytea,
        span int4range, mood mood, moods mood[], place place, at timestamptz, local timestamp, day date, pause interval,
        tags text[], raw json, document jsonb, nothing jsonb, short shorttext, unread shorttext, number numeric);
    SELECT threadline.enable_capture('things', '{"exclude": ["unread"]}');
    INSERT INTO things VALUES (7, 123456789.12345, '-0', '1e-45', '\x00ff', '[1,5)', 'happy', '{sad,NULL,happy}', '("a ""b""",)',
        '2026-02-03 04:05:06.000007+02', '2026-02-03 04:05:06.000007', '0044-03-15', '1 mon -2 days 00:00:00.5', '{a,NULL,"b,c"}',
        '{"a": 1, "a": 2, "b": 1e999, "c": "\u0000"}', '{"n": 1.50}', 'null', 'short', 'unread', 'NaN');
"#;

async fn now(db: &AuditedPool) -> OffsetDateTime {
    let mut connection = db.unaudited().acquire().await.unwrap();
    instant(&crate::support::text(&mut connection, NOW).await.unwrap().unwrap())
}

async fn a_row_of_many_types_comes_back_as_it_was(target: Target) {
    let db = target.audited(1);
    target.database.execute(&THINGS.replace("{sad,NULL,happy}", "{sad,happy}")).unwrap();
    let then = now(&db).await;
    target
        .database
        .execute("UPDATE things SET price = 0, ratio = 'NaN', document = '1', short = 'x'; DELETE FROM things")
        .unwrap();

    let thing = db.as_of::<Thing>(7, then).await.unwrap().row;
    assert_eq!((thing.id, thing.price), (7, "123456789.12345".parse().unwrap()));
    assert!(thing.ratio == 0.0 && thing.ratio.is_sign_negative());
    assert_eq!((thing.tiny, thing.bytes), (1e-45, vec![0, 255]));
    assert_eq!((thing.span, thing.mood, thing.moods), ((1..5).into(), Mood::Happy, vec![Mood::Sad, Mood::Happy]));
    assert_eq!(thing.place, Place { street: Some(r#"a "b""#.to_owned()), number: None });
    assert_eq!(thing.at, datetime!(2026-02-03 02:05:06.000_007 UTC));
    assert_eq!((thing.local, thing.day), (datetime!(2026-02-03 04:05:06.000_007), date!(0044 - 03 - 15)));
    assert_eq!(thing.pause, PgInterval { months: 1, days: -2, microseconds: 500_000 });
    assert_eq!(thing.tags, [Some("a".to_owned()), None, Some("b,c".to_owned())]);
    assert_eq!(thing.raw.get(), r#"{"a": 1, "a": 2, "b": 1e999, "c": "\u0000"}"#, "the exact text");
    assert_eq!(thing.document.0, json!({"n": 1.50}));
    assert_eq!(thing.nothing.unwrap().0, Value::Null, "JSON null is a value");
    assert_eq!(thing.short, "short");
}

#[derive(Debug, FromRow)]
struct Account {
    id: i32,
    email: Option<String>,
    secret: Option<Vec<u8>>,
    added: Option<String>,
}

model!(Account, "accounts", "id", "email" nullable, "secret" nullable, "added" nullable);

/// The same row, read by somebody who expects every column.
#[derive(Debug, FromRow)]
#[allow(dead_code, reason = "never made")]
struct Strict<const COLUMN: usize> {
    id: i32,
}

impl<const COLUMN: usize> Audited for Strict<COLUMN> {
    fn audited_table() -> AuditedTable {
        AuditedTable::new("public", "accounts")
    }

    fn columns() -> &'static [ModelColumn] {
        const COLUMNS: [&str; 5] = ["email", "secret", "added", "gone", "never"];
        &const { [ModelColumn::new("id").key(), ModelColumn::new(COLUMNS[COLUMN])] }
    }
}

const ACCOUNTS: &str = r#"
    CREATE TABLE accounts (id int PRIMARY KEY, email text, secret bytea, gone int, kept int);
    SELECT threadline.enable_capture('accounts', '{"mask": ["email"], "exclude": ["secret"]}');
    INSERT INTO accounts VALUES (1, 'a@example.org', 'secret', 5, 6);
"#;

async fn what_the_trail_does_not_hold_is_none_or_an_error_that_names_it(target: Target) {
    let db = target.audited(1);
    target.database.execute(ACCOUNTS).unwrap();
    let then = now(&db).await;
    target.database.execute("ALTER TABLE accounts ADD added text NOT NULL DEFAULT '', DROP gone").unwrap();

    let account = db.as_of::<Account>(1, then).await.unwrap().row;
    assert_eq!((account.id, account.email, account.secret, account.added), (1, None, None, None));

    let names = |error: Error| {
        let core = error.as_core().unwrap_or_else(|| panic!("{error}"));
        assert_eq!(core.table(), Some("public.accounts"));
        format!("{} {}", core.code(), core.column().unwrap())
    };
    assert_eq!(names(db.as_of::<Strict<0>>(1, then).await.unwrap_err()), "column_redacted email");
    assert_eq!(names(db.as_of::<Strict<1>>(1, then).await.unwrap_err()), "column_redacted secret");
    assert_eq!(names(db.as_of::<Strict<2>>(1, then).await.unwrap_err()), "schema_changed added");
    assert_eq!(names(db.as_of::<Strict<3>>(1, then).await.unwrap_err()), "schema_changed gone");
    assert_eq!(names(db.as_of::<Strict<4>>(1, then).await.unwrap_err()), "unknown_column never");
}

#[derive(Debug, FromRow)]
struct Measure {
    id: i32,
    value: String,
}

model!(Measure, "measures", "id", "value");

#[derive(Debug, FromRow)]
struct MeasureId {
    id: i32,
}

model!(MeasureId, "measures", "id");

async fn a_column_that_is_not_what_it_was_is_named(target: Target) {
    let db = target.audited(1);
    for (before, value, after, using, fits) in [
        ("text", "'7'", "varchar(10)", "value", true),
        ("int", "7", "text", "value::text", false),
        ("text", "'seven'", "int", "7", false),
        ("text", "'longer than that'", "varchar(5)", "left(value, 5)", false),
        ("jsonb", "'{}'", "text", "value::text", false),
        // A JSON string in the trail: each is told from the others.
        ("json", "'{\"a\": 1}'", "jsonb", "value::jsonb", false),
        ("json", "'\"seven\"'", "jsonb", "value::jsonb", false),
        ("text", "'seven'", "jsonb", "to_jsonb(value)", false),
        ("jsonb", "'\"seven\"'", "json", "value::json", false),
        ("jsonb", "'\"seven\"'", "text", "value ->> 0", false),
    ] {
        let sql = format!(
            "DROP TABLE IF EXISTS measures; CREATE TABLE measures (id int PRIMARY KEY, value {before});
             SELECT threadline.enable_capture('measures'); INSERT INTO measures VALUES (1, {value})"
        );
        target.database.execute(&sql).unwrap();
        let then = now(&db).await;
        let alter = format!("ALTER TABLE measures ALTER value TYPE {after} USING {using}");
        target.database.execute(&alter).unwrap();
        match db.as_of::<Measure>(1, then).await {
            Ok(measure) => assert!(fits && measure.id == 1 && measure.value == "7", "{before} to {after}: {measure:?}"),
            Err(error) => {
                let core = error.as_core().unwrap_or_else(|| panic!("{error}"));
                assert!(!fits && core.is_schema_changed(), "{before} to {after}: {error}");
                assert_eq!((core.column(), core.table()), (Some("value"), Some("public.measures")));
                assert!(!error.to_string().contains("seven"), "no value in a message: {error}");
            }
        }
        assert_eq!(
            db.as_of::<MeasureId>(1, then).await.unwrap().id,
            1,
            "a column that nobody reads is in nobody's way"
        );
    }
}

async fn a_row_that_was_rebuilt_says_so(target: Target) {
    let db = target.audited(1);
    // As if it had been there before capture.
    target.database.execute("INSERT INTO posts VALUES (1, 'a'); SET session_replication_role = replica; INSERT INTO posts VALUES (9, 'older'); RESET session_replication_role").unwrap();
    let then = now(&db).await;
    assert_eq!(db.as_of::<Post>(1, then).await.unwrap().origin, Origin::Image);
    let older = db.as_of::<Post>(9, then).await.unwrap();
    assert_eq!((older.title.as_str(), older.origin), ("older", Origin::Reconstructed));
}

async fn a_table_is_read_as_it_was(target: Target) {
    let db = target.audited(1);
    target.database.execute("INSERT INTO posts SELECT n, 'a' FROM generate_series(1, 600) AS n").unwrap();
    let then = now(&db).await;
    target.database.execute("UPDATE posts SET id = id + 1000 WHERE id < 9; DELETE FROM posts WHERE id < 100").unwrap();
    let rows: Vec<RowAsOf<Post>> = db.table_as_of::<Post>(then).try_collect().await.unwrap();
    let ids: BTreeSet<i64> = rows.iter().map(|row| row.id).collect();
    assert!(rows.len() == 600 && ids == (1..=600).collect() && rows.iter().all(|row| row.origin == Origin::Image));
    let images: Vec<_> = db.stream(TableAsOf::new("public", "posts", then)).try_collect().await.unwrap();
    assert_eq!(images.len(), 600);
    let mut tx = db.unaudited().begin().await.unwrap();
    sqlx::query("DELETE FROM posts").execute(&mut *tx).await.unwrap();
    let later = OffsetDateTime::now_utc() + time::Duration::hours(1);
    assert_eq!(
        tx.table_as_of::<Post>(later).try_collect::<Vec<_>>().await.unwrap().len(),
        0,
        "it sees its transaction"
    );
    tx.rollback().await.unwrap();
}

async fn a_row_is_followed_to_another_key(target: Target) {
    let db = target.audited(1);
    target.database.execute("INSERT INTO posts VALUES (1, 'a'); UPDATE posts SET id = 2").unwrap();
    let then = now(&db).await;
    let error = db.as_of_json(&AsOf::by_id("public", "posts", 1, then)).await.unwrap_err();
    let core = error.as_core().unwrap();
    assert!(core.is_moved_key(), "{error}");
    let key = RowKey::try_from(core.moved_to().unwrap()).unwrap();
    let row = db.as_of_json(&AsOf::new("public", "posts", key, then)).await.unwrap();
    assert_eq!(row.decode::<BTreeMap<String, Value>>().unwrap()["title"], "a");
}

async fn a_key_of_the_wrong_type_is_refused_alike_by_history_and_as_of(target: Target) {
    let db = target.audited(1);
    // A row older than capture: as-of finds it in the table itself.
    let sql = "CREATE TABLE old (id int PRIMARY KEY, v text); INSERT INTO old VALUES (7, 'a'), (8, 'b');
        SELECT threadline.enable_capture('old'); UPDATE old SET v = 'c' WHERE id = 8";
    target.database.execute(sql).unwrap();
    let then = now(&db).await;
    for id in [7, 8] {
        let key = |value: Value| RowKey::columns([("id", value)]);
        for good in [key(json!(id)), RowKey::value(id), json!(id).into()] {
            let row = db.as_of_json(&AsOf::new("public", "old", good.clone(), then)).await.unwrap();
            // The update keeps an image of what it made; of the other row there is none.
            assert_eq!(row.origin, if id == 8 { Origin::Image } else { Origin::Reconstructed });
            db.row_history(&RowHistory::new("public", "old", good)).await.unwrap();
        }
        for bad in [key(json!(id.to_string())), RowKey::value(id.to_string()), RowKey::columns([("ID", json!(id))])] {
            let as_of = db.as_of_json(&AsOf::new("public", "old", bad.clone(), then)).await.unwrap_err();
            let history = db.row_history(&RowHistory::new("public", "old", bad)).await.unwrap_err();
            assert!(as_of.as_core().unwrap().is_invalid_input(), "{as_of}");
            assert_eq!(as_of.to_string(), history.to_string());
        }
    }
}

#[derive(Debug, FromRow, PartialEq)]
struct Post {
    id: i64,
    title: String,
}

model!(Post, "posts", "id", "title");

async fn a_row_is_read_inside_the_transaction_that_changes_it(target: Target) {
    let db = target.audited(1);
    db.transaction(&user("42"), async |tx| {
        crate::support::insert_post(tx, 1).await?;
        let at = instant(&crate::support::text(tx, NOW).await?.unwrap());
        crate::support::run(tx, "UPDATE posts SET title = 'later'").await?;
        assert_eq!(tx.as_of::<Post>(1, at).await?.row, Post { id: 1, title: "title".to_owned() });
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
    let at = now(&db).await;
    let error = db.unaudited().acquire().await.unwrap().as_of::<Post>(2, at).await.unwrap_err();
    assert!(error.as_core().unwrap().is_never_existed(), "{error}");
}
