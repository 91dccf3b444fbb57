//! Scopes inside an audited transaction.

use threadline_core::AuditContext;

use crate::guarded::Guarded;
use crate::session::roll_back_or_trace;
use crate::{Attached, AuditedTransaction, Error};

impl AuditedTransaction {
    /// Runs `body` in a savepoint: what it did is kept when it returns `Ok`, and rolled back alone when it returns `Err`,
    /// panics or is cancelled.
    ///
    /// Without a context of its own the scope inherits this one's, and its actions stay current after it. With one, its
    /// changes and actions are recorded under that, and the outer context is back afterwards, whichever way it ends.
    ///
    /// A scope without a context costs two round trips, one with a context four. One more is spent to look whether a
    /// statement has failed the transaction, where that is possible: after an error, a stream, or use as a plain
    /// [`DatabaseTransaction`](sea_orm::DatabaseTransaction).
    ///
    /// # Cancellation
    /// Cancelled while the savepoint is being made or released, the scope leaves the whole transaction failed: it can
    /// only be rolled back.
    ///
    /// # Errors
    /// The closure's, and ours when the context is refused or the database fails.
    ///
    /// # Examples
    /// ```no_run
    /// use sea_orm::ConnectionTrait;
    /// use threadline_core::{ActorRef, AuditContext};
    /// use threadline_seaorm::{AuditedTransaction, Error};
    ///
    /// # async fn example(tx: &AuditedTransaction) -> Result<(), Error> {
    /// let billing = AuditContext::new(ActorRef::service_account("billing")?);
    /// tx.nested(Some(&billing), async |tx| {
    ///     tx.execute_unprepared("UPDATE invoices SET paid = true WHERE id = 7").await?;
    ///     Ok::<_, Error>(())
    /// })
    /// .await?;
    /// // Recorded under the outer context again:
    /// tx.execute_unprepared("UPDATE orders SET state = 'paid' WHERE invoice_id = 7").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn nested<F, T, E>(&self, context: Option<&AuditContext>, body: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&AuditedTransaction) -> Result<T, E>,
        E: From<Error>,
    {
        nested(&self.0, context, body).await
    }
}

impl Attached<'_> {
    /// As [`AuditedTransaction::nested`].
    ///
    /// # Errors
    /// As for [`AuditedTransaction::nested`].
    pub async fn nested<F, T, E>(&self, context: Option<&AuditContext>, body: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&AuditedTransaction) -> Result<T, E>,
        E: From<Error>,
    {
        nested(self.guarded(), context, body).await
    }
}

async fn nested<F, T, E>(outer: &Guarded<'_>, context: Option<&AuditContext>, body: F) -> Result<T, E>
where
    F: AsyncFnOnce(&AuditedTransaction) -> Result<T, E>,
    E: From<Error>,
{
    let tx = AuditedTransaction(outer.enter(context).await?);
    match body(&tx).await {
        Ok(value) => {
            tx.0.close().await?;
            Ok(value)
        }
        Err(error) => {
            roll_back_or_trace(tx).await;
            Err(error)
        }
    }
}
