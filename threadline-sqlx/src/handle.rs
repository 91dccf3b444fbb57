//! What the compiler says to a handle that `audited!` does not take.

use std::future::{Pending, pending};

use sqlx::{PgConnection, PgPool};
use threadline_core::{Action, AuditContext, Outcome};

use crate::{AuditedTransaction, Error};

/// What nothing is, so that a handle of another kind is refused in these words.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no handle of `audited!`",
    label = "not an `AuditedPool`, a `Session` or an `AuditedTransaction`",
    note = "make one of the pool, once, and keep it in your application's state: `AuditedPool::new(pool)`",
    note = "for a transaction that is already open, give `audited!` what `attach(&context, &mut tx).await?` returns"
)]
pub trait AuditedHandle {}

/// The hook of `audited!` on what is likely to be tried; also through a reference, where [`AnyHandle`] has no say.
#[doc(hidden)]
pub trait PlainHandle {
    fn __audited<T, E, F>(
        &self,
        context: &AuditContext,
        action: Option<Action>,
        body: F,
    ) -> Pending<Result<Outcome<T>, E>>
    where
        Self: AuditedHandle,
        F: AsyncFnOnce(&mut AuditedTransaction<'_>) -> Result<T, E>,
        E: From<Error>,
    {
        let _ = (context, action, body);
        pending()
    }
}

impl PlainHandle for PgPool {}
impl PlainHandle for PgConnection {}

/// The hook of `audited!` on everything else: found, and refused for what it is not.
#[doc(hidden)]
pub trait AnyHandle {
    fn __audited<F>(&self, context: &AuditContext, action: Option<Action>, body: F) {
        let _ = (context, action, body);
    }
}

impl<T: AuditedHandle + ?Sized> AnyHandle for T {}
