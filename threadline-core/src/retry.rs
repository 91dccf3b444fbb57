//! When an audited transaction runs again.

use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::time::Duration;

/// How often, and after what pauses, a transaction runs again.
///
/// The pauses double from attempt to attempt and are shortened at random, so that two transactions in each other's way
/// do not meet again at once.
///
/// # Examples
/// ```
/// use std::{num::NonZeroU32, time::Duration};
/// use threadline_core::RetryPolicy;
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

    /// Whether another attempt may follow the one of this number, from 1. For adapters.
    #[must_use]
    pub fn allows_after(&self, attempt: u32) -> bool {
        attempt < self.attempts.get()
    }

    /// The pause after the attempt of this number, from 1: between half of what doubling gives and all of it. For
    /// adapters, which do the waiting.
    #[must_use]
    pub fn pause_after(&self, attempt: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(attempt.saturating_sub(1));
        let longest = self.pause.saturating_mul(doubled).min(self.longest_pause);
        // Each RandomState hashes differently, which is all the chance that is needed here.
        let chance = RandomState::new().hash_one(attempt) as f64 / u64::MAX as f64;
        longest.mul_f64(0.5 + chance / 2.0)
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new()
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
    fn the_first_attempt_counts() {
        let policy = RetryPolicy::new().attempts(const { NonZeroU32::new(3).unwrap() });
        assert_eq!([1, 2, 3].map(|attempt| policy.allows_after(attempt)), [true, true, false]);
    }

    #[test]
    fn pauses_differ() {
        let policy = RetryPolicy::new();
        let first = policy.pause_after(5);
        assert!((0..50).any(|_| policy.pause_after(5) != first));
    }
}
