//! A transaction that cannot outlive its value, whatever is cancelled.

use std::fmt;
use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, SqlSafeStr};
use sqlx_core::transaction::TransactionManager;

use crate::Error;
use crate::wire::{self, Manager};

/// Fails the open transaction, so that PostgreSQL accepts nothing but a rollback.
macro_rules! fail {
    () => {
        "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '25P02', MESSAGE = 'threadline: this transaction was rolled back \
         because a savepoint in it failed or was cancelled'; END $$"
    };
}
const FAIL: &str = fail!();
const BEGIN_AND_FAIL: &str = concat!("BEGIN; ", fail!());

/// A connection, and who owns it.
pub(crate) enum Held<'c> {
    Pool(PoolConnection<Postgres>),
    Borrowed(&'c mut PgConnection),
}

impl Deref for Held<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        match self {
            Self::Pool(connection) => connection,
            Self::Borrowed(connection) => connection,
        }
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        match self {
            Self::Pool(connection) => connection,
            Self::Borrowed(connection) => connection,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No transaction is open: not yet, or no longer.
    Idle,
    /// BEGIN is on its way; only its answer tells whether the server has seen it.
    Beginning,
    Open,
    /// A COPY TO STDOUT is on its way to us, on a connection from a pool.
    Copying,
    /// sqlx has rolled the transaction back, and the session refuses everything since we noticed.
    Sealed,
    /// Opened by somebody else, who will also end it.
    Foreign,
}

/// A connection with at most one transaction of ours, which its destructor ends.
///
/// sqlx rolls a transaction back by itself in two cases that nobody is told of: a savepoint that is cancelled before the
/// server answered, and one that the server refuses. What follows would then run without a transaction, and so without a
/// context. [`connection`](Self::connection) is the only way to the connection, and it refuses to go on.
pub(crate) struct Guarded<'c> {
    held: Held<'c>,
    state: State,
    /// The level of sqlx's bookkeeping that the current scope runs at: 1 in the transaction, more in savepoints.
    depth: usize,
}

impl Guarded<'static> {
    pub(crate) async fn acquire(pool: &PgPool) -> Result<Self, Error> {
        Ok(Self::idle(Held::Pool(pool.acquire().await?)))
    }
}

impl<'c> Guarded<'c> {
    fn idle(held: Held<'c>) -> Self {
        Self { held, state: State::Idle, depth: 0 }
    }

    pub(crate) fn borrowed(connection: &'c mut PgConnection) -> Self {
        Self::idle(Held::Borrowed(connection))
    }

    /// Adopts a transaction that is already open.
    pub(crate) fn foreign(connection: &'c mut PgConnection) -> Self {
        let depth = wire::depth(connection);
        Self { held: Held::Borrowed(connection), state: State::Foreign, depth }
    }

    /// Begins with `sql`, which may hold more statements after BEGIN.
    ///
    /// sqlx 0.9.0 lets go of a connection whose BEGIN was cancelled as if nothing had been sent. Until the answer is
    /// there, dropping `self` therefore closes a connection from a pool, and rolls back on a borrowed one.
    pub(crate) async fn begin(&mut self, sql: String, operation: &str) -> Result<(), Error> {
        if self.state != State::Idle || wire::depth(&self.held) > 0 {
            return Err(threadline_core::Error::nested(operation).into());
        }
        self.state = State::Beginning;
        Manager::begin(&mut self.held, Some(AssertSqlSafe(sql).into_sql_str())).await?;
        self.state = State::Open;
        self.depth = 1;
        Ok(())
    }

    /// The connection as it is, for looking only.
    pub(crate) fn peek(&self) -> &PgConnection {
        &self.held
    }

