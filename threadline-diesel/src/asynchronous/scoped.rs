//! The connection of an application with tenants: nobody reads the trail without saying whose part of it.

use std::fmt;
use std::future::Future;

use threadline_core::{Action, ActionId, AuditContext, Outcome, Schema, Scope, TransactionOptions};

use crate::Error;
use crate::asynchronous::{AsyncBody, AuditDsl, AuditedTransaction, InScope, Session};

/// A connection whose reads of the trail take a [`Scope`], or say aloud that they have none.
///
/// Application state with tenants keeps its pool to itself and hands these out. It writes as the connection does and does
/// not implement [`Trail`](crate::asynchronous::Trail), so a read that forgets its scope does not compile. Inside a transaction that it begins is the
/// plain connection; a read there takes its scope in the question, as in [`Timeline::scope`](threadline_core::Timeline::scope).
///
/// # Examples
/// ```
/// use diesel_async::AsyncPgConnection;
/// use threadline_core::Scope;
/// use threadline_diesel::asynchronous::ScopedConnection;
/// use threadline_diesel::asynchronous::prelude::*;
///
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/snippets/diesel_async.rs"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (_database, conn, _) = trail().await?;
/// let mut db: ScopedConnection<AsyncPgConnection> = conn.scoped();
/// let mut acme = db.scope(Scope::meta("tenant", "acme"));
/// assert_eq!(acme.timeline(&Timeline::new().table("posts")).await?.entries.len(), 3);
/// let mut other = db.scope(Scope::meta("tenant", "umbrella"));
/// assert!(other.timeline(&Timeline::new().table("posts")).await?.is_empty());
/// // For the operators of the service:
/// assert_eq!(db.unscoped().timeline(&Timeline::new().table("posts")).await?.entries.len(), 3);
/// # Ok(())
/// # }
/// ```
///
/// ```compile_fail,E0599
/// # use threadline_diesel::asynchronous::{ScopedConnection, prelude::*};
/// # async fn example(mut db: ScopedConnection<diesel_async::AsyncPgConnection>) {
/// db.timeline(&Timeline::new()).await;
/// # }
/// ```
pub struct ScopedConnection<C> {
    connection: C,
    schema: Schema,
}

impl<C> ScopedConnection<C>
where
    C: AuditDsl,
{
    /// The connection for an application with tenants; [`AuditDsl::scoped`] is the same.
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

    /// [`AuditDsl::with`].
    pub fn with(&mut self, context: &AuditContext) -> Session<'_, C> {
        Session::new(&mut self.connection, context).with_schema(self.schema.clone())
    }

    /// [`AuditDsl::audited`].
    ///
    /// # Errors
    /// As for [`AuditDsl::audited`].
    pub fn audited<T, E, F>(
        &mut self,
        context: &AuditContext,
        body: F,
    ) -> impl Future<Output = Result<Outcome<T>, E>> + Send
    where
        for<'r> F: AsyncFnOnce(&'r mut C) -> Result<T, E> + AsyncBody<&'r mut C, Result<T, E>, Future: Send> + Send,
        E: From<Error> + Send,
        T: Send,
    {
        self.with(context).transaction(body)
    }

    /// [`AuditDsl::begin_audited`].
    ///
    /// # Errors
    /// As for [`AuditDsl::begin_audited`].
    pub async fn begin_audited(&mut self, context: &AuditContext) -> Result<AuditedTransaction<&mut C>, Error> {
        let schema = self.schema.clone();
        AuditedTransaction::begin(&mut self.connection, context, &TransactionOptions::new(), schema).await
    }

    /// [`AuditDsl::record_failure`].
    ///
    /// # Errors
    /// As for [`AuditDsl::record_failure`].
    pub async fn record_failure(&mut self, context: &AuditContext, action: &Action) -> Result<ActionId, Error> {
        self.with(context).record_failure(action).await
    }

    /// What `audited!` expands to.
    #[doc(hidden)]
    pub fn __audited<T, E, F>(
        &mut self,
        context: &AuditContext,
        action: Option<Action>,
        body: F,
    ) -> impl Future<Output = Result<Outcome<T>, E>> + Send
    where
        for<'r> F: AsyncFnOnce(&'r mut C) -> Result<T, E> + AsyncBody<&'r mut C, Result<T, E>, Future: Send> + Send,
        E: From<Error> + Send,
        T: Send,
    {
        self.with(context).__audited(context, action, body)
    }
}

impl<C> fmt::Debug for ScopedConnection<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedConnection").field("schema", &self.schema).finish_non_exhaustive()
    }
}
