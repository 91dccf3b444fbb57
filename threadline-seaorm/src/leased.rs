//! A connection of SeaORM's pool, for the one thing that SeaORM has no way to: COPY.

use std::sync::Arc;

use futures_util::stream::{Stream, TryStreamExt};
use sea_orm::sqlx::pool::PoolConnection;
use sea_orm::sqlx::{self, AssertSqlSafe, PgPool, Postgres, Row};
use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr};
use threadline_core::{BEGIN_READ, Statement};

/// A connection with a read-only transaction of our own. Dropped before [`end`](Self::end) has its answer, it is closed:
/// sqlx 0.9.0 would give what is on its way to the next statement, an answer to BEGIN as well as rows of a COPY.
pub(crate) struct Leased {
    connection: PoolConnection<Postgres>,
    has_time_limit: bool,
    is_ended: bool,
}

impl Leased {
    /// Begins.
    pub(crate) async fn begin(pool: &PgPool) -> Result<Self, DbErr> {
        let connection = pool.acquire().await.map_err(not_acquired)?;
        let mut leased = Self { connection, has_time_limit: false, is_ended: false };
        let sql = format!("{BEGIN_READ}; SELECT pg_catalog.current_setting('statement_timeout')");
        let limits = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut *leased.connection).await.map_err(failed)?;
        for limit in limits {
            leased.has_time_limit |= limit.try_get::<String, _>(0).map_err(failed)? != "0";
        }
        Ok(leased)
    }

    /// Whether a long statement is cut off.
    pub(crate) fn has_time_limit(&self) -> bool {
        self.has_time_limit
    }

    /// Runs a statement and returns its one column. Its values are bound, and the statement has no name: behind a pooler
    /// that would outlive the transaction.
    pub(crate) async fn fetch(&mut self, statement: &Statement) -> Result<Vec<String>, DbErr> {
        let query = sqlx::query(AssertSqlSafe(statement.sql().to_owned())).persistent(false);
        let query = statement.params().iter().fold(query, |query, value| query.bind(value.as_deref()));
        let rows = query.fetch_all(&mut *self.connection).await.map_err(failed)?;
        rows.iter().map(|row| row.try_get(0).map_err(failed)).collect()
    }

    /// What a COPY TO STDOUT sends, to be read to its end. After an error there is nothing to do but to drop `self`.
    pub(crate) async fn copy(
        &mut self,
        sql: &str,
    ) -> Result<impl Stream<Item = Result<impl AsRef<[u8]> + Send, DbErr>> + Send + Unpin, DbErr> {
        Ok(self.connection.copy_out_raw(sql).await.map_err(failed)?.map_err(failed))
    }

    /// Ends the transaction, after which the connection is the pool's again.
    pub(crate) async fn end(mut self) -> Result<(), DbErr> {
        sqlx::raw_sql("COMMIT").execute(&mut *self.connection).await.map_err(failed)?;
        self.is_ended = true;
        Ok(())
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        if !self.is_ended {
            self.connection.close_on_drop();
        }
    }
}

/// As SeaORM tells it.
fn failed(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(Arc::new(error)))
}

/// As SeaORM tells it.
fn not_acquired(error: sqlx::Error) -> DbErr {
    match error {
        sqlx::Error::PoolTimedOut => DbErr::ConnectionAcquire(ConnAcquireErr::Timeout),
        sqlx::Error::PoolClosed => DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed),
        other => DbErr::Conn(RuntimeErr::SqlxError(Arc::new(other))),
    }
}
