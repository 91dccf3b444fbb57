//! Statements for test set-up, in the simple protocol: several at once, every value as text.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, ValueRef};

use crate::{Error, blocking};

/// How long a server may take to answer a connection attempt.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);

pub(crate) type TextRow = Vec<Option<String>>;

pub(crate) async fn connect(url: &str, application: &str) -> Result<PgConnection, Error> {
    let options = PgConnectOptions::from_str(url)
        .map_err(|error| Error::with("the database's URL is not valid", error))?
        .application_name(application)
        .disable_statement_logging();
    match tokio::time::timeout(CONNECT_LIMIT, options.connect()).await {
        Ok(connected) => connected.map_err(|error| Error::with("cannot connect to PostgreSQL", error)),
        Err(_) => Err(Error::new(format!("PostgreSQL did not answer within {} s", CONNECT_LIMIT.as_secs()))),
    }
}

/// Runs statements in a new session.
pub(crate) fn execute(url: String, sql: String) -> Result<(), Error> {
    blocking::wait(execute_async(url, sql))
}

pub(crate) async fn execute_async(url: String, sql: String) -> Result<(), Error> {
    let mut connection = connect(&url, "threadline-testkit").await?;
    let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await;
    // Closing says goodbye, so that the backend is gone sooner; the statement's result is what matters.
    let _ = connection.close().await;
    done.map(drop).map_err(|error| Error::with("PostgreSQL refused a statement", error))
}

/// Runs statements in a new session and returns all their rows.
pub(crate) fn query_text(url: String, sql: String) -> Result<Vec<TextRow>, Error> {
    blocking::wait(async move {
        let mut connection = connect(&url, "threadline-testkit").await?;
        let rows = fetch(&mut connection, sql).await;
        let _ = connection.close().await;
        rows
    })
}

pub(crate) async fn fetch(connection: &mut PgConnection, sql: String) -> Result<Vec<TextRow>, Error> {
    sqlx::raw_sql(AssertSqlSafe(sql))
        .fetch_all(connection)
        .await
        .map_err(|error| Error::with("PostgreSQL refused a statement", error))?
        .iter()
        .map(text_row)
        .collect()
}

fn text_row(row: &PgRow) -> Result<TextRow, Error> {
    (0..row.len())
        .map(|column| {
            let value = row.try_get_raw(column).map_err(|error| Error::with("cannot read a column", error))?;
            if value.is_null() {
                return Ok(None);
            }
            value
                .as_str()
                .map(|text| Some(text.to_owned()))
                .map_err(|error| Error::with("a column's value is not text", error))
        })
        .collect()
}
