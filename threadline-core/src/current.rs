//! The context of the code that runs now: a convenience for code that cannot be handed one.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::AuditContext;

thread_local! {
    static CURRENT: RefCell<Option<Arc<AuditContext>>> = const { RefCell::new(None) };
}

impl AuditContext {
    /// Runs a future with this as the [`current`](Self::current) context.
    ///
    /// It follows the future from thread to thread, whatever the runtime, and **does not follow what the future spawns**:
    /// a spawned task has no current context. Hand a context over explicitly wherever you can; this is for layers that
    /// have no place for one.
    ///
    /// Over a spawn it is taken along by name:
    /// ```
    /// # use threadline_core::AuditContext;
    /// # fn spawn<F: Future<Output = ()> + Send + 'static>(_: F) {}
    /// # async fn send_mail() {}
    /// # fn example() {
    /// if let Some(context) = AuditContext::current() {
    ///     spawn(context.scope(send_mail()));
    /// }
    /// # }
    /// ```
    ///
    /// # Examples
    /// ```
    /// use threadline_core::{ActorRef, AuditContext};
    ///
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// let context = AuditContext::new(ActorRef::user("42")?);
    /// let future = context.scope(async { AuditContext::current() });
    /// # let Poll::Ready(current) = pin!(future).poll(&mut Context::from_waker(Waker::noop())) else { panic!() };
    /// assert_eq!(current, Some(context));
    /// assert_eq!(AuditContext::current(), None);
    /// # Ok::<(), threadline_core::Error>(())
    /// ```
    pub fn scope<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        Scope { context: Arc::new(self.clone()), future: Box::pin(future) }
    }

    /// As [`scope`](Self::scope), for blocking code.
    ///
    /// # Examples
    /// ```
    /// use threadline_core::{ActorRef, AuditContext};
    ///
    /// let context = AuditContext::new(ActorRef::system("nightly")?);
    /// assert_eq!(context.enter(AuditContext::current), Some(context));
    /// # Ok::<(), threadline_core::Error>(())
    /// ```
    pub fn enter<T>(&self, body: impl FnOnce() -> T) -> T {
        let _entered = Entered::new(Arc::new(self.clone()));
        body()
    }

    /// The context of the innermost [`scope`](Self::scope) or [`enter`](Self::enter) around the code that runs now.
    ///
    /// `AuditContext::current().unwrap_or_else(AuditContext::without_actor)` makes code that has lost it fail, with
    /// [`is_missing_actor`](crate::Error::is_missing_actor), before anything is sent.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.with_borrow(|current| current.as_deref().cloned())
    }
}

struct Scope<F> {
    context: Arc<AuditContext>,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for Scope<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let _entered = Entered::new(Arc::clone(&self.context));
        self.future.as_mut().poll(context)
    }
}

/// Puts back what was there before, also when a panic passes.
struct Entered(Option<Arc<AuditContext>>);

impl Entered {
    fn new(context: Arc<AuditContext>) -> Self {
        Self(CURRENT.replace(Some(context)))
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::pin::pin;
    use std::task::Waker;

    use super::*;
    use crate::ActorRef;

    fn user(id: &str) -> AuditContext {
        AuditContext::new(ActorRef::user(id).unwrap())
    }

    #[test]
    fn scopes_nest_and_end() {
        user("outer").enter(|| {
            user("inner").enter(|| assert_eq!(AuditContext::current(), Some(user("inner"))));
            assert_eq!(AuditContext::current(), Some(user("outer")));
        });
        assert_eq!(AuditContext::current(), None);
    }

    #[test]
    fn a_panic_ends_its_scope() {
        let panicked = catch_unwind(AssertUnwindSafe(|| user("42").enter(|| panic!("on purpose"))));
        assert!(panicked.is_err());
        assert_eq!(AuditContext::current(), None);
    }

    #[test]
    fn between_two_polls_nothing_is_current() {
        let mut polled = false;
        let future = std::future::poll_fn(|_| {
            assert_eq!(AuditContext::current(), Some(user("42")));
            if std::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending }
        });
        let mut future = pin!(user("42").scope(future));
        for expected in [Poll::Pending, Poll::Ready(())] {
            assert_eq!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())), expected);
            assert_eq!(AuditContext::current(), None);
        }
    }
}
