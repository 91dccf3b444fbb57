//! The audited transaction.

use std::ops::Deref;

use sea_orm::DatabaseTransaction;
use threadline_core::{Action, ActionId, AuditContext, TransactionId};

use crate::Error;
use crate::guarded::Guarded;

/// A transaction whose changes and actions are recorded under one [`AuditContext`].
///
/// It implements SeaORM's `ConnectionTrait`, `StreamTrait`, `TransactionTrait` and `TransactionSession`, so everything that
/// takes `&impl ConnectionTrait` takes `&tx`. For functions that ask for a [`DatabaseTransaction`] it dereferences to one.
/// Dropped without [`commit`](Self::commit), it is rolled back, also when the drop comes in the middle of a statement.
///
/// `begin` and `transaction` on it make a savepoint with the same context; [`nested`](Self::nested) makes one with
/// another.
///
/// # Examples
/// ```no_run
/// use sea_orm::ConnectionTrait;
/// use threadline_core::{Action, ActorRef, AuditContext};
/// use threadline_seaorm::AuditedDatabase;
///
/// # async fn example(db: AuditedDatabase) -> Result<(), threadline_seaorm::Error> {
/// let context = AuditContext::new(ActorRef::user("42")?).correlation_id("req-7f3");
/// let tx = db.begin(&context).await?;
/// tx.execute_unprepared("UPDATE posts SET title = 'Ship it' WHERE id = 7").await?;
/// tx.record_action(&Action::new("post.published")).await?;
/// let audit_transaction = tx.commit().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a transaction is rolled back when it is dropped without commit()"]
pub struct AuditedTransaction(pub(crate) Guarded<'static>);

impl AuditedTransaction {
    /// The context that changes are recorded under.
    pub fn context(&self) -> &AuditContext {
        self.0.context()
    }

    /// Records a semantic action, in one round trip. It covers the changes that follow it in the same context; the first
    /// one of a context also covers those before it. Any number can be recorded.
    ///
    /// # Errors
    /// When the action is out of bounds (before anything is sent), when neither it nor the context has an actor, or when
    /// the database refuses it; then the transaction can only be rolled back.
    pub async fn record_action(&self, action: &Action) -> Result<ActionId, Error> {
        self.0.record_action(action).await
    }

    /// Commits, and tells the audit transaction: the row that the changes of this context are grouped under. `None` when
    /// nothing was captured.
    ///
    /// # Errors
    /// [`is_rolled_back`](Error::is_rolled_back) when a statement had failed and its error was swallowed: PostgreSQL
    /// answers COMMIT with ROLLBACK then, and SeaORM alone would report success; and when a scope inside it is still open.
    /// [`is_unknown_commit`](Error::is_unknown_commit) when the connection broke before the answer to COMMIT arrived.
    /// After any other error, such as a violated deferred constraint, nothing was committed.
    pub async fn commit(mut self) -> Result<Option<TransactionId>, Error> {
        self.0.ensure_alone()?;
        let id = self.0.current_id().await?;
        self.0.close().await?;
        Ok(id)
    }

    /// Rolls back and waits for the answer. While a scope inside it is open, it happens when that ends.
    ///
    /// # Errors
    /// When the connection is broken; then the server rolls back by itself.
    pub async fn rollback(self) -> Result<(), Error> {
        self.0.rollback().await
    }

    pub(crate) fn guarded(&self) -> &Guarded<'static> {
        &self.0
    }
}

/// For functions that ask for SeaORM's own transaction. What they run is audited all the same.
///
/// Two things are SeaORM's then: a nested `begin` on the plain transaction that is cancelled, or refused because a
/// statement had failed before, makes it roll back more than that. [`commit`](AuditedTransaction::commit) finds out when
/// everything is gone.
impl Deref for AuditedTransaction {
    type Target = DatabaseTransaction;

    fn deref(&self) -> &DatabaseTransaction {
        // Nobody sees what happens there.
        self.0.condition().doubt();
        self.0.plain()
    }
}
