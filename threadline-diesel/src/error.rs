//! The adapter's error: ours or Diesel's, never a string made of either.

use std::error::Error as StdError;
use std::fmt;

use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind, Error as DieselError};
use threadline_core::{DatabaseFacts, Schema};

use crate::deadlock::is_deadlock;

/// What went wrong in an audited transaction or a read of the trail.
///
/// It holds Threadline's own error or Diesel's; ask with the `is_` methods, or look at either with [`as_core`] and
/// [`as_diesel`].
///
/// It converts into [`diesel::result::Error`], so that `?` works in a function that returns a [`QueryResult`], and comes
/// back out of it with [`from_orm`]. An error that was Diesel's to begin with converts into exactly that error.
///
/// [`as_core`]: Self::as_core
/// [`as_diesel`]: Self::as_diesel
/// [`from_orm`]: Self::from_orm
/// [`QueryResult`]: diesel::QueryResult
///
/// # Examples
/// ```
/// use threadline_core::AuditContext;
/// use threadline_diesel::Error;
///
/// let ours: Error = AuditContext::without_actor().validate().unwrap_err().into();
/// assert!(ours.is_missing_actor());
///
/// let theirs: diesel::result::Error = ours.into();
/// assert!(Error::from_orm(&theirs).is_some_and(Error::is_missing_actor));
/// ```
pub struct Error(Box<Kind>);

#[derive(Debug)]
enum Kind {
    /// Threadline's own; a kernel error has Diesel's error as its source.
    Core(threadline_core::Error),
    Driver(DieselError),
    /// A statement had failed and its error was swallowed, so that there was nothing left to commit.
    RolledBack(DieselError),
    NotInTransaction,
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

    /// Diesel's error, also when it is only the cause.
    #[must_use]
    pub fn as_diesel(&self) -> Option<&DieselError> {
        match &*self.0 {
            Kind::Driver(error) | Kind::RolledBack(error) => Some(error),
            Kind::Core(error) => error.source()?.downcast_ref(),
            Kind::NotInTransaction => None,
        }
    }

    /// The error inside a [`diesel::result::Error`] that was made from one; `None` when Diesel itself made it.
    ///
    /// A kernel error that one of *your* statements raised, such as a write without an actor to a table that requires
    /// one, is Diesel's error; `Error::from` recognises it.
    #[must_use]
    pub fn from_orm(error: &DieselError) -> Option<&Self> {
        match error {
            DieselError::QueryBuilderError(inner) => inner.downcast_ref(),
            _ => None,
        }
    }

    /// The five-character SQLSTATE, where Diesel tells enough to know it: for violated constraints, serialization
    /// failures, deadlocks and writes in a read-only transaction.
    #[must_use]
    pub fn sqlstate(&self) -> Option<&'static str> {
        let (kind, information) = database_error(self.as_diesel()?)?;
        sqlstate(kind, information)
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

    /// The transaction, or the savepoint of a nested scope, could only be rolled back, because one of its statements had
    /// failed. PostgreSQL answers COMMIT with ROLLBACK then, and Diesel reports success.
    #[must_use]
    pub fn is_rolled_back(&self) -> bool {
        matches!(&*self.0, Kind::RolledBack(_))
    }

    /// A context was to be put on, or an action recorded in, a connection that is not in a transaction.
    #[must_use]
    pub fn is_not_in_transaction(&self) -> bool {
        matches!(&*self.0, Kind::NotInTransaction)
    }

    /// The transaction lost against another one (SQLSTATE 40001 or 40P01) and may succeed when it runs again as a
    /// whole.
    #[must_use]
    pub fn is_serialization_failure(&self) -> bool {
        self.as_diesel().is_some_and(lost_against_another)
    }

    pub(crate) fn not_in_transaction() -> Self {
        Self(Box::new(Kind::NotInTransaction))
    }

    /// There was nothing left to commit: a statement before this error had failed.
    pub(crate) fn rolled_back(error: DieselError) -> Self {
        Self(Box::new(Kind::RolledBack(error)))
    }

    /// COMMIT failed with this error. `is_broken` says that the connection did not survive it.
    pub(crate) fn from_commit(error: DieselError, is_broken: bool) -> Self {
        if is_broken || answer_may_be_lost(&error) {
            threadline_core::Error::unknown_commit().with_source(error).into()
        } else {
            error.into()
        }
    }

    /// One of our own statements failed with this error.
    pub(crate) fn from_own_statement(error: DieselError, schema: &Schema) -> Self {
        let recognised = database_error(&error).and_then(|(kind, information)| {
            let mut facts = facts(kind, information);
            // Diesel tells no SQLSTATE. Of the errors that name our schema, only those about a missing object point at a
            // place in the statement.
            if facts.sqlstate.is_none() && information.statement_position().is_some() {
                facts.sqlstate = Some("42P01");
            }
            threadline_core::Error::from_own_statement(facts, schema)
        });
        match recognised {
            Some(ours) => ours.with_source(error).into(),
            None => error.into(),
        }
    }
}

