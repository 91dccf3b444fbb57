//! What an audited transaction gives back.

use crate::TransactionId;

/// The value of an audited transaction's closure and the audit transaction it was recorded under.
///
/// # Examples
/// ```
/// use threadline_core::{Outcome, TransactionId};
///
/// let outcome = Outcome { value: "published", transaction_id: Some(TransactionId(7)) };
/// assert_eq!(outcome.map(str::len).value, 9);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome<T> {
    /// What the closure returned.
    pub value: T,
    /// The audit transaction; `None` when nothing was captured and no action was recorded.
    pub transaction_id: Option<TransactionId>,
}

impl<T> Outcome<T> {
    /// The same audit transaction with another value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Outcome<U> {
        Outcome { value: f(self.value), transaction_id: self.transaction_id }
    }

    /// The value alone.
    pub fn into_value(self) -> T {
        self.value
    }
}
