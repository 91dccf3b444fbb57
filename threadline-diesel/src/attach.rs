//! A context for a transaction that somebody else opened.

use std::fmt;
use std::ops::{Deref, DerefMut};

use diesel::connection::LoadConnection;
use diesel::pg::Pg;
use threadline_core::{
    Action, ActionId, AuditContext, EnterContext, LeaveContext, PreviousContext, RecordAction, Schema,
};

use crate::{Error, wire};

/// Puts `context` on a transaction that a framework, a request scope or a data migration has opened.
///
/// Any open transaction will do, also one begun with SQL text. Ending it stays its owner's business: nothing here commits
/// or rolls back.
///
/// Changes made before it keep the context they were made under.
///
/// # Errors
/// [`is_not_in_transaction`](Error::is_not_in_transaction) when none is open, because a context set then would be lost
/// with the statement that sets it; [`is_missing_actor`](Error::is_missing_actor) as when beginning; otherwise Diesel's.
///
/// # Examples
/// ```no_run
/// use diesel::prelude::*;
/// use threadline_diesel::prelude::*;
///
/// # diesel::table! { posts (id) { id -> BigInt, slug -> Text } }
/// # fn example(conn: &mut PgConnection) -> Result<(), threadline_diesel::Error> {
/// let context = AuditContext::new(ActorRef::job("backfill-12")?);
/// conn.transaction(|conn| {
///     let mut audited = attach(&context, conn)?;
///     diesel::update(posts::table).set(posts::slug.eq("")).execute(&mut *audited)?;
///     audited.detach()
/// })?;
/// # Ok(())
/// # }
/// ```
pub fn attach<'c, C>(context: &AuditContext, connection: &'c mut C) -> Result<Attached<'c, C>, Error>
where
    C: LoadConnection<Backend = Pg>,
{
    attach_in(&Schema::default(), context, connection)
}

/// As [`attach`], for the kernel in a schema other than `threadline`. For a scope inside it, say so again:
/// [`Session::with_schema`](crate::Session::with_schema).
///
/// # Errors
/// As for [`attach`].
pub fn attach_in<'c, C>(
    schema: &Schema,
    context: &AuditContext,
    connection: &'c mut C,
) -> Result<Attached<'c, C>, Error>
where
    C: LoadConnection<Backend = Pg>,
{
    context.validate()?;
    if !wire::in_transaction(connection)? {
        return Err(Error::not_in_transaction());
    }
    let previous = wire::perform(connection, schema, &EnterContext(context))?;
    Ok(Attached { connection, schema: schema.clone(), previous })
}

/// Somebody else's transaction with a context of ours on it, from [`attach`]. It dereferences to the connection.
///
/// [`detach`](Self::detach) brings back the context that was there before. Dropped instead, it leaves its own for the rest
/// of the transaction, and never beyond.
#[must_use = "detach() brings back the context that the transaction had before"]
pub struct Attached<'c, C> {
    connection: &'c mut C,
    schema: Schema,
    previous: PreviousContext,
}

impl<C> Attached<'_, C>
where
    C: LoadConnection<Backend = Pg>,
{
    /// Records a semantic action; see [`AuditDsl::record_action`](crate::AuditDsl::record_action).
    ///
    /// # Errors
    /// As for [`AuditDsl::record_action`](crate::AuditDsl::record_action).
    pub fn record_action(&mut self, action: &Action) -> Result<ActionId, Error> {
        wire::perform(self.connection, &self.schema, &RecordAction(action))
    }

    /// Brings back the context, and the current action, that the transaction had before.
    ///
    /// # Errors
    /// [`is_rolled_back`](Error::is_rolled_back) when a statement of the transaction has failed: its owner can only roll
    /// it back, to a savepoint or altogether.
    pub fn detach(self) -> Result<(), Error> {
        let Self { connection, schema, previous } = self;
        wire::perform(connection, &schema, &LeaveContext(&previous))
            .map_err(|error| wire::in_closing(connection, error))
    }
}

impl<C> Deref for Attached<'_, C> {
    type Target = C;

    fn deref(&self) -> &C {
        self.connection
    }
}

impl<C> DerefMut for Attached<'_, C> {
    fn deref_mut(&mut self) -> &mut C {
        self.connection
    }
}

/// Shows no part of either context: they may hold personal data.
impl<C> fmt::Debug for Attached<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attached").field("schema", &self.schema).finish_non_exhaustive()
    }
}
