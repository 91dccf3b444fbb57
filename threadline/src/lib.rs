//! Threadline.
pub use threadline_core::*;
#[cfg(feature = "sqlx")]
pub use threadline_sqlx as sqlx;
