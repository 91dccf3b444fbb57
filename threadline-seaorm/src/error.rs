//! The adapter's error: ours or SeaORM's, never a string made of either.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use sea_orm::sqlx::{self, error::DatabaseError};
use sea_orm::{DbBackend, DbErr, RuntimeErr, SqlxPostgresError, TransactionError};
use threadline_core::{DatabaseFacts, Schema};

/// What PostgreSQL answers to every statement of a transaction in which one has failed.
const IN_FAILED_TRANSACTION: &str = "25P02";

/// What went wrong in an audited transaction or a read of the trail.
///
/// It holds Threadline's own error or SeaORM's; ask with the `is_` methods, or look at either with [`as_core`] and
/// [`as_db_err`]. Like [`DbErr`] it can be cloned.
///
/// It converts into [`DbErr`], so that `?` works in a function that returns one, and comes back out of it with
/// [`from_orm`]. An error that was SeaORM's to begin with converts into exactly that error.
///
/// [`as_core`]: Self::as_core
/// [`as_db_err`]: Self::as_db_err
/// [`from_orm`]: Self::from_orm
///
/// # Examples
/// ```
/// use sea_orm::DbErr;
/// use threadline_core::AuditContext;
/// use threadline_seaorm::Error;
///
/// let ours: Error = AuditContext::without_actor().validate().unwrap_err().into();
/// assert!(ours.is_missing_actor());
///
/// let theirs: DbErr = ours.into();
/// assert!(Error::from_orm(&theirs).is_some_and(Error::is_missing_actor));
/// ```
#[derive(Clone)]
pub struct Error(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    /// Threadline's own; a kernel error has SeaORM's error as its source.
    Core(threadline_core::Error),
    Driver(DbErr),
    /// A statement had failed and its error was swallowed, so that there was nothing left to commit.
    RolledBack(DbErr),
    /// sqlx rolled the transaction back on its own.
    Lost,
    /// Committed while a scope inside it was open.
    OpenScope,
    NotInTransaction,
    UnsupportedBackend(&'static str),
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

    /// SeaORM's error, also when it is only the cause.
    #[must_use]
    pub fn as_db_err(&self) -> Option<&DbErr> {
        match &*self.0 {
            Kind::Driver(error) | Kind::RolledBack(error) => Some(error),
            Kind::Core(error) => error.source()?.downcast_ref(),
            Kind::Lost | Kind::OpenScope | Kind::NotInTransaction | Kind::UnsupportedBackend(_) => None,
        }
    }

    /// The error inside a [`DbErr`] that was made from one; `None` when SeaORM itself made it.
    ///
    /// A kernel error that one of *your* statements raised, such as a write without an actor to a table that requires
    /// one, is SeaORM's error; `Error::from` recognises it.
    #[must_use]
    pub fn from_orm(error: &DbErr) -> Option<&Self> {
        match sqlx_error(error)? {
            sqlx::Error::AnyDriverError(inner) => inner.downcast_ref(),
            _ => None,
        }
    }

    /// The five-character SQLSTATE, when the server raised the error.
    #[must_use]
    pub fn sqlstate(&self) -> Option<Cow<'_, str>> {
        database_error(self.as_db_err()?)?.code()
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

    /// The transaction could only be rolled back: one of its statements had failed, a savepoint in it was cancelled while
    /// it opened, or a scope inside it was still open. PostgreSQL answers COMMIT with ROLLBACK in the first case, and
    /// SeaORM reports success.
    #[must_use]
    pub fn is_rolled_back(&self) -> bool {
        matches!(&*self.0, Kind::RolledBack(_) | Kind::Lost | Kind::OpenScope)
    }

    /// [`attach`](crate::attach) was given a connection that is not in a transaction.
    #[must_use]
    pub fn is_not_in_transaction(&self) -> bool {
        matches!(&*self.0, Kind::NotInTransaction)
    }

    /// The connection is not one to PostgreSQL.
    #[must_use]
    pub fn is_unsupported_backend(&self) -> bool {
        matches!(&*self.0, Kind::UnsupportedBackend(_))
    }

    /// The transaction lost against another one (SQLSTATE 40001 or 40P01) and may succeed when it runs again as a
    /// whole.
    #[must_use]
    pub fn is_serialization_failure(&self) -> bool {
        self.sqlstate().is_some_and(|state| is_serialization_state(&state))
    }

    pub(crate) fn lost() -> Self {
        Kind::Lost.into()
    }

    pub(crate) fn open_scope() -> Self {
        Kind::OpenScope.into()
    }

    pub(crate) fn not_in_transaction() -> Self {
        Kind::NotInTransaction.into()
    }

    pub(crate) fn unsupported_backend(backend: DbBackend) -> Self {
        Kind::UnsupportedBackend(backend.as_str()).into()
    }

    pub(crate) fn disconnected() -> Self {
        Kind::UnsupportedBackend("nothing: it is disconnected").into()
    }

    /// COMMIT failed with this error.
    pub(crate) fn from_commit(error: DbErr) -> Self {
        if answer_may_be_lost(&error) {
            threadline_core::Error::unknown_commit().with_source(error).into()
        } else {
            error.into()
        }
    }

    /// One of our own statements failed with this error.
    pub(crate) fn from_own_statement(error: DbErr, schema: &Schema) -> Self {
        let recognised =
            database_error(&error).and_then(|error| threadline_core::Error::from_own_statement(facts(error), schema));
        match recognised {
            Some(ours) => ours.with_source(error).into(),
            None => error.into(),
        }
    }

    /// The same error, told as a rollback when it says that the transaction had failed before.
    pub(crate) fn in_closing(self) -> Self {
        match &*self.0 {
            Kind::Driver(error) if code_is(error, IN_FAILED_TRANSACTION) => Kind::RolledBack(error.clone()).into(),
            _ => self,
        }
    }

    /// Whether the server raised it, so that the connection is fine.
    pub(crate) fn is_answer(&self) -> bool {
        self.as_db_err().and_then(database_error).is_some()
    }
}

impl From<Kind> for Error {
    fn from(kind: Kind) -> Self {
        Self(Arc::new(kind))
    }
}

/// Whether `error`, or one of its sources, says that the transaction lost against another one (SQLSTATE 40001 or 40P01)
/// and may succeed when it runs again as a whole.
///
/// For your own error types in [`Session::retry_when`](crate::Session::retry_when).
///
/// # Examples
/// ```
/// assert!(!threadline_seaorm::is_serialization_failure(&sea_orm::DbErr::RecordNotInserted));
/// ```
#[must_use]
pub fn is_serialization_failure(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        // SeaORM's own wrapper hides what is in it from `source`.
        if let Some(TransactionError::Connection(inner) | TransactionError::Transaction(inner)) =
            error.downcast_ref::<TransactionError<DbErr>>()
        {
            return Error::from(inner.clone()).is_serialization_failure();
        }
        if let Some(ours) = error.downcast_ref::<Error>() {
            return ours.is_serialization_failure();
        }
        if let Some(error) = error.downcast_ref::<DbErr>() {
            return Error::from(error.clone()).is_serialization_failure();
        }
        // A transparent wrapper shows its content's source instead of its content.
        if let Some(RuntimeErr::SqlxError(error)) = error.downcast_ref() {
            let state = error.as_database_error().and_then(DatabaseError::code);
            return state.is_some_and(|state| is_serialization_state(&state));
        }
        next = error.source();
    }
    false
}

