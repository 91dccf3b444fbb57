//! Recording an operation whose transaction was rolled back.

use std::sync::Arc;

use sqlx::PgConnection;
use threadline_core::{Action, ActionId, ActionStatus, AuditContext, Schema, TransactionOptions};

use crate::guarded::Guarded;
use crate::{AuditedTransaction, Error};

impl AuditedTransaction<'_> {
    /// Rolls back, then records `action` with status error in a transaction of its own on the same connection: for an
    /// operation that failed and left nothing else to record.
    ///
    /// # Errors
    /// When the connection is broken, and as for [`record_action`](Self::record_action).
    pub async fn rollback_and_record(mut self, action: &Action) -> Result<ActionId, Error> {
        self.guarded.rollback().await?;
        self.begin_again().await?;
        record(&mut self, action).await
    }
}

/// Records an action with status error in a transaction of its own on a connection that has none open; see
/// [`Session::record_failure`](crate::Session::record_failure).
///
/// # Errors
/// [`is_nested`](Error::is_nested) inside a transaction, whose rollback would take the record with it; otherwise as for
/// [`AuditedTransaction::record_action`].
pub async fn record_failure(
    connection: &mut PgConnection,
    context: &AuditContext,
    action: &Action,
) -> Result<ActionId, Error> {
    let sql = context.begin_sql(&TransactionOptions::new())?;
    let schema = Arc::new(Schema::default());
    let mut tx =
        AuditedTransaction { guarded: Guarded::borrowed(connection), context: Arc::new(context.clone()), schema };
    tx.guarded.begin(sql, "recording a failure").await?;
    record(&mut tx, action).await
}

/// Records in the transaction that has just begun, and commits.
pub(crate) async fn record(tx: &mut AuditedTransaction<'_>, action: &Action) -> Result<ActionId, Error> {
    let id = tx.record_action(&action.clone().status(ActionStatus::Error)).await?;
    tx.finish().await?;
    Ok(id)
}

/// The same for an operation whose own error matters more.
pub(crate) async fn record_or_trace(tx: &mut AuditedTransaction<'_>, action: &Action) {
    let recorded = match tx.begin_again().await {
        Ok(()) => record(tx, action).await,
        Err(error) => Err(error),
    };
    if let Err(error) = recorded {
        // Neither message: the driver's may quote a value.
        tracing::error!(
            action = action.name(),
            code = error.as_core().map(threadline_core::Error::code),
            sqlstate = error.sqlstate().as_deref(),
            "a failed operation could not be recorded"
        );
    }
}
