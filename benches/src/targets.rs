//! What the kernel has promised to cost at most.

use crate::options::Kind;
use crate::subject::Variant;
use crate::workload::Workload;

/// The most that a workload may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    /// Times the bare statement in the same run. This is what is judged.
    pub(crate) multiple: f64,
    /// Microseconds on the machine that the targets were set on. For orientation.
    pub(crate) added: f64,
}

/// The target of a workload with full or lean images, if it has one. There is none for a partitioned table.
pub(crate) fn cost(workload: Workload, variant: &Variant) -> Option<Target> {
    if variant.partitioned {
        return None;
    }
    let ((full, full_added), (lean, lean_added)) = match workload {
        Workload::A => ((2.5, 50.0), (2.35, 45.0)),
        Workload::B => ((2.7, 62.0), (2.5, 55.0)),
        Workload::C => return None,
        Workload::D => ((3.1, 40.0), (2.6, 30.0)),
        Workload::E => ((3.6, 7.0), (2.3, 3.5)),
        Workload::F => ((3.8, 10.0), (2.8, 6.5)),
        Workload::G => ((8.0, 7.0), (8.0, 7.0)),
    };
    match variant.kind {
        Kind::Full => Some(Target { multiple: full, added: full_added }),
        Kind::Lean => Some(Target { multiple: lean, added: lean_added }),
        Kind::Bare | Kind::Classic | Kind::Floor => None,
    }
}

/// The most bytes that a change of a bulk workload may take in the trail, indexes included.
pub(crate) fn stored_bytes(workload: Workload, variant: &Variant) -> Option<f64> {
    let (full, lean) = match workload {
        Workload::E => (650.0, 160.0),
        Workload::F => (750.0, 220.0),
        Workload::G => (600.0, 600.0),
        _ => return None,
    };
    match variant.kind {
        Kind::Full => Some(full),
        Kind::Lean => Some(lean),
        Kind::Bare | Kind::Classic | Kind::Floor => None,
    }
}
