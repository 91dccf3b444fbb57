//! Recording an operation whose transaction was rolled back.

use sea_orm::DatabaseConnection;
use threadline_core::{Action, ActionId, ActionStatus, AuditContext};

use crate::{AuditedDatabase, AuditedTransaction, Error};

impl AuditedTransaction {
    /// Rolls back, then records `action` with status error in a transaction of its own: for an operation that failed and
    /// left nothing else to record.
    ///
    /// # Errors
    /// [`is_nested`](Error::is_nested) on a scope, before anything is done: what is outside it is still open, and its
    /// rollback would take the record with it. Otherwise when the connection is broken, and as for
    /// [`record_action`](Self::record_action).
    pub async fn rollback_and_record(self, action: &Action) -> Result<ActionId, Error> {
        let Some(database) = self.0.database().cloned() else {
            return Err(threadline_core::Error::nested("recording a failure").into());
        };
        let context = self.0.shared_context();
        self.rollback().await?;
        database.record_failure(&context, action).await
    }
}

/// Records an action with status error in a transaction of its own; see
/// [`Session::record_failure`](crate::Session::record_failure).
///
/// # Errors
/// As for [`Session::record_failure`](crate::Session::record_failure).
pub async fn record_failure(
    connection: &DatabaseConnection,
    context: &AuditContext,
    action: &Action,
) -> Result<ActionId, Error> {
    AuditedDatabase::new(connection.clone()).record_failure(context, action).await
}

/// Records in a transaction that has just begun, and commits.
pub(crate) async fn record(tx: AuditedTransaction, action: &Action) -> Result<ActionId, Error> {
    let id = tx.record_action(&action.clone().status(ActionStatus::Error)).await?;
    tx.commit().await?;
    Ok(id)
}

/// Tells of a recording that failed for an operation whose own error matters more.
pub(crate) fn trace(action: &Action, recorded: Result<ActionId, Error>) {
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
