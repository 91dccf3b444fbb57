//! A transaction or savepoint that cannot outlive its value, whatever is cancelled.

use std::fmt;

use diesel::QueryResult;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel_async::TransactionManager;

use crate::Error;
use crate::asynchronous::{AuditDsl, wire};

/// A connection with one transaction or savepoint of ours on it, which the destructor rolls back.
///
/// diesel-async leaves the transaction of a cancelled future open and marks the connection, so that a pool throws it away.
/// A connection that is in no pool, or is used again before it goes back, would carry on inside that transaction under
/// its actor. So the destructor sends ROLLBACK behind whatever is on its way.
pub(crate) struct Guarded<C: AuditDsl> {
    conn: C,
    /// Diesel's level of the transaction, 1, or of the savepoint, more. 0 when it is over.
    level: u32,
    /// A closure of the user is running.
    retire: bool,
}

impl<C: AuditDsl> Guarded<C> {
    /// Begins a transaction with `sql`, which may hold more statements after BEGIN.
    ///
    /// The caller has made sure that none is open.
    pub(crate) async fn begin(conn: C, sql: &str) -> QueryResult<Self> {
        // When what comes after BEGIN is refused, the transaction is open too: dropping the value rolls it back.
        let mut guarded = Self { conn, level: 1, retire: false };
        wire::begin(&mut guarded.conn, sql).await?;
        Ok(guarded)
    }

    /// Makes a savepoint in the open transaction.
    pub(crate) async fn savepoint(conn: C, outside: u32) -> Result<Self, Error> {
        let mut guarded = Self { conn, level: outside + 1, retire: false };
        // Whatever was cancelled before.
        wire::set_depth(&mut guarded.conn, outside);
        let made = C::TransactionManager::begin_transaction(&mut guarded.conn).await;
        match made {
            Ok(()) => Ok(guarded),
            Err(error) => Err(in_closing(&mut guarded.conn, error.into()).await),
        }
    }

    /// While this is set, dropping the value makes a pool replace the connection. A future is mostly cancelled because a
    /// statement takes too long, and the next borrower would have to wait for its end.
    pub(crate) fn retire_when_dropped(&mut self, retire: bool) {
        self.retire = retire;
    }

    pub(crate) fn peek(&self) -> &C {
        &self.conn
    }

    pub(crate) fn connection(&mut self) -> &mut C {
        &mut self.conn
    }

    /// Makes sure that the level is the deepest one: ends the savepoints that were opened inside it and never closed,
    /// since their future was cancelled. What they hold was not committed.
    pub(crate) async fn settle(&mut self) -> Result<(), Error> {
        let depth = wire::depth(&mut self.conn)?;
        if depth < self.level {
            return Err(Error::not_in_transaction());
        }
        wire::set_depth(&mut self.conn, self.level);
        if depth > self.level
            && let Err(error) = self.conn.batch_execute(&roll_back(self.level + 1)).await
        {
            return Err(in_closing(&mut self.conn, error.into()).await);
        }
        Ok(())
    }

    /// Commits, or releases the savepoint.
    pub(crate) async fn commit(&mut self) -> Result<(), Error> {
        let Err(error) = C::TransactionManager::commit_transaction(&mut self.conn).await else {
            self.level = 0;
            return Ok(());
        };
        if self.level > 1 {
            return Err(in_closing(&mut self.conn, error.into()).await);
        }
        // Diesel tells no SQLSTATE, and so not whether the server refused or went down. It still answers, or not.
        let is_broken = self.conn.batch_execute("SELECT 1").await.is_err();
        Err(Error::from_commit(error, is_broken))
    }

    /// Rolls back and waits for the answer.
    pub(crate) async fn rollback(&mut self) -> Result<(), Error> {
        // What is open inside it goes with it.
        wire::set_depth(&mut self.conn, self.level);
        C::TransactionManager::rollback_transaction(&mut self.conn).await?;
        self.level = 0;
        Ok(())
    }
}

/// What undoes everything from this level on, by the names that Diesel gives its savepoints.
fn roll_back(level: u32) -> String {
    match level {
        1 => "ROLLBACK".to_owned(),
        level => format!("ROLLBACK TO SAVEPOINT diesel_savepoint_{}", level - 1),
    }
}

impl<C: AuditDsl> Drop for Guarded<C> {
    fn drop(&mut self) {
        let Some(outside) = self.level.checked_sub(1) else { return };
        // Where no transaction is open any more, ROLLBACK is a warning.
        wire::queue(&mut self.conn, &roll_back(self.level));
        wire::set_depth(&mut self.conn, outside);
        if self.retire && outside == 0 {
            wire::discard(&mut self.conn);
        }
    }
}

/// The same error, told as a rollback when it says that the transaction had failed before.
///
/// Diesel tells no SQLSTATE, but everything that is sent to a failed transaction is refused with the same words. An error
/// of the statement itself has other words, and fails the transaction.
pub(crate) async fn in_closing<C: AuditDsl>(conn: &mut C, error: Error) -> Error {
    let said = match error.as_diesel() {
        Some(DieselError::DatabaseError(
            DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand,
            _,
        )) => return error,
        Some(said @ DieselError::DatabaseError(..)) if error.as_core().is_none() => said,
        _ => return error,
    };
    match conn.batch_execute("SELECT 1").await {
        Err(refused @ DieselError::DatabaseError(..)) if refused == *said => Error::rolled_back(refused),
        _ => error,
    }
}

impl<C: AuditDsl> fmt::Debug for Guarded<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded").field("level", &self.level).finish_non_exhaustive()
    }
}
