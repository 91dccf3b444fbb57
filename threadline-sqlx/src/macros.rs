//! `audited!`, and what it calls.

use std::sync::Arc;

use threadline_core::{Action, AuditContext, CurrentTransactionId, Outcome};

use crate::{AuditedPool, AuditedTransaction, Error, Session};

/// Runs a block in an audited transaction and records an action for it.
///
/// ```text
/// audited!(handle, context, action = "..", reason = .., |tx| { .. }).await
/// ```
///
/// - The handle is an [`AuditedPool`] or a [`ScopedPool`](crate::ScopedPool), a [`Session`] for its options (the context
///   given here is the one that counts), or an [`AuditedTransaction`]: then the block is a
///   [nested scope](AuditedTransaction::nested) under that context.
/// - The context is an [`AuditContext`], or a reference to one.
/// - The options are an [`Action`]'s: `action` names it, and `status`, `verb`, `category`, `reason`, `comment`,
///   `correlation_id`, `request_id`, `job_id` and `actor` say more. The action is recorded before the block runs and
///   covers what the block changes, up to the next action that it records. Without `action` the changes are captured and no action is recorded. A literal
///   that could not be recorded does not compile.
/// - The closure gets `tx`, a `&mut AuditedTransaction`. Its body is asynchronous; write `move |tx|` to move what it uses.
///
/// The macro makes a future of `Result<Outcome<T>, E>`: the block's value, and the audit transaction it was recorded
/// under. It borrows the handle and the context; in a spawned task, move both into the task.
///
/// # The error type
///
/// `?` converts any error that your error type knows. Where the closure ends in a bare `Ok(..)`, its error type is that
/// of the function around the macro. To have another one, say so: `Ok::<_, MyError>(..)`. It needs
/// `From<threadline_sqlx::Error>`, which [`sqlx::Error`] and `Box<dyn Error + Send + Sync>` have.
///
/// # Examples
/// ```no_run
/// use threadline_sqlx::prelude::*;
///
/// # #[derive(Debug)]
/// # enum AppError { Database(sqlx::Error), Audit(threadline_sqlx::Error), Number(std::num::ParseIntError) }
/// # impl From<sqlx::Error> for AppError { fn from(error: sqlx::Error) -> Self { Self::Database(error) } }
/// # impl From<threadline_sqlx::Error> for AppError { fn from(error: threadline_sqlx::Error) -> Self { Self::Audit(error) } }
/// # impl From<std::num::ParseIntError> for AppError { fn from(error: std::num::ParseIntError) -> Self { Self::Number(error) } }
/// async fn publish(db: &AuditedPool, context: &AuditContext, post: &str) -> Result<i64, AppError> {
///     let outcome = audited!(db, context, action = "post.published", reason = "editor approved", |tx| {
///         let id: i64 = post.parse()?;
///         sqlx::query("UPDATE posts SET published = true WHERE id = $1").bind(id).execute(&mut **tx).await?;
///         Ok(id)
///     })
///     .await?;
///     println!("recorded as {:?}", outcome.transaction_id);
///     Ok(outcome.value)
/// }
/// ```
#[macro_export]
macro_rules! audited {
    ($($input:tt)*) => {
        $crate::__private::audited! { [$crate, method] $($input)* }
    };
}

#[doc(hidden)]
pub mod __private {
    pub use threadline_core::__private::*;
    pub use threadline_macros::audited_call as audited;
}

impl AuditedPool {
    #[doc(hidden)]
    pub async fn __audited<T, E, F>(
        &self,
        context: &AuditContext,
        action: Option<Action>,
        body: F,
    ) -> Result<Outcome<T>, E>
    where
        F: AsyncFnOnce(&mut AuditedTransaction<'_>) -> Result<T, E>,
        E: From<Error>,
    {
        self.with(context).transaction_acting(action.as_ref(), body).await
    }
}

impl Session {
    #[doc(hidden)]
    pub async fn __audited<T, E, F>(
        &self,
        context: &AuditContext,
        action: Option<Action>,
        body: F,
    ) -> Result<Outcome<T>, E>
    where
        F: AsyncFnOnce(&mut AuditedTransaction<'_>) -> Result<T, E>,
        E: From<Error>,
    {
        let mut session = self.clone();
        session.context = Arc::new(context.clone());
        session.transaction_acting(action.as_ref(), body).await
    }
}

impl AuditedTransaction<'_> {
    #[doc(hidden)]
    pub async fn __audited<T, E, F>(
        &mut self,
        context: &AuditContext,
        action: Option<Action>,
        body: F,
    ) -> Result<Outcome<T>, E>
    where
        F: AsyncFnOnce(&mut AuditedTransaction<'_>) -> Result<T, E>,
        E: From<Error>,
    {
        self.nested(Some(context), async |tx| {
            // Before anything is captured, because then the grouping row is written with its action.
            if let Some(action) = &action {
                tx.record_action(action).await?;
            }
            let value = body(tx).await?;
            let transaction_id = tx.perform(&CurrentTransactionId).await.map_err(Error::in_closing)?;
            Ok(Outcome { value, transaction_id })
        })
        .await
    }
}
