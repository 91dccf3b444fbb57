//! A pool with a context: what begins audited transactions.

use std::fmt;
use std::sync::Arc;

use threadline_core::{Action, ActionId, AuditContext, Operation, Outcome, RecordAction, TransactionOptions};

use crate::guarded::Guarded;
use crate::{AuditedPool, AuditedTransaction, Error, failure};

/// An [`AuditedPool`] under one context, from [`AuditedPool::with`]. It can only begin audited transactions.
///
/// Cheap to clone and free to make: one per request, job or command.
///
/// # Examples
/// ```no_run
/// use threadline_core::{Action, AuditContext, IsolationLevel};
/// use threadline_sqlx::{AuditedPool, Error};
///
/// # async fn example(db: AuditedPool, context: AuditContext) -> Result<(), Error> {
/// let session = db
///     .with(&context)
///     .options(IsolationLevel::RepeatableRead)
///     .on_error_record(Action::new("invoice.charge"));
/// session
///     .transaction(async |tx| {
///         sqlx::query("UPDATE invoices SET charged = true WHERE id = 7").execute(&mut **tx).await?;
///         Ok::<_, Error>(())
///     })
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a session does nothing until it begins a transaction"]
pub struct Session {
    pool: AuditedPool,
    pub(crate) context: Arc<AuditContext>,
    options: TransactionOptions,
    on_error: Option<Arc<Action>>,
}

impl Session {
    pub(crate) fn new(pool: AuditedPool, context: &AuditContext) -> Self {
        Self { pool, context: Arc::new(context.clone()), options: TransactionOptions::new(), on_error: None }
    }

    /// Begins its transactions with an isolation level, an access mode, or both.
    pub fn options(mut self, options: impl Into<TransactionOptions>) -> Self {
        self.options = options.into();
        self
    }

    /// Records `action`, with status error, whenever a transaction in the closure form fails: after it was rolled back,
    /// in a transaction of its own on the same connection.
    ///
    /// The closure's error is what the caller gets either way. When the recording fails as well, that is a
    /// [`tracing`] event of level error. Nothing is recorded when the outcome of COMMIT is unknown, when the future is
    /// cancelled, or when the closure panics.
    pub fn on_error_record(mut self, action: Action) -> Self {
        self.on_error = Some(Arc::new(action));
        self
    }

    /// The context.
    pub fn context(&self) -> &AuditContext {
        &self.context
    }

