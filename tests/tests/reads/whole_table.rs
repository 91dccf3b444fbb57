//! All rows of a table as they were: what the random history does not have.

use futures_util::TryStreamExt;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgPool};
use threadline::sqlx::{Error, Trail};
use threadline::{AsOf, Audited, AuditedTable, Json, ModelColumn, Origin, RowAsOf, RowKey, Schema, TableAsOf, kernel};
use threadline_testkit::{Database, require_server};
use time::OffsetDateTime;

use crate::history::value;

fn database() -> Database {
    let setup = format!("BEGIN; {} COMMIT", kernel::install_script(&Schema::default()));
    require_server().database_from("whole table", &setup).unwrap()
}

fn pool(database: &Database, options: &[(&str, &str)]) -> PgPool {
    let connect = database.url().parse::<PgConnectOptions>().unwrap();
    // After connecting: sqlx chooses a time zone of its own.
    let set: String = options.iter().map(|(name, value)| format!("SET {name} = '{value}';")).collect();
    PgPoolOptions::new()
        .max_connections(1)
        .after_connect(move |connection, _| {
            let set = set.clone();
            Box::pin(async move { sqlx::raw_sql(AssertSqlSafe(set)).execute(connection).await.map(drop) })
        })
        .connect_lazy_with(connect)
}

async fn now(pool: &PgPool) -> OffsetDateTime {
    sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(pool).await.unwrap()
}

async fn rows(pool: &PgPool, read: TableAsOf) -> Result<Vec<(Value, Origin)>, Error> {
    let rows: Vec<RowAsOf<Json>> = pool.stream(read).try_collect().await?;
    let mut rows: Vec<_> = rows.iter().map(|row| (value(Some(row)), row.origin)).collect();
    rows.sort_by_key(|(row, _)| row.to_string());
    Ok(rows)
}

#[tokio::test]
async fn a_renamed_table_has_its_rows_under_the_name_it_has_now() {
    let database = database();
    let pool = pool(&database, &[]);
    let sql = "CREATE TABLE drafts (id int PRIMARY KEY, v text); INSERT INTO drafts VALUES (1, 'older'), (2, 'older');
        SELECT threadline.enable_capture('drafts'); INSERT INTO drafts VALUES (3, 'a'), (4, 'b')";
    database.execute(sql).unwrap();
    let then = now(&pool).await;
    let sql = "UPDATE drafts SET v = 'new' WHERE id = 1; ALTER TABLE drafts RENAME TO posts;
        SELECT threadline.refresh_capture('posts'); UPDATE posts SET id = 5 WHERE id = 3; DELETE FROM posts WHERE id = 4;
        INSERT INTO posts VALUES (6, 'later'); INSERT INTO posts VALUES (3, 'another')";
    database.execute(sql).unwrap();
    let row = |id: i32, v: &str| json!({"id": id, "v": v});
    let expected = [
        (row(1, "older"), Origin::Reconstructed),
        (row(2, "older"), Origin::Reconstructed),
        (row(3, "a"), Origin::Image),
        (row(4, "b"), Origin::Image),
    ];
    assert_eq!(rows(&pool, TableAsOf::new("public", "posts", then)).await.unwrap(), expected);
}

