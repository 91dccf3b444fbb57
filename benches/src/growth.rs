//! What a change takes on disk and in the write-ahead log.

use crate::Result;
use crate::measure::progress;
use crate::subject::Subject;
use crate::workload::{Amount, Workload};

/// Bytes per change of one bulk workload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Growth {
    pub(crate) workload: Workload,
    /// The index of the subject.
    pub(crate) subject: usize,
    /// The trail's tables.
    pub(crate) heap: f64,
    /// Values moved out of line.
    pub(crate) toast: f64,
    /// The trail's indexes.
    pub(crate) indexes: f64,
    /// The write-ahead log of the whole statement, the table's own part included.
    pub(crate) wal: f64,
}

impl Growth {
    /// Everything the trail stores.
    pub(crate) fn stored(&self) -> f64 {
        self.heap + self.toast + self.indexes
    }
}

/// Runs each bulk workload once on each subject, with an empty trail.
pub(crate) fn measure(subjects: &mut [Subject], workloads: &[Workload], amount: Amount) -> Result<Vec<Growth>> {
    let mut growths = Vec::new();
    for workload in workloads.iter().copied().filter(|workload| workload.is_bulk()) {
        for (index, subject) in subjects.iter_mut().enumerate() {
            progress(&format!("bytes of {}: {}", workload.letter(), subject.variant().name));
            subject.empty_trail()?;
            subject.reset()?;
            let sizes_before = sizes(subject)?;
            let log_before = log_position(subject)?;
            workload.run(subject, amount)?;
            let log = log_position(subject)? - log_before;
            let sizes = sizes(subject)?;
            let per_change = |bytes: f64| bytes / f64::from(workload.units(amount));
            growths.push(Growth {
                workload,
                subject: index,
                heap: per_change(sizes[0] - sizes_before[0]),
                toast: per_change(sizes[1] - sizes_before[1]),
                indexes: per_change(sizes[2] - sizes_before[2]),
                wal: per_change(log),
            });
        }
    }
    progress("");
    Ok(growths)
}

/// Heap, out-of-line values and indexes of the table of changes and its partitions, in bytes.
fn sizes(subject: &mut Subject) -> Result<[f64; 3]> {
    let Some(table) = subject.variant().changes_table() else {
        return Ok([0.0; 3]);
    };
    let rows = subject.admin().rows(&format!(
        "SELECT coalesce(sum(pg_relation_size(relation)), 0),
                coalesce(sum(pg_total_relation_size(nullif(toast, 0))), 0),
                coalesce(sum(pg_indexes_size(relation)), 0)
         FROM (SELECT c.oid AS relation, c.reltoastrelid AS toast FROM pg_class c
               WHERE c.relkind = 'r' AND (c.oid = '{table}'::regclass
                     OR c.oid IN (SELECT relid FROM pg_partition_tree('{table}')))) AS parts"
    ))?;
    let mut sizes = [0.0; 3];
    for (size, text) in sizes.iter_mut().zip(rows.iter().flatten()) {
        *size = text.parse()?;
    }
    Ok(sizes)
}

fn log_position(subject: &mut Subject) -> Result<f64> {
    let text = subject.admin().text("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")?;
    Ok(text.parse()?)
}
