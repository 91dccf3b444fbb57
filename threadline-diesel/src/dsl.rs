//! Auditing on any connection of Diesel's.

use diesel::connection::LoadConnection;
use diesel::pg::Pg;
use threadline_core::{Action, ActionId, AuditContext, Outcome, RecordAction, Schema, TransactionOptions};

use crate::handle::PostgresConnection;
use crate::{AuditedTransaction, Error, ScopedConnection, Session, wire};

/// Audited transactions on every connection to PostgreSQL: `PgConnection`, a pooled one, and code that is generic over
/// `C: LoadConnection<Backend = Pg>`.
///
/// # Examples
/// ```no_run
/// use diesel::prelude::*;
/// use threadline_diesel::prelude::*;
///
/// # diesel::table! { posts (id) { id -> BigInt, published -> Bool } }
/// # fn example(conn: &mut PgConnection) -> Result<(), threadline_diesel::Error> {
/// let context = AuditContext::new(ActorRef::user("42")?).correlation_id("req-7f3");
/// let outcome = conn.audited(&context, |conn| {
///     conn.record_action(&Action::new("post.published").reason("editor approved"))?;
///     diesel::update(posts::table.find(7)).set(posts::published.eq(true)).execute(conn)
/// })?;
/// println!("{} posts, recorded as {:?}", outcome.value, outcome.transaction_id);
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot begin an audited transaction",
    label = "not a connection of Diesel's to PostgreSQL",
    note = "it begins on a `PgConnection`, or on a connection out of a pool: `pool.get()?`",
    note = "code that is generic over the connection needs the bound `C: LoadConnection<Backend = Pg>`"
)]
pub trait AuditDsl: LoadConnection<Backend = Pg> {
    /// Runs `body` in an audited transaction under `context`: committed when it returns `Ok`, rolled back when it returns
    /// `Err` or panics.
    ///
    /// Inside an open transaction it is a savepoint under this context, and the outer context is back afterwards, whichever
    /// way it ends. Diesel's own `transaction` in the closure inherits the context.
    ///
    /// `E` is your error type. It needs `From<threadline_diesel::Error>`, which [`diesel::result::Error`] and
    /// `Box<dyn Error + Send + Sync>` have.
    ///
    /// # Errors
    /// The closure's; [`is_missing_actor`](Error::is_missing_actor) when the context has no actor and does not allow that,
    /// before anything is sent; otherwise as for [`AuditedTransaction::commit`].
    fn audited<T, E, F>(&mut self, context: &AuditContext, body: F) -> Result<Outcome<T>, E>
    where
        F: FnOnce(&mut Self) -> Result<T, E>,
        E: From<Error>,
    {
        self.with(context).transaction(body)
    }

    /// The connection under `context`, for a transaction with an isolation level, one that may run twice, or one whose
    /// failure is recorded. Nothing is sent.
    fn with<'c>(&'c mut self, context: &'c AuditContext) -> Session<'c, Self> {
        Session::new(self, context)
    }

    /// Begins an audited transaction that you commit yourself.
    ///
    /// # Errors
    /// [`is_missing_actor`](Error::is_missing_actor) when the context has no actor and does not allow that, before anything
    /// is sent; otherwise Diesel's error.
    fn begin_audited(&mut self, context: &AuditContext) -> Result<AuditedTransaction<'_, Self>, Error> {
        AuditedTransaction::begin(self, context, &TransactionOptions::new(), Schema::default())
    }

    /// Runs `body` in a savepoint of the open transaction: what it did is kept when it returns `Ok`, and rolled back alone
    /// when it returns `Err` or panics.
    ///
    /// Without a context it inherits the transaction's, and its actions stay current after it. With one it is
    /// [`audited`](Self::audited), which refuses to run outside a transaction here.
    ///
    /// # Errors
    /// The closure's; [`is_not_in_transaction`](Error::is_not_in_transaction) when Diesel knows of no open transaction;
    /// [`is_rolled_back`](Error::is_rolled_back) when a statement in it had failed and its error was swallowed.
    fn nested<T, E, F>(&mut self, context: Option<&AuditContext>, body: F) -> Result<T, E>
    where
        F: FnOnce(&mut Self) -> Result<T, E>,
        E: From<Error>,
    {
        if wire::depth(self).map_err(Error::from)?.is_none() {
            return Err(Error::not_in_transaction().into());
        }
        match context {
            Some(context) => self.audited(context, body).map(Outcome::into_value),
            None => AuditedTransaction::savepoint(self, body),
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
    fn record_action(&mut self, action: &Action) -> Result<ActionId, Error> {
        self.record_action_in(&Schema::default(), action)
    }

    /// As [`record_action`](Self::record_action), with the kernel in a schema other than `threadline`.
    ///
    /// # Errors
    /// As for [`record_action`](Self::record_action).
    fn record_action_in(&mut self, schema: &Schema, action: &Action) -> Result<ActionId, Error> {
        if !wire::in_transaction(self)? {
            return Err(Error::not_in_transaction());
        }
        wire::perform(self, schema, &RecordAction(action))
    }

    /// Records an action with status error in a transaction of its own: for an operation that failed and left nothing else
    /// to record. Call it after the failed transaction is over.
    ///
    /// # Errors
    /// As for [`Session::record_failure`].
    fn record_failure(&mut self, context: &AuditContext, action: &Action) -> Result<ActionId, Error> {
        self.with(context).record_failure(action)
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
    fn __audited<T, E, F>(&mut self, context: &AuditContext, action: Option<Action>, body: F) -> Result<Outcome<T>, E>
    where
        F: FnOnce(&mut Self) -> Result<T, E>,
        E: From<Error>,
    {
        self.with(context).__audited(context, action, body)
    }
}

#[diagnostic::do_not_recommend]
#[allow(clippy::needless_maybe_sized, reason = "of a `String` it would be said that `str` has no size")]
impl<C> AuditDsl for C where C: PostgresConnection + ?Sized {}
