//! The audited transaction that is committed by hand.

use std::fmt;
use std::ops::{Deref, DerefMut};

use threadline_core::{
    Action, ActionId, AuditContext, CurrentTransactionId, EnterContext, PreviousContext, RecordAction, Schema,
    TransactionId, TransactionOptions,
};

use crate::Error;
use crate::asynchronous::guarded::{Guarded, in_closing};
use crate::asynchronous::{AuditDsl, wire};
use crate::leave::LeaveWithId;

/// A transaction whose changes and actions are recorded under one [`AuditContext`], for code that does not fit in a
/// closure; from [`AuditDsl::begin_audited`] or [`begin`](crate::asynchronous::begin).
///
/// It is a connection of diesel-async itself: give `&mut tx` to `execute`, `load` and `get_result`. It also dereferences
/// to the connection it was begun on, so that functions which take `&mut AsyncPgConnection` can be called with it.
///
/// `C` is that connection, owned or borrowed. Dropped without [`commit`](Self::commit), the transaction is rolled back,
/// also when the drop comes in the middle of a statement: nothing is waited for, but what is sent on the connection later
/// comes after the rollback.
///
/// Begun inside an open transaction it is a savepoint with a context of its own, and committing it releases the savepoint
/// and brings the outer context back.
///
/// # Examples
/// ```no_run
/// use diesel_async::{AsyncPgConnection, RunQueryDsl};
/// use threadline_diesel::asynchronous::prelude::*;
///
/// # async fn example(mut conn: AsyncPgConnection) -> Result<(), threadline_diesel::Error> {
/// let context = AuditContext::new(ActorRef::user("42")?).correlation_id("req-7f3");
/// let mut tx = conn.begin_audited(&context).await?;
/// diesel::sql_query("UPDATE posts SET title = 'Ship it' WHERE id = 7").execute(&mut tx).await?;
/// tx.record_action(&Action::new("post.published")).await?;
/// let audit_transaction = tx.commit().await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a transaction is rolled back when it is dropped without commit()"]
pub struct AuditedTransaction<C: AuditDsl> {
    pub(crate) guarded: Guarded<C>,
    schema: Schema,
    /// What brings the outer context back: settings survive the release of a savepoint.
    outer: Option<PreviousContext>,
}

impl<C: AuditDsl> AuditedTransaction<C> {
    /// Begins with the context in the same message, or makes a savepoint and enters the context.
    pub(crate) async fn begin(
        mut conn: C,
        context: &AuditContext,
        options: &TransactionOptions,
        schema: Schema,
    ) -> Result<Self, Error> {
        let begin = context.begin_sql(options)?;
        let outside = wire::depth(&mut conn)?;
        if outside == 0 {
            return Ok(Self { guarded: Guarded::begin(conn, &begin).await?, schema, outer: None });
        }
        if *options != TransactionOptions::new() {
            return Err(threadline_core::Error::nested("a transaction with options of its own").into());
        }
        let mut tx = Self { guarded: Guarded::savepoint(conn, outside).await?, schema, outer: None };
        tx.outer = Some(wire::perform(tx.guarded.connection(), &tx.schema, &EnterContext(context)).await?);
        Ok(tx)
    }

    /// Records a semantic action, in one round trip. It covers the changes that follow it in the same context; the first
    /// one of a context also covers those before it. Any number can be recorded.
    ///
    /// # Errors
    /// When the action is out of bounds (before anything is sent), when neither it nor the context has an actor, or when
    /// the database refuses it; then the transaction can only be rolled back.
    pub async fn record_action(&mut self, action: &Action) -> Result<ActionId, Error> {
        wire::perform(self.guarded.connection(), &self.schema, &RecordAction(action)).await
    }

    /// Commits, and tells the audit transaction: the row that the changes of this context are grouped under. `None` when
    /// nothing was captured.
    ///
    /// # Errors
    /// [`is_rolled_back`](Error::is_rolled_back) when a statement had failed and its error was swallowed: PostgreSQL
    /// answers COMMIT with ROLLBACK then, and Diesel alone would report success.
    /// [`is_unknown_commit`](Error::is_unknown_commit) when the connection broke before the answer to COMMIT arrived.
    /// After any other error, such as a violated deferred constraint, nothing was committed.
    pub async fn commit(mut self) -> Result<Option<TransactionId>, Error> {
        self.finish().await
    }

    /// Rolls back and waits for the answer.
    ///
    /// # Errors
    /// When the connection is broken; then the server rolls back by itself.
    pub async fn rollback(mut self) -> Result<(), Error> {
        self.guarded.rollback().await
    }

    pub(crate) async fn finish(&mut self) -> Result<Option<TransactionId>, Error> {
        self.guarded.settle().await?;
        let conn = self.guarded.connection();
        // Both fail in a failed transaction, where COMMIT itself would not.
        let id = match &self.outer {
            // Before the release, so that there is no instant at which the outer scope runs with the inner context.
            Some(outer) => wire::perform(conn, &self.schema, &LeaveWithId(outer)).await,
            None => wire::perform(conn, &self.schema, &CurrentTransactionId).await,
        };
        let id = match id {
            Ok(id) => id,
            Err(error) => return Err(in_closing(conn, error).await),
        };
        self.guarded.commit().await?;
        Ok(id)
    }
}

impl<C: AuditDsl> Deref for AuditedTransaction<C> {
    type Target = C;

    fn deref(&self) -> &C {
        self.guarded.peek()
    }
}

impl<C: AuditDsl> DerefMut for AuditedTransaction<C> {
    fn deref_mut(&mut self) -> &mut C {
        self.guarded.connection()
    }
}

impl<C: AuditDsl> fmt::Debug for AuditedTransaction<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditedTransaction").field("guarded", &self.guarded).finish_non_exhaustive()
    }
}
