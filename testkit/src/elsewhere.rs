//! Stands in for [`workdir`](crate::workdir) and [`watchdog`](crate::watchdog) on systems that are not Unix.
//!
//! There, only a server named by `DATABASE_URL` can be used.

const MESSAGE: &str = "a private server can only be started on Unix; set DATABASE_URL to use one that is running";

pub(crate) mod workdir {
    use std::io;
    use std::path::Path;

    use tempfile::TempDir;

    use crate::Error;
    use crate::account::Account;

    pub(crate) fn create(_prefix: &str, _parent: Option<&Path>) -> Result<(TempDir, Option<Account>), Error> {
        Err(Error::new(super::MESSAGE))
    }

    pub(crate) fn require(_path: &Path, _test: &str, _account: &Account) -> Result<(), Error> {
        Err(Error::new(super::MESSAGE))
    }

    pub(crate) fn hand_over(_folder: &Path, _account: &Account) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn socket_accepts(_socket: &Path) -> bool {
        false
    }
}

pub(crate) mod watchdog {
    use std::ffi::OsString;
    use std::path::Path;

    use tempfile::TempDir;

    use crate::Error;
    use crate::account::Account;

    #[derive(Debug)]
    pub(crate) enum Watchdog {}

    impl Watchdog {
        pub(crate) fn start(
            _dir: TempDir,
            _account: Option<&Account>,
            _signal: &str,
            _outlive: Option<u32>,
            _command: &[OsString],
        ) -> Result<Self, Error> {
            Err(Error::new(super::MESSAGE))
        }

        pub(crate) fn dir(&self) -> &Path {
            match *self {}
        }

        pub(crate) fn until_ready(&self, _: &str, _: impl FnMut() -> bool) -> Result<(), Error> {
            match *self {}
        }
    }
}
