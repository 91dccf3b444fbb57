//! How a transaction begins.

use std::fmt;

/// Isolation levels of PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IsolationLevel {
    /// `READ COMMITTED`, PostgreSQL's default (and what `READ UNCOMMITTED` means there).
    ReadCommitted,
    /// `REPEATABLE READ`: one snapshot for the whole transaction.
    RepeatableRead,
    /// `SERIALIZABLE`.
    Serializable,
}

/// Whether a transaction may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AccessMode {
    /// `READ WRITE`.
    ReadWrite,
    /// `READ ONLY`.
    ReadOnly,
}

/// What `BEGIN` says; everything unsaid is left to the session's defaults.
///
/// # Examples
/// ```
/// use threadline_core::{AccessMode, IsolationLevel, TransactionOptions};
///
/// let options = TransactionOptions::new().isolation(IsolationLevel::Serializable).access_mode(AccessMode::ReadOnly);
/// assert_eq!(options.to_string(), "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY");
/// assert_eq!(TransactionOptions::new().to_string(), "BEGIN");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub struct TransactionOptions {
    /// The isolation level, when not the session's default.
    pub isolation: Option<IsolationLevel>,
    /// The access mode, when not the session's default.
    pub access_mode: Option<AccessMode>,
    /// Whether a serializable read-only transaction waits for a snapshot that cannot fail, when not the default.
    pub deferrable: Option<bool>,
}

impl TransactionOptions {
    /// The session's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// With this isolation level.
    pub fn isolation(mut self, level: IsolationLevel) -> Self {
        self.isolation = Some(level);
        self
    }

    /// With this access mode.
    pub fn access_mode(mut self, mode: AccessMode) -> Self {
        self.access_mode = Some(mode);
        self
    }

    /// Deferrable or not; matters for serializable read-only transactions alone.
    pub fn deferrable(mut self, deferrable: bool) -> Self {
        self.deferrable = Some(deferrable);
        self
    }
}

impl From<IsolationLevel> for TransactionOptions {
    fn from(level: IsolationLevel) -> Self {
        Self::new().isolation(level)
    }
}

/// The `BEGIN` statement, without a semicolon.
impl fmt::Display for TransactionOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BEGIN")?;
        f.write_str(match self.isolation {
            None => "",
            Some(IsolationLevel::ReadCommitted) => " ISOLATION LEVEL READ COMMITTED",
            Some(IsolationLevel::RepeatableRead) => " ISOLATION LEVEL REPEATABLE READ",
            Some(IsolationLevel::Serializable) => " ISOLATION LEVEL SERIALIZABLE",
        })?;
        f.write_str(match self.access_mode {
            None => "",
            Some(AccessMode::ReadWrite) => " READ WRITE",
            Some(AccessMode::ReadOnly) => " READ ONLY",
        })?;
        f.write_str(match self.deferrable {
            None => "",
            Some(true) => " DEFERRABLE",
            Some(false) => " NOT DEFERRABLE",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_said() {
        let options = TransactionOptions::new()
            .isolation(IsolationLevel::Serializable)
            .access_mode(AccessMode::ReadOnly)
            .deferrable(true);
        assert_eq!(options.to_string(), "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE");
        let options = TransactionOptions::from(IsolationLevel::RepeatableRead)
            .access_mode(AccessMode::ReadWrite)
            .deferrable(false);
        assert_eq!(options.to_string(), "BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE NOT DEFERRABLE");
        let options = TransactionOptions::from(IsolationLevel::ReadCommitted);
        assert_eq!(options.to_string(), "BEGIN ISOLATION LEVEL READ COMMITTED");
    }
}
