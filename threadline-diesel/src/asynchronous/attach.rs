//! A context for a transaction that somebody else opened.

use std::fmt;
use std::ops::{Deref, DerefMut};

use threadline_core::{
    Action, ActionId, AuditContext, EnterContext, LeaveContext, PreviousContext, RecordAction, Schema,
};

use crate::Error;
use crate::asynchronous::guarded::in_closing;
use crate::asynchronous::{AuditDsl, wire};

/// Puts `context` on a transaction that a framework, a request scope or a data migration has opened.
///
/// `conn` is the connection with the transaction open, begun with SQL text included. Ending the transaction stays its
/// owner's business: nothing here commits or rolls back.
///
/// Changes made before it keep the context they were made under.
///
/// # Errors
/// [`is_not_in_transaction`](Error::is_not_in_transaction) when none is open, because a context set then would be lost
/// with the statement that sets it; [`is_missing_actor`](Error::is_missing_actor) as when beginning; otherwise Diesel's.
///
/// # Examples
/// ```no_run
/// use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
/// use threadline_diesel::asynchronous::prelude::*;
///
/// # async fn example(mut conn: AsyncPgConnection) -> Result<(), threadline_diesel::Error> {
/// let context = AuditContext::new(ActorRef::job("backfill-12")?);
/// conn.transaction(async |conn| {
///     let mut audited = attach(&context, conn).await?;
///     diesel::sql_query("UPDATE posts SET slug = lower(title)").execute(&mut audited).await?;
///     audited.detach().await
/// })
/// .await?;
/// # Ok(())
/// # }
/// ```
pub async fn attach<'c, C: AuditDsl>(context: &AuditContext, conn: &'c mut C) -> Result<Attached<'c, C>, Error> {
    attach_in(&Schema::default(), context, conn).await
}

/// As [`attach`], for the kernel in a schema other than `threadline`.
///
/// # Errors
/// As for [`attach`].
pub async fn attach_in<'c, C: AuditDsl>(
    schema: &Schema,
    context: &AuditContext,
    conn: &'c mut C,
) -> Result<Attached<'c, C>, Error> {
    context.validate()?;
    if !wire::in_transaction(conn).await? {
        return Err(Error::not_in_transaction());
    }
    let previous = wire::perform(conn, schema, &EnterContext(context)).await?;
    Ok(Attached { conn, schema: schema.clone(), previous })
}

/// Somebody else's transaction with a context of ours on it, from [`attach`]. It is a connection of diesel-async itself,
/// and dereferences to the one it was given.
///
/// [`detach`](Self::detach) brings back the context that was there before. Dropped instead, it leaves its own for the rest
/// of the transaction, and never beyond.
#[must_use = "detach() brings back the context that the transaction had before"]
pub struct Attached<'c, C: AuditDsl> {
    conn: &'c mut C,
    schema: Schema,
    previous: PreviousContext,
}

impl<C: AuditDsl> Attached<'_, C> {
    /// Records a semantic action; see [`AuditDsl::record_action`].
    ///
    /// # Errors
    /// As for [`AuditDsl::record_action`].
    pub async fn record_action(&mut self, action: &Action) -> Result<ActionId, Error> {
        wire::perform(self.conn, &self.schema, &RecordAction(action)).await
    }

    /// Brings back the context, and the current action, that the transaction had before.
    ///
    /// # Errors
    /// [`is_rolled_back`](Error::is_rolled_back) when a statement of the transaction has failed: its owner can only roll
    /// it back, to a savepoint or altogether.
    pub async fn detach(self) -> Result<(), Error> {
        let Self { conn, schema, previous } = self;
        match wire::perform(conn, &schema, &LeaveContext(&previous)).await {
            Ok(()) => Ok(()),
            Err(error) => Err(in_closing(conn, error).await),
        }
    }
}

impl<C: AuditDsl> Deref for Attached<'_, C> {
    type Target = C;

    fn deref(&self) -> &C {
        self.conn
    }
}

impl<C: AuditDsl> DerefMut for Attached<'_, C> {
    fn deref_mut(&mut self) -> &mut C {
        self.conn
    }
}

/// Shows no part of either context: they may hold personal data.
impl<C: AuditDsl> fmt::Debug for Attached<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attached").field("schema", &self.schema).finish_non_exhaustive()
    }
}
