//! A connection with a context: what begins audited transactions.

use std::fmt;
use std::future::Future;

use threadline_core::{Action, ActionId, AuditContext, Outcome, Schema, TransactionOptions};

use crate::Error;
use crate::asynchronous::{AsyncBody, AuditDsl, AuditedTransaction, failure};

/// A connection under one context, from [`AuditDsl::with`]: says how its audited transaction begins, then runs it.
///
/// # Examples
/// ```no_run
/// use diesel_async::{AsyncPgConnection, RunQueryDsl};
/// use threadline_diesel::asynchronous::prelude::*;
///
/// # async fn example(conn: &mut AsyncPgConnection, context: &AuditContext) -> Result<(), threadline_diesel::Error> {
/// conn.with(context)
///     .options(IsolationLevel::RepeatableRead)
///     .on_error_record(Action::new("invoice.charge"))
///     .transaction(async |conn| {
///         diesel::sql_query("UPDATE invoices SET charged = true WHERE id = 7").execute(conn).await?;
///         Ok::<_, threadline_diesel::Error>(())
///     })
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a session does nothing until it begins a transaction"]
pub struct Session<'c, C: AuditDsl> {
    pub(crate) conn: &'c mut C,
    context: AuditContext,
    options: TransactionOptions,
    schema: Schema,
    on_error: Option<Action>,
}

impl<'c, C: AuditDsl> Session<'c, C> {
    pub(crate) fn new(conn: &'c mut C, context: &AuditContext) -> Self {
        Self {
            conn,
            context: context.clone(),
            options: TransactionOptions::new(),
            schema: Schema::default(),
            on_error: None,
        }
    }

    /// Begins its transaction with an isolation level, an access mode, or both. Inside an open transaction that is refused,
    /// as diesel-async's own `build_transaction` is.
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
    /// [`tracing`] event of level error. Nothing is recorded when the outcome of COMMIT is unknown, when the future is
    /// cancelled, or when the closure panics.
    pub fn on_error_record(mut self, action: Action) -> Self {
        self.on_error = Some(action);
        self
    }

    /// The context.
    pub fn context(&self) -> &AuditContext {
        &self.context
    }

    /// Begins a transaction that you commit yourself. The context travels in the message that begins.
    ///
    /// # Errors
    /// As for [`AuditDsl::begin_audited`]; [`is_nested`](Error::is_nested) when it has options and a transaction is open.
    pub async fn begin(self) -> Result<AuditedTransaction<&'c mut C>, Error> {
        AuditedTransaction::begin(self.conn, &self.context, &self.options, self.schema).await
    }

    /// Runs `body` in an audited transaction: committed when it returns `Ok`, rolled back when it returns `Err`, panics or
    /// is cancelled.
    ///
    /// # Errors
    /// The closure's, or ours as for [`begin`](Self::begin) and [`AuditedTransaction::commit`].
    pub fn transaction<T, E, F>(mut self, body: F) -> impl Future<Output = Result<Outcome<T>, E>> + Send
    where
        for<'r> F: AsyncFnOnce(&'r mut C) -> Result<T, E> + AsyncBody<&'r mut C, Result<T, E>, Future: Send> + Send,
        E: From<Error> + Send,
        T: Send,
    {
        async move {
            match self.attempt(None, body).await {
                Ok(outcome) => Ok(outcome),
                Err(failed) => Err(self.settle(failed).await),
            }
        }
    }

    /// Records an action with status error in a transaction of its own, whatever status it was given: for an operation
    /// that failed and left nothing else to record.
    ///
    /// # Errors
    /// [`is_nested`](Error::is_nested) inside a transaction, whose rollback would take the record with it; otherwise as for
    /// [`begin`](Self::begin) and [`AuditedTransaction::commit`].
    pub async fn record_failure(self, action: &Action) -> Result<ActionId, Error> {
        failure::record_alone(self.conn, &self.context, &self.schema, action).await
    }

    /// What `audited!` expands to; `context` replaces the session's own.
    #[doc(hidden)]
    pub fn __audited<T, E, F>(
        self,
        context: &AuditContext,
        action: Option<Action>,
        body: F,
    ) -> impl Future<Output = Result<Outcome<T>, E>> + Send
    where
        for<'r> F: AsyncFnOnce(&'r mut C) -> Result<T, E> + AsyncBody<&'r mut C, Result<T, E>, Future: Send> + Send,
        E: From<Error> + Send,
        T: Send,
    {
        async move {
            let mut session = Session { context: context.clone(), ..self };
            match session.attempt(action.as_ref(), body).await {
                Ok(outcome) => Ok(outcome),
                Err(failed) => Err(session.settle(failed).await),
            }
        }
    }

    /// Runs the closure once. Whatever does not succeed is rolled back when this returns.
    pub(crate) async fn attempt<T, E, F>(&mut self, action: Option<&Action>, body: F) -> Result<Outcome<T>, Failed<E>>
    where
        for<'r> F: AsyncFnOnce(&'r mut C) -> Result<T, E> + AsyncBody<&'r mut C, Result<T, E>, Future: Send> + Send,
        E: From<Error> + Send,
        T: Send,
    {
        let mut tx = AuditedTransaction::begin(&mut *self.conn, &self.context, &self.options, self.schema.clone())
            .await
            .map_err(Failed::Begin)?;
        if let Some(action) = action {
            // First: then it is known when the row that the changes are grouped under is written, which is cheaper.
            tx.record_action(action).await.map_err(Failed::Begin)?;
        }
        tx.guarded.retire_when_dropped(true);
        let answer = body(tx.guarded.connection()).await;
        tx.guarded.retire_when_dropped(false);
        let failed = match answer {
            Ok(value) => match tx.finish().await {
                Ok(transaction_id) => return Ok(Outcome { value, transaction_id }),
                Err(error) if error.is_unknown_commit() => return Err(Failed::Commit(error)),
                Err(error) => Failed::Commit(error),
            },
            Err(error) => Failed::Body(error),
        };
        // The server rolls back by itself when it does not answer.
        if let Err(error) = tx.guarded.rollback().await {
            tracing::debug!(sqlstate = error.sqlstate(), "the rollback was not answered");
        }
        Err(failed)
    }

    /// Records the failure if it was told to, and gives the caller's error.
    pub(crate) async fn settle<E: From<Error>>(&mut self, failed: Failed<E>) -> E {
        if let Some(action) = &self.on_error
            && failed.is_certain()
        {
            failure::record_or_trace(self.conn, &self.context, &self.schema, action).await;
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
            Self::Commit(error) => !error.is_unknown_commit() & error.is_serialization_failure(),
        }
    }
}

/// Shows no part of the context: it may hold personal data.
impl<C: AuditDsl> fmt::Debug for Session<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("schema", &self.schema).field("options", &self.options).finish_non_exhaustive()
    }
}
