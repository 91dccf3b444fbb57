//! What several of Threadline's test programs share.

pub mod book;
pub mod json_schema;
mod not_run;
pub mod replay;

pub use not_run::cannot_run;
