//! What the macros expand to. Nothing here is part of the public interface.

use std::future::Future;

pub use crate::{Action, AuditContext, Outcome};

/// Has the error type of a future's result, and never a value of it.
///
/// `audited!` makes the future first and returns this error, if there is one, from the function around it: that is how
/// the closure's error type becomes the function's.
pub fn error_of_future<F, T, E>(_: &F) -> Option<E>
where
    F: Future<Output = Result<T, E>>,
{
    None
}

/// As [`error_of_future`], of a result.
pub fn error_of_result<T, E>(_: &Result<T, E>) -> Option<E> {
    None
}

/// What the function around an `audited!` returns, when the closure's error type is to be taken from it.
#[diagnostic::on_unimplemented(
    message = "nothing tells the error type of this closure",
    label = "only `Ok(..)` here, and the function around `audited!` returns `{Self}`, which has no error type",
    note = "say it: `Ok::<_, YourError>(..)`"
)]
pub trait ErrorOfFunction<E> {
    /// The function's return value for this error.
    fn from_error(error: E) -> Self;
}

impl<T, E> ErrorOfFunction<E> for Result<T, E> {
    fn from_error(error: E) -> Self {
        Err(error)
    }
}

/// [`ErrorOfFunction::from_error`], for whatever the function around returns.
pub fn give_back<R: ErrorOfFunction<E>, E>(error: E) -> R {
    R::from_error(error)
}
