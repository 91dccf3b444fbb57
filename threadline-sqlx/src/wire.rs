//! How our statements and transaction commands reach the server.

use std::collections::BTreeSet;
use std::future::Future;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgRow, PgTypeInfo};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Database, Executor, PgConnection, Postgres, Row, SqlSafeStr, Type};
use sqlx_core::transaction::TransactionManager;
use threadline_core::{AuditedTable, Schema, Statement, quote_identifier};

/// sqlx's own bookkeeping of transactions and savepoints.
pub(crate) type Manager = <Postgres as Database>::TransactionManager;

/// How many levels of transaction and savepoints sqlx knows to be open.
pub(crate) fn depth(connection: &PgConnection) -> usize {
    Manager::get_transaction_depth(connection)
}

/// Runs a statement with bound parameters, which keeps their values out of sqlx's statement log: for reads.
///
/// Only inside a transaction: an unnamed statement is parsed in one message and bound in the next, and a pooler may hand
/// another client's session to the second one.
pub(crate) async fn fetch_bound(
    connection: &mut PgConnection,
    statement: &Statement,
) -> Result<Vec<String>, sqlx::Error> {
    texts(&connection.fetch_all(bound(statement)).await?)
}

/// As [`fetch_bound`], for a statement that returns rows of whatever columns; `types` are those of the columns that are
/// not PostgreSQL's own, as [`own_types`] finds them.
///
/// sqlx asks the server about a type that it does not know between preparing a statement and running it, and an unnamed
/// statement is gone by then. About the types of parameters it asks before: so each type has a parameter that nothing uses.
pub(crate) async fn fetch_rows(
    connection: &mut PgConnection,
    statement: &Statement,
    types: &[String],
) -> Result<Vec<PgRow>, sqlx::Error> {
    let query =
        types.iter().fold(bound(statement), |query, name| query.bind(Nothing(PgTypeInfo::with_name(kept(name)))));
    connection.fetch_all(query).await
}

/// The one row of such a statement.
pub(crate) async fn fetch_row(
    connection: &mut PgConnection,
    statement: &Statement,
    types: &[String],
) -> Result<PgRow, sqlx::Error> {
    fetch_rows(connection, statement, types).await?.pop().ok_or(sqlx::Error::RowNotFound)
}

fn bound(statement: &Statement) -> Query<'_, Postgres, PgArguments> {
    let query = sqlx::query(AssertSqlSafe(statement.sql().to_owned())).persistent(false);
    statement.params().iter().fold(query, |query, value| query.bind(value.as_deref()))
}

/// NULL of a type that is known by name.
struct Nothing(PgTypeInfo);

impl Type<Postgres> for Nothing {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("text")
    }
}

impl Encode<'_, Postgres> for Nothing {
    fn encode_by_ref(&self, _: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Ok(IsNull::Yes)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(self.0.clone())
    }
}

/// The name, kept for ever: sqlx knows types by static names. As many as the application has types.
fn kept(name: &str) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(kept) = names.get(name) {
        return kept;
    }
    let kept = name.to_owned().leak();
    names.insert(kept);
    kept
}

/// The statement that finds the types of a table's columns that are not PostgreSQL's own. Of domains, which the protocol
/// does not show, it is the types under them.
pub(crate) fn own_types(schema: &Schema, table: &AuditedTable) -> Result<Statement, threadline_core::Error> {
    let sql = format!(
        "SELECT DISTINCT pg_catalog.format('%I.%I', n.nspname, t.typname) FROM pg_catalog.pg_attribute AS a \
         JOIN pg_catalog.pg_type AS t ON t.oid = {}.base_type(a.atttypid) \
         JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace \
         WHERE a.attrelid = pg_catalog.to_regclass($1::text) AND a.attnum > 0 AND NOT a.attisdropped \
         AND a.atttypid >= 16384 AND t.oid >= 16384",
        schema.quoted()
    );
    let name = format!("{}.{}", quote_identifier(&table.schema)?, quote_identifier(&table.table)?);
    Ok(Statement::new(sql).bind(name))
}

/// Runs a statement in one round trip instead of two, with its parameters as literals: for what runs in every
/// transaction.
pub(crate) async fn fetch_at_once(
    connection: &mut PgConnection,
    statement: &Statement,
) -> Result<Vec<String>, sqlx::Error> {
    match statement.with_literals() {
        Some(sql) => texts(&connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(sql))).await?),
        None => fetch_bound(connection, statement).await,
    }
}

/// Runs a script of several statements, or one that needs no parameters.
pub(crate) async fn execute(connection: &mut PgConnection, sql: &str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await.map(drop)
}

fn texts(rows: &[PgRow]) -> Result<Vec<String>, sqlx::Error> {
    rows.iter().map(|row| row.try_get(0)).collect()
}

/// Whether a transaction is open on the connection, also one that sqlx does not know of because it was begun with SQL
/// text.
///
/// A transaction-local setting is gone before the next message unless one is. The messages carry no parameters and so
/// are safe behind a pooler, which may send each to another session.
pub(crate) async fn in_transaction(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    static PROBES: AtomicU64 = AtomicU64::new(0);

    if depth(connection) > 0 {
        return Ok(true);
    }
    // A value of its own, in case somebody sets the name for a session.
    let probe = PROBES.fetch_add(1, Ordering::Relaxed);
    let set = format!("SELECT pg_catalog.set_config('threadline.probe', '{probe}', true)");
    execute(connection, &set).await?;
    let get = sqlx::raw_sql("SELECT pg_catalog.current_setting('threadline.probe', true)");
    let found: Option<String> = connection.fetch_one(get).await?.try_get(0)?;
    Ok(found.is_some_and(|found| found == probe.to_string()))
}

/// Queues `sql` behind whatever the connection is doing, without waiting: for destructors. The next use of the
/// connection sends it and skips its answer, but raises its error.
///
/// sqlx offers this for rolling back alone. Beginning a transaction, though, writes the message when it is first polled
/// and does nothing when it is dropped after that, as long as sqlx knows of no open transaction.
pub(crate) fn queue(connection: &mut PgConnection, sql: &'static str) {
    debug_assert_eq!(depth(connection), 0);
    let begin = pin!(Manager::begin(connection, Some(sql.into_sql_str())));
    let _ = begin.poll(&mut Context::from_waker(Waker::noop()));
}

/// Makes a savepoint one level deeper. Cancelled, it leaves the level as it was and at most an unused savepoint behind.
///
/// sqlx 0.9.0 would roll back the level *outside* the savepoint instead, the whole transaction at the first one, and
/// what follows would run without any. So an unfinished attempt is forgotten instead of dropped; the server's answer to
/// it is skipped as after any cancelled statement. What leaks is the memory of one small future.
///
/// The harm is done all the same when the server refuses the savepoint; the caller compares the depth.
pub(crate) async fn savepoint(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    Forgotten(Some(Box::pin(Manager::begin(connection, None)))).await
}

/// A future that is forgotten when it is dropped unfinished.
struct Forgotten<F>(Option<Pin<Box<F>>>);

impl<F: Future> Future for Forgotten<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Some(future) = &mut self.0 else {
            return Poll::Pending;
        };
        let answer = future.as_mut().poll(context);
        if answer.is_ready() {
            self.0 = None;
        }
        answer
    }
}

impl<F> Drop for Forgotten<F> {
    fn drop(&mut self) {
        mem::forget(self.0.take());
    }
}
