//! Threadline for Diesel: transactions whose changes are recorded with who made them and why.
#![allow(dead_code, reason = "the parts that the blocking and the asynchronous half share come first")]

mod deadlock;
mod error;
mod statement;

pub use error::{Error, is_serialization_failure};
