//! What can go wrong, said so that a person can act on it.

use std::error::Error as StdError;
use std::fmt;

/// A failure of the test kit: a server that does not start, a statement that the server refuses.
///
/// `Display` says what was being done; the driver's error is kept as the [source](StdError::source) and is also part
/// of `Debug`, so that `unwrap()` in a test shows it.
pub struct Error {
    doing: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(doing: impl Into<String>) -> Self {
        Self { doing: doing.into(), source: None }
    }

    pub(crate) fn with(doing: impl Into<String>, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { doing: doing.into(), source: Some(source.into()) }
    }

    /// The same failure, described by what it was part of.
    pub(crate) fn while_doing(self, doing: String) -> Self {
        Self { doing, source: self.source }
    }

    /// The five-character SQLSTATE with which the server refused a statement, if that is what happened.
    pub fn sqlstate(&self) -> Option<String> {
        let database = self.source.as_deref()?.downcast_ref::<sqlx::Error>()?.as_database_error()?;
        database.code().map(std::borrow::Cow::into_owned)
    }

    /// The server's own message, if it refused a statement.
    pub fn server_message(&self) -> Option<&str> {
        let database = self.source.as_deref()?.downcast_ref::<sqlx::Error>()?.as_database_error()?;
        Some(database.message())
    }

    /// What was done and every cause, on one line.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.doing.clone();
        let mut cause = self.source();
        while let Some(error) = cause {
            let said = error.to_string();
            // Some errors repeat their cause.
            if !text.contains(&said) {
                text.push_str(": ");
                text.push_str(&said);
            }
            cause = error.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.doing)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.chain())?;
        if let Some(code) = self.sqlstate() {
            write!(f, " ({code})")?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// No PostgreSQL could be found or started.
///
/// `Display` is one screen: the reason, then what to do about it on each operating system. `Debug` is the same text, so
/// that `main` returning this error prints the screen.
#[derive(Clone)]
pub struct Unavailable {
    reason: String,
}

impl Unavailable {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }

    /// Why, without the advice.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("This needs a PostgreSQL server, and there is none to use.\n\n")?;
        for line in self.reason.lines() {
            writeln!(f, "    {line}")?;
        }
        f.write_str(concat!("\n", include_str!("unavailable.txt")))
    }
}

impl fmt::Debug for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl StdError for Unavailable {}
