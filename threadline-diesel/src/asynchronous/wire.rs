//! How our statements and transaction commands reach the server, and Diesel's bookkeeping of transactions.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};

use diesel::connection::{
    CacheSize, InTransactionStatus, Instrumentation, TransactionDepthChange, TransactionManagerStatus,
};
use diesel::pg::Pg;
use diesel::query_builder::{AsQuery, AstPass, Query, QueryFragment, QueryId};
use diesel::result::{ConnectionError, ConnectionResult, QueryResult};
use diesel::sql_types::{Nullable, Text};
use diesel_async::{
    AnsiTransactionManager, AsyncConnection, AsyncConnectionCore, RunQueryDsl, SimpleAsyncConnection,
    TransactionManager,
};
use threadline_core::{Operation, Schema, Statement};

use crate::Error;
use crate::asynchronous::AuditDsl;
use crate::statement::{TextRow, bound, texts};

/// Runs a statement whose text varies, a read for example. It is prepared anew each time, for a round trip more.
pub(crate) async fn fetch<C: AuditDsl>(conn: &mut C, statement: &Statement) -> QueryResult<Vec<String>> {
    let rows: Vec<TextRow> = bound(statement).load(conn).await?;
    Ok(texts(rows))
}

/// Runs one of the few statements that transactions send again and again: prepared once per connection like Diesel's
/// own, and so in one round trip.
pub(crate) async fn fetch_prepared<C: AuditDsl>(conn: &mut C, statement: &Statement) -> QueryResult<Vec<String>> {
    Prepared(statement.clone()).load::<String>(conn).await
}

/// Runs one of the operations that every transaction may need, in one round trip, on the connection as it is.
pub(crate) async fn perform<C, O>(conn: &mut C, schema: &Schema, operation: &O) -> Result<O::Output, Error>
where
    C: AuditDsl,
    O: Operation + Sync,
{
    let statement = operation.statement(schema)?;
    let rows = fetch_prepared(conn, &statement).await.map_err(|error| Error::from_own_statement(error, schema))?;
    Ok(operation.decode(rows)?)
}

/// A statement of ours that Diesel keeps prepared by its text, within the size it was told to.
struct Prepared(Statement);

impl QueryFragment<Pg> for Prepared {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(self.0.sql());
        for value in self.0.params() {
            out.push_bind_param_value_only::<Nullable<Text>, _>(value)?;
        }
        Ok(())
    }
}

impl Query for Prepared {
    type SqlType = Text;
}

impl QueryId for Prepared {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

/// Begins with `sql`, which may hold more statements after BEGIN, in one message.
///
/// # Errors
/// `AlreadyInTransaction` when Diesel knows of one; otherwise the server's.
pub(crate) async fn begin<C: AuditDsl>(conn: &mut C, sql: &str) -> QueryResult<()> {
    AnsiTransactionManager::begin_transaction_sql(&mut Bare(conn), sql).await
}

/// The same connection with Diesel's plain transaction manager, which can begin with SQL of ours. Pools hide it behind one
/// that cannot.
struct Bare<'c, C>(&'c mut C);

impl<C: AuditDsl> SimpleAsyncConnection for Bare<'_, C> {
    async fn batch_execute(&mut self, query: &str) -> QueryResult<()> {
        self.0.batch_execute(query).await
    }
}

impl<C: AuditDsl> AsyncConnectionCore for Bare<'_, C> {
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
        AsyncConnectionCore::load(self.0, source)
    }

    fn execute_returning_count<'conn, 'query, T>(&'conn mut self, source: T) -> Self::ExecuteFuture<'conn, 'query>
    where
        T: QueryFragment<Pg> + QueryId + 'query,
    {
        self.0.execute_returning_count(source)
    }
}

