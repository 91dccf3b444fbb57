//! How our statements reach the server: with bound parameters, so that no value of theirs is part of a logged text.

use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseConnectionType, DbBackend, DbErr, Value};
use threadline_core::{Action, AuditContext, Operation, RecordAction, Schema, Statement, TransactionOptions};

use crate::Error;

/// Transaction-local, so it reads as nothing once the transaction that it was set in is gone.
const BEGUN: &str = "pg_catalog.set_config('threadline.begun', 'yes', true)";
/// What [`alive`] answers when the transaction is gone; no operation's answer, which is JSON.
pub(crate) const GONE: &str = "gone";

pub(crate) fn ensure_postgres(connection: &DatabaseConnection) -> Result<(), Error> {
    if matches!(connection.inner, DatabaseConnectionType::Disconnected) {
        return Err(Error::disconnected());
    }
    ensure_backend(ConnectionTrait::get_database_backend(connection))
}

pub(crate) fn ensure_backend(backend: DbBackend) -> Result<(), Error> {
    match backend {
        DbBackend::Postgres => Ok(()),
        other => Err(Error::unsupported_backend(other)),
    }
}

pub(crate) fn to_seaorm(statement: &Statement) -> sea_orm::Statement {
    let values = statement.params().iter().map(|value| Value::String(value.clone()));
    sea_orm::Statement::from_sql_and_values(DbBackend::Postgres, statement.sql(), values)
}

/// Runs a statement and returns its one column.
pub(crate) async fn fetch<C: ConnectionTrait>(connection: &C, statement: &Statement) -> Result<Vec<String>, DbErr> {
    let rows = connection.query_all_raw(to_seaorm(statement)).await?;
    rows.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// Runs an operation on any connection of SeaORM's.
pub(crate) async fn run<C: ConnectionTrait, O: Operation>(
    connection: &C,
    schema: &Schema,
    operation: &O,
) -> Result<O::Output, Error> {
    let statement = operation.statement(schema)?;
    let rows = fetch(connection, &statement).await.map_err(|error| Error::from_own_statement(error, schema))?;
    Ok(operation.decode(rows)?)
}

/// What gives a transaction that has just begun its context, and records `action` first when there is one.
pub(crate) fn opening(context: &AuditContext, action: Option<&Action>, schema: &Schema) -> Result<Statement, Error> {
    let stamp = context.stamp()?;
    let begun = format!("pg_catalog.num_nonnulls(({}), {BEGUN})", stamp.sql());
    let Some(action) = action else {
        return Ok(with_params(format!("SELECT {begun}::text"), &[&stamp]));
    };
    let record = RecordAction(action).statement(schema)?;
    let recorded = shifted(record.sql(), stamp.params().len());
    // CASE, because nothing else says that the context comes first.
    Ok(with_params(format!("SELECT CASE WHEN {begun} > 0 THEN ({recorded}) END"), &[&stamp, &record]))
}

/// The same statement, which answers [`GONE`] when the transaction it belongs to is not open any more.
pub(crate) fn alive(statement: &Statement) -> Statement {
    let begun = "pg_catalog.current_setting('threadline.begun', true)";
    let sql =
        format!("SELECT CASE WHEN {begun} OPERATOR(pg_catalog.=) 'yes' THEN ({}) ELSE '{GONE}' END", statement.sql());
    with_params(sql, &[statement])
}

fn with_params(sql: String, parts: &[&Statement]) -> Statement {
    let params = parts.iter().flat_map(|part| part.params());
    params.fold(Statement::new(sql), |statement, value| statement.bind_option(value.as_deref()))
}

/// The SQL with every `$n` counted from `by` on. Nothing in our statements has a dollar sign in quotes: a schema's name
/// cannot.
fn shifted(sql: &str, by: usize) -> String {
    let mut text = String::with_capacity(sql.len() + 4);
    let mut parts = sql.split('$');
    text.extend(parts.next());
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = part.split_at(digits);
        match number.parse::<usize>() {
            Ok(number) => text.push_str(&format!("${}{rest}", number + by)),
            Err(_) => text.push_str(&format!("${part}")),
        }
    }
    text
}

/// The statement that gives an open transaction these options; `None` when they say nothing.
pub(crate) fn set_transaction(options: &TransactionOptions) -> Option<String> {
    let begin = options.to_string();
    let modes = begin.strip_prefix("BEGIN")?;
    (!modes.is_empty()).then(|| format!("SET TRANSACTION{modes}"))
}

#[cfg(test)]
mod tests {
    use threadline_core::{AccessMode, ActorRef, CurrentTransactionId, IsolationLevel};

    use super::*;

    fn context() -> AuditContext {
        AuditContext::new(ActorRef::user("42").unwrap())
    }

    #[test]
    fn the_opening_binds_every_value() {
        let action = Action::new("post.published").reason("a reason");
        let opening = opening(&context(), Some(&action), &Schema::default()).unwrap();
        assert_eq!(opening.params().len(), 3);
        assert!(opening.sql().contains(r#""threadline".record_action($3::text::jsonb)"#), "{}", opening.sql());
        assert!(!opening.sql().contains("42") && !opening.sql().contains("reason"), "{}", opening.sql());
    }

    #[test]
    fn a_missing_actor_is_refused_before_anything_is_sent() {
        let error = opening(&AuditContext::without_actor(), None, &Schema::default()).unwrap_err();
        assert!(error.is_missing_actor());
    }

    #[test]
    fn numbers_are_shifted_one_by_one() {
        assert_eq!(shifted("SELECT f($1::text, $12, $1)", 2), "SELECT f($3::text, $14, $3)");
        assert_eq!(alive(&CurrentTransactionId.statement(&Schema::default()).unwrap()).params().len(), 0);
    }

    #[test]
    fn options_become_one_statement() {
        assert_eq!(set_transaction(&TransactionOptions::new()), None);
        let options = TransactionOptions::from(IsolationLevel::Serializable).access_mode(AccessMode::ReadOnly);
        assert_eq!(
            set_transaction(&options).as_deref(),
            Some("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE READ ONLY")
        );
    }
}