    /// Begins a transaction that you commit yourself. The context travels in the message that begins.
    ///
    /// # Errors
    /// [`is_missing_actor`](Error::is_missing_actor) when the context has no actor and does not allow that, before a
    /// connection is taken; otherwise sqlx's error.
    pub async fn begin(&self) -> Result<AuditedTransaction<'static>, Error> {
        self.begin_acting(None).await
    }

    /// Begins, and records the action in the same message: before anything is captured, because then the grouping row
    /// is written with its action.
    async fn begin_acting(&self, action: Option<&Action>) -> Result<AuditedTransaction<'static>, Error> {
        let schema = Arc::clone(self.pool.shared_schema());
        let mut sql = self.context.begin_sql(&self.options)?;
        let mut left = action;
        if let Some(action) = action
            && let Some(recording) = RecordAction(action).statement(&schema)?.with_literals()
        {
            sql.push_str("; ");
            sql.push_str(&recording);
            left = None;
        }
        let guarded = Guarded::acquire(self.pool.unaudited()).await?;
        let mut tx = AuditedTransaction::begin(guarded, Arc::clone(&self.context), Arc::clone(&schema), sql)
            .await
            .map_err(|error| error.in_own_statement(&schema))?;
        if let Some(action) = left {
            tx.record_action(action).await?;
        }
        Ok(tx)
    }

    /// Runs `body` in an audited transaction: committed when it returns `Ok`, rolled back when it returns `Err`, panics
    /// or is cancelled.
    ///
    /// `E` is your error type. It needs `From<threadline_sqlx::Error>`, which [`sqlx::Error`] and
    /// `Box<dyn Error + Send + Sync>` have.
    ///
    /// # Errors
    /// The closure's, or ours as for [`begin`](Self::begin) and [`AuditedTransaction::commit`].
    pub async fn transaction<T, E, F>(&self, body: F) -> Result<Outcome<T>, E>
    where
        F: AsyncFnOnce(&mut AuditedTransaction<'_>) -> Result<T, E>,
        E: From<Error>,
    {
        self.transaction_acting(None, body).await
    }

    /// As [`transaction`](Self::transaction), for an action that is recorded before the closure runs.
    pub(crate) async fn transaction_acting<T, E, F>(&self, action: Option<&Action>, body: F) -> Result<Outcome<T>, E>
    where
        F: AsyncFnOnce(&mut AuditedTransaction<'_>) -> Result<T, E>,
        E: From<Error>,
    {
        let mut tx = self.begin_acting(action).await?;
        let answer = body(&mut tx).await;
        match conclude(&mut tx, answer).await {
            Ok(outcome) => Ok(outcome),
            Err(failed) => {
                if !failed.is_unknown_commit() {
                    self.record_if_asked(&mut tx).await;
                }
                Err(failed.into_error())
            }
        }
    }

    /// Records an action with status error in a transaction of its own, whatever status it was given: for an operation
    /// that failed and left nothing else to record.
    ///
    /// It takes a connection of its own from the pool. Call it after the failed transaction is over.
    ///
    /// # Errors
    /// As for [`begin`](Self::begin), [`AuditedTransaction::record_action`] and [`AuditedTransaction::commit`].
    pub async fn record_failure(&self, action: &Action) -> Result<ActionId, Error> {
        let sql = self.context.begin_sql(&TransactionOptions::new())?;
        let guarded = Guarded::acquire(self.pool.unaudited()).await?;
        let schema = Arc::clone(self.pool.shared_schema());
        let mut tx = AuditedTransaction::begin(guarded, Arc::clone(&self.context), schema, sql).await?;
        failure::record(&mut tx, action).await
    }

    /// Records the failure of a transaction that was rolled back, if the session was told to.
    pub(crate) async fn record_if_asked(&self, tx: &mut AuditedTransaction<'_>) {
        if let Some(action) = &self.on_error {
            failure::record_or_trace(tx, action).await;
        }
    }
}

/// Why an attempt did not succeed.
pub(crate) enum Failed<E> {
    InBody(E),
    InCommit(Error),
}

impl<E: From<Error>> Failed<E> {
    pub(crate) fn into_error(self) -> E {
        match self {
            Self::InBody(error) => error,
            Self::InCommit(error) => error.into(),
        }
    }
}

impl<E> Failed<E> {
    pub(crate) fn is_unknown_commit(&self) -> bool {
        matches!(self, Self::InCommit(error) if error.is_unknown_commit())
    }
}

/// Commits what the closure did. When it failed, or the commit does, the transaction is rolled back before this returns.
pub(crate) async fn conclude<T, E>(
    tx: &mut AuditedTransaction<'_>,
    answer: Result<T, E>,
) -> Result<Outcome<T>, Failed<E>> {
    let failed = match answer {
        Ok(value) => match tx.finish().await {
            Ok(transaction_id) => return Ok(Outcome { value, transaction_id }),
            Err(error) => Failed::InCommit(error),
        },
        Err(error) => Failed::InBody(error),
    };
    if !failed.is_unknown_commit()
        && let Err(error) = tx.guarded.rollback().await
    {
        tracing::debug!(sqlstate = error.sqlstate().as_deref(), "the rollback was not answered");
    }
    Err(failed)
}

/// Shows no part of the context: it may hold personal data.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("pool", &self.pool).field("options", &self.options).finish_non_exhaustive()
    }
}
