//! Beginning an audited transaction on a plain pool or connection.

use std::future::Future;
use std::sync::Arc;

use sqlx::{PgConnection, PgPool};
use threadline_core::{AuditContext, Schema, TransactionOptions};

use crate::guarded::Guarded;
use crate::{AuditedTransaction, Error};

/// Begins audited transactions on sqlx's own pool and connection.
///
/// On a connection, only a transaction that sqlx knows of is noticed: after `BEGIN` as SQL text, `commit()` would commit that
/// one.
///
/// For the kernel in a schema other than `threadline`, use [`AuditedPool`](crate::AuditedPool).
///
/// # Examples
/// ```no_run
/// use threadline_core::{ActorRef, AuditContext, IsolationLevel};
/// use threadline_sqlx::BeginAudited;
///
/// # async fn example(pool: sqlx::PgPool) -> Result<(), threadline_sqlx::Error> {
/// let context = AuditContext::new(ActorRef::system("nightly")?);
/// let mut tx = pool.begin_audited_with(&context, IsolationLevel::Serializable).await?;
/// sqlx::query("DELETE FROM drafts WHERE expires_at < now()").execute(&mut *tx).await?;
/// tx.commit().await?;
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot begin an audited transaction",
    note = "call it on a `PgPool`, or on a `&mut PgConnection` that has no transaction open",
    note = "to put a context on a transaction that is already open, use `threadline_sqlx::attach`"
)]
pub trait BeginAudited<'c>: Sized + Send {
    /// Begins a transaction with the session's default isolation level.
    ///
    /// The context travels in the message that begins, so it costs no round trip.
    ///
    /// # Errors
    /// [`is_missing_actor`](Error::is_missing_actor) when the context has no actor and does not allow that, before a
    /// connection is taken; [`is_nested`](Error::is_nested) when a transaction is open on the connection; otherwise
    /// sqlx's error.
    fn begin_audited(
        self,
        context: &AuditContext,
    ) -> impl Future<Output = Result<AuditedTransaction<'c>, Error>> + Send {
        self.begin_audited_with(context, TransactionOptions::new())
    }

    /// Begins a transaction with an isolation level, an access mode, or both.
    ///
    /// # Errors
    /// As for [`begin_audited`](Self::begin_audited).
    fn begin_audited_with(
        self,
        context: &AuditContext,
        options: impl Into<TransactionOptions> + Send,
    ) -> impl Future<Output = Result<AuditedTransaction<'c>, Error>> + Send;
}

impl BeginAudited<'static> for &PgPool {
    async fn begin_audited_with(
        self,
        context: &AuditContext,
        options: impl Into<TransactionOptions> + Send,
    ) -> Result<AuditedTransaction<'static>, Error> {
        let sql = context.begin_sql(&options.into())?;
        let guarded = Guarded::acquire(self).await?;
        AuditedTransaction::begin(guarded, Arc::new(context.clone()), Arc::new(Schema::default()), sql).await
    }
}

impl<'c> BeginAudited<'c> for &'c mut PgConnection {
    async fn begin_audited_with(
        self,
        context: &AuditContext,
        options: impl Into<TransactionOptions> + Send,
    ) -> Result<AuditedTransaction<'c>, Error> {
        let sql = context.begin_sql(&options.into())?;
        let guarded = Guarded::borrowed(self);
        AuditedTransaction::begin(guarded, Arc::new(context.clone()), Arc::new(Schema::default()), sql).await
    }
}
