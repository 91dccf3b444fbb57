//! Auditing on any PostgreSQL connection of diesel-async.

use std::future::Future;

use diesel::pg::Pg;
use diesel_async::{AnsiTransactionManager, AsyncConnection, TransactionManager};
use threadline_core::{Action, ActionId, AuditContext, Outcome, RecordAction, Schema, TransactionOptions};

use crate::Error;
use crate::asynchronous::guarded::Guarded;
use crate::asynchronous::handle::PostgresConnection;
use crate::asynchronous::{AsyncBody, AuditedTransaction, ScopedConnection, Session, wire};

/// Audited transactions on every PostgreSQL connection of diesel-async: an
/// [`AsyncPgConnection`](diesel_async::AsyncPgConnection), one of a pool (deadpool, bb8, mobc), a mutable reference to
/// either, an [`AuditedTransaction`].
///
/// It is there for whatever qualifies; nobody implements it. Code that is generic over the connection needs no other
/// bound.
///
/// # Examples
/// ```no_run
/// use diesel_async::{AsyncPgConnection, RunQueryDsl};
/// use threadline_diesel::asynchronous::prelude::*;
///
/// # async fn example(mut conn: AsyncPgConnection) -> Result<(), threadline_diesel::Error> {
/// let context = AuditContext::new(ActorRef::user("42")?).correlation_id("req-7f3");
/// let outcome = conn
///     .audited(&context, async |conn| {
///         conn.record_action(&Action::new("post.published").reason("editor approved")).await?;
///         diesel::sql_query("UPDATE posts SET published = true WHERE id = 7").execute(conn).await
///     })
///     .await?;
/// println!("{} posts, recorded as {:?}", outcome.value, outcome.transaction_id);
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot begin an audited transaction",
    label = "not a PostgreSQL connection of diesel-async",
    note = "it begins on an `AsyncPgConnection`, or on a connection out of a pool: `pool.get().await?`",
    note = "code that is generic over the connection needs the bound `C: AuditDsl`",
    note = "for a blocking `PgConnection` use `threadline::diesel`"
)]
pub trait AuditDsl:
    AsyncConnection<
        Backend = Pg,
        TransactionManager: TransactionManager<Self, TransactionStateData = AnsiTransactionManager>,
    >
{
    /// Runs `body` in an audited transaction under `context`: committed when it returns `Ok`, rolled back when it returns
    /// `Err`, panics or is cancelled.
    ///
    /// Inside an open transaction it is a savepoint under this context, and the outer context is back afterwards, whichever
    /// way it ends. Diesel's own `transaction` in the closure inherits the context.
    ///
    /// `E` is your error type. It needs `From<threadline_diesel::Error>`, which [`diesel::result::Error`] and
    /// `Box<dyn Error + Send + Sync>` have. The future can be spawned when what the closure does can be.
    ///
    /// # Cancellation
    /// Dropped at any await point, the future leaves no open transaction and no actor on the connection. Dropped while the
    /// closure runs, it makes a pool replace the connection, as Diesel's own transactions do, because the statement that was
    /// cancelled may run on for long. A connection in no pool refuses further transactions then, with Diesel's
    /// `BrokenTransactionManager`.
    ///
    /// # Errors
    /// The closure's; [`is_missing_actor`](Error::is_missing_actor) when the context has no actor and does not allow that,
    /// before anything is sent; otherwise as for [`AuditedTransaction::commit`].
    fn audited<T, E, F>(
        &mut self,
        context: &AuditContext,
        body: F,
    ) -> impl Future<Output = Result<Outcome<T>, E>> + Send
    where
        for<'r> F:
            AsyncFnOnce(&'r mut Self) -> Result<T, E> + AsyncBody<&'r mut Self, Result<T, E>, Future: Send> + Send,
        E: From<Error> + Send,
        T: Send,
    {
        transaction(self, context, body)
    }

    /// The connection under `context`, for a transaction with an isolation level, one that may run twice, or one whose
    /// failure is recorded. Nothing is sent.
    fn with(&mut self, context: &AuditContext) -> Session<'_, Self> {
        Session::new(self, context)
    }

    /// Begins an audited transaction that you commit yourself.
    ///
    /// # Errors
    /// [`is_missing_actor`](Error::is_missing_actor) when the context has no actor and does not allow that, before anything
    /// is sent; otherwise Diesel's error.
    fn begin_audited(
        &mut self,
        context: &AuditContext,
    ) -> impl Future<Output = Result<AuditedTransaction<&mut Self>, Error>> + Send {
        begin(self, context)
    }

    /// Runs `body` in a savepoint of the open transaction: what it did is kept when it returns `Ok`, and rolled back alone
    /// when it returns `Err`, panics or is cancelled.
    ///
    /// Without a context it inherits the transaction's, and its actions stay current after it. With one it is
    /// [`audited`](Self::audited), which refuses to run outside a transaction here.
    ///
    /// A scope without a context costs two round trips, one with a context four.
    ///
    /// # Cancellation
    /// Cancelled while the release of the savepoint is on its way, the scope leaves the whole transaction failed: it can
    /// only be rolled back.
    ///
    /// # Errors
    /// The closure's; [`is_not_in_transaction`](Error::is_not_in_transaction) when Diesel knows of no open transaction;
    /// [`is_rolled_back`](Error::is_rolled_back) when a statement in it had failed and its error was swallowed.
    ///
    /// # Examples
    /// ```no_run
    /// use diesel_async::{AsyncPgConnection, RunQueryDsl};
    /// use threadline_diesel::asynchronous::prelude::*;
    ///
    /// # async fn example(conn: &mut AsyncPgConnection) -> diesel::QueryResult<()> {
    /// let billing = AuditContext::new(ActorRef::service_account("billing").map_err(threadline_diesel::Error::from)?);
    /// conn.nested(Some(&billing), async |conn| {
    ///     diesel::sql_query("UPDATE invoices SET paid = true WHERE id = 7").execute(conn).await
    /// })
    /// .await?;
    /// // Recorded under the outer context again:
    /// diesel::sql_query("UPDATE orders SET state = 'paid' WHERE invoice_id = 7").execute(conn).await?;
    /// # Ok(())
    /// # }
    /// ```
    fn nested<T, E, F>(&mut self, context: Option<&AuditContext>, body: F) -> impl Future<Output = Result<T, E>> + Send
    where
        for<'r> F:
            AsyncFnOnce(&'r mut Self) -> Result<T, E> + AsyncBody<&'r mut Self, Result<T, E>, Future: Send> + Send,
        E: From<Error> + Send,
        T: Send,
    {
        async move {
            let outside = wire::depth(self).map_err(Error::from)?;
            if outside == 0 {
                return Err(Error::not_in_transaction().into());
            }
            match context {
                Some(context) => transaction(self, context, body).await.map(Outcome::into_value),
                None => savepoint(self, outside, body).await,
            }
        }
    }

    /// Records a semantic action in the open transaction, in one round trip. It covers the changes that follow it in the
    /// same context; the first one of a context also covers those before it. Any number can be recorded.
    ///
    /// # Errors
    /// When the action is out of bounds (before anything is sent), when neither it nor the context has an actor, or when
    /// the database refuses it; then the transaction can only be rolled back.
    /// [`is_not_in_transaction`](Error::is_not_in_transaction) when none is open: outside the closure of
    /// [`audited`](Self::audited).
    fn record_action(&mut self, action: &Action) -> impl Future<Output = Result<ActionId, Error>> + Send {
        async { self.record_action_in(&Schema::default(), action).await }
    }

    /// As [`record_action`](Self::record_action), with the kernel in a schema other than `threadline`.
    ///
    /// # Errors
    /// As for [`record_action`](Self::record_action).
    fn record_action_in(
        &mut self,
        schema: &Schema,
        action: &Action,
    ) -> impl Future<Output = Result<ActionId, Error>> + Send {
        async {
            if !wire::in_transaction(self).await? {
                return Err(Error::not_in_transaction());
            }
            wire::perform(self, schema, &RecordAction(action)).await
        }
    }

    /// Records an action with status error in a transaction of its own: for an operation that failed and left nothing else
    /// to record. Call it after the failed transaction is over.
    ///
    /// # Errors
    /// As for [`Session::record_failure`].
    fn record_failure(
        &mut self,
        context: &AuditContext,
        action: &Action,
    ) -> impl Future<Output = Result<ActionId, Error>> + Send {
        async { self.with(context).record_failure(action).await }
    }

    /// The same connection for an application with tenants: its reads of the trail take a scope.
    fn scoped(self) -> ScopedConnection<Self>
    where
        Self: Sized,
    {
        ScopedConnection::new(self)
    }

    /// What `audited!` expands to.
    #[doc(hidden)]
    fn __audited<T, E, F>(
        &mut self,
        context: &AuditContext,
        action: Option<Action>,
        body: F,
    ) -> impl Future<Output = Result<Outcome<T>, E>> + Send
    where
        for<'r> F:
            AsyncFnOnce(&'r mut Self) -> Result<T, E> + AsyncBody<&'r mut Self, Result<T, E>, Future: Send> + Send,
        E: From<Error> + Send,
        T: Send,
    {
        async move { self.with(context).__audited(context, action, body).await }
    }
}

#[diagnostic::do_not_recommend]
#[allow(clippy::needless_maybe_sized, reason = "of a `String` it would be said that `str` has no size")]
impl<C> AuditDsl for C where C: PostgresConnection + ?Sized {}

/// As [`AuditDsl::audited`], as a function.
///
/// # Errors
/// As for [`AuditDsl::audited`].
pub fn transaction<C, T, E, F>(
    conn: &mut C,
    context: &AuditContext,
    body: F,
) -> impl Future<Output = Result<Outcome<T>, E>> + Send
where
    C: AuditDsl,
    for<'r> F: AsyncFnOnce(&'r mut C) -> Result<T, E> + AsyncBody<&'r mut C, Result<T, E>, Future: Send> + Send,
    E: From<Error> + Send,
    T: Send,
{
    async move { conn.with(context).transaction(body).await }
}

/// As [`AuditDsl::begin_audited`], on a connection that you give as well as on one that you lend: a transaction that is
/// begun on the connection of a pool keeps it until it ends.
///
/// # Errors
/// As for [`AuditDsl::begin_audited`].
///
/// # Examples
/// ```no_run
/// use diesel_async::{AsyncPgConnection, RunQueryDsl};
/// use threadline_diesel::asynchronous::prelude::*;
///
/// # async fn example(conn: AsyncPgConnection, context: AuditContext) -> Result<(), threadline_diesel::Error> {
/// let mut tx = begin(conn, &context).await?;
/// diesel::sql_query("DELETE FROM drafts").execute(&mut tx).await?;
/// tx.commit().await?;
/// # Ok(())
/// # }
/// ```
pub async fn begin<C: AuditDsl>(conn: C, context: &AuditContext) -> Result<AuditedTransaction<C>, Error> {
    AuditedTransaction::begin(conn, context, &TransactionOptions::new(), Schema::default()).await
}

/// Runs `body` in a savepoint that inherits the context.
async fn savepoint<C, T, E, F>(conn: &mut C, outside: u32, body: F) -> Result<T, E>
where
    C: AuditDsl,
    for<'r> F: AsyncFnOnce(&'r mut C) -> Result<T, E> + AsyncBody<&'r mut C, Result<T, E>, Future: Send> + Send,
    E: From<Error> + Send,
    T: Send,
{
    let mut scope = Guarded::savepoint(conn, outside).await?;
    let value = body(scope.connection()).await?;
    scope.settle().await?;
    scope.commit().await?;
    Ok(value)
}
