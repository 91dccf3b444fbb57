//! What went wrong, in the same words for every adapter.

use std::error::Error as StdError;
use std::fmt;

/// The class of an error, as the adapter's predicates tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `is_missing_actor()`.
    MissingActor,
    /// `is_not_installed()`.
    NotInstalled,
    /// `is_unknown_commit()`.
    UnknownCommit,
    /// `is_nested()`.
    Nested,
    /// `is_rolled_back()`.
    RolledBack,
    /// `is_not_in_transaction()`.
    NotInTransaction,
    /// `is_serialization_failure()`.
    SerializationFailure,
    /// Another error of Threadline's own; [`Failure::code`] says which.
    Core,
    /// The driver's, the ORM's or the pool's.
    Driver,
    /// The script's own, from [`Step::Fail`](crate::Step::Fail).
    Own,
}

/// The error type of the scripts: what a service's own error would be.
pub struct Failure {
    kind: Kind,
    code: Option<&'static str>,
    setting: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Failure {
    /// The error of [`Step::Fail`](crate::Step::Fail).
    #[must_use]
    pub fn own() -> Self {
        Self { kind: Kind::Own, code: None, setting: None, source: None }
    }

    /// An adapter's error of this kind, with the code of the core's error when there is one.
    pub fn new(kind: Kind, code: Option<&'static str>, source: impl StdError + Send + Sync + 'static) -> Self {
        Self { kind, code, setting: None, source: Some(Box::new(source)) }
    }

    /// The same, which concerns this filter, option or setting.
    #[must_use]
    pub fn about(mut self, setting: Option<&str>) -> Self {
        self.setting = setting.map(str::to_owned);
        self
    }

    /// Its class.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The stable code of Threadline's own error, `missing_actor` for example.
    #[must_use]
    pub fn code(&self) -> Option<&'static str> {
        self.code
    }

    /// The filter, option or setting that Threadline's own error concerns.
    #[must_use]
    pub fn setting(&self) -> Option<&str> {
        self.setting.as_deref()
    }
}

/// Makes a [`Failure`] of an adapter's error, which must have the predicates that every adapter's has.
#[macro_export]
macro_rules! failure_of {
    ($error:ty) => {
        impl From<$error> for $crate::Failure {
            fn from(error: $error) -> Self {
                let core = error.as_core();
                let (code, setting) = (core.map(|core| core.code()), core.and_then(|core| core.setting()));
                let setting = setting.map(str::to_owned);
                $crate::Failure::new($crate::kind_of!(error), code, error).about(setting.as_deref())
            }
        }
    };
}

/// The class of an adapter's error.
#[macro_export]
macro_rules! kind_of {
    ($error:expr) => {{
        let error = &$error;
        match () {
            () if error.is_missing_actor() => $crate::Kind::MissingActor,
            () if error.is_not_installed() => $crate::Kind::NotInstalled,
            () if error.is_unknown_commit() => $crate::Kind::UnknownCommit,
            () if error.is_nested() => $crate::Kind::Nested,
            () if error.is_rolled_back() => $crate::Kind::RolledBack,
            () if error.is_not_in_transaction() => $crate::Kind::NotInTransaction,
            () if error.is_serialization_failure() => $crate::Kind::SerializationFailure,
            () if error.as_core().is_some() => $crate::Kind::Core,
            () => $crate::Kind::Driver,
        }
    }};
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => source.fmt(f),
            None => f.write_str("the script's own error"),
        }
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.kind)?;
        let mut next = self.source().and_then(StdError::source);
        while let Some(source) = next {
            write!(f, ": {source}")?;
            next = source.source();
        }
        Ok(())
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
