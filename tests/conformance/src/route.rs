//! The ways to the server.

use std::fmt;

use threadline_testkit::{Error, PgBouncer, PgBouncerOptions, PreparedStatements, Server};

/// A way to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Route {
    /// Nothing in between.
    Direct,
    /// PgBouncer in transaction mode that knows nothing of prepared statements: Debian 12's 1.18, or a newer one told so.
    OldPgBouncer,
    /// PgBouncer in transaction mode, 1.21 or newer.
    NewPgBouncer,
}

impl Route {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Direct, Self::OldPgBouncer, Self::NewPgBouncer];

    /// Its name in the output and in `exceptions.toml`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::OldPgBouncer => "pgbouncer-old",
            Self::NewPgBouncer => "pgbouncer-new",
        }
    }

    /// The route of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|route| route.name() == name)
    }

    /// Whether named prepared statements work on it.
    #[must_use]
    pub fn prepared_statements(self) -> bool {
        self != Self::OldPgBouncer
    }

    /// Starts what stands in between, with two connections to the server: clients share them at once.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn start(self, server: &Server) -> Result<Option<PgBouncer>, Error> {
        let prepared_statements = match self {
            Self::Direct => return Ok(None),
            Self::OldPgBouncer => PreparedStatements::Unsupported,
            Self::NewPgBouncer => PreparedStatements::Supported,
        };
        PgBouncer::start(server, PgBouncerOptions { prepared_statements, ..PgBouncerOptions::default() }).map(Some)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
