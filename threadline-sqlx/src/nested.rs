//! Scopes inside an audited transaction.

use std::mem;
use std::sync::Arc;

use threadline_core::{AuditContext, EnterContext, LeaveContext, PreviousContext};

use crate::{AuditedTransaction, Error};

impl<'c> AuditedTransaction<'c> {
    /// Runs `body` in a savepoint: what it did is kept when it returns `Ok`, and rolled back alone when it returns `Err`,
    /// panics or is cancelled.
    ///
    /// Without a context of its own the scope inherits this one's, and its actions stay current after it. With one, its
    /// changes and actions are recorded under that, and the outer context is back afterwards, whichever way it ends.
    ///
    /// A scope without a context costs two round trips, one with a context four.
    ///
    /// # Cancellation
    /// Cancelled while the release of the savepoint is on its way, the scope leaves the whole transaction failed: it can
    /// only be rolled back.
    ///
    /// # Errors
    /// The closure's, and ours when the context is refused or the database fails.
    ///
    /// # Examples
    /// ```no_run
    /// use threadline_core::{ActorRef, AuditContext};
    /// use threadline_sqlx::{AuditedTransaction, Error};
    ///
    /// # async fn example(tx: &mut AuditedTransaction<'_>) -> Result<(), Error> {
    /// let billing = AuditContext::new(ActorRef::service_account("billing")?);
    /// tx.nested(Some(&billing), async |tx| {
    ///     sqlx::query("UPDATE invoices SET paid = true WHERE id = 7").execute(&mut **tx).await?;
    ///     Ok::<_, Error>(())
    /// })
    /// .await?;
    /// // Recorded under the outer context again:
    /// sqlx::query("UPDATE orders SET state = 'paid' WHERE invoice_id = 7").execute(&mut **tx).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn nested<T, E, F>(&mut self, context: Option<&AuditContext>, body: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut AuditedTransaction<'_>) -> Result<T, E>,
        E: From<Error>,
    {
        let scope = Scope::enter(self, context).await?;
        let value = body(scope.tx).await?;
        scope.keep().await?;
        Ok(value)
    }
}

/// A savepoint, perhaps with a context of its own. Dropped, it rolls back to the savepoint, which brings the outer
/// context back too: settings obey savepoints.
struct Scope<'t, 'c> {
    tx: &'t mut AuditedTransaction<'c>,
    outer: Arc<AuditContext>,
    /// What brings the outer context back where the savepoint is kept: settings survive its release.
    previous: Option<PreviousContext>,
    kept: bool,
}

impl<'t, 'c> Scope<'t, 'c> {
    async fn enter(tx: &'t mut AuditedTransaction<'c>, context: Option<&AuditContext>) -> Result<Self, Error> {
        if let Some(context) = context {
            context.validate()?;
        }
        tx.guarded.enter_savepoint().await?;
        let mut scope = Self { outer: Arc::clone(&tx.context), tx, previous: None, kept: false };
        if let Some(context) = context {
            scope.previous = Some(scope.tx.perform(&EnterContext(context)).await?);
            scope.tx.context = Arc::new(context.clone());
        }
        Ok(scope)
    }

    async fn keep(mut self) -> Result<(), Error> {
        self.close().await.map_err(Error::in_closing)
    }

    async fn close(&mut self) -> Result<(), Error> {
        // Before the release, so that there is no instant at which the outer scope runs with the inner context.
        if let Some(previous) = self.previous.take() {
            self.tx.perform(&LeaveContext(&previous)).await?;
        }
        self.tx.guarded.release_savepoint().await?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Scope<'_, '_> {
    fn drop(&mut self) {
        if !self.kept {
            self.tx.guarded.abandon_savepoint();
        }
        mem::swap(&mut self.tx.context, &mut self.outer);
    }
}
