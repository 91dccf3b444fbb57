//! A million rows leave in constant memory. A program of its own, so that nothing else counts.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{self, Write};

use futures_util::{StreamExt, TryStreamExt};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use threadline::sqlx::Trail;
use threadline::{Export, Schema, Timeline, kernel};
use threadline_testkit::{peak_memory, require_server};

const ROWS: u64 = 1_000_000;
const MOST_KIB: u64 = 64 * 1024;

/// Past the triggers: what is looked at is the way out.
const SEED: &str = "
    INSERT INTO threadline.audit_transactions (id, xid, occurred_at, actor_ref, session_role, current_role_name, application_name)
    SELECT g, '9', now(), '{\"type\": \"user\", \"id\": \"42\"}', 'app', 'none', '' FROM generate_series(1, 1000) AS g;
    INSERT INTO threadline.audit_changes (id, transaction_id, xid, captured_at, key_hash, table_schema, table_name, op, table_pk, data_after)
    SELECT g, 1 + g % 1000, '9', now(), g, 'public', 'posts', 'insert', jsonb_build_object('id', g), jsonb_build_object('id', g, 'title', 'title')
    FROM generate_series(1, 1000000) AS g";

/// In KiB.
fn peak() -> u64 {
    peak_memory().unwrap() / 1024
}

/// Counts what it is given.
#[derive(Default)]
struct Counter {
    bytes: u64,
    lines: u64,
}

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes += bytes.len() as u64;
        self.lines += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_million_rows_are_exported_in_less_than_64_mib() {
    let setup = format!("BEGIN; {} COMMIT; {SEED}", kernel::install_script(&Schema::default()));
    let database = require_server().database_from("export_memory", &setup).unwrap();
    let pool =
        PgPoolOptions::new().max_connections(1).connect_lazy_with(database.url().parse::<PgConnectOptions>().unwrap());
    // By COPY, and fewer by a cursor.
    for (is_copy, rows) in [(true, ROWS), (false, ROWS / 5)] {
        let mut written = Counter::default();
        let export = Export::new(Timeline::new()).max_rows(rows);
        let started = std::time::Instant::now();
        let summary = match is_copy {
            true => pool.export_to(export, &mut written).await.unwrap(),
            false => pool.begin().await.unwrap().export_to(export, &mut written).await.unwrap(),
        };
        println!(
            "{} MB in {:.1} s, at most {} KiB",
            written.bytes / 1_000_000,
            started.elapsed().as_secs_f64(),
            peak()
        );
        assert_eq!((summary.returned_count, written.lines), (rows, rows + 1));
        assert!(written.bytes > MOST_KIB * 1024, "enough to fill the memory");
        assert!(peak() < MOST_KIB, "{} KiB", peak());
    }
    let streamed = pool.stream(Timeline::new()).take(100_000).try_fold(0, |count, _| async move { Ok(count + 1) });
    assert_eq!(streamed.await.unwrap(), 100_000);
    assert!(peak() < MOST_KIB, "{} KiB", peak());
}
