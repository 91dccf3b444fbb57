//! PostgreSQL's programs: those of this machine, else a download where that is compiled in.

use std::path::PathBuf;

use crate::{Unavailable, find};

#[cfg(not(feature = "embedded"))]
pub(crate) fn find_or_download() -> Result<PathBuf, Unavailable> {
    find::server_programs().map_err(Unavailable::new)
}

#[cfg(feature = "embedded")]
pub(crate) fn find_or_download() -> Result<PathBuf, Unavailable> {
    find::server_programs().or_else(|reason| {
        if find::is_folder_named() {
            return Err(Unavailable::new(reason));
        }
        crate::download::server_programs()
            .map_err(|error| Unavailable::new(format!("{reason}\nA download failed too: {}", error.chain())))
    })
}
