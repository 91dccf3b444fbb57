//! Threadline's macros. They know syntax only: what they expand to goes through the facade crate, `threadline`.

mod action;

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
