//! A large table of the past is read in constant memory. A program of its own, so that nothing else counts.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;

use futures_util::TryStreamExt;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use threadline::sqlx::Trail;
use threadline::{Origin, Schema, TableAsOf, kernel};
use threadline_testkit::require_server;

const MOST_KIB: u64 = 64 * 1024;

/// 140,000 rows of a kilobyte, half of them older than capture; then a tenth of them changes, a tenth goes, and others come.
const SEED: &str = "
    CREATE TABLE posts (id bigint PRIMARY KEY, n int, body text);
    INSERT INTO posts SELECT g, 0, repeat('body ', 200) FROM generate_series(1, 70000) AS g;
    SELECT threadline.enable_capture('posts');
    INSERT INTO posts SELECT g, 0, repeat('body ', 200) FROM generate_series(70001, 140000) AS g;
    CREATE TABLE instants AS SELECT clock_timestamp() AS at;
    UPDATE posts SET n = 1 WHERE id % 10 = 0;
    DELETE FROM posts WHERE id % 10 = 1;
    INSERT INTO posts SELECT g, 0, '' FROM generate_series(140001, 150000) AS g;
    ANALYZE posts";

/// The most memory that this process ever had, in KiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_large_table_is_read_in_less_than_64_mib() {
    let setup = format!("BEGIN; {} COMMIT; {SEED}", kernel::install_script(&Schema::default()));
    let database = require_server().database_from("table_memory", &setup).unwrap();
    let pool =
        PgPoolOptions::new().max_connections(1).connect_lazy_with(database.url().parse::<PgConnectOptions>().unwrap());
    let at = sqlx::query_scalar("SELECT at FROM instants").fetch_one(&pool).await.unwrap();
    let started = std::time::Instant::now();
    let (mut rows, mut bytes, mut images) = (0_u64, 0, 0_u64);
    let mut stream = std::pin::pin!(pool.stream(TableAsOf::new("public", "posts", at)));
    while let Some(row) = stream.try_next().await.unwrap() {
        rows += 1;
        bytes += row.get().len() as u64;
        images += u64::from(row.origin == Origin::Image);
        assert!(row.get().contains(r#""n": 0"#) || row.get().contains(r#""n":0"#), "{row:?}");
    }
    println!(
        "{rows} rows, {} MB in {:.1} s, at most {} KiB",
        bytes / 1_000_000,
        started.elapsed().as_secs_f64(),
        peak()
    );
    assert_eq!((rows, images), (140_000, 70_000));
    assert!(bytes > 2 * MOST_KIB * 1024, "enough to fill the memory");
    assert!(peak() < MOST_KIB, "{} KiB", peak());
}
