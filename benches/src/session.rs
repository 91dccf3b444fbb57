//! One connection whose server process is measured.

use std::rc::Rc;
use std::str::FromStr;
use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Row, ValueRef};
use threadline_core::Statement;
use tokio::runtime::{Builder, Runtime};

use crate::Result;
use crate::clock::Clock;

/// The runtime that every session's driver runs on: the calling thread.
pub(crate) fn runtime() -> Result<Rc<Runtime>> {
    Ok(Rc::new(Builder::new_current_thread().enable_all().build()?))
}

/// A connection and the clock of its server process.
#[derive(Debug)]
pub(crate) struct Session {
    runtime: Rc<Runtime>,
    connection: PgConnection,
    clock: Clock,
}

impl Session {
    /// Connects.
    pub(crate) fn open(runtime: &Rc<Runtime>, url: &str) -> Result<Self> {
        let options =
            PgConnectOptions::from_str(url)?.application_name("threadline-benches").disable_statement_logging();
        let connection = runtime.block_on(options.connect())?;
        let mut session = Self { runtime: Rc::clone(runtime), connection, clock: Clock::Wall };
        let pid = session.text("SELECT pg_backend_pid()")?;
        session.clock = Clock::of_process(&pid);
        Ok(session)
    }

    /// The clock of the server process behind this session.
    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The processor time that the server process has used so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        self.clock.read()
    }

    /// Sends statements in one message of the simple protocol.
    pub(crate) fn batch(&mut self, sql: &str) -> Result<()> {
        let statement = sqlx::raw_sql(AssertSqlSafe(sql));
        self.runtime.block_on(statement.execute(&mut self.connection)).map_err(|error| failed(sql, &error))?;
        Ok(())
    }

    /// The first column of the first row, as text; empty when there is none or it is NULL.
    pub(crate) fn text(&mut self, sql: &str) -> Result<String> {
        Ok(self.rows(sql)?.into_iter().flatten().next().unwrap_or_default())
    }

    /// Every row, each value as text.
    pub(crate) fn rows(&mut self, sql: &str) -> Result<Vec<Vec<String>>> {
        let rows = self
            .runtime
            .block_on(sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut self.connection))
            .map_err(|error| failed(sql, &error))?;
        let mut texts = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut values = Vec::with_capacity(row.len());
            for column in 0..row.len() {
                let value = row.try_get_raw(column)?;
                values.push(if value.is_null() {
                    String::new()
                } else {
                    value.as_str().map_err(|error| error.to_string())?.to_owned()
                });
            }
            texts.push(values);
        }
        Ok(texts)
    }

    /// The rows of a statement of Threadline's, parsed and planned for this once, as the adapters run it.
    pub(crate) fn fetch(&mut self, statement: &Statement) -> Result<Vec<String>> {
        let mut query = sqlx::query_scalar(AssertSqlSafe(statement.sql().to_owned())).persistent(false);
        for value in statement.params() {
            query = query.bind(value.as_deref());
        }
        let rows = self.runtime.block_on(query.fetch_all(&mut self.connection));
        Ok(rows.map_err(|error| failed(statement.sql(), &error))?)
    }

    /// Gives every piece that a COPY TO STDOUT sends to `take`.
    pub(crate) fn copy_out(&mut self, sql: &str, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let connection = &mut self.connection;
        self.runtime.block_on(async {
            let failed = |error| failed(sql, &error);
            let mut pieces = connection.copy_out_raw(sql).await.map_err(failed)?;
            while let Some(piece) = pieces.try_next().await.map_err(failed)? {
                take(&piece)?;
            }
            Ok(())
        })
    }

    /// Executes a prepared statement with integer parameters.
    pub(crate) fn prepared(&mut self, sql: &'static str, parameters: &[i64]) -> Result<()> {
        let mut query = sqlx::query(sql);
        for parameter in parameters {
            query = query.bind(*parameter);
        }
        self.runtime.block_on(query.execute(&mut self.connection)).map_err(|error| failed(sql, &error))?;
        Ok(())
    }
}

/// A statement's beginning is enough to know it by; the kernel's script would fill screens.
fn failed(sql: &str, error: &sqlx::Error) -> String {
    let start: String = sql.chars().take(200).collect();
    format!("{error}\nin: {start}")
}
