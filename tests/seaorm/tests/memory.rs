//! Reads of any size, in constant memory. A program of its own, so that nothing else counts.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{self, Write};

use futures_util::TryStreamExt;
use sea_orm::{Database as Connect, TransactionTrait};
use threadline_core::{Export, Schema, Timeline, kernel};
use threadline_seaorm::Trail;
use threadline_testkit::{Database, forget_peak_memory, peak_memory, require_server, trail_script};

/// More than this, and something was kept.
const MOST: u64 = 16 * 1024 * 1024;
const CHANGES: u32 = 50_000;

/// Counts the bytes that it is given.
#[derive(Default)]
struct Counter(u64);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn trail() -> Database {
    let setup = format!("BEGIN; {} COMMIT; {}", kernel::install_script(&Schema::default()), trail_script(CHANGES));
    require_server().database_from("memory", &setup).unwrap()
}

/// Runs some work and tells how much memory it took at its height, beyond what there was.
async fn grown(work: impl Future<Output = ()>) -> u64 {
    forget_peak_memory();
    let before = peak_memory().unwrap();
    work.await;
    peak_memory().unwrap() - before
}

#[tokio::test]
async fn a_stream_and_an_export_keep_nothing() {
    let database = trail();
    let db = Connect::connect(database.url()).await.unwrap();
    let streamed = grown(async {
        let all = Trail::stream(&db, Timeline::new()).try_fold(0, |count, _| async move { Ok(count + 1) });
        assert_eq!(all.await.unwrap(), CHANGES);
    })
    .await;
    let mut written = Counter::default();
    let exported = grown(async {
        db.export_to(Export::new(Timeline::new()).all_rows(), &mut written).await.unwrap();
    })
    .await;
    let mut by_cursor = Counter::default();
    let exported_by_cursor = grown(async {
        let tx = db.begin().await.unwrap();
        tx.export_to(Export::new(Timeline::new()).all_rows(), &mut by_cursor).await.unwrap();
    })
    .await;
    assert!(written.0 > 2 * MOST && written.0 == by_cursor.0, "{} and {} bytes", written.0, by_cursor.0);
    for grown in [streamed, exported, exported_by_cursor] {
        assert!(
            grown < MOST,
            "{grown} bytes; a stream, by COPY and by a cursor: {streamed}, {exported}, {exported_by_cursor}"
        );
    }
}