fn is_serialization_state(state: &str) -> bool {
    matches!(state, "40001" | "40P01")
}

fn sqlx_error(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}

fn database_error(error: &DbErr) -> Option<&dyn DatabaseError> {
    sqlx_error(error)?.as_database_error()
}

fn code_is(error: &DbErr, state: &str) -> bool {
    database_error(error).and_then(DatabaseError::code).is_some_and(|code| code == state)
}

/// Whether COMMIT may have taken effect although it returned `error`. A refusal is certain; a broken connection, also one
/// that the server or a pooler announces, is not.
fn answer_may_be_lost(error: &DbErr) -> bool {
    match database_error(error) {
        Some(error) => error
            .code()
            .is_none_or(|code| code.starts_with("08") || matches!(&*code, "57P01" | "57P02" | "57P03" | "40003")),
        None => true,
    }
}

fn facts(error: &dyn DatabaseError) -> DatabaseFacts<'_> {
    let postgres = error.try_downcast_ref::<SqlxPostgresError>();
    DatabaseFacts {
        sqlstate: postgres.map(SqlxPostgresError::code),
        constraint: error.constraint(),
        message: error.message(),
        hint: postgres.and_then(SqlxPostgresError::hint),
        schema: postgres.and_then(SqlxPostgresError::schema),
        table: error.table(),
        column: postgres.and_then(SqlxPostgresError::column),
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
                 answered, and SeaORM rolls back all of it then. Begin again",
            ),
            Kind::OpenScope => f.write_str(
                "the audited transaction was not committed, because a scope inside it is still open. \
                 Commit or drop what begin() gave you first",
            ),
            Kind::NotInTransaction => f.write_str(
                "the connection is not in a transaction, so a context set on it would be lost at once. \
                 Begin a transaction first, or use AuditedDatabase",
            ),
            Kind::UnsupportedBackend(backend) => write!(
                f,
                "Threadline audits PostgreSQL, and this connection is to {backend}. \
                 Give AuditedDatabase a connection to PostgreSQL"
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
            Kind::Lost | Kind::OpenScope | Kind::NotInTransaction | Kind::UnsupportedBackend(_) => None,
        }
    }
}