#[tokio::test]
async fn every_row_is_what_as_of_answers_for_its_key() {
    let database = database();
    let pool = pool(&database, &[("timezone", "Asia/Tokyo"), ("datestyle", "German"), ("extra_float_digits", "-3")]);
    for (table, policy) in [("with_images", "{}"), ("lean", r#"{"images": "lean", "truncate": "refuse"}"#)] {
        let sql = format!(
            "CREATE TABLE {table} (at timestamptz, \"n b\" int, ratio float8, secret text, hidden text, raw json,
                PRIMARY KEY (at, \"n b\"));
             INSERT INTO {table} SELECT '2026-01-01 00:00+00'::timestamptz + n * interval '1 hour', n, n / 7.0, 's', 'h', '{{\"a\":  1}}' FROM generate_series(1, 40) AS n;
             SELECT threadline.enable_capture('{table}', '{policy}'::jsonb || '{{\"mask\": [\"secret\"], \"exclude\": [\"hidden\"]}}');
             INSERT INTO {table} SELECT '2027-01-01 00:00+00'::timestamptz, n, n / 7.0, 's', 'h', NULL FROM generate_series(1, 40) AS n"
        );
        database.execute(&sql).unwrap();
        let then = now(&pool).await;
        let sql = format!(
            "UPDATE {table} SET ratio = 0.1 WHERE \"n b\" % 4 = 0; UPDATE {table} SET ratio = 0.2 WHERE \"n b\" % 8 = 0;
            DELETE FROM {table} WHERE \"n b\" % 5 = 0; UPDATE {table} SET at = at + interval '1 year' WHERE \"n b\" % 7 = 0;
            INSERT INTO {table} VALUES ('2030-01-01 00:00+00', 1)"
        );
        database.execute(&sql).unwrap();
        let whole = rows(&pool, TableAsOf::new("public", table, then)).await.unwrap();
        assert_eq!(whole.len(), 80, "{policy}");
        for (row, origin) in &whole {
            let key = RowKey::columns([("at", row["at"].clone()), ("n b", row["n b"].clone())]);
            let one = pool.as_of_json(&AsOf::new("public", table, key, then)).await.unwrap();
            assert_eq!((value(Some(&one)), one.origin), (row.clone(), *origin), "{policy}");
            assert_eq!(row["secret"], "[REDACTED]");
            assert!(row.get("hidden").is_none());
        }
    }
}

#[tokio::test]
async fn what_cannot_be_told_is_an_error_that_says_why() {
    let database = database();
    let pool = pool(&database, &[]);
    let before = now(&pool).await;
    let sql = "CREATE TABLE keyless (v text); CREATE TABLE posts (id int PRIMARY KEY, v text); INSERT INTO posts VALUES (1, 'older');
        SELECT threadline.enable_capture('keyless'), threadline.enable_capture('posts'); INSERT INTO posts VALUES (2, 'a')";
    database.execute(sql).unwrap();
    let then = now(&pool).await;
    let ask = async |table: &str, at| rows(&pool, TableAsOf::new("public", table, at)).await.unwrap_err();
    let keyless = ask("keyless", then).await;
    assert!(keyless.as_core().unwrap().is_invalid_input() && keyless.to_string().contains("no key"), "{keyless}");
    assert!(ask("postss", then).await.as_core().unwrap().is_not_captured());
    let horizon = ask("posts", before).await;
    assert!(horizon.as_core().unwrap().is_before_horizon(), "{horizon}");

    database.execute("TRUNCATE posts; INSERT INTO posts VALUES (3, 'b')").unwrap();
    let truncated = ask("posts", then).await;
    assert!(truncated.as_core().unwrap().is_image_unavailable(), "{truncated}");
    let known = rows(&pool, TableAsOf::new("public", "posts", then).known_rows()).await.unwrap();
    assert_eq!(known, [(json!({"id": 2, "v": "a"}), Origin::Image)]);
    let later = now(&pool).await;
    database.execute("TRUNCATE posts").unwrap();
    let rows = rows(&pool, TableAsOf::new("public", "posts", later)).await.unwrap();
    assert_eq!(
        rows,
        [(json!({"id": 3, "v": "b"}), Origin::Image)],
        "a TRUNCATE that was captured leaves nothing older"
    );
}

#[tokio::test]
async fn changes_of_one_instant_are_taken_together() {
    let database = database();
    let pool = pool(&database, &[]);
    let sql = "CREATE TABLE posts (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, v text);
        INSERT INTO posts VALUES (1, 'a'), (2, 'b'), (3, 'c'); SELECT threadline.enable_capture('posts');
        INSERT INTO posts VALUES (4, 'd'), (5, 'e'); UPDATE posts SET id = id + 1";
    database.execute(sql).unwrap();
    // What came and went within one microsecond.
    let sql = "INSERT INTO threadline.audit_changes (transaction_id, xid, captured_at, key_hash, table_schema, table_name, op, table_pk, data_after, changed_from)
        SELECT 1, '1', now(), threadline.key_hash('public', 'posts', '{\"id\": 77}'), 'public', 'posts', c.*
        FROM (VALUES ('insert', '{\"id\": 77}'::jsonb, '{\"id\": 77, \"v\": \"x\"}'::jsonb, NULL::jsonb),
            ('delete', '{\"id\": 77}', NULL, '{\"id\": 77, \"v\": \"x\"}')) AS c";
    database.execute(sql).unwrap();
    let then = now(&pool).await;
    database.execute("UPDATE posts SET id = id + 1; INSERT INTO posts VALUES (77, 'y')").unwrap();
    let rows = rows(&pool, TableAsOf::new("public", "posts", then)).await.unwrap();
    let rows: Vec<Value> = rows.into_iter().map(|(row, _)| row).collect();
    let expected = ["a", "b", "c", "d", "e"].into_iter().zip(2..).map(|(v, id)| json!({"id": id, "v": v}));
    assert_eq!(rows, expected.collect::<Vec<_>>());
}

/// A table that is not captured any more, or gone, has the rows that the trail tells of.
#[tokio::test]
async fn a_table_that_is_gone_still_has_its_rows() {
    let database = database();
    let pool = pool(&database, &[]);
    let sql = "CREATE TABLE posts (id int PRIMARY KEY, v text); SELECT threadline.enable_capture('posts');
        INSERT INTO posts VALUES (1, 'a'), (2, 'b'); DELETE FROM posts WHERE id = 1";
    database.execute(sql).unwrap();
    let then = now(&pool).await;
    database.execute("UPDATE posts SET v = 'c'; DROP TABLE posts").unwrap();
    let rows = rows(&pool, TableAsOf::new("public", "posts", then)).await.unwrap();
    assert_eq!(rows, [(json!({"id": 2, "v": "b"}), Origin::Image)]);
}

#[derive(Debug, PartialEq, sqlx::FromRow)]
struct Post {
    id: i32,
    secret: Option<String>,
}

impl Audited for Post {
    fn audited_table() -> AuditedTable {
        AuditedTable::new("public", "posts")
    }

    fn columns() -> &'static [ModelColumn] {
        &const { [ModelColumn::new("id").key(), ModelColumn::new("secret").nullable()] }
    }
}

/// One snapshot, whatever is written meanwhile, over several batches; and no row of the past is lost between two of them.
#[tokio::test]
async fn rows_come_typed_of_one_snapshot() {
    let database = database();
    let pool = pool(&database, &[]);
    let sql = "CREATE TABLE posts (id int PRIMARY KEY, secret text); INSERT INTO posts SELECT n, 's' FROM generate_series(1, 700) AS n;
        SELECT threadline.enable_capture('posts', '{\"mask\": [\"secret\"]}'); INSERT INTO posts SELECT n, 's' FROM generate_series(701, 1400) AS n";
    database.execute(sql).unwrap();
    let then = now(&pool).await;
    let mut stream = std::pin::pin!(pool.table_as_of::<Post>(then));
    let first = stream.try_next().await.unwrap().unwrap();
    database.execute("UPDATE posts SET id = id + 5000; DELETE FROM posts").unwrap();
    let mut rows = vec![first];
    while let Some(row) = stream.try_next().await.unwrap() {
        rows.push(row);
    }
    let mut ids: Vec<i32> = rows.iter().map(|row| row.id).collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=1400).collect::<Vec<_>>());
    assert!(rows.iter().all(|row| row.secret.is_none()), "a placeholder is no value");
    let older = rows.iter().filter(|row| row.origin == Origin::Reconstructed);
    assert_eq!(older.count(), 700);
}

