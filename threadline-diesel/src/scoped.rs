//! The connection of an application with tenants: nobody reads the trail without saying whose part of it.

use std::fmt;

use diesel::connection::LoadConnection;
use diesel::pg::Pg;
use threadline_core::{Action, ActionId, AuditContext, Outcome, Schema, Scope, TransactionOptions};

use crate::{AuditedTransaction, Error, InScope, Session};

/// A connection whose reads of the trail take a [`Scope`], or say aloud that they have none.
///
/// Application state with tenants keeps its pool to itself and hands these out. It writes as the connection does and does
/// not implement [`Trail`](crate::Trail), so a read that forgets its scope does not compile. Inside a transaction that it begins is the
/// plain connection; a read there takes its scope in the question, as in [`Timeline::scope`](threadline_core::Timeline::scope).
///
/// # Examples
/// ```
/// use diesel::PgConnection;
/// use threadline_core::Scope;
/// use threadline_diesel::ScopedConnection;
/// use threadline_diesel::prelude::*;
///
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/diesel.rs"));
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (_database, conn, _) = trail()?;
/// let mut db: ScopedConnection<PgConnection> = conn.scoped();
/// let mut acme = db.scope(Scope::meta("tenant", "acme"));
/// assert_eq!(acme.timeline(&Timeline::new().table("posts"))?.entries.len(), 3);
/// let mut other = db.scope(Scope::meta("tenant", "umbrella"));
/// assert!(other.timeline(&Timeline::new().table("posts"))?.is_empty());
/// // For the operators of the service:
/// assert_eq!(db.unscoped().timeline(&Timeline::new().table("posts"))?.entries.len(), 3);
/// # Ok(())
/// # }
/// ```
///
/// ```compile_fail,E0599
/// # use threadline_diesel::{ScopedConnection, prelude::*};
/// # fn example(mut db: ScopedConnection<diesel::PgConnection>) {
/// db.timeline(&Timeline::new());
/// # }
/// ```
pub struct ScopedConnection<C> {
    connection: C,
    schema: Schema,
}

impl<C> ScopedConnection<C>
where
    C: LoadConnection<Backend = Pg>,
{
    /// The connection for an application with tenants; [`AuditDsl::scoped`](crate::AuditDsl::scoped) is the same.
    #[must_use]
    pub fn new(connection: C) -> Self {
        Self { connection, schema: Schema::default() }
    }

    /// With the kernel in a schema other than `threadline`.
    #[must_use]
    pub fn with_schema(mut self, schema: Schema) -> Self {
        self.schema = schema;
        self
    }

    /// The part of the trail that is in this scope.
    pub fn scope(&mut self, scope: Scope) -> InScope<'_, C> {
        InScope { connection: &mut self.connection, schema: &self.schema, scope }
    }

    /// The whole trail, and the connection for what is not about the trail.
    #[must_use]
    pub fn unscoped(&mut self) -> &mut C {
        &mut self.connection
    }

    /// [`AuditDsl::with`](crate::AuditDsl::with).
    pub fn with<'c>(&'c mut self, context: &'c AuditContext) -> Session<'c, C> {
        Session::new(&mut self.connection, context).with_schema(self.schema.clone())
    }

    /// [`AuditDsl::audited`](crate::AuditDsl::audited).
    ///
    /// # Errors
    /// As for [`AuditDsl::audited`](crate::AuditDsl::audited).
    pub fn audited<T, E, F>(&mut self, context: &AuditContext, body: F) -> Result<Outcome<T>, E>
    where
        F: FnOnce(&mut C) -> Result<T, E>,
        E: From<Error>,
    {
        self.with(context).transaction(body)
    }

    /// [`AuditDsl::begin_audited`](crate::AuditDsl::begin_audited).
    ///
    /// # Errors
    /// As for [`AuditDsl::begin_audited`](crate::AuditDsl::begin_audited).
    pub fn begin_audited(&mut self, context: &AuditContext) -> Result<AuditedTransaction<'_, C>, Error> {
        let schema = self.schema.clone();
        AuditedTransaction::begin(&mut self.connection, context, &TransactionOptions::new(), schema)
    }

    /// [`AuditDsl::record_failure`](crate::AuditDsl::record_failure).
    ///
    /// # Errors
    /// As for [`AuditDsl::record_failure`](crate::AuditDsl::record_failure).
    pub fn record_failure(&mut self, context: &AuditContext, action: &Action) -> Result<ActionId, Error> {
        self.with(context).record_failure(action)
    }

    /// What `audited!` expands to.
    #[doc(hidden)]
    pub fn __audited<T, E, F>(
        &mut self,
        context: &AuditContext,
        action: Option<Action>,
        body: F,
    ) -> Result<Outcome<T>, E>
    where
        F: FnOnce(&mut C) -> Result<T, E>,
        E: From<Error>,
    {
        self.with(context).__audited(context, action, body)
    }
}

impl<C> fmt::Debug for ScopedConnection<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedConnection").field("schema", &self.schema).finish_non_exhaustive()
    }
}
