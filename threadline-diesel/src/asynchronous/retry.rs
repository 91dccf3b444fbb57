//! Running an audited transaction again when it lost against another one.

use std::future::Future;

use threadline_core::{Outcome, RetryPolicy};

use crate::asynchronous::{AsyncBody, AuditDsl, Session, wire};
use crate::{Error, is_serialization_failure};

impl<C: AuditDsl> Session<'_, C> {
    /// As [`transaction`](Self::transaction), and runs all of it again, actions included, when it loses against another
    /// transaction: when a serialization failure or a deadlock comes out of the closure or of COMMIT.
    ///
    /// `body` has to bear running more than once, which is why this is a form of its own. Each attempt runs a clone of it,
    /// which a closure has when it captures references, or values that can be cloned. It does not run again when the
    /// outcome of COMMIT is unknown. The connection is kept during the pauses, which need tokio's timer.
    ///
    /// The failure is looked for in `E` and its sources; see [`is_serialization_failure`]. For an error type that is no
    /// [`std::error::Error`], use [`retry_when`](Self::retry_when).
    ///
    /// # Errors
    /// [`is_nested`](Error::is_nested) inside a transaction, of which a part alone cannot run again; otherwise as for
    /// [`transaction`](Self::transaction), of the last attempt.
    ///
    /// # Examples
    /// ```no_run
    /// use diesel_async::{AsyncPgConnection, RunQueryDsl};
    /// use threadline_diesel::asynchronous::prelude::*;
    ///
    /// # async fn example(conn: &mut AsyncPgConnection, context: &AuditContext) -> diesel::QueryResult<()> {
    /// conn.with(context)
    ///     .options(IsolationLevel::Serializable)
    ///     .retry(&RetryPolicy::new(), async |conn| {
    ///         diesel::sql_query("UPDATE seats SET taken = taken + 1 WHERE show = 7").execute(conn).await
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn retry<T, E, F>(self, policy: &RetryPolicy, body: F) -> impl Future<Output = Result<Outcome<T>, E>> + Send
    where
        for<'r> F:
            AsyncFnOnce(&'r mut C) -> Result<T, E> + AsyncBody<&'r mut C, Result<T, E>, Future: Send> + Send + Clone,
        E: From<Error> + std::error::Error + 'static + Send,
        T: Send,
    {
        self.retry_when(policy, |error: &E| is_serialization_failure(error), body)
    }

    /// As [`retry`](Self::retry), and `worth_it` says which errors of the closure are worth another attempt. An error
    /// of COMMIT is judged here.
    ///
    /// # Errors
    /// As for [`retry`](Self::retry).
    pub fn retry_when<T, E, F>(
        mut self,
        policy: &RetryPolicy,
        worth_it: impl Fn(&E) -> bool + Send + Sync,
        body: F,
    ) -> impl Future<Output = Result<Outcome<T>, E>> + Send
    where
        for<'r> F:
            AsyncFnOnce(&'r mut C) -> Result<T, E> + AsyncBody<&'r mut C, Result<T, E>, Future: Send> + Send + Clone,
        E: From<Error> + Send,
        T: Send,
    {
        async move {
            if wire::depth(self.conn).map_err(Error::from)? > 0 {
                return Err(Error::from(threadline_core::Error::nested("a transaction that may run again")).into());
            }
            let mut number = 1;
            loop {
                match self.attempt(None, body.clone()).await {
                    Ok(outcome) => return Ok(outcome),
                    Err(failed) if policy.allows_after(number) && failed.is_worth_retrying(&worth_it) => {}
                    Err(failed) => return Err(self.settle(failed).await),
                }
                tokio::time::sleep(policy.pause_after(number)).await;
                number += 1;
            }
        }
    }
}
