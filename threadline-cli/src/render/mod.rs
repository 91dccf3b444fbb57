//! Results as text.

mod entries;
pub(crate) mod style;
mod text;
mod transactions;

pub(crate) use entries::{entries, row_as_of};
pub(crate) use text::{drives_terminal, plain};
pub(crate) use transactions::{actions, diff, transaction, transactions};
