//! Threadline's macros. They know syntax only: what they expand to goes through the facade crate, `threadline`, or through
//! the adapter that handed over.

mod action;
mod call;
mod closure;
mod derive;
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
/// `#[async_trait]` turns an `async fn` into one that returns a boxed future before this attribute can see it: audit the
/// function that it calls.
///
/// [`audited!`]: https://docs.rs/threadline/latest/threadline/sqlx/macro.audited.html
#[proc_macro_attribute]
pub fn audited(arguments: TokenStream, item: TokenStream) -> TokenStream {
    service::expand(arguments.into(), item.into()).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Says which table a model is, for [`manifest!`](https://docs.rs/threadline/latest/threadline/macro.manifest.html) and
/// for reading rows as they were: implements
/// [`Audited`](https://docs.rs/threadline/latest/threadline/trait.Audited.html) on the struct that an ORM reads rows into.
///
/// What the ORM's own attributes say is not said again:
///
/// | | table and schema | key | columns |
/// |---|---|---|---|
/// | SeaORM | `#[sea_orm(table_name = "..", schema_name = "..")]` | `primary_key` on fields | `column_name`, `rename_all`, `enum_name`; `ignore`d fields and relations are none |
/// | Diesel | `#[diesel(table_name = ..)]`, with what its `table!` says about schema and SQL names | `primary_key(..)`, else `id` | `column_name`; `embed` and `select_expression` fields are none |
/// | sqlx | - | the field `id` | `rename`, `rename_all`; `skip` and `flatten` fields are none |
///
/// # Options
///
/// `#[audited(..)]` on the struct says the rest. Columns are named by their fields; one that the struct does not read goes
/// in quotes, as PostgreSQL stores its name.
///
/// | option | means |
/// |---|---|
/// | `table = ".."`, `schema = ".."` | the table, in place of what the ORM says; the schema is `public` unless said |
/// | `key(a, b)` | the fields of the key, in place of what the ORM says |
/// | `mask(a, b)` | the values are replaced by a placeholder; that they changed is recorded |
/// | `exclude(a, b)` | the trail never holds the values, nor that they changed |
/// | `except(a, b)` | kept in images, left out of the list of changed fields |
/// | `placeholder = ".."` | what a masked value becomes |
/// | `require_actor` | writes without an actor are refused |
/// | `before_values = false` | UPDATE does not keep prior values |
/// | `images = "lean"` | smaller images, for hot or bulk-loaded tables |
/// | `truncate = ".."` | `"event"`, `"rows"` or `"refuse"` |
/// | `crate = ".."` | the path to `threadline`, or to `threadline_core` |
///
/// A masked or excluded column comes back as NULL when a row is read as it was, so its field is an `Option`, or the struct
/// for such reads leaves it out.
#[proc_macro_derive(Audited, attributes(audited))]
pub fn derive_audited(input: TokenStream) -> TokenStream {
    derive::expand(input.into()).unwrap_or_else(|error| error.to_compile_error()).into()
}
