//! The adapter's error: ours or sqlx's, never a string made of either.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

use sqlx::error::DatabaseError;
use sqlx::postgres::PgDatabaseError;
use threadline_core::{DatabaseFacts, Schema};

/// What PostgreSQL answers to every statement of a transaction in which one has failed.
const IN_FAILED_TRANSACTION: &str = "25P02";

/// What went wrong in an audited transaction or a read of the trail.
///
/// It holds Threadline's own error or sqlx's; ask with the `is_` methods, or look at either with [`as_core`] and
/// [`as_sqlx`].
///
/// It converts into [`sqlx::Error`], so that `?` works in a function that returns one, and comes back out of it with
/// [`from_sqlx`]. An error that was sqlx's to begin with converts into exactly that error.
///
/// [`as_core`]: Self::as_core
/// [`as_sqlx`]: Self::as_sqlx
/// [`from_sqlx`]: Self::from_sqlx
///
/// # Examples
/// ```
/// use threadline_core::AuditContext;
/// use threadline_sqlx::Error;
///
/// let ours: Error = AuditContext::without_actor().validate().unwrap_err().into();
/// assert!(ours.is_missing_actor());
///
/// let theirs: sqlx::Error = ours.into();
/// assert!(Error::from_sqlx(&theirs).is_some_and(Error::is_missing_actor));
/// ```
pub struct Error(Box<Kind>);

#[derive(Debug)]
enum Kind {
    /// Threadline's own; a kernel error has the driver's error as its source.
    Core(threadline_core::Error),
    Driver(sqlx::Error),
    /// A statement had failed and its error was swallowed, so that there was nothing left to commit.
    RolledBack(sqlx::Error),
    /// sqlx rolled the transaction back on its own.
    Lost,
    NotInTransaction,
    /// sqlx does not know of the open transaction and would take a savepoint for its beginning.
    UnknownToSqlx,
}

impl Error {
    /// Threadline's own error, which tells the code, the table or setting concerned and the remedy.
    #[must_use]
    pub fn as_core(&self) -> Option<&threadline_core::Error> {
        match &*self.0 {
            Kind::Core(error) => Some(error),
            _ => None,
        }
    }

    /// sqlx's error, also when it is only the cause.
    #[must_use]
    pub fn as_sqlx(&self) -> Option<&sqlx::Error> {
        match &*self.0 {
            Kind::Driver(error) | Kind::RolledBack(error) => Some(error),
            Kind::Core(error) => error.source()?.downcast_ref(),
            Kind::Lost | Kind::NotInTransaction | Kind::UnknownToSqlx => None,
        }
    }

    /// The error inside a [`sqlx::Error`] that was made from one; `None` when sqlx itself made it.
    ///
    /// A kernel error that one of *your* statements raised, such as a write without an actor to a table that requires
    /// one, is sqlx's error; `Error::from` recognises it.
    #[must_use]
    pub fn from_sqlx(error: &sqlx::Error) -> Option<&Self> {
        match error {
            sqlx::Error::AnyDriverError(inner) => inner.downcast_ref(),
            _ => None,
        }
    }

    /// [`from_sqlx`](Self::from_sqlx), under the name that it has in every adapter.
    #[must_use]
    pub fn from_orm(error: &sqlx::Error) -> Option<&Self> {
        Self::from_sqlx(error)
    }

