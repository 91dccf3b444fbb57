//! How our statements and transaction commands reach the server.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

use diesel::connection::{LoadConnection, TransactionDepthChange, TransactionManager, TransactionManagerStatus};
use diesel::pg::Pg;
use diesel::result::Error as DieselError;
use diesel::{QueryResult, RunQueryDsl};
use threadline_core::{Operation, Schema, Statement};

use crate::Error;
use crate::statement::{bound, texts};

/// How many levels of transaction and savepoints Diesel knows to be open.
pub(crate) fn depth<C>(connection: &mut C) -> QueryResult<Option<NonZeroU32>>
where
    C: LoadConnection<Backend = Pg>,
{
    C::TransactionManager::transaction_manager_status_mut(connection).transaction_depth()
}

/// Begins a transaction with `sql`, in one round trip, where Diesel knows of none.
///
/// `AnsiTransactionManager::begin_transaction_sql` does the same for connections that use that manager, which a pooled one
/// does not.
pub(crate) fn begin<C>(connection: &mut C, sql: &str) -> QueryResult<()>
where
    C: LoadConnection<Backend = Pg>,
{
    if let Err(error) = connection.batch_execute(sql) {
        // BEGIN may have taken effect before what came after it failed. Without one, ROLLBACK does nothing.
        if let Err(unanswered) = connection.batch_execute("ROLLBACK") {
            trace_unanswered(unanswered);
        }
        return Err(error);
    }
    match C::TransactionManager::transaction_manager_status_mut(connection) {
        TransactionManagerStatus::Valid(status) => {
            status.change_transaction_depth(TransactionDepthChange::IncreaseDepth)
        }
        TransactionManagerStatus::InError => Err(DieselError::BrokenTransactionManager),
    }
}

/// Makes a savepoint.
pub(crate) fn savepoint<C>(connection: &mut C) -> Result<(), Error>
where
    C: LoadConnection<Backend = Pg>,
{
    C::TransactionManager::begin_transaction(connection).map_err(|error| in_closing(connection, error.into()))
}

/// Commits the transaction.
pub(crate) fn commit<C>(connection: &mut C) -> Result<(), Error>
where
    C: LoadConnection<Backend = Pg>,
{
    C::TransactionManager::commit_transaction(connection)
        .map_err(|error| Error::from_commit(error, depth(connection).is_err()))
}

/// Releases the savepoint.
pub(crate) fn release<C>(connection: &mut C) -> Result<(), Error>
where
    C: LoadConnection<Backend = Pg>,
{
    C::TransactionManager::commit_transaction(connection).map_err(|error| match error {
        // Refused because a statement had failed. Diesel has rolled back to the savepoint.
        error @ DieselError::DatabaseError(..) if depth(connection).is_ok() => Error::rolled_back(error),
        error => error.into(),
    })
}

/// Rolls back this level, and what was left open inside it by a panic.
pub(crate) fn roll_back_to<C>(connection: &mut C, level: NonZeroU32)
where
    C: LoadConnection<Backend = Pg>,
{
    while let Ok(Some(deepest)) = depth(connection)
        && deepest >= level
    {
        if let Err(error) = C::TransactionManager::rollback_transaction(connection) {
            trace_unanswered(error);
            break;
        }
    }
}

/// A rollback that failed has a connection that is broken, and the server rolls back by itself.
fn trace_unanswered(error: DieselError) {
    // Not the message: the driver's may quote a value.
    let sqlstate = Error::from(error).sqlstate();
    tracing::debug!(sqlstate, "the rollback was not answered");
}

/// Runs a statement, in one round trip.
pub(crate) fn fetch<C>(connection: &mut C, schema: &Schema, statement: &Statement) -> Result<Vec<String>, Error>
where
    C: LoadConnection<Backend = Pg>,
{
    let rows = bound(statement).load(connection).map_err(|error| Error::from_own_statement(error, schema))?;
    Ok(texts(rows))
}

/// Runs an operation on the connection as it is, and decodes its answer.
pub(crate) fn perform<C, O>(connection: &mut C, schema: &Schema, operation: &O) -> Result<O::Output, Error>
where
    C: LoadConnection<Backend = Pg>,
    O: Operation,
{
    let rows = fetch(connection, schema, &operation.statement(schema)?)?;
    Ok(operation.decode(rows)?)
}

/// Whether a transaction is open on the connection, also one that Diesel does not know of because it was begun with SQL
/// text.
///
/// A transaction-local setting is gone before the next message unless one is.
pub(crate) fn in_transaction<C>(connection: &mut C) -> Result<bool, Error>
where
    C: LoadConnection<Backend = Pg>,
{
    static PROBES: AtomicU64 = AtomicU64::new(0);

    if depth(connection)?.is_some() {
        return Ok(true);
    }
    // A value of its own, in case somebody sets the name for a session.
    let probe = PROBES.fetch_add(1, Ordering::Relaxed);
    connection.batch_execute(&format!("SELECT pg_catalog.set_config('threadline.probe', '{probe}', true)"))?;
    let get = Statement::new("SELECT COALESCE(pg_catalog.current_setting('threadline.probe', true), '')");
    let found = fetch(connection, &Schema::default(), &get)?;
    Ok(found == [probe.to_string()])
}

/// The same error, told as a rollback when it says that the transaction had failed before.
///
/// Diesel tells no SQLSTATE, but everything that is sent to a failed transaction is refused with the same words. An error
/// of the statement itself has other words, and fails the transaction.
pub(crate) fn in_closing<C>(connection: &mut C, error: Error) -> Error
where
    C: LoadConnection<Backend = Pg>,
{
    let said = match error.as_diesel() {
        Some(said @ DieselError::DatabaseError(..)) if error.as_core().is_none() => said,
        _ => return error,
    };
    match connection.batch_execute("SELECT 1") {
        // A connection that broke before says the same twice, too.
        Err(refused @ DieselError::DatabaseError(..)) if refused == *said && depth(connection).is_ok() => {
            Error::rolled_back(refused)
        }
        _ => error,
    }
}

/// Runs `read` in the open transaction, or in a read-only one of its own: behind a pooler, only inside a transaction do two
/// messages reach the same session.
pub(crate) fn reading<C, T>(connection: &mut C, read: impl FnOnce(&mut C) -> Result<T, Error>) -> Result<T, Error>
where
    C: LoadConnection<Backend = Pg>,
{
    // COMMIT of a transaction of ours must never be the COMMIT of one that was begun with SQL text.
    if in_transaction(connection)? {
        return read(connection);
    }
    let mut own = Own::begin(connection, threadline_core::BEGIN_READ)?;
    let value = read(own.0)?;
    own.commit()?;
    Ok(value)
}

/// A transaction of ours at the outermost level, rolled back when it is dropped before its commit.
pub(crate) struct Own<'c, C: LoadConnection<Backend = Pg>>(pub(crate) &'c mut C);

impl<'c, C> Own<'c, C>
where
    C: LoadConnection<Backend = Pg>,
{
    pub(crate) fn begin(connection: &'c mut C, sql: &str) -> Result<Self, Error> {
        begin(connection, sql)?;
        Ok(Self(connection))
    }

    pub(crate) fn commit(&mut self) -> Result<(), Error> {
        commit(self.0)
    }
}

impl<C> Drop for Own<'_, C>
where
    C: LoadConnection<Backend = Pg>,
{
    fn drop(&mut self) {
        roll_back_to(self.0, NonZeroU32::MIN);
    }
}
