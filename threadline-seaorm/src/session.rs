//! A database with a context: what begins audited transactions.

use std::fmt;
use std::sync::Arc;

use threadline_core::{Action, ActionId, AuditContext, Outcome, TransactionOptions};

use crate::guarded::Guarded;
use crate::{AuditedDatabase, AuditedTransaction, Error, IntoTransactionOptions, failure, options};

/// An [`AuditedDatabase`] under one context, from [`AuditedDatabase::with`]. It can only begin audited transactions.
///
/// Cheap to clone and free to make: one per request, job or command. SeaORM's `TransactionTrait` is implemented too, so it
/// goes wherever SeaORM begins a transaction by itself: `post.save(&session)` of an `ActiveModelEx` is attributed.
///
/// # Examples
/// ```no_run
/// use sea_orm::ConnectionTrait;
/// use threadline_core::{Action, AuditContext, IsolationLevel};
/// use threadline_seaorm::{AuditedDatabase, Error};
///
/// # async fn example(db: AuditedDatabase, context: AuditContext) -> Result<(), Error> {
/// let session = db
///     .with(&context)
///     .options(IsolationLevel::RepeatableRead)
///     .on_error_record(Action::new("invoice.charge"));
/// session
///     .transaction(async |tx| {
///         tx.execute_unprepared("UPDATE invoices SET charged = true WHERE id = 7").await?;
///         Ok::<_, Error>(())
///     })
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a session does nothing until it begins a transaction"]
pub struct Session {
    database: AuditedDatabase,
    context: Arc<AuditContext>,
    options: TransactionOptions,
    on_error: Option<Arc<Action>>,
}

impl Session {
    pub(crate) fn new(database: AuditedDatabase, context: &AuditContext) -> Self {
        Self { database, context: Arc::new(context.clone()), options: TransactionOptions::new(), on_error: None }
    }

    /// Begins its transactions with an isolation level, an access mode, or both: Threadline's or SeaORM's.
    pub fn options(mut self, options: impl IntoTransactionOptions) -> Self {
        self.options = options.into_transaction_options();
        self
    }

    /// Records `action`, with status error, whenever a transaction in a closure form fails: after it was rolled back, in
    /// a transaction of its own.
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

    /// Begins a transaction that you commit yourself.
    ///
    /// # Errors
    /// [`is_missing_actor`](Error::is_missing_actor) when the context has no actor and does not allow that, before a
    /// connection is taken; [`is_unsupported_backend`](Error::is_unsupported_backend) when it is not PostgreSQL; otherwise
    /// SeaORM's error.
    pub async fn begin(&self) -> Result<AuditedTransaction, Error> {
        self.open(&self.options, None).await
    }

    /// Runs `body` in an audited transaction: committed when it returns `Ok`, rolled back when it returns `Err`, panics
    /// or is cancelled.
    ///
    /// Where SeaORM's own `transaction` takes `|tx| Box::pin(async move { .. })`, this takes `async |tx| { .. }`. The boxed
    /// form is there too, as `TransactionTrait::transaction(&session, ..)`, for code that is generic over that trait.
    ///
    /// `E` is your error type. It needs `From<threadline_seaorm::Error>`, which [`DbErr`](sea_orm::DbErr) and
    /// `Box<dyn Error + Send + Sync>` have.
    ///
    /// # Errors
    /// The closure's, or ours as for [`begin`](Self::begin) and [`AuditedTransaction::commit`].
    pub async fn transaction<F, T, E>(&self, body: F) -> Result<Outcome<T>, E>
    where
        F: AsyncFnOnce(&AuditedTransaction) -> Result<T, E>,
        E: From<Error>,
    {
        self.audited(None, body).await
    }

    /// Records an action with status error in a transaction of its own, whatever status it was given: for an operation
    /// that failed and left nothing else to record.
    ///
    /// It takes a connection of its own from the pool. Call it after the failed transaction is over.
    ///
    /// # Errors
    /// As for [`begin`](Self::begin), [`AuditedTransaction::record_action`] and [`AuditedTransaction::commit`].
    pub async fn record_failure(&self, action: &Action) -> Result<ActionId, Error> {
        failure::record(self.open(&TransactionOptions::new(), None).await?, action).await
    }

    /// The same session with another context.
    pub(crate) fn under(&self, context: &AuditContext) -> Self {
        Self { context: Arc::new(context.clone()), ..self.clone() }
    }

    /// Runs the closure form, and records `action` first when there is one.
    pub(crate) async fn audited<F, T, E>(&self, action: Option<&Action>, body: F) -> Result<Outcome<T>, E>
    where
        F: AsyncFnOnce(&AuditedTransaction) -> Result<T, E>,
        E: From<Error>,
    {
        let tx = self.open(&self.options, action).await?;
        let answer = body(&tx).await;
        match conclude(tx, answer).await {
            Ok(outcome) => Ok(outcome),
            Err(failed) => {
                if !failed.is_unknown_commit() {
                    self.record_if_asked().await;
                }
                Err(failed.into_error())
            }
        }
    }

    pub(crate) async fn begin_with(&self, options: TransactionOptions) -> Result<AuditedTransaction, Error> {
        self.open(&options::over(self.options, options), None).await
    }

    async fn open(&self, options: &TransactionOptions, action: Option<&Action>) -> Result<AuditedTransaction, Error> {
        let scope = Guarded::open(&self.database, Arc::clone(&self.context), options, action).await?;
        Ok(AuditedTransaction(scope))
    }

    /// Records the failure of a transaction that was rolled back, if the session was told to.
    pub(crate) async fn record_if_asked(&self) {
        if let Some(action) = &self.on_error {
            failure::trace(action, self.record_failure(action).await);
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

/// Commits what the closure did. When it failed, the transaction is rolled back before this returns; when the commit
/// does, its destructor has sent the rollback.
pub(crate) async fn conclude<T, E>(tx: AuditedTransaction, answer: Result<T, E>) -> Result<Outcome<T>, Failed<E>> {
    match answer {
        Ok(value) => match tx.commit().await {
            Ok(transaction_id) => Ok(Outcome { value, transaction_id }),
            Err(error) => Err(Failed::InCommit(error)),
        },
        Err(error) => {
            roll_back_or_trace(tx).await;
            Err(Failed::InBody(error))
        }
    }
}

/// Rolls back where another error matters more.
pub(crate) async fn roll_back_or_trace(tx: AuditedTransaction) {
    if let Err(error) = tx.rollback().await {
        tracing::debug!(sqlstate = error.sqlstate().as_deref(), "the rollback was not answered");
    }
}

/// Shows no part of the context: it may hold personal data.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("database", &self.database)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