impl<C: AuditDsl> AsyncConnection for Bare<'_, C> {
    type TransactionManager = AnsiTransactionManager;

    async fn establish(_: &str) -> ConnectionResult<Self> {
        Err(ConnectionError::BadConnection("a borrowed connection is not established".to_owned()))
    }

    fn transaction_state(&mut self) -> &mut AnsiTransactionManager {
        self.0.transaction_state()
    }

    fn instrumentation(&mut self) -> &mut dyn Instrumentation {
        self.0.instrumentation()
    }

    fn set_instrumentation(&mut self, instrumentation: impl Instrumentation) {
        self.0.set_instrumentation(instrumentation);
    }

    fn set_prepared_statement_cache_size(&mut self, size: CacheSize) {
        self.0.set_prepared_statement_cache_size(size);
    }
}

fn status<C: AuditDsl>(conn: &mut C) -> &mut TransactionManagerStatus {
    C::TransactionManager::transaction_manager_status_mut(conn)
}

/// How many levels of transaction and savepoints Diesel knows to be open.
///
/// # Errors
/// `BrokenTransactionManager` when Diesel has lost track.
pub(crate) fn depth<C: AuditDsl>(conn: &mut C) -> QueryResult<u32> {
    Ok(status(conn).transaction_depth()?.map_or(0, u32::from))
}

/// Makes Diesel's bookkeeping say that this many levels are open, whatever it said before and whatever was cancelled.
pub(crate) fn set_depth<C: AuditDsl>(conn: &mut C, depth: u32) {
    let (lost_a_race, is_test) = match status(conn) {
        TransactionManagerStatus::Valid(valid) => match &valid.in_transaction {
            Some(InTransactionStatus { requires_rollback_maybe_up_to_top_level, test_transaction, .. }) => {
                (*requires_rollback_maybe_up_to_top_level, *test_transaction)
            }
            None => (false, false),
        },
        TransactionManagerStatus::InError => (false, false),
    };
    // The mark that BEGIN, COMMIT or the like was cancelled is out of reach, except like this.
    *conn.transaction_state() = AnsiTransactionManager::default();
    let status = status(conn);
    for _ in 0..depth {
        if let TransactionManagerStatus::Valid(valid) = &mut *status {
            // Increasing never fails.
            let _ = valid.change_transaction_depth(TransactionDepthChange::IncreaseDepth);
        }
    }
    status.set_requires_rollback_maybe_up_to_top_level(lost_a_race);
    if is_test {
        status.set_test_transaction_flag();
    }
}

/// Makes Diesel refuse further transactions on the connection, and pools replace it.
pub(crate) fn discard<C: AuditDsl>(conn: &mut C) {
    status(conn).set_in_error();
}

/// Puts `sql` behind whatever is on its way, without waiting: for destructors. The connection's task sends it before
/// anything that comes later, and nobody hears the answer.
pub(crate) fn queue<C: AuditDsl>(conn: &mut C, sql: &str) {
    // The message is handed over when the future is first polled.
    let sending = pin!(conn.batch_execute(sql));
    let _ = sending.poll(&mut Context::from_waker(Waker::noop()));
}

/// Whether a transaction is open on the connection, also one that Diesel does not know of because it was begun with SQL
/// text.
///
/// A transaction-local setting is gone before the next message unless one is.
pub(crate) async fn in_transaction<C: AuditDsl>(conn: &mut C) -> QueryResult<bool> {
    static PROBES: AtomicU64 = AtomicU64::new(0);

    if depth(conn)? > 0 {
        return Ok(true);
    }
    // A value of its own, in case somebody sets the name for a session.
    let probe = PROBES.fetch_add(1, Ordering::Relaxed).to_string();
    conn.batch_execute(&format!("SELECT pg_catalog.set_config('threadline.probe', '{probe}', true)")).await?;
    let get = "SELECT COALESCE(pg_catalog.current_setting('threadline.probe', true), '')";
    let found = fetch_prepared(conn, &Statement::new(get)).await?;
    Ok(found == [probe])
}