/// Whether `error`, or one of its sources, says that the transaction lost against another one (SQLSTATE 40001 or 40P01)
/// and may succeed when it runs again as a whole.
///
/// Diesel shows no SQLSTATE. A serialization failure is a kind of error of its own there; a deadlock is recognised by its
/// details, which tell the circle of processes that wait for each other, in whatever language the server speaks.
///
/// For your own error types in [`Session::retry_when`](crate::Session::retry_when).
///
/// # Examples
/// ```
/// assert!(!threadline_diesel::is_serialization_failure(&diesel::result::Error::NotFound));
/// ```
#[must_use]
pub fn is_serialization_failure(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(ours) = error.downcast_ref::<Error>() {
            return ours.is_serialization_failure();
        }
        if let Some(theirs) = error.downcast_ref::<DieselError>() {
            return match Error::from_orm(theirs) {
                Some(ours) => ours.is_serialization_failure(),
                None => lost_against_another(theirs),
            };
        }
        next = error.source();
    }
    false
}

fn lost_against_another(error: &DieselError) -> bool {
    database_error(error)
        .is_some_and(|(kind, information)| matches!(sqlstate(kind, information), Some("40001" | "40P01")))
}

/// Whether COMMIT may have taken effect although it returned `error`. A refusal is certain; a broken connection is not.
fn answer_may_be_lost(error: &DieselError) -> bool {
    match database_error(error) {
        Some((DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand, _)) => true,
        Some(_) => false,
        // Without a transaction nothing was sent.
        None => !matches!(error, DieselError::NotInTransaction),
    }
}

type Information = dyn DatabaseErrorInformation + Send + Sync;

/// What the server said, also when Diesel could not roll back after it.
fn database_error(error: &DieselError) -> Option<(&DatabaseErrorKind, &Information)> {
    match error {
        DieselError::DatabaseError(kind, information) => Some((kind, &**information)),
        DieselError::RollbackErrorOnCommit { commit_error, .. } => database_error(commit_error),
        _ => None,
    }
}

fn sqlstate(kind: &DatabaseErrorKind, information: &Information) -> Option<&'static str> {
    Some(match kind {
        DatabaseErrorKind::RestrictViolation => "23001",
        DatabaseErrorKind::NotNullViolation => "23502",
        DatabaseErrorKind::ForeignKeyViolation => "23503",
        DatabaseErrorKind::UniqueViolation => "23505",
        DatabaseErrorKind::CheckViolation => "23514",
        DatabaseErrorKind::ExclusionViolation => "23P01",
        DatabaseErrorKind::ReadOnlyTransaction => "25006",
        DatabaseErrorKind::SerializationFailure => "40001",
        _ if is_deadlock(information.details()) => "40P01",
        _ => return None,
    })
}

fn facts<'a>(kind: &DatabaseErrorKind, information: &'a Information) -> DatabaseFacts<'a> {
    DatabaseFacts {
        sqlstate: sqlstate(kind, information),
        constraint: information.constraint_name(),
        message: information.message(),
        hint: information.hint(),
        schema: None,
        table: information.table_name(),
        column: information.column_name(),
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
            Kind::NotInTransaction => f.write_str(
                "the connection is not in a transaction, so what was to be set on it would be lost at once. \
                 Begin a transaction first, or use `audited`",
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
            Kind::NotInTransaction => None,
        }
    }
}

impl From<threadline_core::Error> for Error {
    fn from(error: threadline_core::Error) -> Self {
        Self(Box::new(Kind::Core(error)))
    }
}

impl From<DieselError> for Error {
    fn from(error: DieselError) -> Self {
        let error = match error {
            DieselError::QueryBuilderError(inner) => match inner.downcast::<Self>() {
                Ok(ours) => return *ours,
                Err(inner) => DieselError::QueryBuilderError(inner),
            },
            error => error,
        };
        let recognised = database_error(&error)
            .and_then(|(kind, information)| threadline_core::Error::from_database(facts(kind, information)));
        Self(Box::new(match recognised {
            Some(ours) => Kind::Core(ours.with_source(error)),
            None => Kind::Driver(error),
        }))
    }
}

