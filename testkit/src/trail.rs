//! A trail of any size, for tests and measurements of reads.

/// The SQL that makes a trail of about this many changes over the 24 months up to now, in five captured tables. It needs
/// the kernel in the schema `threadline` and a database without captured tables; the script's head says what there is.
///
/// 200,000 changes take some seconds and 130 MB.
#[must_use]
pub fn trail_script(changes: u32) -> String {
    include_str!("trail.sql").replace("{changes}", &changes.to_string())
}
