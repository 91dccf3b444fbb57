//! An export beside a plain COPY.

use std::time::Instant;

use threadline_core::{Copying, Export, Exporting, Schema, Timeline};
use threadline_testkit::{forget_peak_memory, peak_memory};

use crate::Result;
use crate::measure::progress;
use crate::reads::BEGIN;
use crate::session::Session;
use crate::table::{Table, figure};

/// As a share of what the plain COPY does.
const EXPORT_TARGET: f64 = 0.6;
/// In MiB.
const MEMORY_TARGET: f64 = 64.0;

/// An export as CSV, in both ways, beside a COPY of the same join, three times each in turn; the best of each counts.
pub(crate) fn measure(session: &mut Session, changes: u32) -> Result<String> {
    let since = session.text(&format!(
        "SELECT to_char(captured_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM threadline.audit_changes \
         ORDER BY captured_at DESC, id DESC OFFSET {} LIMIT 1",
        changes.saturating_sub(1)
    ))?;
    let plain = format!(
        "COPY (SELECT c.*, t.*, a.* FROM threadline.audit_changes AS c LEFT JOIN threadline.audit_transactions AS t \
         ON t.id = c.transaction_id LEFT JOIN threadline.audit_actions AS a ON a.id = t.action_id \
         WHERE c.captured_at >= '{since}') TO STDOUT (FORMAT csv)"
    );
    let export = || Export::new(Timeline::new()).max_rows(changes.into());
    let mut best = [f64::MAX; 3];
    let (mut rows, mut bytes) = (0, 0);
    forget_peak_memory();
    for _ in 0..3 {
        progress("COPY of the join");
        let (took, ()) = timed(|| session.copy_out(&plain, |_| Ok(())))?;
        best[0] = best[0].min(took);
        progress("export by cursor");
        let (took, by_cursor) = timed(|| by_cursor(session, export()))?;
        best[1] = best[1].min(took);
        progress("export by COPY");
        let (took, by_copy) = timed(|| by_copy(session, export()))?;
        best[2] = best[2].min(took);
        if by_cursor != by_copy {
            return Err(format!("the two ways differ, in changes and bytes: {by_cursor:?} and {by_copy:?}").into());
        }
        (rows, bytes) = by_copy;
    }
    progress("");
    let memory = peak_memory().map(|bytes| bytes as f64 / f64::from(1 << 20));
    let verdict = |met: bool| if met { "pass" } else { "MISS" };
    let per_second = best.map(|seconds| rows as f64 / seconds);
    let mut table = Table::new(["export as CSV", "rows/s", "share %", "target %", "verdict"]);
    table.row(vec!["plain COPY of the join".into(), format!("{:.0}", per_second[0])]);
    for (way, own) in [("by COPY (sqlx, SeaORM)", per_second[2]), ("by a cursor (all others)", per_second[1])] {
        let share = own / per_second[0];
        table.row(vec![
            way.into(),
            format!("{own:.0}"),
            format!("{:.0}", share * 100.0),
            format!("{:.0}", EXPORT_TARGET * 100.0),
            verdict(share >= EXPORT_TARGET).into(),
        ]);
    }
    Ok(format!(
        "{table}\n{rows} changes, {bytes} bytes; resident memory of the client at most {} MiB (target {MEMORY_TARGET:.0} MiB, {})\n",
        memory.map_or_else(|| "unknown".to_owned(), figure),
        memory.map_or("not judged", |memory| verdict(memory <= MEMORY_TARGET)),
    ))
}

/// The seconds that some work takes, and what came of it.
fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(f64, T)> {
    let started = Instant::now();
    let done = work()?;
    Ok((started.elapsed().as_secs_f64(), done))
}

/// An export as the other adapters do it, and all of them in an open transaction: how many changes, and how many bytes.
fn by_cursor(session: &mut Session, export: Export) -> Result<(u64, usize)> {
    let schema = Schema::default();
    session.batch(BEGIN)?;
    let mut exporting = Exporting::new(export);
    let mut bytes = 0;
    while let Some(statement) = exporting.next_statement(&schema)? {
        let rows = session.fetch(&statement)?;
        bytes += exporting.chunk(rows)?.len();
    }
    session.batch("COMMIT")?;
    let (end, summary) = exporting.finish()?;
    Ok((summary.returned_count, bytes + end.len()))
}

/// An export as sqlx's pools and SeaORM's connections do it.
fn by_copy(session: &mut Session, export: Export) -> Result<(u64, usize)> {
    session.batch(BEGIN)?;
    let mut copying = Copying::new(export);
    let statement = copying.statement(&Schema::default())?;
    let sql = statement.with_literals().ok_or("the COPY cannot be written without parameters")?;
    let mut bytes = 0;
    session.copy_out(&sql, |piece| {
        bytes += copying.chunk(piece)?.len();
        Ok(())
    })?;
    session.batch("COMMIT")?;
    let (end, summary) = copying.finish()?;
    Ok((summary.returned_count, bytes + end.len()))
}
