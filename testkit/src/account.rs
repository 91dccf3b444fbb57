//! Which account runs the servers.
//!
//! PostgreSQL and PgBouncer refuse to run as root, so root hands them to another account, without `sudo` or `su`.

/// An account other than the current one.
#[derive(Clone, Debug)]
#[cfg_attr(not(unix), allow(dead_code, reason = "never constructed there"))]
pub(crate) struct Account {
    pub(crate) name: &'static str,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

#[cfg(unix)]
mod unix {
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;
    use std::process::Command;

    use super::Account;
    use crate::Error;

    impl Account {
        /// The account for servers, or none where the current one will do. `own` is a file that this process created.
        pub(crate) fn for_servers(own: &Path) -> Result<Option<Self>, Error> {
            let owner =
                fs::metadata(own).map_err(|error| Error::with(format!("cannot read {}", own.display()), error))?.uid();
            if owner != 0 {
                return Ok(None);
            }
            ["postgres", "nobody"]
                .into_iter()
                .find_map(|name| {
                    Some(Self {
                        name,
                        uid: id("-u", name)?,
                        gid: id("-g", name)?,
                    })
                })
                .map(Some)
                .ok_or_else(|| {
                    Error::new(
                        "PostgreSQL does not run as root, and this system has neither an account `postgres` nor `nobody`",
                    )
                })
        }
    }

    /// Asks the system rather than /etc/passwd: accounts may live in a directory service.
    fn id(option: &str, name: &str) -> Option<u32> {
        let output = Command::new("id").args([option, name]).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        text.trim().parse().ok()
    }
}
