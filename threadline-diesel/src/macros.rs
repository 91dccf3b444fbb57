//! `audited!`, for blocking and for asynchronous connections.

/// Runs a block in an audited transaction and records an action for it.
///
/// ```text
/// audited!(connection, context, action = "..", reason = .., |conn| { .. })
/// ```
///
/// - The handle is a connection, a [`ScopedConnection`](crate::ScopedConnection), or a [`Session`](crate::Session) for its
///   options (the context given here is the one that counts). Inside an open transaction the block is a [nested scope](crate::AuditDsl::nested) under that context.
/// - The context is an [`AuditContext`](threadline_core::AuditContext), or a reference to one.
/// - The options are an [`Action`](threadline_core::Action)'s: `action` names it, and `status`, `verb`, `category`,
///   `reason`, `comment`, `correlation_id`, `request_id`, `job_id` and `actor` say more. The action is recorded before
///   the block runs and covers what the block changes, up to the next action that it records. Without `action` the changes are captured and no action is
///   recorded. A literal that could not be recorded does not compile.
/// - The closure gets the connection. Write `move |conn|` to move what it uses.
///
/// It is a `Result<Outcome<T>, E>`: the block's value, and the audit transaction it was recorded under. There is nothing to
/// await.
///
/// # The error type
///
/// `?` converts any error that your error type knows. Where the closure ends in a bare `Ok(..)`, its error type is that
/// of the function around the macro. To have another one, say so: `Ok::<_, MyError>(..)`. It needs
/// `From<threadline_diesel::Error>`, which [`diesel::result::Error`] and `Box<dyn Error + Send + Sync>` have.
///
/// # Examples
/// ```no_run
/// use diesel::prelude::*;
/// use threadline_diesel::prelude::*;
///
/// # diesel::table! { posts (id) { id -> BigInt, published -> Bool } }
/// # type AppError = Box<dyn std::error::Error + Send + Sync>;
/// fn publish(conn: &mut PgConnection, context: &AuditContext, post: &str) -> Result<i64, AppError> {
///     let outcome = audited!(conn, context, action = "post.published", reason = "editor approved", |conn| {
///         let id: i64 = post.parse()?;
///         diesel::update(posts::table.find(id)).set(posts::published.eq(true)).execute(conn)?;
///         Ok(id)
///     })?;
///     println!("recorded as {:?}", outcome.transaction_id);
///     Ok(outcome.value)
/// }
/// ```
#[macro_export]
macro_rules! audited {
    ($($input:tt)*) => {
        $crate::__private::audited! { [$crate, blocking] $($input)* }
    };
}

/// Runs a block in an audited transaction and records an action for it.
///
/// ```text
/// audited!(connection, context, action = "..", reason = .., |conn| { .. }).await
/// ```
///
/// - The handle is a connection, a [`ScopedConnection`](crate::asynchronous::ScopedConnection), or a
///   [`Session`](crate::asynchronous::Session) for its options (the context given here is the one that counts). Inside an open transaction the block is a
///   [nested scope](crate::asynchronous::AuditDsl::nested) under that context.
/// - The context is an [`AuditContext`](threadline_core::AuditContext), or a reference to one.
/// - The options are an [`Action`](threadline_core::Action)'s: `action` names it, and `status`, `verb`, `category`,
///   `reason`, `comment`, `correlation_id`, `request_id`, `job_id` and `actor` say more. The action is recorded before
///   the block runs and covers what the block changes, up to the next action that it records. Without `action` the changes are captured and no action is
///   recorded. A literal that could not be recorded does not compile.
/// - The closure gets the connection. Its body is asynchronous; write `move |conn|` to move what it uses.
///
/// The macro makes a future of `Result<Outcome<T>, E>`: the block's value, and the audit transaction it was recorded
/// under. It borrows the handle and the context; in a spawned task, move both into the task.
///
/// # The error type
///
/// `?` converts any error that your error type knows. Where the closure ends in a bare `Ok(..)`, its error type is that
/// of the function around the macro. To have another one, say so: `Ok::<_, MyError>(..)`. It needs
/// `From<threadline_diesel::Error>`, which [`diesel::result::Error`] and `Box<dyn Error + Send + Sync>` have.
///
/// # Examples
/// ```no_run
/// use diesel::prelude::*;
/// use diesel_async::{AsyncPgConnection, RunQueryDsl};
/// use threadline_diesel::asynchronous::prelude::*;
///
/// # diesel::table! { posts (id) { id -> BigInt, published -> Bool } }
/// # type AppError = Box<dyn std::error::Error + Send + Sync>;
/// async fn publish(conn: &mut AsyncPgConnection, context: &AuditContext, post: &str) -> Result<i64, AppError> {
///     let outcome = audited!(conn, context, action = "post.published", reason = "editor approved", |conn| {
///         let id: i64 = post.parse()?;
///         diesel::update(posts::table.find(id)).set(posts::published.eq(true)).execute(conn).await?;
///         Ok(id)
///     })
///     .await?;
///     println!("recorded as {:?}", outcome.transaction_id);
///     Ok(outcome.value)
/// }
/// ```
#[cfg(feature = "async")]
#[doc(hidden)]
#[macro_export]
macro_rules! __audited_asynchronously {
    ($($input:tt)*) => {
        $crate::__private::audited! { [$crate, method] $($input)* }
    };
}

#[doc(hidden)]
pub mod __private {
    pub use threadline_core::__private::*;
    pub use threadline_macros::audited_call as audited;
}
