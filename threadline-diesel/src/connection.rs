//! A connection whose every transaction is audited, Diesel's own `transaction` included.

use std::fmt;
use std::num::NonZeroU32;

use diesel::connection::{
    CacheSize, Connection, ConnectionSealed, Instrumentation, InstrumentationEvent, LoadConnection, SimpleConnection,
    TransactionManager, TransactionManagerStatus,
};
use diesel::expression::QueryMetadata;
use diesel::migration::MigrationConnection;
use diesel::pg::Pg;
use diesel::query_builder::{Query, QueryFragment, QueryId};
use diesel::query_dsl::UpdateAndFetchResults;
use diesel::{ConnectionError, ConnectionResult, QueryResult};
use threadline_core::{AuditContext, TransactionOptions};

use crate::{Error, wire};

/// A connection under one context. Every transaction that begins on it carries the context: also those of code that knows
/// nothing of Threadline and calls Diesel's `transaction`.
///
/// Wrap the connection of one request, job or command, owned or out of a pool, and give the wrapper to what needs a
/// connection. With it the context goes when it goes, so nobody inherits it with a pooled connection; that is why it does not
/// live *inside* a pool.
///
/// - What runs outside a transaction is captured and nobody is named, as on any connection.
/// - [`AuditDsl::audited`](crate::AuditDsl::audited) on it uses the context that it is given.
/// - Committing a transaction in which a statement had failed is silent, as Diesel is. `audited` tells.
///
/// Diesel lets others implement its `Connection` only behind a feature that may change without notice
/// (`i-implement-a-third-party-backend-and-opt-into-breaking-changes`); this crate's feature `connection` switches it on. The
/// rest of this crate does not need it.
///
/// # Examples
/// ```no_run
/// use diesel::prelude::*;
/// use threadline_core::{ActorRef, AuditContext};
/// use threadline_diesel::AuditedConnection;
///
/// # diesel::table! { posts (id) { id -> BigInt, published -> Bool } }
/// # fn example(conn: PgConnection) -> Result<(), threadline_diesel::Error> {
/// let context = AuditContext::new(ActorRef::user("42")?);
/// let mut conn = AuditedConnection::new(conn, &context)?;
/// conn.transaction(|conn| diesel::update(posts::table.find(7)).set(posts::published.eq(true)).execute(conn))?;
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
    pub fn new(connection: C, context: &AuditContext) -> Result<Self, Error> {
        let begin = context.begin_sql(&TransactionOptions::new())?;
        Ok(Self { inner: connection, context: context.clone(), begin })
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

impl<C: SimpleConnection> SimpleConnection for AuditedConnection<C> {
    fn batch_execute(&mut self, query: &str) -> QueryResult<()> {
        self.inner.batch_execute(query)
    }
}

impl<C> ConnectionSealed for AuditedConnection<C> {}

impl<C> Connection for AuditedConnection<C>
where
    C: LoadConnection<Backend = Pg>,
{
    type Backend = Pg;
    type TransactionManager = AuditedTransactionManager;

    fn establish(_: &str) -> ConnectionResult<Self> {
        Err(ConnectionError::BadConnection("an audited connection needs a context: AuditedConnection::new".to_owned()))
    }

    fn execute_returning_count<T>(&mut self, source: &T) -> QueryResult<usize>
    where
        T: QueryFragment<Pg> + QueryId,
    {
        self.inner.execute_returning_count(source)
    }

    fn transaction_state(&mut self) -> &mut State<C> {
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

impl<B, C> LoadConnection<B> for AuditedConnection<C>
where
    C: LoadConnection<Backend = Pg> + LoadConnection<B, Backend = Pg>,
{
    type Cursor<'conn, 'query>
        = <C as LoadConnection<B>>::Cursor<'conn, 'query>
    where
        C: 'conn;
    type Row<'conn, 'query>
        = <C as LoadConnection<B>>::Row<'conn, 'query>
    where
        C: 'conn;

    fn load<'conn, 'query, T>(&'conn mut self, source: T) -> QueryResult<Self::Cursor<'conn, 'query>>
    where
        T: Query + QueryFragment<Pg> + QueryId + 'query,
        Pg: QueryMetadata<T::SqlType>,
    {
        <C as LoadConnection<B>>::load(&mut self.inner, source)
    }
}

/// For `save_changes`.
impl<Changes, Output, C> UpdateAndFetchResults<Changes, Output> for AuditedConnection<C>
where
    C: LoadConnection<Backend = Pg> + UpdateAndFetchResults<Changes, Output>,
{
    fn update_and_fetch(&mut self, changeset: Changes) -> QueryResult<Output> {
        self.inner.update_and_fetch(changeset)
    }
}

/// For migrations that change data.
impl<C> MigrationConnection for AuditedConnection<C>
where
    C: LoadConnection<Backend = Pg> + MigrationConnection,
{
    fn setup(&mut self) -> QueryResult<usize> {
        self.inner.setup()
    }
}

type State<C> = <<C as Connection>::TransactionManager as TransactionManager<C>>::TransactionStateData;

/// Begins transactions with the context, and leaves the rest to the connection's own manager.
#[doc(hidden)]
#[derive(Debug)]
pub struct AuditedTransactionManager;

impl<C> TransactionManager<AuditedConnection<C>> for AuditedTransactionManager
where
    C: LoadConnection<Backend = Pg>,
{
    type TransactionStateData = State<C>;

    fn begin_transaction(conn: &mut AuditedConnection<C>) -> QueryResult<()> {
        if wire::depth(&mut conn.inner)?.is_some() {
            return C::TransactionManager::begin_transaction(&mut conn.inner);
        }
        let begins = InstrumentationEvent::begin_transaction(NonZeroU32::MIN);
        conn.inner.instrumentation().on_connection_event(begins);
        wire::begin(&mut conn.inner, &conn.begin)
    }

    fn rollback_transaction(conn: &mut AuditedConnection<C>) -> QueryResult<()> {
        C::TransactionManager::rollback_transaction(&mut conn.inner)
    }

    fn commit_transaction(conn: &mut AuditedConnection<C>) -> QueryResult<()> {
        C::TransactionManager::commit_transaction(&mut conn.inner)
    }

    fn transaction_manager_status_mut(conn: &mut AuditedConnection<C>) -> &mut TransactionManagerStatus {
        C::TransactionManager::transaction_manager_status_mut(&mut conn.inner)
    }
}
