//! What an adapter asks of the kernel while a transaction is open.

use crate::{Action, ActionId, AuditContext, Error, Operation, Schema, Statement, TransactionId, decode};

/// Records a semantic action in the open transaction and makes it the current one.
///
/// It covers the changes that follow it in the same context; the first action of a context also covers those before it.
/// The kernel answers [`is_missing_actor`](Error::is_missing_actor) when neither the action nor the context has an actor.
///
/// # Examples
/// ```
/// use threadline_core::{Action, ActionId, Operation, RecordAction, Schema};
///
/// let action = Action::new("post.published");
/// let operation = RecordAction(&action);
/// assert_eq!(
///     operation.statement(&Schema::default())?.sql(),
///     r#"SELECT "threadline".record_action($1::text::jsonb)::text"#,
/// );
/// assert_eq!(operation.decode(vec!["7".to_owned()])?, ActionId(7));
/// # Ok::<(), threadline_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RecordAction<'a>(pub &'a Action);

impl Operation for RecordAction<'_> {
    type Output = ActionId;

    fn statement(&self, schema: &Schema) -> Result<Statement, Error> {
        Ok(Statement::new(schema.expand("SELECT {schema}.record_action($1::text::jsonb)::text"))
            .bind(self.0.to_json()?))
    }

    fn decode(&self, rows: Vec<String>) -> Result<ActionId, Error> {
        decode::only_row(&rows, "the id of the action")
    }
}

/// Gives the open transaction another context and answers what restores the outer one: for a nested scope, or to adopt
/// a transaction that somebody else began.
///
/// The inner scope starts without a current action.
#[derive(Clone, Copy, Debug)]
pub struct EnterContext<'a>(pub &'a AuditContext);

/// The context that [`EnterContext`] replaced; opaque, and good for the same transaction only.
#[derive(Clone, PartialEq, Eq)]
#[must_use = "the outer context stays replaced until LeaveContext runs with this"]
pub struct PreviousContext(String);

/// Does not show the context: it names an actor.
impl std::fmt::Debug for PreviousContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PreviousContext(..)")
    }
}

impl Operation for EnterContext<'_> {
    type Output = PreviousContext;

    fn statement(&self, schema: &Schema) -> Result<Statement, Error> {
        let (actor, details) = self.0.settings()?;
        let sql = "SELECT pg_catalog.to_json({schema}.enter_context($1::text, $2::text))::text";
        Ok(Statement::new(schema.expand(sql)).bind(actor).bind(details))
    }

    fn decode(&self, rows: Vec<String>) -> Result<PreviousContext, Error> {
        decode::only_row(&rows, "the outer context").map(PreviousContext)
    }
}

/// Restores the context that [`EnterContext`] replaced, its current action included.
#[derive(Clone, Copy, Debug)]
pub struct LeaveContext<'a>(pub &'a PreviousContext);

impl Operation for LeaveContext<'_> {
    type Output = ();

    fn statement(&self, schema: &Schema) -> Result<Statement, Error> {
        // A void result has no JSON form; its text is empty.
        let sql = "SELECT pg_catalog.to_json({schema}.leave_context($1::text)::text)::text";
        Ok(Statement::new(schema.expand(sql)).bind(self.0.0.as_str()))
    }

    fn decode(&self, rows: Vec<String>) -> Result<(), Error> {
        decode::only_row::<String>(&rows, "the answer of leave_context").map(drop)
    }
}

/// The audit transaction that the current context opened in this database transaction; `None` when it captured nothing.
#[derive(Clone, Copy, Debug)]
pub struct CurrentTransactionId;

impl Operation for CurrentTransactionId {
    type Output = Option<TransactionId>;

    fn statement(&self, schema: &Schema) -> Result<Statement, Error> {
        // to_json of NULL is NULL, and a row always holds JSON.
        let sql = "SELECT COALESCE({schema}.transaction_id()::text, 'null')";
        Ok(Statement::new(schema.expand(sql)))
    }

    fn decode(&self, rows: Vec<String>) -> Result<Option<TransactionId>, Error> {
        decode::only_row(&rows, "the id of the audit transaction")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ActorRef;

    #[test]
    fn statements() {
        let schema = Schema::default();
        let action = Action::new("post.published").reason("it's done");
        insta::assert_snapshot!("record_action", RecordAction(&action).statement(&schema).unwrap().snapshot());
        let context = AuditContext::new(ActorRef::user("42").unwrap()).request_id("r");
        insta::assert_snapshot!("enter_context", EnterContext(&context).statement(&schema).unwrap().snapshot());
        let previous = PreviousContext(r#"{"actor_ref": ""}"#.to_owned());
        insta::assert_snapshot!("leave_context", LeaveContext(&previous).statement(&schema).unwrap().snapshot());
        insta::assert_snapshot!("current_transaction_id", CurrentTransactionId.statement(&schema).unwrap().snapshot());
    }

    #[test]
    fn answers() {
        let context = AuditContext::without_actor().allow_missing_actor();
        let previous = EnterContext(&context).decode(vec![r#""{\"action\": \"\"}""#.to_owned()]).unwrap();
        assert_eq!(previous, PreviousContext(r#"{"action": ""}"#.to_owned()));
        LeaveContext(&previous).decode(vec!["\"\"".to_owned()]).unwrap();
        assert_eq!(CurrentTransactionId.decode(vec!["null".to_owned()]).unwrap(), None);
        assert_eq!(CurrentTransactionId.decode(vec!["12".to_owned()]).unwrap(), Some(TransactionId(12)));
    }

    #[test]
    fn a_context_without_an_actor_is_refused_before_it_is_entered() {
        let error = EnterContext(&AuditContext::without_actor()).statement(&Schema::default()).unwrap_err();
        assert!(error.is_missing_actor());
    }

    #[test]
    fn a_malformed_action_never_reaches_the_database() {
        assert!(RecordAction(&Action::new("")).statement(&Schema::default()).unwrap_err().is_invalid_action());
    }
}
