//! Recording an operation whose transaction was rolled back.

use threadline_core::{Action, ActionId, ActionStatus, AuditContext, Schema, TransactionOptions};

use crate::Error;
use crate::asynchronous::{AuditDsl, AuditedTransaction, wire};

/// Records in a transaction of its own, and in no other.
pub(crate) async fn record_alone<C: AuditDsl>(
    conn: &mut C,
    context: &AuditContext,
    schema: &Schema,
    action: &Action,
) -> Result<ActionId, Error> {
    if wire::depth(conn)? > 0 {
        return Err(threadline_core::Error::nested("recording a failure").into());
    }
    record(conn, context, schema, action).await
}

/// For an operation whose own error matters more.
pub(crate) async fn record_or_trace<C: AuditDsl>(
    conn: &mut C,
    context: &AuditContext,
    schema: &Schema,
    action: &Action,
) {
    if let Err(error) = record(conn, context, schema, action).await {
        // Neither message: the driver's may quote a value.
        tracing::error!(
            action = action.name(),
            code = error.as_core().map(threadline_core::Error::code),
            sqlstate = error.sqlstate(),
            "a failed operation could not be recorded"
        );
    }
}

async fn record<C: AuditDsl>(
    conn: &mut C,
    context: &AuditContext,
    schema: &Schema,
    action: &Action,
) -> Result<ActionId, Error> {
    let mut tx = AuditedTransaction::begin(conn, context, &TransactionOptions::new(), schema.clone()).await?;
    let id = tx.record_action(&action.clone().status(ActionStatus::Error)).await?;
    tx.commit().await?;
    Ok(id)
}
