//! The audited transaction that is committed by hand.

use std::fmt;
use std::num::NonZeroU32;
use std::ops::{Deref, DerefMut};

use diesel::connection::LoadConnection;
use diesel::pg::Pg;
use threadline_core::{
    Action, ActionId, AuditContext, CurrentTransactionId, EnterContext, Outcome, PreviousContext, RecordAction, Schema,
    TransactionId, TransactionOptions,
};

use crate::leave::LeaveWithId;
use crate::{Error, Session, wire};

/// A transaction whose changes and actions are recorded under one [`AuditContext`], for code that does not fit in a
/// closure; from [`AuditDsl::begin_audited`](crate::AuditDsl::begin_audited).
///
/// It dereferences to the connection: give Diesel `&mut *tx`. Dropped without [`commit`](Self::commit), by a panic too, it
/// is rolled back, which waits for the server.
///
/// Begun inside an open transaction it is a savepoint with a context of its own, and committing it releases the savepoint
/// and brings the outer context back.
///
/// # Examples
/// ```no_run
/// use diesel::prelude::*;
/// use threadline_diesel::prelude::*;
///
/// # diesel::table! { posts (id) { id -> BigInt, title -> Text } }
/// # fn example(conn: &mut PgConnection) -> Result<(), threadline_diesel::Error> {
/// let context = AuditContext::new(ActorRef::user("42")?).correlation_id("req-7f3");
/// let mut tx = conn.begin_audited(&context)?;
/// diesel::update(posts::table.find(7)).set(posts::title.eq("Ship it")).execute(&mut *tx)?;
/// tx.record_action(&Action::new("post.published"))?;
/// let audit_transaction = tx.commit()?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a transaction is rolled back when it is dropped without commit()"]
pub struct AuditedTransaction<'c, C>
where
    C: LoadConnection<Backend = Pg>,
{
    connection: &'c mut C,
    schema: Schema,
    /// Diesel's level of this transaction; it is over when the connection has fewer.
    level: NonZeroU32,
    /// What brings the outer context back: settings survive the release of a savepoint.
    outer: Option<PreviousContext>,
}

