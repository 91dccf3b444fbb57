//! Threadline's macros. They know syntax only: what they expand to goes through the facade crate, `threadline`, or through
//! the adapter that handed over.

mod action;
mod call;
mod closure;
mod option;
mod service;
mod text;

use proc_macro::TokenStream;

/// An [`Action`](https://docs.rs/threadline/latest/threadline/struct.Action.html) whose name is checked while compiling:
/// present, at most 255 characters, no white space around it, no control characters.
///
/// ```text
/// let action = threadline::action!("post.published").reason("editor approved");
/// ```
#[proc_macro]
pub fn action(input: TokenStream) -> TokenStream {
    action::expand(input.into()).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// What each adapter's `audited!` hands over to.
#[doc(hidden)]
#[proc_macro]
pub fn audited_call(input: TokenStream) -> TokenStream {
    call::expand(input.into()).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Runs a function in an audited transaction.
///
/// The function takes the handle and the context as parameters, or has them in `self`. Inside, the handle's name is the
/// transaction: the same as [`audited!`] gives its closure. The signature stays as it is written. `Ok` commits, `Err` rolls
/// back, and `?` converts into the function's own error type.
///
/// It stands on asynchronous and blocking functions and methods, and uses the `audited!` that is in scope, so the
/// prelude of an adapter decides which one it is. As `audited!` has the same name, write the attribute with its path:
/// `#[threadline::audited(..)]`.
///
/// # Options
///
/// | option | is | default |
/// |---|---|---|
/// | `action`, `reason`, `comment`, .. | the action, as in `audited!`; the values may use the parameters | no action is recorded |
/// | `db` | the handle, any expression: `db = self.db` | the parameter `db`, else `conn` |
/// | `context` | the context, any expression | the parameter `ctx`, else `context` |
/// | `tx` | what the transaction is called inside | as the handle: the last name in its expression |
///
/// A function that is declared to return `Result<Outcome<T>, E>` gives its caller the whole outcome, with the audit
/// transaction's id; its body returns `Result<T, E>` like any other.
///
/// ```text
/// #[threadline::audited(action = "post.published", reason = format!("asked for by {who}"))]
/// async fn publish(db: &AuditedPool, ctx: &AuditContext, id: i64, who: &str) -> Result<(), AppError> {
///     sqlx::query("UPDATE posts SET published = true WHERE id = $1").bind(id).execute(&mut **db).await?;
///     Ok(())
/// }
/// ```
///
/// `#[async_trait]` turns an `async fn` into one that returns a boxed future before this attribute can see it: audit the
/// function that it calls.
///
/// [`audited!`]: https://docs.rs/threadline/latest/threadline/sqlx/macro.audited.html
#[proc_macro_attribute]
pub fn audited(arguments: TokenStream, item: TokenStream) -> TokenStream {
    service::expand(arguments.into(), item.into()).unwrap_or_else(|error| error.to_compile_error()).into()
}
