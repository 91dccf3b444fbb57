//! What several of Threadline's test programs share.

pub mod book;
pub mod json_schema;
pub mod replay;
