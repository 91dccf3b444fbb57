//! The adapters, each behind the feature of its name.

#[cfg(feature = "sqlx")]
pub mod sqlx;