/// A read that is left in the middle leaves nothing behind on the pool's one connection.
#[tokio::test]
async fn a_stream_that_is_dropped_leaves_the_connection_clean() {
    let database = database();
    let pool = pool(&database, &[]);
    let sql = "CREATE TABLE posts (id int PRIMARY KEY, secret text); SELECT threadline.enable_capture('posts');
        INSERT INTO posts SELECT n, 's' FROM generate_series(1, 1400) AS n";
    database.execute(sql).unwrap();
    let then = now(&pool).await;
    for wanted in [0, 1, 499, 501, 1400] {
        {
            let mut stream = std::pin::pin!(pool.table_as_of::<Post>(then));
            for _ in 0..wanted {
                stream.try_next().await.unwrap().unwrap();
            }
        }
        let open = "SELECT count(*) FROM pg_cursors WHERE name LIKE 'threadline%'";
        assert_eq!(sqlx::query_scalar::<_, i64>(open).fetch_one(&pool).await.unwrap(), 0);
        // A transaction that was left open would still be the one of the read, which cannot write.
        sqlx::query("UPDATE posts SET secret = secret || 's' WHERE id = 1").execute(&pool).await.unwrap();
    }
    let open = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' AND datname = current_database()";
    assert_eq!(sqlx::query_scalar::<_, i64>(open).fetch_one(&pool).await.unwrap(), 0);
}
