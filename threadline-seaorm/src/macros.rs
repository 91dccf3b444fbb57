//! `audited!`.

/// Runs a block in an audited transaction and records an action for it.
///
/// ```text
/// audited!(handle, context, action = "..", reason = .., |tx| { .. }).await
/// ```
///
/// - The handle is an [`AuditedDatabase`](crate::AuditedDatabase) or a [`ScopedDatabase`](crate::ScopedDatabase), a
///   [`Session`](crate::Session) for its options (the context given here is the one that counts), or an [`AuditedTransaction`](crate::AuditedTransaction) or what
///   [`attach`](crate::attach()) returns: then the block is a [nested scope](crate::AuditedTransaction::nested) under that
///   context.
/// - The context is an [`AuditContext`](threadline_core::AuditContext), or a reference to one.
/// - The options are an [`Action`](threadline_core::Action)'s: `action` names it, and `status`, `verb`, `category`,
///   `reason`, `comment`, `correlation_id`, `request_id`, `job_id` and `actor` say more. The action is recorded before
///   the block runs and covers what the block changes, up to the next action that it records. Without `action` the changes are captured and no action is
///   recorded. A literal that could not be recorded does not compile.
/// - The closure gets `tx`, a `&AuditedTransaction`, which SeaORM takes as a connection. Its body is asynchronous; write
///   `move |tx|` to move what it uses.
///
/// The macro makes a future of `Result<Outcome<T>, E>`: the block's value, and the audit transaction it was recorded
/// under. It borrows the handle and the context; in a spawned task, move both into the task.
///
/// # The error type
///
/// `?` converts any error that your error type knows. Where the closure ends in a bare `Ok(..)`, its error type is that
/// of the function around the macro. To have another one, say so: `Ok::<_, MyError>(..)`. It needs
/// `From<threadline_seaorm::Error>`, which [`sea_orm::DbErr`] and `Box<dyn Error + Send + Sync>` have.
///
/// # Examples
/// ```no_run
/// use sea_orm::{ActiveModelTrait, ActiveValue::Set};
/// use threadline_seaorm::prelude::*;
///
/// # mod posts {
/// #     use sea_orm::entity::prelude::*;
/// #     #[derive(Clone, Debug, DeriveEntityModel)]
/// #     #[sea_orm(table_name = "posts")]
/// #     pub struct Model { #[sea_orm(primary_key)] pub id: i64, pub published: bool }
/// #     #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
/// #     pub enum Relation {}
/// #     impl ActiveModelBehavior for ActiveModel {}
/// # }
/// # type AppError = Box<dyn std::error::Error + Send + Sync>;
/// async fn publish(db: &AuditedDatabase, context: &AuditContext, post: &str) -> Result<posts::Model, AppError> {
///     let outcome = audited!(db, context, action = "post.published", reason = "editor approved", |tx| {
///         let id = post.parse()?;
///         let post = posts::ActiveModel { id: Set(id), published: Set(true) }.update(tx).await?;
///         Ok(post)
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
