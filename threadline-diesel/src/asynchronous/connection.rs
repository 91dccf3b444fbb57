//! A connection whose every transaction is audited, Diesel's own `transaction` included.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use diesel::associations::HasTable;
use diesel::connection::{CacheSize, Instrumentation, TransactionManagerStatus};
use diesel::pg::Pg;
use diesel::prelude::Identifiable;
use diesel::query_builder::{AsQuery, QueryFragment, QueryId};
use diesel::{ConnectionError, ConnectionResult, QueryResult};
use diesel_async::{
    AnsiTransactionManager, AsyncConnection, AsyncConnectionCore, SimpleAsyncConnection, TransactionManager,
    UpdateAndFetchResults,
};
use threadline_core::{AuditContext, TransactionOptions};

use crate::Error;
use crate::asynchronous::{AuditDsl, wire};

/// A connection under one context. Every transaction that begins on it carries the context: also those of code that knows
/// nothing of Threadline and calls Diesel's `transaction`.
///
/// Wrap the connection of one request, job or command, out of a pool or borrowed, and give the wrapper to what needs a
/// connection. With it the context goes when it goes, so nobody inherits it with a pooled connection; that is why it does not
/// live *inside* a pool.
///
/// - What runs outside a transaction is captured and nobody is named, as on any connection.
/// - [`AuditDsl::audited`] on it uses the context that it is given.
/// - Diesel's own `transaction` stays Diesel's: committing one in which a statement had failed is silent, and one that is
///   cancelled is rolled back when the pool throws the connection away. `audited` does better.
/// - It is no `AsyncPgConnection`, and does not dereference to one: the transactions begun on that would name nobody.
///   Functions that it is given to are generic over the connection.
///
/// # Examples
/// ```no_run
/// use diesel::prelude::*;
/// use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
/// use threadline_core::{ActorRef, AuditContext};
/// use threadline_diesel::asynchronous::AuditedConnection;
///
/// # diesel::table! { posts (id) { id -> BigInt, published -> Bool } }
/// # async fn example(conn: AsyncPgConnection) -> Result<(), threadline_diesel::Error> {
/// let context = AuditContext::new(ActorRef::user("42")?);
/// let mut conn = AuditedConnection::new(conn, &context)?;
/// conn.transaction(async |conn| diesel::update(posts::table.find(7)).set(posts::published.eq(true)).execute(conn).await)
///     .await?;
/// # Ok(())
/// # }
/// ```
pub struct AuditedConnection<C> {
    inner: C,
    context: AuditContext,
    /// What begins a transaction.
    begin: String,
}

impl<C> AuditedConnection<C> {
    /// The connection under this context. Nothing is sent.
    ///
    /// # Errors
    /// [`is_missing_actor`](Error::is_missing_actor) when the context has no actor and does not allow that, and as for
    /// [`AuditContext::validate`].
    pub fn new(conn: C, context: &AuditContext) -> Result<Self, Error> {
        let begin = context.begin_sql(&TransactionOptions::new())?;
        Ok(Self { inner: conn, context: context.clone(), begin })
    }

    /// The context.
    pub fn context(&self) -> &AuditContext {
        &self.context
    }

    /// The connection alone, whose transactions name nobody.
    pub fn into_inner(self) -> C {
        self.inner
    }
}

/// Shows no part of the context: it may hold personal data.
impl<C> fmt::Debug for AuditedConnection<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditedConnection").finish_non_exhaustive()
    }
}

impl<C: AuditDsl> SimpleAsyncConnection for AuditedConnection<C> {
    async fn batch_execute(&mut self, query: &str) -> QueryResult<()> {
        self.inner.batch_execute(query).await
    }
}

impl<C: AuditDsl> AsyncConnectionCore for AuditedConnection<C> {
    type ExecuteFuture<'conn, 'query> = C::ExecuteFuture<'conn, 'query>;
    type LoadFuture<'conn, 'query> = C::LoadFuture<'conn, 'query>;
    type Stream<'conn, 'query> = C::Stream<'conn, 'query>;
    type Row<'conn, 'query> = C::Row<'conn, 'query>;
    type Backend = Pg;

    fn load<'conn, 'query, T>(&'conn mut self, source: T) -> Self::LoadFuture<'conn, 'query>
    where
        T: AsQuery + 'query,
        T::Query: QueryFragment<Pg> + QueryId + 'query,
    {
        AsyncConnectionCore::load(&mut self.inner, source)
    }

    fn execute_returning_count<'conn, 'query, T>(&'conn mut self, source: T) -> Self::ExecuteFuture<'conn, 'query>
    where
        T: QueryFragment<Pg> + QueryId + 'query,
    {
        self.inner.execute_returning_count(source)
    }
}

impl<C: AuditDsl> AsyncConnection for AuditedConnection<C> {
    type TransactionManager = AuditedTransactionManager;

    async fn establish(_: &str) -> ConnectionResult<Self> {
        Err(ConnectionError::BadConnection("an audited connection needs a context: AuditedConnection::new".to_owned()))
    }

    fn transaction_state(&mut self) -> &mut AnsiTransactionManager {
        self.inner.transaction_state()
    }

    fn instrumentation(&mut self) -> &mut dyn Instrumentation {
        self.inner.instrumentation()
    }

    fn set_instrumentation(&mut self, instrumentation: impl Instrumentation) {
        self.inner.set_instrumentation(instrumentation);
    }

    fn set_prepared_statement_cache_size(&mut self, size: CacheSize) {
        self.inner.set_prepared_statement_cache_size(size);
    }
}

/// For `save_changes`.
impl<Changes, Output, C> UpdateAndFetchResults<Changes, Output> for AuditedConnection<C>
where
    C: AuditDsl + UpdateAndFetchResults<Changes, Output>,
    Changes: Identifiable + HasTable + Send,
{
    fn update_and_fetch<'conn, 'changes>(
        &'conn mut self,
        changeset: Changes,
    ) -> Pin<Box<dyn Future<Output = QueryResult<Output>> + Send + 'changes>>
    where
        Changes: 'changes,
        'conn: 'changes,
        Self: 'changes,
    {
        self.inner.update_and_fetch(changeset)
    }
}

/// Begins transactions with the context, and leaves the rest to the connection's own manager.
#[doc(hidden)]
#[derive(Debug)]
pub struct AuditedTransactionManager;

impl<C: AuditDsl> TransactionManager<AuditedConnection<C>> for AuditedTransactionManager {
    type TransactionStateData = AnsiTransactionManager;

    async fn begin_transaction(conn: &mut AuditedConnection<C>) -> QueryResult<()> {
        if wire::depth(&mut conn.inner)? > 0 {
            return C::TransactionManager::begin_transaction(&mut conn.inner).await;
        }
        wire::begin(&mut conn.inner, &conn.begin).await
    }

    async fn rollback_transaction(conn: &mut AuditedConnection<C>) -> QueryResult<()> {
        C::TransactionManager::rollback_transaction(&mut conn.inner).await
    }

    async fn commit_transaction(conn: &mut AuditedConnection<C>) -> QueryResult<()> {
        C::TransactionManager::commit_transaction(&mut conn.inner).await
    }

    fn transaction_manager_status_mut(conn: &mut AuditedConnection<C>) -> &mut TransactionManagerStatus {
        C::TransactionManager::transaction_manager_status_mut(&mut conn.inner)
    }

    fn is_broken_transaction_manager(conn: &mut AuditedConnection<C>) -> bool {
        C::TransactionManager::is_broken_transaction_manager(&mut conn.inner)
    }
}
