//! One session, blocking, in the simple protocol.

use std::fmt;
use std::str::FromStr;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};
use tokio::runtime::{Builder, Runtime};

/// Why a case is red.
#[derive(Clone, Debug)]
pub struct Failure {
    message: String,
    sqlstate: Option<String>,
}

impl Failure {
    /// A failure that is not an error of the server.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), sqlstate: None }
    }

    /// The server's code; empty for other failures.
    #[must_use]
    pub fn sqlstate(&self) -> &str {
        self.sqlstate.as_deref().unwrap_or_default()
    }

    /// The same failure, with the statement it is about.
    #[must_use]
    pub fn in_statement(mut self, sql: &str) -> Self {
        let start: String = sql.chars().take(400).collect();
        self.message = format!("{}\n  in: {start}", self.message);
        self
    }

    /// The same failure, with words before it.
    #[must_use]
    pub fn within(mut self, what: &str) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        let database = error.as_database_error();
        let sqlstate = database.and_then(|error| error.code()).map(|code| code.into_owned());
        let postgres = database.and_then(|error| error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>());
        let message = postgres.map_or_else(
            || error.to_string(),
            |error| {
                format!(
                    "{} {} {} {}",
                    error.code(),
                    error.message(),
                    error.detail().unwrap_or_default(),
                    error.r#where().unwrap_or_default()
                )
            },
        );
        Self { message, sqlstate }
    }
}

/// A row in text form.
pub type TextRow = Vec<Option<String>>;

/// A session with the server.
#[derive(Debug)]
pub struct Session {
    connection: PgConnection,
    runtime: Runtime,
}

impl Session {
    /// Connects.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached.
    pub fn open(url: &str) -> Result<Self, Failure> {
        let runtime =
            Builder::new_current_thread().enable_all().build().map_err(|error| Failure::new(error.to_string()))?;
        let options = PgConnectOptions::from_str(url)?
            .application_name("threadline-replay")
            .options([("statement_timeout", "20s")])
            .disable_statement_logging();
        let connection = runtime.block_on(options.connect())?;
        Ok(Self { connection, runtime })
    }

    /// Runs statements; returns how many rows they affected.
    ///
    /// # Errors
    ///
    /// When the server refuses one.
    pub fn run(&mut self, sql: &str) -> Result<u64, Failure> {
        let statement = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        Ok(self.runtime.block_on(statement.execute(&mut self.connection))?.rows_affected())
    }

    /// Runs statements; returns their rows.
    ///
    /// # Errors
    ///
    /// When the server refuses one.
    pub fn rows(&mut self, sql: &str) -> Result<Vec<TextRow>, Failure> {
        let statement = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        let rows = self.runtime.block_on(statement.fetch_all(&mut self.connection))?;
        rows.iter().map(|row| (0..row.len()).map(|column| text(row, column)).collect()).collect()
    }

    /// Runs a query whose `$1` is a text and whose columns are texts.
    ///
    /// # Errors
    ///
    /// When the server refuses it.
    pub fn rows_of(&mut self, sql: &str, parameter: &str) -> Result<Vec<TextRow>, Failure> {
        let query = sqlx::query(AssertSqlSafe(sql.to_owned())).persistent(false).bind(parameter.to_owned());
        let rows = self.runtime.block_on(query.fetch_all(&mut self.connection))?;
        rows.iter().map(|row| (0..row.len()).map(|column| Ok(row.try_get(column)?)).collect()).collect()
    }

    /// `COPY .. FROM STDIN` with `data`; returns the number of rows.
    ///
    /// # Errors
    ///
    /// When the server refuses it.
    pub fn copy(&mut self, sql: &str, data: &str) -> Result<u64, Failure> {
        let connection = &mut self.connection;
        Ok(self.runtime.block_on(async {
            let mut copy = connection.copy_in_raw(sql).await?;
            copy.send(data.as_bytes()).await?;
            copy.finish().await
        })?)
    }

    /// Ends the session.
    pub fn close(self) {
        // The server notices either way.
        let _ = self.runtime.block_on(self.connection.close());
    }
}

fn text(row: &sqlx::postgres::PgRow, column: usize) -> Result<Option<String>, Failure> {
    use sqlx::ValueRef;
    let value = row.try_get_raw(column)?;
    if value.is_null() {
        return Ok(None);
    }
    value.as_str().map(|text| Some(text.to_owned())).map_err(|error| Failure::new(error.to_string()))
}
