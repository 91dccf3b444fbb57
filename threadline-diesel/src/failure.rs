//! Recording an operation whose transaction was rolled back.

use diesel::connection::LoadConnection;
use diesel::pg::Pg;
use threadline_core::{Action, ActionId, ActionStatus, AuditContext, Schema, TransactionOptions};

use crate::{AuditedTransaction, Error, wire};

/// Records in a transaction of its own, and in no other.
pub(crate) fn record_alone<C>(
    connection: &mut C,
    context: &AuditContext,
    schema: &Schema,
    action: &Action,
) -> Result<ActionId, Error>
where
    C: LoadConnection<Backend = Pg>,
{
    if wire::depth(connection)?.is_some() {
        return Err(threadline_core::Error::nested("recording a failure").into());
    }
    record(connection, context, schema, action)
}

/// For an operation whose own error matters more.
pub(crate) fn record_or_trace<C>(connection: &mut C, context: &AuditContext, schema: &Schema, action: &Action)
where
    C: LoadConnection<Backend = Pg>,
{
    if let Err(error) = record(connection, context, schema, action) {
        // Neither message: the driver's may quote a value.
        tracing::error!(
            action = action.name(),
            code = error.as_core().map(threadline_core::Error::code),
            sqlstate = error.sqlstate(),
            "a failed operation could not be recorded"
        );
    }
}

fn record<C>(connection: &mut C, context: &AuditContext, schema: &Schema, action: &Action) -> Result<ActionId, Error>
where
    C: LoadConnection<Backend = Pg>,
{
    let mut tx = AuditedTransaction::begin(connection, context, &TransactionOptions::new(), schema.clone())?;
    let id = tx.record_action(&action.clone().status(ActionStatus::Error))?;
    tx.commit()?;
    Ok(id)
}
