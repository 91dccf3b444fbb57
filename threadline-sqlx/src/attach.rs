//! A context for a transaction that somebody else opened.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use sqlx::PgConnection;
use threadline_core::{AuditContext, EnterContext, LeaveContext, PreviousContext, Schema};

use crate::guarded::Guarded;
use crate::{AuditedTransaction, Error, wire};

/// Puts `context` on a transaction that a framework, a request scope or a data migration has opened.
///
/// `connection` is the transaction itself (`&mut tx` of a [`sqlx::Transaction`]) or any connection with one open, begun
/// with SQL text included. Ending the transaction stays its owner's business: nothing here commits or rolls back.
///
/// Changes made before it keep the context they were made under.
///
/// # Errors
/// [`is_not_in_transaction`](Error::is_not_in_transaction) when none is open, because a context set then would be lost
/// with the statement that sets it; [`is_missing_actor`](Error::is_missing_actor) as when beginning; otherwise sqlx's.
///
/// # Examples
/// ```no_run
/// use threadline_core::{ActorRef, AuditContext};
/// use threadline_sqlx::attach;
///
/// # async fn example(pool: sqlx::PgPool) -> Result<(), threadline_sqlx::Error> {
/// let context = AuditContext::new(ActorRef::job("backfill-12")?);
/// let mut tx = pool.begin().await?;
/// let mut audited = attach(&context, &mut tx).await?;
/// sqlx::query("UPDATE posts SET slug = lower(title)").execute(&mut **audited).await?;
/// audited.detach().await?;
/// tx.commit().await?;
/// # Ok(())
/// # }
/// ```
pub async fn attach<'c>(context: &AuditContext, connection: &'c mut PgConnection) -> Result<Attached<'c>, Error> {
    attach_in(&Schema::default(), context, connection).await
}

/// As [`attach`], for the kernel in a schema other than `threadline`.
///
/// # Errors
/// As for [`attach`].
pub async fn attach_in<'c>(
    schema: &Schema,
    context: &AuditContext,
    connection: &'c mut PgConnection,
) -> Result<Attached<'c>, Error> {
    context.validate()?;
    if !wire::in_transaction(connection).await? {
        return Err(Error::not_in_transaction());
    }
    let mut tx = AuditedTransaction {
        guarded: Guarded::foreign(connection),
        context: Arc::new(context.clone()),
        schema: Arc::new(schema.clone()),
    };
    let previous = tx.perform(&EnterContext(context)).await?;
    Ok(Attached { tx, previous })
}

/// Somebody else's transaction with a context of ours on it, from [`attach`].
///
/// It is an [`AuditedTransaction`] in everything but its end. [`detach`](Self::detach) brings back the context that was
/// there before. Dropped instead, it leaves its own for the rest of the transaction, and never beyond.
#[must_use = "detach() brings back the context that the transaction had before"]
pub struct Attached<'c> {
    tx: AuditedTransaction<'c>,
    previous: PreviousContext,
}

impl Attached<'_> {
    /// Brings back the context, and the current action, that the transaction had before.
    ///
    /// # Errors
    /// [`is_rolled_back`](Error::is_rolled_back) when a statement of the transaction has failed: its owner can only roll
    /// it back, to a savepoint or altogether.
    pub async fn detach(mut self) -> Result<(), Error> {
        self.tx.perform(&LeaveContext(&self.previous)).await.map_err(Error::in_closing)
    }
}

impl<'c> Deref for Attached<'c> {
    type Target = AuditedTransaction<'c>;

    fn deref(&self) -> &AuditedTransaction<'c> {
        &self.tx
    }
}

impl<'c> DerefMut for Attached<'c> {
    fn deref_mut(&mut self) -> &mut AuditedTransaction<'c> {
        &mut self.tx
    }
}

/// Shows no part of either context: they may hold personal data.
impl fmt::Debug for Attached<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attached").field("tx", &self.tx).finish_non_exhaustive()
    }
}