/// The variant is one that holds any error as its source; nothing of building a query is involved.
impl From<Error> for DieselError {
    fn from(error: Error) -> Self {
        match *error.0 {
            Kind::Driver(error) => error,
            kind => Self::QueryBuilderError(Box::new(Error(Box::new(kind)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Diesel tells of an error that the server raised.
    #[derive(Default)]
    struct Raised {
        message: &'static str,
        details: Option<&'static str>,
        constraint: Option<&'static str>,
        position: Option<i32>,
    }

    impl DatabaseErrorInformation for Raised {
        fn message(&self) -> &str {
            self.message
        }

        fn details(&self) -> Option<&str> {
            self.details
        }

        fn hint(&self) -> Option<&str> {
            None
        }

        fn table_name(&self) -> Option<&str> {
            None
        }

        fn column_name(&self) -> Option<&str> {
            None
        }

        fn constraint_name(&self) -> Option<&str> {
            self.constraint
        }

        fn statement_position(&self) -> Option<i32> {
            self.position
        }
    }

    fn unknown(raised: Raised) -> DieselError {
        DieselError::DatabaseError(DatabaseErrorKind::Unknown, Box::new(raised))
    }

    #[test]
    fn diesel_errors_pass_through_unchanged() {
        let error: DieselError = Error::from(DieselError::NotFound).into();
        assert!(matches!(error, DieselError::NotFound));
    }

    #[test]
    fn ours_survives_the_way_through_diesel() {
        let error: DieselError = Error::not_in_transaction().into();
        assert!(Error::from_orm(&error).is_some_and(Error::is_not_in_transaction));
        assert!(Error::from(error).is_not_in_transaction());
        assert!(Error::from_orm(&DieselError::NotFound).is_none());
    }

    #[test]
    fn a_kernel_error_is_recognised_by_its_constraint_and_keeps_its_cause() {
        let raised = Raised { message: "no actor", constraint: Some("threadline_missing_actor"), ..Raised::default() };
        let error = Error::from(unknown(raised));
        assert!(error.is_missing_actor());
        assert!(matches!(error.as_diesel(), Some(DieselError::DatabaseError(..))), "{error:?}");
    }

    #[test]
    fn a_constraint_of_the_user_that_starts_like_ours_stays_his() {
        let raised = Raised { constraint: Some("threadline_count_positive"), ..Raised::default() };
        let error = Error::from(DieselError::DatabaseError(DatabaseErrorKind::CheckViolation, Box::new(raised)));
        assert!(error.as_core().is_none());
        assert_eq!(error.sqlstate(), Some("23514"));
    }

    #[test]
    fn only_an_error_that_points_into_our_statement_and_names_our_schema_is_a_missing_kernel() {
        let schema = Schema::default();
        let error = |message, position| {
            Error::from_own_statement(unknown(Raised { message, position, ..Raised::default() }), &schema)
        };
        assert!(error("function threadline.record_action(jsonb) does not exist", Some(8)).is_not_installed());
        assert!(!error("function threadline.record_action(jsonb) does not exist", None).is_not_installed());
        assert!(!error("relation \"public.posts\" does not exist", Some(8)).is_not_installed());
    }

    #[test]
    fn only_a_broken_connection_leaves_a_commit_in_doubt() {
        let closed = || DieselError::DatabaseError(DatabaseErrorKind::ClosedConnection, Box::new("gone".to_owned()));
        assert!(Error::from_commit(closed(), false).is_unknown_commit());
        let twice = DieselError::RollbackErrorOnCommit {
            rollback_error: Box::new(DieselError::BrokenTransactionManager),
            commit_error: Box::new(closed()),
        };
        assert!(Error::from_commit(twice, false).is_unknown_commit());
        let error = Error::from_commit(unknown(Raised::default()), true);
        assert!(error.is_unknown_commit());
        assert!(matches!(error.as_diesel(), Some(DieselError::DatabaseError(..))), "the cause is kept");
        assert!(!Error::from_commit(unknown(Raised::default()), false).is_unknown_commit());
    }

    #[test]
    fn a_lost_race_is_found_through_wrappers() {
        let details = "Process 1 waits for ShareLock on transaction 9; blocked by process 2.\n\
                       Process 2 waits for ShareLock on transaction 8; blocked by process 1.";
        let deadlock = || unknown(Raised { details: Some(details), ..Raised::default() });
        assert_eq!(Error::from(deadlock()).sqlstate(), Some("40P01"));
        let wrapped: DieselError = Error::from(deadlock()).into();
        assert!(is_serialization_failure(&wrapped));
        assert!(is_serialization_failure(&Error::rolled_back(deadlock())));
        let kind = DatabaseErrorKind::SerializationFailure;
        assert!(is_serialization_failure(&DieselError::DatabaseError(kind, Box::new(String::new()))));
        assert!(!is_serialization_failure(&unknown(Raised::default())));
    }

    #[test]
    fn it_travels_between_threads_and_fits_a_pointer() {
        fn travels<T: Send + Sync + 'static>() {}
        travels::<Error>();
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }
}