    /// The five-character SQLSTATE, when the server raised the error.
    #[must_use]
    pub fn sqlstate(&self) -> Option<Cow<'_, str>> {
        self.as_sqlx()?.as_database_error()?.code()
    }

    /// No actor is set where one is required, by the context or by the table's policy.
    #[must_use]
    pub fn is_missing_actor(&self) -> bool {
        self.as_core().is_some_and(threadline_core::Error::is_missing_actor)
    }

    /// The kernel is not installed in this database under this schema, or is too old.
    #[must_use]
    pub fn is_not_installed(&self) -> bool {
        self.as_core().is_some_and(threadline_core::Error::is_not_installed)
    }

    /// COMMIT was sent and its answer never arrived: whether the work was committed is not known. After every other
    /// error of a commit nothing was committed.
    #[must_use]
    pub fn is_unknown_commit(&self) -> bool {
        self.as_core().is_some_and(threadline_core::Error::is_unknown_commit)
    }

    /// Something that must own its transaction was started inside another one.
    #[must_use]
    pub fn is_nested(&self) -> bool {
        self.as_core().is_some_and(threadline_core::Error::is_nested)
    }

    /// The transaction could only be rolled back, because one of its statements had failed or because a savepoint in it
    /// was cancelled. PostgreSQL answers COMMIT with ROLLBACK then, and sqlx reports success.
    #[must_use]
    pub fn is_rolled_back(&self) -> bool {
        matches!(&*self.0, Kind::RolledBack(_) | Kind::Lost)
    }

    /// [`attach`](crate::attach) was given a connection that is not in a transaction, or a nested scope was opened in
    /// one that sqlx knows nothing about.
    #[must_use]
    pub fn is_not_in_transaction(&self) -> bool {
        matches!(&*self.0, Kind::NotInTransaction | Kind::UnknownToSqlx)
    }

    /// The transaction lost against another one (SQLSTATE 40001 or 40P01) and may succeed when it runs again as a
    /// whole.
    #[must_use]
    pub fn is_serialization_failure(&self) -> bool {
        self.sqlstate().is_some_and(|state| is_serialization_state(&state))
    }

    pub(crate) fn lost() -> Self {
        Self(Box::new(Kind::Lost))
    }

    pub(crate) fn not_in_transaction() -> Self {
        Self(Box::new(Kind::NotInTransaction))
    }

    pub(crate) fn unknown_to_sqlx() -> Self {
        Self(Box::new(Kind::UnknownToSqlx))
    }

    /// COMMIT failed with this error.
    pub(crate) fn from_commit(error: sqlx::Error) -> Self {
        if answer_may_be_lost(&error) {
            threadline_core::Error::unknown_commit().with_source(error).into()
        } else {
            error.into()
        }
    }

    /// One of our own statements failed with this error.
    pub(crate) fn from_own_statement(error: sqlx::Error, schema: &Schema) -> Self {
        let recognised = error
            .as_database_error()
            .and_then(|error| threadline_core::Error::from_own_statement(facts(error), schema));
        match recognised {
            Some(ours) => ours.with_source(error).into(),
            None => error.into(),
        }
    }

    /// The same error, told as one of our own statements when it came with one.
    pub(crate) fn in_own_statement(self, schema: &Schema) -> Self {
        match *self.0 {
            Kind::Driver(error) => Self::from_own_statement(error, schema),
            kind => Self(Box::new(kind)),
        }
    }

    /// The same error, told as a rollback when it says that the transaction had failed before.
    pub(crate) fn in_closing(self) -> Self {
        match *self.0 {
            Kind::Driver(error) if code_is(&error, IN_FAILED_TRANSACTION) => Self(Box::new(Kind::RolledBack(error))),
            kind => Self(Box::new(kind)),
        }
    }
}

/// Whether `error`, or one of its sources, says that the transaction lost against another one (SQLSTATE 40001 or 40P01)
/// and may succeed when it runs again as a whole.
///
/// For your own error types in [`Session::retry_when`](crate::Session::retry_when).
///
/// # Examples
/// ```
/// assert!(!threadline_sqlx::is_serialization_failure(&sqlx::Error::RowNotFound));
/// ```
#[must_use]
pub fn is_serialization_failure(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(ours) = error.downcast_ref::<Error>() {
            return ours.is_serialization_failure();
        }
        // A transparent wrapper shows its content's source instead of its content, so any of these can come first.
        let database = match error.downcast_ref::<sqlx::Error>() {
            Some(error) => error.as_database_error(),
            None => error
                .downcast_ref::<Box<dyn DatabaseError>>()
                .map(|error| &**error)
                .or_else(|| error.downcast_ref::<PgDatabaseError>().map(|error| error as &dyn DatabaseError)),
        };
        if let Some(error) = database {
            return error.code().is_some_and(|state| is_serialization_state(&state));
        }
        next = error.source();
    }
    false
}

fn is_serialization_state(state: &str) -> bool {
    matches!(state, "40001" | "40P01")
}

fn code_is(error: &sqlx::Error, state: &str) -> bool {
    error.as_database_error().and_then(DatabaseError::code).is_some_and(|code| code == state)
}

