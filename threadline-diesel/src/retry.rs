//! Running an audited transaction again when it lost against another one.

use std::thread;

use diesel::connection::LoadConnection;
use diesel::pg::Pg;
use threadline_core::{Outcome, RetryPolicy};

use crate::{Error, Session, is_serialization_failure, wire};

impl<C> Session<'_, C>
where
    C: LoadConnection<Backend = Pg>,
{
    /// As [`transaction`](Self::transaction), and runs all of it again, actions included, when it loses against another
    /// transaction: when a serialization failure or a deadlock comes out of the closure or of COMMIT.
    ///
    /// `body` has to bear running more than once, which is why this is a form of its own. It does not run again when the
    /// outcome of COMMIT is unknown. The pauses block the thread, and the connection is kept.
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
    /// use diesel::prelude::*;
    /// use threadline_diesel::prelude::*;
    ///
    /// # diesel::table! { seats (id) { id -> BigInt, taken -> Integer } }
    /// # fn example(conn: &mut PgConnection, context: &AuditContext) -> diesel::QueryResult<()> {
    /// conn.with(context).options(IsolationLevel::Serializable).retry(&RetryPolicy::new(), |conn| {
    ///     diesel::update(seats::table.find(7)).set(seats::taken.eq(seats::taken + 1)).execute(conn)
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn retry<T, E, F>(self, policy: &RetryPolicy, body: F) -> Result<Outcome<T>, E>
    where
        F: FnMut(&mut C) -> Result<T, E>,
        E: From<Error> + std::error::Error + 'static,
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
        worth_it: impl Fn(&E) -> bool,
        mut body: F,
    ) -> Result<Outcome<T>, E>
    where
        F: FnMut(&mut C) -> Result<T, E>,
        E: From<Error>,
    {
        if wire::depth(self.connection).map_err(Error::from)?.is_some() {
            return Err(Error::from(threadline_core::Error::nested("a transaction that may run again")).into());
        }
        let mut number = 1;
        loop {
            match self.attempt(&mut body) {
                Ok(outcome) => return Ok(outcome),
                Err(failed) if policy.allows_after(number) && failed.is_worth_retrying(&worth_it) => {}
                Err(failed) => return Err(self.settle(failed)),
            }
            thread::sleep(policy.pause_after(number));
            number += 1;
        }
    }
}
