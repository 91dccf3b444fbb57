//! Leaving a nested context.

use threadline_core::{
    CurrentTransactionId, Error, LeaveContext, Operation, PreviousContext, Schema, Statement, TransactionId,
};

/// Tells the audit transaction of the context and then brings the outer one back, in one statement.
pub(crate) struct LeaveWithId<'a>(pub(crate) &'a PreviousContext);

impl Operation for LeaveWithId<'_> {
    type Output = Option<TransactionId>;

    fn statement(&self, schema: &Schema) -> Result<Statement, Error> {
        let id = CurrentTransactionId.statement(schema)?;
        let leave = LeaveContext(self.0).statement(schema)?;
        // OFFSET 0 keeps the inner query apart: its row exists before the outer list is evaluated.
        let sql = format!(
            "SELECT unit.id || pg_catalog.left(({}), 0) FROM ({} OFFSET 0) AS unit (id)",
            leave.sql(),
            id.sql(),
        );
        Ok(leave.params().iter().fold(Statement::new(sql), |statement, value| statement.bind_option(value.as_ref())))
    }

    fn decode(&self, rows: Vec<String>) -> Result<Option<TransactionId>, Error> {
        CurrentTransactionId.decode(rows)
    }
}