/// Whether COMMIT may have taken effect although it returned `error`. A refusal is certain; a broken connection, also one
/// that the server or a pooler announces, is not.
fn answer_may_be_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error
            .code()
            .is_none_or(|code| code.starts_with("08") || matches!(&*code, "57P01" | "57P02" | "57P03" | "40003")),
        _ => true,
    }
}

fn facts(error: &dyn DatabaseError) -> DatabaseFacts<'_> {
    let postgres = error.try_downcast_ref::<PgDatabaseError>();
    DatabaseFacts {
        sqlstate: postgres.map(PgDatabaseError::code),
        constraint: error.constraint(),
        message: error.message(),
        hint: postgres.and_then(PgDatabaseError::hint),
        schema: postgres.and_then(PgDatabaseError::schema),
        table: error.table(),
        column: postgres.and_then(PgDatabaseError::column),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Kind::Core(error) => error.fmt(f),
            Kind::Driver(error) => error.fmt(f),
            Kind::RolledBack(_) => f.write_str(
                "the audited transaction was rolled back: one of its statements had failed. \
                 Return the statement's error from the closure instead of dropping it",
            ),
            Kind::Lost => f.write_str(
                "the audited transaction was rolled back: a savepoint in it failed or was cancelled before the server \
                 answered, and sqlx rolls back all of it then. Begin again",
            ),
            Kind::NotInTransaction => f.write_str(
                "the connection is not in a transaction, so a context set on it would be lost at once. \
                 Begin a transaction first, or use begin_audited",
            ),
            Kind::UnknownToSqlx => f.write_str(
                "a nested scope needs a transaction that sqlx knows of, and this one was begun with SQL text. \
                 Begin it with sqlx::Connection::begin",
            ),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &*self.0 {
            // Both show their content's text as their own.
            Kind::Core(error) => error.source(),
            Kind::Driver(error) => error.source(),
            Kind::RolledBack(error) => Some(error),
            Kind::Lost | Kind::NotInTransaction | Kind::UnknownToSqlx => None,
        }
    }
}

impl From<threadline_core::Error> for Error {
    fn from(error: threadline_core::Error) -> Self {
        Self(Box::new(Kind::Core(error)))
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let error = match error {
            sqlx::Error::AnyDriverError(inner) => match inner.downcast::<Self>() {
                Ok(ours) => return *ours,
                Err(inner) => sqlx::Error::AnyDriverError(inner),
            },
            error => error,
        };
        let recognised =
            error.as_database_error().and_then(|error| threadline_core::Error::from_database(facts(error)));
        Self(Box::new(match recognised {
            Some(ours) => Kind::Core(ours.with_source(error)),
            None => Kind::Driver(error),
        }))
    }
}

/// The variant is the one that holds any error as its source; nothing of the `Any` driver is involved.
impl From<Error> for sqlx::Error {
    fn from(error: Error) -> Self {
        match *error.0 {
            Kind::Driver(error) => error,
            kind => Self::AnyDriverError(Box::new(Error(Box::new(kind)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlx_errors_pass_through_unchanged() {
        let error: sqlx::Error = Error::from(sqlx::Error::RowNotFound).into();
        assert!(matches!(error, sqlx::Error::RowNotFound));
    }

    #[test]
    fn ours_survives_the_way_through_sqlx() {
        let error: sqlx::Error = Error::lost().into();
        assert!(error.source().is_some_and(|source| source.is::<Error>()));
        assert!(Error::from_sqlx(&error).is_some_and(Error::is_rolled_back));
        assert!(Error::from_orm(&error).is_some_and(Error::is_rolled_back));
        assert!(Error::from(error).is_rolled_back());
        assert!(Error::from_sqlx(&sqlx::Error::PoolTimedOut).is_none());
    }

    #[test]
    fn only_a_broken_connection_leaves_a_commit_in_doubt() {
        assert!(Error::from_commit(sqlx::Error::Io(std::io::ErrorKind::BrokenPipe.into())).is_unknown_commit());
        let error = Error::from_commit(sqlx::Error::Protocol("odd".into()));
        assert!(error.is_unknown_commit());
        assert!(matches!(error.as_sqlx(), Some(sqlx::Error::Protocol(_))), "the cause is kept");
    }

    #[test]
    fn it_travels_between_threads_and_fits_a_pointer() {
        fn travels<T: Send + Sync + 'static>() {}
        travels::<Error>();
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }
}
