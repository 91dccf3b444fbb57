//! Futures that are dropped before they are through.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// How often a future must have been dropped after each number of polls that counts.
const EACH: usize = 3;

/// How many times the rounds asked for may be needed before all of that has happened.
const PATIENCE: usize = 40;

/// Polls `future` at most `polls + 1` times, each time because it was woken, then drops it: `None`.
pub async fn dropped_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    Cancellable { future: Box::pin(future), polls_left: polls }.await
}

struct Cancellable<F> {
    future: Pin<Box<F>>,
    polls_left: usize,
}

impl<F: Future> Future for Cancellable<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.future.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending if self.polls_left == 0 => Poll::Ready(None),
            Poll::Pending => {
                self.polls_left -= 1;
                Poll::Pending
            }
        }
    }
}

/// Rounds in which a future is dropped after no poll, after one, after two .. until it is through before it can be dropped;
/// then from the beginning.
///
/// How many polls a future takes depends on how fast the server is and how busy the machine: answers that are there at once
/// need none, answers that arrive together one. So it is not a number of rounds that says when there were enough, but what
/// happened in them.
///
/// ```
/// # use threadline_testkit::Sweep;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let mut sweep = Sweep::new(20, 2);
/// while let Some(round) = sweep.next_round() {
///     let work = async {
///         tokio::task::yield_now().await;
///         tokio::task::yield_now().await;
///         round
///     };
///     if let Some(answer) = sweep.cancel(work).await {
///         assert_eq!(answer, round, "{sweep}");
///     }
/// }
/// assert_eq!((sweep.rounds(), sweep.finished()), (21, 7));
/// # }
/// ```
#[derive(Debug)]
pub struct Sweep {
    least: usize,
    depth: usize,
    rounds: usize,
    /// How often a future was dropped, by the number of polls.
    dropped: Vec<usize>,
    finished: usize,
    /// Of the current round.
    polls: usize,
    /// Of the next one; none when the future of this round is still to come.
    next: Option<usize>,
}

impl Sweep {
    /// At least so many rounds, and as many more as it takes until futures were dropped in a twentieth of that number, three
    /// times after each number of polls below `depth`, and were through three times.
    ///
    /// A server that answers at once makes the later numbers rare: a `depth` below the number of answers is enough.
    #[must_use]
    pub fn new(rounds: usize, depth: usize) -> Self {
        Self { least: rounds, depth, rounds: 0, dropped: Vec::new(), finished: 0, polls: 0, next: Some(0) }
    }

    /// Begins another round and tells its number, from 0; `None` when there were enough.
    ///
    /// # Panics
    /// When what must happen does not within 40 times the rounds asked for, and when the round before had no future.
    pub fn next_round(&mut self) -> Option<usize> {
        let polls = self.next.take();
        assert!(polls.is_some(), "round {} dropped no future", self.rounds);
        self.polls = polls.unwrap_or_default();
        if self.rounds >= self.least && self.missing().is_none() && self.polls == 0 {
            return None;
        }
        let limit = PATIENCE * self.least;
        assert!(
            self.rounds < limit || self.missing().is_none(),
            "{} after {} rounds; dropped after 0, 1, 2 .. polls: {:?}, through: {}",
            self.missing().unwrap_or_default(),
            self.rounds,
            self.dropped,
            self.finished
        );
        self.rounds += 1;
        Some(self.rounds - 1)
    }

    /// Drops the future of this round after its number of polls: `None`, unless it was through before.
    pub async fn cancel<F: Future>(&mut self, future: F) -> Option<F::Output> {
        let answer = dropped_after(self.polls, future).await;
        self.next = Some(if answer.is_some() { 0 } else { self.polls + 1 });
        if answer.is_some() {
            self.finished += 1;
        } else {
            self.dropped.resize(self.dropped.len().max(self.polls + 1), 0);
            self.dropped[self.polls] += 1;
        }
        answer
    }

    /// How many rounds there were.
    #[must_use]
    pub fn rounds(&self) -> usize {
        self.rounds
    }

    /// In how many of them the future was through.
    #[must_use]
    pub fn finished(&self) -> usize {
        self.finished
    }

    /// Whether this pass, from no poll to the end, is one of every two. For two kinds of futures that take turns: by round,
    /// each would only be dropped after every other number of polls.
    #[must_use]
    pub fn is_odd(&self) -> bool {
        self.finished % 2 == 1
    }

    fn missing(&self) -> Option<String> {
        let rarely = (0..self.depth).find(|polls| self.dropped.get(*polls).is_none_or(|times| *times < EACH));
        match rarely {
            Some(polls) => Some(format!("a future was not dropped {EACH} times after {polls} polls")),
            None if self.dropped.iter().sum::<usize>() < self.least / 20 => {
                Some(format!("less than {} futures were dropped", self.least / 20))
            }
            None if self.finished < EACH => Some(format!("no future was through {EACH} times")),
            None => None,
        }
    }
}

/// `after 3 polls`, for messages.
impl fmt::Display for Sweep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "in round {}, after {} polls", self.rounds, self.polls)
    }
}

/// Waits for a condition that something else brings about, half a minute at most.
///
/// # Panics
/// When it does not come about; `what` is what was waited for.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(polls: usize) -> impl Future<Output = usize> {
        let mut left = polls;
        std::future::poll_fn(move |context| {
            if left == 0 {
                return Poll::Ready(polls);
            }
            left -= 1;
            context.waker().wake_by_ref();
            Poll::Pending
        })
    }

    #[tokio::test]
    async fn a_future_is_dropped_after_so_many_polls() {
        assert_eq!(dropped_after(0, ready(0)).await, Some(0));
        assert_eq!(dropped_after(0, ready(1)).await, None);
        assert_eq!(dropped_after(1, ready(1)).await, Some(1));
        assert_eq!(dropped_after(1, ready(2)).await, None);
    }

    #[tokio::test]
    async fn a_sweep_goes_from_no_poll_to_the_end_and_begins_again() {
        let mut sweep = Sweep::new(7, 3);
        let mut through = Vec::new();
        while sweep.next_round().is_some() {
            through.push(sweep.cancel(ready(3)).await.is_some());
        }
        assert_eq!(through, [false, false, false, true].repeat(3));
        assert_eq!((sweep.rounds(), sweep.finished(), &sweep.dropped[..]), (12, 3, &[3, 3, 3][..]));
    }

    #[tokio::test]
    async fn futures_that_are_seldom_slow_take_more_rounds() {
        let mut sweep = Sweep::new(10, 1);
        while let Some(round) = sweep.next_round() {
            sweep.cancel(ready(usize::from(round % 20 == 19))).await;
        }
        assert_eq!(sweep.rounds(), 61);
    }

    #[tokio::test]
    async fn a_twentieth_of_the_rounds_asked_for_has_to_be_dropped() {
        let mut sweep = Sweep::new(100, 1);
        while let Some(round) = sweep.next_round() {
            sweep.cancel(ready(usize::from(round % 25 == 24))).await;
        }
        assert_eq!(sweep.rounds(), 126);
    }

    #[tokio::test]
    #[should_panic(expected = "a future was not dropped 3 times after 1 polls after 400 rounds")]
    async fn futures_that_are_never_slow_are_told() {
        let mut sweep = Sweep::new(10, 2);
        while sweep.next_round().is_some() {
            sweep.cancel(ready(1)).await;
        }
    }
}
