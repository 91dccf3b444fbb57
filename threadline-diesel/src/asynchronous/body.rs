//! What a closure must be so that the future around it can be spawned.

use std::future::Future;

/// An async closure whose future can be named, and so be asked to be [`Send`]: as in diesel-async's own `transaction`.
///
/// With `AsyncFnOnce` alone that can only be found out from outside, which fails for connections whose type has a
/// lifetime, such as those of bb8.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an asynchronous closure over the connection",
    label = "write `async |conn| {{ .. }}`",
    note = "a function does as well: `async fn publish(conn: &mut AsyncPgConnection) -> Result<..>`"
)]
pub trait AsyncBody<T, R>: AsyncFnOnce(T) -> R + FnOnce(T) -> <Self as AsyncBody<T, R>>::Future {
    /// The closure's future.
    type Future: Future<Output = R>;
}

#[diagnostic::do_not_recommend]
impl<F, T, R, Fut> AsyncBody<T, R> for F
where
    F: AsyncFnOnce(T) -> R + FnOnce(T) -> Fut,
    Fut: Future<Output = R>,
{
    type Future = Fut;
}
