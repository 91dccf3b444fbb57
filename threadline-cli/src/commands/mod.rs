//! What each command does.

pub(crate) mod capture;
pub(crate) mod export;
pub(crate) mod install;
pub(crate) mod investigate;
pub(crate) mod read;
