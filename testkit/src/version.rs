//! A server's version.

use std::fmt;

/// The version of a PostgreSQL server, for example 15.18.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = threadline_testkit::Server::shared()?;
/// assert!(server.version().major >= 14);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// 15 in 15.18.
    pub major: u32,
    /// 18 in 15.18; 0 for a beta.
    pub minor: u32,
}

impl Version {
    /// From `server_version_num`: 150018 is 15.18.
    pub(crate) fn from_number(number: u32) -> Self {
        Self { major: number / 10_000, minor: number % 10_000 }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}