impl From<threadline_core::Error> for Error {
    fn from(error: threadline_core::Error) -> Self {
        Kind::Core(error).into()
    }
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        if let Some(ours) = Self::from_orm(&error) {
            return ours.clone();
        }
        let recognised = database_error(&error).and_then(|error| threadline_core::Error::from_database(facts(error)));
        match recognised {
            Some(ours) => Kind::Core(ours.with_source(error)).into(),
            None => Kind::Driver(error).into(),
        }
    }
}

/// The variant is the one that holds any error as its source; nothing of sqlx's `Any` driver is involved.
impl From<Error> for DbErr {
    fn from(error: Error) -> Self {
        match &*error.0 {
            Kind::Driver(error) => error.clone(),
            _ => Self::Exec(RuntimeErr::SqlxError(Arc::new(sqlx::Error::AnyDriverError(Box::new(error))))),
        }
    }
}

/// So that `?` works in a closure of SeaORM's own `transaction`.
impl<E: fmt::Display + fmt::Debug> From<Error> for TransactionError<E> {
    fn from(error: Error) -> Self {
        Self::Connection(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seaorms_errors_pass_through_unchanged() {
        let error: DbErr = Error::from(DbErr::RecordNotUpdated).into();
        assert!(matches!(error, DbErr::RecordNotUpdated));
    }

    #[test]
    fn ours_survives_the_way_through_seaorm() {
        let error: DbErr = Error::lost().into();
        assert!(Error::from_orm(&error).is_some_and(Error::is_rolled_back));
        assert!(Error::from(error).is_rolled_back());
        assert!(Error::from_orm(&DbErr::RecordNotInserted).is_none());
    }

    #[test]
    fn only_a_broken_connection_leaves_a_commit_in_doubt() {
        let broken = sqlx::Error::Io(std::io::ErrorKind::BrokenPipe.into());
        let error = Error::from_commit(DbErr::Query(RuntimeErr::SqlxError(Arc::new(broken))));
        assert!(error.is_unknown_commit());
        assert!(matches!(error.as_db_err(), Some(DbErr::Query(_))), "the cause is kept");
    }

    #[test]
    fn it_travels_between_threads_and_fits_a_pointer() {
        fn travels<T: Send + Sync + 'static>() {}
        travels::<Error>();
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }
}
