//! Reads of any size, in constant memory. A program of its own, so that nothing else counts.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{self, Write};

use diesel::{Connection, PgConnection};
use threadline_core::{Export, Schema, Timeline, kernel};
use threadline_diesel::Trail;
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
fn grown(work: impl FnOnce()) -> u64 {
    forget_peak_memory();
    let before = peak_memory().unwrap();
    work();
    peak_memory().unwrap() - before
}

#[test]
fn an_iterator_and_an_export_keep_nothing() {
    let database = trail();
    let mut conn = PgConnection::establish(database.url()).unwrap();
    let iterated = grown(|| {
        assert_eq!(conn.stream(Timeline::new()).unwrap().map(Result::unwrap).count(), CHANGES as usize);
    });
    let mut written = Counter::default();
    let exported = grown(|| {
        conn.export_to(Export::new(Timeline::new()).all_rows(), &mut written).unwrap();
    });
    assert!(written.0 > 2 * MOST, "{} bytes", written.0);
    assert!(iterated < MOST && exported < MOST, "{iterated} and {exported} bytes");
}