    /// The connection, which refuses every statement when the transaction is gone.
    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        if self.is_lost() && matches!(self.state, State::Open) {
            self.seal();
        }
        &mut self.held
    }

    /// Whether sqlx has rolled back the scope that runs, or more.
    fn is_lost(&self) -> bool {
        self.state == State::Sealed || wire::depth(&self.held) < self.depth
    }

    pub(crate) fn ensure_alive(&self) -> Result<(), Error> {
        if self.is_lost() { Err(Error::lost()) } else { Ok(()) }
    }

    fn seal(&mut self) {
        self.roll_back_to(0);
        wire::queue(&mut self.held, BEGIN_AND_FAIL);
        self.state = State::Sealed;
    }

    /// Queues what rolls back every level above `depth`.
    fn roll_back_to(&mut self, depth: usize) {
        while wire::depth(&self.held) > depth {
            Manager::start_rollback(&mut self.held);
        }
    }

    /// Commits. After an error the transaction is still to be rolled back, which the destructor does too.
    pub(crate) async fn commit(&mut self) -> Result<(), Error> {
        self.ensure_alive()?;
        // A sqlx transaction that was leaked inside this one was not committed.
        self.roll_back_to(self.depth);
        if let Err(error) = Manager::commit(&mut self.held).await {
            let error = Error::from_commit(error);
            if error.is_unknown_commit() {
                self.close_when_dropped();
            }
            return Err(error);
        }
        self.state = State::Idle;
        self.depth = 0;
        Ok(())
    }

    /// Rolls back and waits for the answer.
    pub(crate) async fn rollback(&mut self) -> Result<(), Error> {
        let mut answer = self.try_rollback().await;
        // ROLLBACK itself is not refused: this is the error of an earlier statement that was cancelled before its answer.
        if matches!(answer, Err(sqlx::Error::Database(_))) {
            answer = self.try_rollback().await;
        }
        if let Err(error) = answer {
            self.close_when_dropped();
            return Err(error.into());
        }
        self.state = State::Idle;
        self.depth = 0;
        Ok(())
    }

    async fn try_rollback(&mut self) -> Result<(), sqlx::Error> {
        if self.state == State::Sealed {
            // sqlx does not know of the failed transaction that stands in for the lost one.
            return wire::execute(&mut self.held, "ROLLBACK").await;
        }
        self.roll_back_to(1);
        Manager::rollback(&mut self.held).await
    }

    /// Makes a savepoint and enters it.
    pub(crate) async fn enter_savepoint(&mut self) -> Result<(), Error> {
        self.ensure_alive()?;
        if self.depth == 0 {
            return Err(Error::unknown_to_sqlx());
        }
        if let Err(error) = wire::savepoint(self.connection()).await {
            if self.is_lost() && self.state == State::Foreign {
                self.restore_failure().await?;
            }
            return Err(Error::from(error).in_closing());
        }
        self.depth += 1;
        Ok(())
    }

    /// Keeps what the savepoint holds and leaves it.
    pub(crate) async fn release_savepoint(&mut self) -> Result<(), Error> {
        self.ensure_alive()?;
        self.roll_back_to(self.depth);
        Manager::commit(&mut self.held).await?;
        self.depth -= 1;
        Ok(())
    }

    /// Rolls back to the savepoint and leaves it; sent with the next statement.
    pub(crate) fn abandon_savepoint(&mut self) {
        self.depth -= 1;
        if self.state != State::Sealed && wire::depth(&self.held) > self.depth {
            self.roll_back_to(self.depth);
        }
    }

    /// sqlx has rolled back a transaction that belongs to somebody else because it had failed before. Fails it again, so
    /// that its owner cannot go on without one.
    async fn restore_failure(&mut self) -> Result<(), Error> {
        while wire::depth(&self.held) < self.depth {
            Manager::begin(&mut self.held, None).await?;
        }
        // The statement fails: that is what it is for.
        let _ = wire::execute(&mut self.held, FAIL).await;
        Ok(())
    }

    pub(crate) fn is_from_pool(&self) -> bool {
        matches!(self.held, Held::Pool(_))
    }

    /// A COPY begins in the open transaction, or has ended. Until then, dropping `self` closes the connection.
    pub(crate) fn copying(&mut self, begins: bool) {
        self.state = match (self.state, begins) {
            (State::Open, true) => State::Copying,
            (State::Copying, false) => State::Open,
            (state, _) => state,
        };
    }

    fn close_when_dropped(&mut self) {
        if let Held::Pool(connection) = &mut self.held {
            connection.close_on_drop();
        }
    }
}

impl Drop for Guarded<'_> {
    fn drop(&mut self) {
        match self.state {
            State::Idle | State::Foreign => {}
            State::Open => self.roll_back_to(0),
            // The pool's connection is closed: nobody else shall see what is on its way, whatever it is.
            State::Beginning | State::Copying | State::Sealed => match &mut self.held {
                Held::Pool(connection) => connection.close_on_drop(),
                Held::Borrowed(connection) => wire::queue(connection, "ROLLBACK"),
            },
        }
    }
}

impl fmt::Debug for Guarded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded").field("state", &self.state).field("depth", &self.depth).finish_non_exhaustive()
    }
}
