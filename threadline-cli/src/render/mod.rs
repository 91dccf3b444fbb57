//! Results as text.

mod entries;
pub(crate) mod style;
mod text;

pub(crate) use entries::{columns, entries};
pub(crate) use text::{drives_terminal, plain};
