//! A connection with a context: what begins audited transactions.

use std::fmt;

use diesel::connection::LoadConnection;
use diesel::pg::Pg;
use threadline_core::{Action, ActionId, AuditContext, Outcome, Schema, TransactionOptions};

use crate::{AuditDsl, AuditedTransaction, Error, failure};

/// A connection under one context, from [`AuditDsl::with`](crate::AuditDsl::with): says how its audited transaction
/// begins, then runs it.
///
/// # Examples
/// ```no_run
/// use diesel::prelude::*;
/// use threadline_diesel::prelude::*;
///
/// # diesel::table! { invoices (id) { id -> BigInt, charged -> Bool } }
/// # fn example(conn: &mut PgConnection, context: &AuditContext) -> Result<(), threadline_diesel::Error> {
/// conn.with(context)
///     .options(IsolationLevel::RepeatableRead)
///     .on_error_record(Action::new("invoice.charge"))
///     .transaction(|conn| {
///         diesel::update(invoices::table.find(7)).set(invoices::charged.eq(true)).execute(conn)?;
///         Ok::<_, threadline_diesel::Error>(())
///     })?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a session does nothing until it begins a transaction"]
pub struct Session<'c, C> {
    pub(crate) connection: &'c mut C,
    context: &'c AuditContext,
    options: TransactionOptions,
    schema: Schema,
    on_error: Option<Action>,
}

impl<'c, C> Session<'c, C>
where
    C: LoadConnection<Backend = Pg>,
{
    pub(crate) fn new(connection: &'c mut C, context: &'c AuditContext) -> Self {
        Self { connection, context, options: TransactionOptions::new(), schema: Schema::default(), on_error: None }
    }

    /// Begins its transaction with an isolation level, an access mode, or both. Inside an open transaction that is refused,
    /// as Diesel's own `build_transaction` is.
    pub fn options(mut self, options: impl Into<TransactionOptions>) -> Self {
        self.options = options.into();
        self
    }

    /// With the kernel in a schema other than `threadline`.
    pub fn with_schema(mut self, schema: Schema) -> Self {
        self.schema = schema;
        self
    }

    /// Records `action`, with status error, when the closure form fails: after the transaction was rolled back, in one of
    /// its own. Inside an open transaction it is recorded in that one, and goes when that one goes.
    ///
    /// The closure's error is what the caller gets either way. When the recording fails as well, that is a
    /// [`tracing`] event of level error. Nothing is recorded when the outcome of COMMIT is unknown, or when the closure
    /// panics.
    pub fn on_error_record(mut self, action: Action) -> Self {
        self.on_error = Some(action);
        self
    }

    /// The context.
    pub fn context(&self) -> &AuditContext {
        self.context
    }

    /// Begins a transaction that you commit yourself. The context travels in the message that begins.
    ///
    /// # Errors
    /// As for [`AuditDsl::begin_audited`](crate::AuditDsl::begin_audited);
    /// [`is_nested`](Error::is_nested) when it has options and a transaction is open.
    pub fn begin(self) -> Result<AuditedTransaction<'c, C>, Error> {
        AuditedTransaction::begin(self.connection, self.context, &self.options, self.schema)
    }

    /// Runs `body` in an audited transaction: committed when it returns `Ok`, rolled back when it returns `Err` or panics.
    ///
    /// # Errors
    /// The closure's, or ours as for [`begin`](Self::begin) and [`AuditedTransaction::commit`].
    pub fn transaction<T, E, F>(mut self, body: F) -> Result<Outcome<T>, E>
    where
        F: FnOnce(&mut C) -> Result<T, E>,
        E: From<Error>,
    {
        self.attempt(body).map_err(|failed| self.settle(failed))
    }

    /// Records an action with status error in a transaction of its own, whatever status it was given: for an operation
    /// that failed and left nothing else to record.
    ///
    /// # Errors
    /// [`is_nested`](Error::is_nested) inside a transaction, whose rollback would take the record with it; otherwise as for
    /// [`begin`](Self::begin) and [`AuditedTransaction::commit`].
    pub fn record_failure(self, action: &Action) -> Result<ActionId, Error> {
        failure::record_alone(self.connection, self.context, &self.schema, action)
    }

    /// What `audited!` expands to; `context` replaces the session's own.
    #[doc(hidden)]
    pub fn __audited<T, E, F>(self, context: &AuditContext, action: Option<Action>, body: F) -> Result<Outcome<T>, E>
    where
        F: FnOnce(&mut C) -> Result<T, E>,
        E: From<Error>,
    {
        let schema = self.schema.clone();
        let mut session = Session { context, ..self };
        session
            .attempt(|conn| {
                // First: then it is known when the row that the changes are grouped under is written, which is cheaper.
                if let Some(action) = action {
                    conn.record_action_in(&schema, &action)?;
                }
                body(conn)
            })
            .map_err(|failed| session.settle(failed))
    }

    /// Runs the closure once. Whatever does not succeed is rolled back when this returns.
    pub(crate) fn attempt<T, E, F>(&mut self, body: F) -> Result<Outcome<T>, Failed<E>>
    where
        F: FnOnce(&mut C) -> Result<T, E>,
    {
        let mut tx = AuditedTransaction::begin(self.connection, self.context, &self.options, self.schema.clone())
            .map_err(Failed::Begin)?;
        let value = body(&mut tx).map_err(Failed::Body)?;
        let transaction_id = tx.commit().map_err(Failed::Commit)?;
        Ok(Outcome { value, transaction_id })
    }

    /// Records the failure if it was told to, and gives the caller's error.
    pub(crate) fn settle<E: From<Error>>(&mut self, failed: Failed<E>) -> E {
        if let Some(action) = &self.on_error
            && failed.is_certain()
        {
            failure::record_or_trace(self.connection, self.context, &self.schema, action);
        }
        failed.into_error()
    }
}

/// Why an attempt did not succeed.
pub(crate) enum Failed<E> {
    Begin(Error),
    Body(E),
    Commit(Error),
}

impl<E> Failed<E> {
    fn into_error(self) -> E
    where
        E: From<Error>,
    {
        match self {
            Self::Body(error) => error,
            Self::Begin(error) | Self::Commit(error) => error.into(),
        }
    }

    /// Whether the operation ran, and left nothing behind for certain.
    fn is_certain(&self) -> bool {
        match self {
            Self::Begin(_) => false,
            Self::Body(_) => true,
            Self::Commit(error) => !error.is_unknown_commit(),
        }
    }

    /// Whether the closure's error is worth another attempt by `worth_it`, or COMMIT's by its own account.
    pub(crate) fn is_worth_retrying(&self, worth_it: impl FnOnce(&E) -> bool) -> bool {
        match self {
            Self::Begin(_) => false,
            Self::Body(error) => worth_it(error),
            // Says no when the outcome is unknown.
            Self::Commit(error) => !error.is_unknown_commit() && error.is_serialization_failure(),
        }
    }
}

/// Shows no part of the context: it may hold personal data.
impl<C> fmt::Debug for Session<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("schema", &self.schema).field("options", &self.options).finish_non_exhaustive()
    }
}
