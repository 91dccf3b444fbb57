//! The audited transaction.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use sqlx::PgConnection;
use threadline_core::{
    Action, ActionId, AsyncConnection, AuditContext, CurrentTransactionId, Operation, RecordAction, Schema, Statement,
    TransactionId, TransactionOptions,
};

use crate::guarded::Guarded;
use crate::{Error, wire};

/// A transaction whose changes and actions are recorded under one [`AuditContext`].
///
/// It dereferences to [`PgConnection`]: inside a closure that is given `tx`, pass `&mut **tx` or `tx.as_mut()` to sqlx.
/// Dropped without [`commit`](Self::commit), it is rolled back, also when the drop comes in the middle of a statement.
///
/// Statements are audited whatever sends them, so plain sqlx code needs no change. `sqlx::Connection::begin` on it makes
/// a savepoint with the same context; [`nested`](Self::nested) makes one with another.
///
/// # Examples
/// ```no_run
/// use threadline_core::{Action, ActorRef, AuditContext};
/// use threadline_sqlx::BeginAudited;
///
/// # async fn example(pool: sqlx::PgPool) -> Result<(), threadline_sqlx::Error> {
/// let context = AuditContext::new(ActorRef::user("42")?).correlation_id("req-7f3");
/// let mut tx = pool.begin_audited(&context).await?;
/// sqlx::query("UPDATE posts SET title = $1 WHERE id = $2").bind("Ship it").bind(7).execute(&mut *tx).await?;
/// tx.record_action(&Action::new("post.published")).await?;
/// let audit_transaction = tx.commit().await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a transaction is rolled back when it is dropped without commit()"]
pub struct AuditedTransaction<'c> {
    pub(crate) guarded: Guarded<'c>,
    pub(crate) context: Arc<AuditContext>,
    pub(crate) schema: Arc<Schema>,
}

impl<'c> AuditedTransaction<'c> {
    /// Begins with the context in the same message.
    pub(crate) async fn begin(
        guarded: Guarded<'c>,
        context: Arc<AuditContext>,
        schema: Arc<Schema>,
        sql: String,
    ) -> Result<Self, Error> {
        let mut tx = Self { guarded, context, schema };
        tx.guarded.begin(sql, "an audited transaction").await?;
        Ok(tx)
    }

    /// The context that changes are recorded under now: in a nested scope that scope's.
    pub fn context(&self) -> &AuditContext {
        &self.context
    }

    /// Records a semantic action, in one round trip. It covers the changes that follow it in the same context; the first
    /// one of a context also covers those before it. Any number can be recorded.
    ///
    /// # Errors
    /// When the action is out of bounds (before anything is sent), when neither it nor the context has an actor, or when
    /// the database refuses it; then the transaction can only be rolled back.
    pub async fn record_action(&mut self, action: &Action) -> Result<ActionId, Error> {
        self.perform(&RecordAction(action)).await
    }

    /// Commits, and tells the audit transaction: the row that the changes of this context are grouped under. `None` when
    /// nothing was captured.
    ///
    /// # Errors
    /// [`is_rolled_back`](Error::is_rolled_back) when a statement had failed and its error was swallowed: PostgreSQL
    /// answers COMMIT with ROLLBACK then, and sqlx alone would report success.
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
        // Fails in a failed transaction, where COMMIT itself would not.
        let id = self.perform(&CurrentTransactionId).await.map_err(Error::in_closing)?;
        self.guarded.commit().await?;
        Ok(id)
    }

    /// Runs one of the statements that every transaction may need, in one round trip.
    pub(crate) async fn perform<O: Operation + Sync>(&mut self, operation: &O) -> Result<O::Output, Error> {
        self.guarded.ensure_alive()?;
        let statement = operation.statement(&self.schema)?;
        let rows = wire::fetch_at_once(self.guarded.connection(), &statement)
            .await
            .map_err(|error| Error::from_own_statement(error, &self.schema))?;
        Ok(operation.decode(rows)?)
    }

    /// Begins again on the same connection, after a rollback.
    pub(crate) async fn begin_again(&mut self) -> Result<(), Error> {
        let sql = self.context.begin_sql(&TransactionOptions::new())?;
        self.guarded.begin(sql, "an audited transaction").await
    }
}

/// Runs operations in the transaction: administrative ones here, reads with [`Trail`](crate::Trail).
impl AsyncConnection for AuditedTransaction<'_> {
    type Error = Error;

    async fn fetch(&mut self, statement: &Statement) -> Result<Vec<String>, Error> {
        self.guarded.ensure_alive()?;
        wire::fetch_bound(self.guarded.connection(), statement)
            .await
            .map_err(|error| Error::from_own_statement(error, &self.schema))
    }

    async fn execute_script(&mut self, sql: &str) -> Result<(), Error> {
        self.guarded.ensure_alive()?;
        wire::execute(self.guarded.connection(), sql)
            .await
            .map_err(|error| Error::from_own_statement(error, &self.schema))
    }
}

impl Deref for AuditedTransaction<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.guarded.peek()
    }
}

impl DerefMut for AuditedTransaction<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.guarded.connection()
    }
}

impl AsMut<PgConnection> for AuditedTransaction<'_> {
    fn as_mut(&mut self) -> &mut PgConnection {
        self.guarded.connection()
    }
}

/// Shows no part of the context: it may hold personal data.
impl fmt::Debug for AuditedTransaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditedTransaction").field("guarded", &self.guarded).finish_non_exhaustive()
    }
}
