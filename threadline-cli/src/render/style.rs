//! What colours mean. Nothing is said by colour alone.

use anstyle::{AnsiColor, Style};

/// Failures, deletions.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// New rows.
pub(crate) const NEW: Style = AnsiColor::Green.on_default();
/// Changed rows.
pub(crate) const CHANGED: Style = AnsiColor::Yellow.on_default();
/// What tells one entry from another.
pub(crate) const STRONG: Style = Style::new().bold();
/// Who and why.
pub(crate) const WHO: Style = AnsiColor::Cyan.on_default();
/// Remedies and remarks.
pub(crate) const HINT: Style = AnsiColor::Cyan.on_default();
/// What matters on a second look.
pub(crate) const QUIET: Style = Style::new().dimmed();
