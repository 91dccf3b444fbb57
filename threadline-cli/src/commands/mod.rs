//! What each command does.

pub(crate) mod capture;
pub(crate) mod install;
pub(crate) mod read;
