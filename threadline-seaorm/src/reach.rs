//! From any handle of SeaORM's to where a read runs.

use sea_orm::sqlx::PgPool;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseConnectionType, DatabaseExecutor, DatabaseTransaction, DbErr,
    QueryResult,
};
use threadline_core::{Schema, Statement};

use crate::begin::Beginning;
use crate::guarded::Guarded;
use crate::{Attached, AuditedDatabase, AuditedTransaction, Error, Trail, wire};

/// What makes a transaction one for our reads; SeaORM's own BEGIN cannot carry it. As `threadline_core::BEGIN_READ`.
const READ_ONLY: &str = "SET TRANSACTION READ ONLY; SET LOCAL jit = off";

/// Where a read runs.
#[doc(hidden)]
#[derive(Debug)]
pub struct Reached<'h>(Place<'h>);

#[derive(Debug)]
enum Place<'h> {
    /// In a transaction of its own.
    Alone(DatabaseTransaction),
    /// In one that is open.
    Within(&'h DatabaseTransaction),
    /// In an audited one, which learns of errors.
    Audited(&'h Guarded<'h>),
    /// On SeaORM's mock, which sees this statement and no other.
    Mock(&'h DatabaseConnection),
}

impl Reached<'_> {
    async fn alone(connection: &DatabaseConnection) -> Result<Reached<'_>, Error> {
        wire::ensure_postgres(connection)?;
        if connection.is_mock_connection() {
            return Ok(Reached(Place::Mock(connection)));
        }
        let tx = Beginning::on(connection).await?;
        tx.execute_unprepared(READ_ONLY).await?;
        Ok(Reached(Place::Alone(tx)))
    }

    pub(crate) async fn fetch(&self, statement: &Statement, schema: &Schema) -> Result<Vec<String>, Error> {
        let rows = match &self.0 {
            Place::Alone(tx) => wire::fetch(tx, statement).await,
            Place::Within(tx) => wire::fetch(*tx, statement).await,
            Place::Audited(scope) => scope.forward(wire::fetch(scope.plain(), statement)).await,
            Place::Mock(connection) => wire::fetch(*connection, statement).await,
        };
        rows.map_err(|error| Error::from_own_statement(error, schema))
    }

    pub(crate) async fn one(&self, statement: &Statement, schema: &Schema) -> Result<QueryResult, Error> {
        let statement = wire::to_seaorm(statement);
        let row = match &self.0 {
            Place::Alone(tx) => tx.query_one_raw(statement).await,
            Place::Within(tx) => tx.query_one_raw(statement).await,
            Place::Audited(scope) => scope.forward(scope.plain().query_one_raw(statement)).await,
            Place::Mock(connection) => connection.query_one_raw(statement).await,
        };
        let row = row.map_err(|error| Error::from_own_statement(error, schema))?;
        Ok(row.ok_or_else(|| DbErr::RecordNotFound("a row made of its image".to_owned()))?)
    }

    pub(crate) async fn all(&self, statement: &Statement, schema: &Schema) -> Result<Vec<QueryResult>, Error> {
        let statement = wire::to_seaorm(statement);
        let rows = match &self.0 {
            Place::Alone(tx) => tx.query_all_raw(statement).await,
            Place::Within(tx) => tx.query_all_raw(statement).await,
            Place::Audited(scope) => scope.forward(scope.plain().query_all_raw(statement)).await,
            Place::Mock(connection) => connection.query_all_raw(statement).await,
        };
        rows.map_err(|error| Error::from_own_statement(error, schema))
    }

    pub(crate) async fn end(self) -> Result<(), Error> {
        match self.0 {
            Place::Alone(tx) => Ok(tx.commit().await?),
            Place::Within(_) | Place::Audited(_) | Place::Mock(_) => Ok(()),
        }
    }
}

impl Trail for DatabaseConnection {
    async fn __reach(&self) -> Result<Reached<'_>, Error> {
        Reached::alone(self).await
    }

    fn __pool(&self) -> Option<&PgPool> {
        match &self.inner {
            // Of any other, it panics.
            DatabaseConnectionType::SqlxPostgresPoolConnection(_) => Some(self.get_postgres_connection_pool()),
            _ => None,
        }
    }
}

impl Trail for DatabaseTransaction {
    async fn __reach(&self) -> Result<Reached<'_>, Error> {
        wire::ensure_backend(ConnectionTrait::get_database_backend(self))?;
        Ok(Reached(Place::Within(self)))
    }
}

impl Trail for DatabaseExecutor<'_> {
    async fn __reach(&self) -> Result<Reached<'_>, Error> {
        match self {
            Self::Connection(connection) => Reached::alone(connection).await,
            Self::Transaction(tx) => tx.__reach().await,
            Self::OwnedTransaction(tx) => tx.__reach().await,
        }
    }

    fn __pool(&self) -> Option<&PgPool> {
        match self {
            Self::Connection(connection) => connection.__pool(),
            Self::Transaction(_) | Self::OwnedTransaction(_) => None,
        }
    }
}

impl Trail for AuditedDatabase {
    async fn __reach(&self) -> Result<Reached<'_>, Error> {
        Reached::alone(self.unaudited()).await
    }

    fn __pool(&self) -> Option<&PgPool> {
        self.unaudited().__pool()
    }

    fn __schema(&self) -> Schema {
        self.schema().clone()
    }
}

impl Trail for AuditedTransaction {
    async fn __reach(&self) -> Result<Reached<'_>, Error> {
        Ok(Reached(Place::Audited(self.guarded())))
    }

    fn __schema(&self) -> Schema {
        self.guarded().schema().clone()
    }
}

impl Trail for Attached<'_> {
    async fn __reach(&self) -> Result<Reached<'_>, Error> {
        Ok(Reached(Place::Audited(self.guarded())))
    }

    fn __schema(&self) -> Schema {
        self.guarded().schema().clone()
    }
}
