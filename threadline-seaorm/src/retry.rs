//! Running an audited transaction again when it lost against another one.

use threadline_core::{Outcome, RetryPolicy};

use crate::session::{Failed, conclude};
use crate::{AuditedTransaction, Error, Session, is_serialization_failure};

impl Session {
    /// As [`transaction`](Self::transaction), and runs all of it again, actions included, when it loses against another
    /// transaction: when SQLSTATE 40001 (serialization failure) or 40P01 (deadlock) comes out of the closure or of
    /// COMMIT.
    ///
    /// `body` has to bear running more than once, which is why this is a form of its own. Each attempt runs a clone of it,
    /// which a closure has when it captures references, or values that can be cloned. It does not run again when the
    /// outcome of COMMIT is unknown. No connection is held during the pauses.
    ///
    /// The failure is looked for in `E` and its sources. For an error type that is no [`std::error::Error`], use
    /// [`retry_when`](Self::retry_when).
    ///
    /// # Errors
    /// As for [`transaction`](Self::transaction), of the last attempt.
    ///
    /// # Examples
    /// ```no_run
    /// use sea_orm::ConnectionTrait;
    /// use threadline_core::{AuditContext, IsolationLevel, RetryPolicy};
    /// use threadline_seaorm::{AuditedDatabase, Error};
    ///
    /// # async fn example(db: AuditedDatabase, context: AuditContext) -> Result<(), Error> {
    /// db.with(&context)
    ///     .options(IsolationLevel::Serializable)
    ///     .retry(&RetryPolicy::new(), async |tx| {
    ///         tx.execute_unprepared("UPDATE seats SET taken = taken + 1 WHERE show = 7").await?;
    ///         Ok::<_, Error>(())
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn retry<F, T, E>(&self, policy: &RetryPolicy, body: F) -> Result<Outcome<T>, E>
    where
        F: AsyncFnOnce(&AuditedTransaction) -> Result<T, E> + Clone,
        E: From<Error> + std::error::Error + 'static,
    {
        self.retry_when(policy, |error: &E| is_serialization_failure(error), body).await
    }

    /// As [`retry`](Self::retry), and `worth_it` says which errors of the closure are worth another attempt. An error
    /// of COMMIT is judged here.
    ///
    /// # Errors
    /// As for [`retry`](Self::retry).
    ///
    /// # Examples
    /// ```no_run
    /// # use sea_orm::ConnectionTrait;
    /// # use threadline_core::{AuditContext, RetryPolicy};
    /// # use threadline_seaorm::{AuditedDatabase, is_serialization_failure};
    /// # async fn example(db: AuditedDatabase, context: AuditContext) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    /// type AnyError = Box<dyn std::error::Error + Send + Sync>;
    ///
    /// let worth_it = |error: &AnyError| is_serialization_failure(&**error);
    /// db.with(&context)
    ///     .retry_when(&RetryPolicy::new(), worth_it, async |tx| {
    ///         tx.execute_unprepared("UPDATE seats SET taken = taken + 1 WHERE show = 7").await?;
    ///         Ok::<_, AnyError>(())
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn retry_when<F, T, E>(
        &self,
        policy: &RetryPolicy,
        worth_it: impl Fn(&E) -> bool,
        body: F,
    ) -> Result<Outcome<T>, E>
    where
        F: AsyncFnOnce(&AuditedTransaction) -> Result<T, E> + Clone,
        E: From<Error>,
    {
        let mut number = 1;
        loop {
            let tx = self.begin().await?;
            let answer = body.clone()(&tx).await;
            match conclude(tx, answer).await {
                Ok(outcome) => return Ok(outcome),
                Err(failed) if policy.allows_after(number) && failed.is_worth_retrying(&worth_it) => {}
                Err(failed) => {
                    if !failed.is_unknown_commit() {
                        self.record_if_asked().await;
                    }
                    return Err(failed.into_error());
                }
            }
            sqlx_core::rt::sleep(policy.pause_after(number)).await;
            number += 1;
        }
    }
}

impl<E> Failed<E> {
    fn is_worth_retrying(&self, worth_it: &impl Fn(&E) -> bool) -> bool {
        match self {
            Self::InBody(error) => worth_it(error),
            Self::InCommit(error) => error.is_serialization_failure(),
        }
    }
}
