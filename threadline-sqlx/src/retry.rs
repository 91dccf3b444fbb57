//! Running an audited transaction again when it lost against another one.

use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::time::Duration;

use sqlx::PgConnection;
use threadline_core::{AuditContext, Outcome};

use crate::session::{Failed, conclude};
use crate::{AuditedTransaction, BeginAudited, Error, Session, is_serialization_failure};

/// How often, and after what pauses, a transaction runs again.
///
/// The pauses double from attempt to attempt and are shortened at random, so that two transactions in each other's way
/// do not meet again at once.
///
/// # Examples
/// ```
/// use std::{num::NonZeroU32, time::Duration};
/// use threadline_sqlx::RetryPolicy;
///
/// let policy = RetryPolicy::new()
///     .attempts(const { NonZeroU32::new(3).unwrap() })
///     .pause(Duration::from_millis(2))
///     .longest_pause(Duration::from_millis(50));
/// # let _ = policy;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct RetryPolicy {
    attempts: NonZeroU32,
    pause: Duration,
    longest_pause: Duration,
}

impl RetryPolicy {
    /// At most five attempts, with pauses of up to 5 ms, 10 ms, 20 ms and 40 ms between them.
    pub fn new() -> Self {
        Self {
            attempts: const { NonZeroU32::new(5).unwrap() },
            pause: Duration::from_millis(5),
            longest_pause: Duration::from_secs(1),
        }
    }

    /// At most this many attempts, the first one included.
    pub fn attempts(mut self, attempts: NonZeroU32) -> Self {
        self.attempts = attempts;
        self
    }

    /// The longest pause before the second attempt.
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// The longest pause before any attempt.
    pub fn longest_pause(mut self, pause: Duration) -> Self {
        self.longest_pause = pause;
        self
    }

    /// The pause after the attempt of this number, from 1: between half of what doubling gives and all of it.
    fn pause_after(&self, attempt: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(attempt - 1);
        let longest = self.pause.saturating_mul(doubled).min(self.longest_pause);
        // Each RandomState hashes differently, which is all the chance that is needed here.
        let chance = RandomState::new().hash_one(attempt) as f64 / u64::MAX as f64;
        longest.mul_f64(0.5 + chance / 2.0)
    }

    async fn wait(&self, attempt: u32) {
        // Sleeps on whichever runtime sqlx was built for.
        sqlx_core::rt::sleep(self.pause_after(attempt)).await;
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new()
    }
}

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
    /// use threadline_core::{AuditContext, IsolationLevel};
    /// use threadline_sqlx::{AuditedPool, Error, RetryPolicy};
    ///
    /// # async fn example(db: AuditedPool, context: AuditContext) -> Result<(), Error> {
    /// db.with(&context)
    ///     .options(IsolationLevel::Serializable)
    ///     .retry(&RetryPolicy::new(), async |tx| {
    ///         sqlx::query("UPDATE seats SET taken = taken + 1 WHERE show = 7").execute(&mut **tx).await?;
    ///         Ok::<_, Error>(())
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn retry<T, E, F>(&self, policy: &RetryPolicy, body: F) -> Result<Outcome<T>, E>
    where
        F: AsyncFnOnce(&mut AuditedTransaction<'_>) -> Result<T, E> + Clone,
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
    /// # use threadline_core::AuditContext;
    /// # use threadline_sqlx::{AuditedPool, RetryPolicy, is_serialization_failure};
    /// # async fn example(db: AuditedPool, context: AuditContext) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    /// type AnyError = Box<dyn std::error::Error + Send + Sync>;
    ///
    /// let worth_it = |error: &AnyError| is_serialization_failure(&**error);
    /// db.with(&context)
    ///     .retry_when(&RetryPolicy::new(), worth_it, async |tx| {
    ///         sqlx::query("UPDATE seats SET taken = taken + 1 WHERE show = 7").execute(&mut **tx).await?;
    ///         Ok::<_, AnyError>(())
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn retry_when<T, E, F>(
        &self,
        policy: &RetryPolicy,
        worth_it: impl Fn(&E) -> bool,
        body: F,
    ) -> Result<Outcome<T>, E>
    where
        F: AsyncFnOnce(&mut AuditedTransaction<'_>) -> Result<T, E> + Clone,
        E: From<Error>,
    {
        let mut number = 1;
        loop {
            let mut tx = self.begin().await?;
            let answer = body.clone()(&mut tx).await;
            match conclude(&mut tx, answer).await {
                Ok(outcome) => return Ok(outcome),
                Err(failed) if number < policy.attempts.get() && failed.is_worth_retrying(&worth_it) => {}
                Err(failed) => {
                    if !failed.is_unknown_commit() {
                        self.record_if_asked(&mut tx).await;
                    }
                    return Err(failed.into_error());
                }
            }
            drop(tx);
            policy.wait(number).await;
            number += 1;
        }
    }
}

/// As [`Session::retry`], on a connection of yours that has no transaction open.
///
/// # Errors
/// [`is_nested`](Error::is_nested) inside a transaction: running a part of it again would not help, because what it lost
/// against stays in the way until all of it has ended. Otherwise as for [`Session::retry`].
pub async fn retry<T, E, F>(
    connection: &mut PgConnection,
    context: &AuditContext,
    policy: &RetryPolicy,
    body: F,
) -> Result<Outcome<T>, E>
where
    F: AsyncFnOnce(&mut AuditedTransaction<'_>) -> Result<T, E> + Clone,
    E: From<Error> + std::error::Error + 'static,
{
    let worth_it = |error: &E| is_serialization_failure(error);
    let mut number = 1;
    loop {
        let mut tx = connection.begin_audited(context).await?;
        let answer = body.clone()(&mut tx).await;
        match conclude(&mut tx, answer).await {
            Ok(outcome) => return Ok(outcome),
            Err(failed) if number < policy.attempts.get() && failed.is_worth_retrying(&worth_it) => {}
            Err(failed) => return Err(failed.into_error()),
        }
        drop(tx);
        policy.wait(number).await;
        number += 1;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let policy = RetryPolicy::new().pause(Duration::from_millis(4)).longest_pause(Duration::from_millis(10));
        for (attempt, most) in [(1, 4), (2, 8), (3, 10), (40, 10)] {
            let pause = policy.pause_after(attempt);
            let most = Duration::from_millis(most);
            assert!(pause <= most && pause >= most / 2, "{attempt}: {pause:?}");
        }
    }

    #[test]
    fn pauses_differ() {
        let policy = RetryPolicy::new();
        let first = policy.pause_after(5);
        assert!((0..50).any(|_| policy.pause_after(5) != first));
    }
}