impl<'c, C> AuditedTransaction<'c, C>
where
    C: LoadConnection<Backend = Pg>,
{
    /// Begins with the context in the same message, or makes a savepoint and enters the context.
    pub(crate) fn begin(
        connection: &'c mut C,
        context: &AuditContext,
        options: &TransactionOptions,
        schema: Schema,
    ) -> Result<Self, Error> {
        let Some(outside) = wire::depth(connection)? else {
            wire::begin(connection, &context.begin_sql(options)?)?;
            return Ok(Self { connection, schema, level: NonZeroU32::MIN, outer: None });
        };
        if *options != TransactionOptions::new() {
            return Err(threadline_core::Error::nested("a transaction with options of its own").into());
        }
        context.validate()?;
        wire::savepoint(connection)?;
        let mut tx = Self { connection, schema, level: outside.saturating_add(1), outer: None };
        tx.outer = Some(wire::perform(tx.connection, &tx.schema, &EnterContext(context))?);
        Ok(tx)
    }

    /// Runs `body` in a savepoint that inherits the context.
    pub(crate) fn savepoint<T, E, F>(connection: &'c mut C, body: F) -> Result<T, E>
    where
        F: FnOnce(&mut C) -> Result<T, E>,
        E: From<Error>,
    {
        wire::savepoint(connection)?;
        let level = wire::depth(connection).map_err(Error::from)?.unwrap_or(NonZeroU32::MIN);
        let scope = Self { connection, schema: Schema::default(), level, outer: None };
        let value = body(scope.connection)?;
        wire::release(scope.connection)?;
        Ok(value)
    }

    /// Records a semantic action, in one round trip. It covers the changes that follow it in the same context; the first
    /// one of a context also covers those before it. Any number can be recorded.
    ///
    /// # Errors
    /// When the action is out of bounds (before anything is sent), when neither it nor the context has an actor, or when
    /// the database refuses it; then the transaction can only be rolled back.
    pub fn record_action(&mut self, action: &Action) -> Result<ActionId, Error> {
        wire::perform(self.connection, &self.schema, &RecordAction(action))
    }

    /// As [`AuditDsl::with`](crate::AuditDsl::with), inside this transaction and with the kernel in its schema.
    pub fn with<'t>(&'t mut self, context: &'t AuditContext) -> Session<'t, C> {
        Session::new(self.connection, context).with_schema(self.schema.clone())
    }

    /// As [`AuditDsl::audited`](crate::AuditDsl::audited), inside this transaction and with the kernel in its schema.
    ///
    /// # Errors
    /// As for [`AuditDsl::audited`](crate::AuditDsl::audited).
    pub fn audited<T, E, F>(&mut self, context: &AuditContext, body: F) -> Result<Outcome<T>, E>
    where
        F: FnOnce(&mut C) -> Result<T, E>,
        E: From<Error>,
    {
        self.with(context).transaction(body)
    }

    /// As [`AuditDsl::nested`](crate::AuditDsl::nested), with the kernel in the schema of this transaction.
    ///
    /// # Errors
    /// As for [`AuditDsl::nested`](crate::AuditDsl::nested).
    pub fn nested<T, E, F>(&mut self, context: Option<&AuditContext>, body: F) -> Result<T, E>
    where
        F: FnOnce(&mut C) -> Result<T, E>,
        E: From<Error>,
    {
        match context {
            Some(context) => self.audited(context, body).map(Outcome::into_value),
            None => AuditedTransaction::savepoint(self.connection, body),
        }
    }

    /// What `audited!` expands to.
    #[doc(hidden)]
    pub fn __audited<T, E, F>(
        &mut self,
        context: &AuditContext,
        action: Option<Action>,
        body: F,
    ) -> Result<Outcome<T>, E>
    where
        F: FnOnce(&mut C) -> Result<T, E>,
        E: From<Error>,
    {
        self.with(context).__audited(context, action, body)
    }

    /// Commits, and tells the audit transaction: the row that the changes of this context are grouped under. `None` when
    /// nothing was captured.
    ///
    /// # Errors
    /// [`is_rolled_back`](Error::is_rolled_back) when a statement had failed and its error was swallowed: PostgreSQL
    /// answers COMMIT with ROLLBACK then, and Diesel alone would report success.
    /// [`is_unknown_commit`](Error::is_unknown_commit) when the connection broke before the answer to COMMIT arrived.
    /// After any other error, such as a violated deferred constraint, nothing was committed.
    pub fn commit(mut self) -> Result<Option<TransactionId>, Error> {
        let outer = self.outer.take();
        let connection = &mut *self.connection;
        // Both fail in a failed transaction, where COMMIT itself would not.
        let id = match &outer {
            Some(outer) => wire::perform(connection, &self.schema, &LeaveWithId(outer)),
            None => wire::perform(connection, &self.schema, &CurrentTransactionId),
        };
        let id = id.map_err(|error| wire::in_closing(connection, error))?;
        match outer {
            Some(_) => wire::release(connection)?,
            None => wire::commit(connection)?,
        }
        Ok(id)
    }

    /// Rolls back and waits for the answer. Without one, the connection is broken and the server rolls back by itself.
    pub fn rollback(self) {
        drop(self);
    }
}

impl<C> Drop for AuditedTransaction<'_, C>
where
    C: LoadConnection<Backend = Pg>,
{
    fn drop(&mut self) {
        // Does nothing after a commit: then the connection is at a lower level.
        wire::roll_back_to(self.connection, self.level);
    }
}

impl<C> Deref for AuditedTransaction<'_, C>
where
    C: LoadConnection<Backend = Pg>,
{
    type Target = C;

    fn deref(&self) -> &C {
        self.connection
    }
}

impl<C> DerefMut for AuditedTransaction<'_, C>
where
    C: LoadConnection<Backend = Pg>,
{
    fn deref_mut(&mut self) -> &mut C {
        self.connection
    }
}

impl<C> fmt::Debug for AuditedTransaction<'_, C>
where
    C: LoadConnection<Backend = Pg>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditedTransaction").field("level", &self.level).finish_non_exhaustive()
    }
}
