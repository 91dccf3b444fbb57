//! What several of Threadline's test programs share.

pub mod book;
pub mod reads;
pub mod replay;
