//! How much memory this process has had.

use std::fs;

/// The most memory that has ever been resident, in bytes, or since [`forget_peak_memory`]; `None` elsewhere than on Linux.
///
/// It is of the whole process: a test that looks at it is a program of its own.
#[must_use]
pub fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// Makes the system forget what was resident before.
pub fn forget_peak_memory() {
    // Elsewhere than on Linux nothing tells it either.
    let _ = fs::write("/proc/self/clear_refs", "5");
}
