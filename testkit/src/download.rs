//! PostgreSQL's programs from the archive of the `postgresql_embedded` crate.
//!
//! Only the installation is its work. The cluster is ours: that crate knows neither root nor a process that is killed.

use std::fs;
use std::path::PathBuf;

use postgresql_embedded::{PostgreSQL, Settings, V17};

use crate::{Error, blocking};

/// Downloads and unpacks once per machine, then returns the same folder.
pub(crate) fn server_programs() -> Result<PathBuf, Error> {
    let scratch = tempfile::tempdir().map_err(|error| Error::with("cannot create a temporary directory", error))?;
    // A data directory that looks initialized: `setup` then installs and does no more.
    fs::write(scratch.path().join("postgresql.conf"), "")
        .map_err(|error| Error::with("cannot write to a temporary directory", error))?;
    let mut settings =
        Settings { version: V17.clone(), data_dir: scratch.path().to_owned(), temporary: false, ..Settings::default() };
    #[cfg(unix)]
    if crate::account::Account::for_servers(scratch.path())?.is_some() {
        // The account that runs the server cannot look into root's home.
        settings.installation_dir = PathBuf::from("/var/tmp/threadline-postgresql");
    }
    blocking::wait(async move {
        let mut postgresql = PostgreSQL::new(settings);
        postgresql.setup().await.map_err(|error| Error::with("cannot download PostgreSQL", error))?;
        Ok(postgresql.settings().binary_dir())
    })
}
