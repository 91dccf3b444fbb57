//! A context for a transaction that somebody else opened.

use std::ops::Deref;

use sea_orm::{DatabaseExecutor, DatabaseTransaction};
use threadline_core::{Action, ActionId, AuditContext, LeaveContext, PreviousContext, Schema};

use crate::guarded::Guarded;
use crate::{AuditedTransaction, Error};

/// Puts `context` on a transaction that a framework, a request scope or a data migration has opened.
///
/// `transaction` is SeaORM's [`DatabaseTransaction`], or the [`DatabaseExecutor`] that a migration works with
/// (`manager.get_connection()`). Ending the transaction stays its owner's business: nothing here commits or rolls back.
///
/// Changes made before it keep the context they were made under.
///
/// # Errors
/// [`is_not_in_transaction`](Error::is_not_in_transaction) when the executor is a plain connection, because a context set
/// then would be lost with the statement that sets it; [`is_missing_actor`](Error::is_missing_actor) as when beginning;
/// otherwise SeaORM's.
///
/// # Examples
/// ```no_run
/// use sea_orm::{ConnectionTrait, DatabaseConnection, TransactionTrait};
/// use threadline_core::{ActorRef, AuditContext};
/// use threadline_seaorm::attach;
///
/// # async fn example(connection: DatabaseConnection) -> Result<(), threadline_seaorm::Error> {
/// let context = AuditContext::new(ActorRef::job("backfill-12")?);
/// let tx = connection.begin().await?;
/// let audited = attach(&context, &tx).await?;
/// audited.execute_unprepared("UPDATE posts SET slug = lower(title)").await?;
/// audited.detach().await?;
/// tx.commit().await?;
/// # Ok(())
/// # }
/// ```
pub async fn attach<'t, T>(context: &AuditContext, transaction: &'t T) -> Result<Attached<'t>, Error>
where
    T: OpenTransaction,
{
    attach_in(&Schema::default(), context, transaction).await
}

/// As [`attach`], for the kernel in a schema other than `threadline`.
///
/// # Errors
/// As for [`attach`].
pub async fn attach_in<'t, T>(
    schema: &Schema,
    context: &AuditContext,
    transaction: &'t T,
) -> Result<Attached<'t>, Error>
where
    T: OpenTransaction,
{
    let transaction = transaction.open_transaction().ok_or_else(Error::not_in_transaction)?;
    let (scope, previous) = Guarded::attach(transaction, context, schema).await?;
    Ok(Attached { scope, previous })
}

/// What a transaction may be open on, for [`attach`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an open transaction of SeaORM",
    note = "attach to a `DatabaseTransaction`, or to the `DatabaseExecutor` of a migration",
    note = "to begin an audited transaction, use `AuditedDatabase::with(&context)`"
)]
pub trait OpenTransaction: Sync {
    /// The transaction; `None` when none is open.
    fn open_transaction(&self) -> Option<&DatabaseTransaction>;
}

impl OpenTransaction for DatabaseTransaction {
    fn open_transaction(&self) -> Option<&DatabaseTransaction> {
        Some(self)
    }
}

impl OpenTransaction for DatabaseExecutor<'_> {
    fn open_transaction(&self) -> Option<&DatabaseTransaction> {
        match self {
            Self::Connection(_) => None,
            Self::Transaction(transaction) => Some(transaction),
            Self::OwnedTransaction(transaction) => Some(transaction),
        }
    }
}

impl OpenTransaction for AuditedTransaction {
    fn open_transaction(&self) -> Option<&DatabaseTransaction> {
        Some(self)
    }
}

/// Somebody else's transaction with a context of ours on it, from [`attach`].
///
/// It is used as an [`AuditedTransaction`] is, except that it does not end. [`detach`](Self::detach) brings back the context
/// that was there before. Dropped instead, it leaves its own for the rest of the transaction, and never beyond.
///
/// Do not cancel a nested scope of it while its savepoint is being made: SeaORM rolls the whole transaction back then.
/// Nothing runs through this value afterwards, but its owner is not told.
#[derive(Debug)]
#[must_use = "detach() brings back the context that the transaction had before"]
pub struct Attached<'t> {
    scope: Guarded<'t>,
    previous: PreviousContext,
}

impl Attached<'_> {
    /// The context that changes are recorded under.
    pub fn context(&self) -> &AuditContext {
        self.scope.context()
    }

    /// As [`AuditedTransaction::record_action`].
    ///
    /// # Errors
    /// As for [`AuditedTransaction::record_action`].
    pub async fn record_action(&self, action: &Action) -> Result<ActionId, Error> {
        self.scope.record_action(action).await
    }

    /// Brings back the context, and the current action, that the transaction had before.
    ///
    /// # Errors
    /// [`is_rolled_back`](Error::is_rolled_back) when a statement of the transaction has failed: its owner can only roll
    /// it back, to a savepoint or altogether.
    pub async fn detach(self) -> Result<(), Error> {
        self.scope.perform(&LeaveContext(&self.previous)).await.map_err(Error::in_closing)
    }

    pub(crate) fn guarded(&self) -> &Guarded<'_> {
        &self.scope
    }
}

/// For functions that ask for SeaORM's own transaction.
impl Deref for Attached<'_> {
    type Target = DatabaseTransaction;

    fn deref(&self) -> &DatabaseTransaction {
        self.scope.condition().doubt();
        self.scope.plain()
    }
}
