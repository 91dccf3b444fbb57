//! Reading the trail on any handle of SeaORM's.

use std::future::Future;

use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseExecutor, DatabaseTransaction};
use threadline_core::{AsOf, Json, LinkedChange, Operation, Page, RowHistory, Schema, Timeline};

use crate::begin::Beginning;
use crate::scope::Scope;
use crate::{Attached, AuditedDatabase, AuditedTransaction, Error, wire};

/// Runs operations that read the trail, on a connection or a transaction.
///
/// A handle with an open transaction reads inside it, and sees its own changes. Otherwise the read has a read-only
/// transaction of its own, which leaves nothing behind when it is cancelled.
///
/// The kernel is looked for in the schema `threadline`; an [`AuditedDatabase`] and an [`AuditedTransaction`] know theirs.
///
/// # Examples
/// ```no_run
/// use threadline_core::{ActorRef, InstalledVersion, RowHistory, Timeline};
/// use threadline_seaorm::Trail;
///
/// # async fn example(connection: sea_orm::DatabaseConnection) -> Result<(), threadline_seaorm::Error> {
/// let page = connection.timeline(&Timeline::new().table("posts").actor(&ActorRef::user("42")?)).await?;
/// let history = connection.row_history(&RowHistory::by_id("public", "posts", 7)).await?;
/// let version = connection.run(&InstalledVersion).await?;
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot read the trail",
    note = "call it on a `DatabaseConnection`, a `DatabaseTransaction`, an `AuditedDatabase` or an `AuditedTransaction`"
)]
pub trait Trail: Sync {
    #[doc(hidden)]
    fn __reading(&self) -> impl Future<Output = Result<Reading<'_>, Error>> + Send;

    #[doc(hidden)]
    fn __schema(&self) -> Schema {
        Schema::default()
    }

    /// Runs an operation and decodes its answer.
    ///
    /// Without an open transaction an operation that writes is refused; see [`apply`](crate::apply) for those.
    ///
    /// # Errors
    /// What the operation documents; [`is_not_installed`](Error::is_not_installed) without a kernel; otherwise SeaORM's.
    fn run<O>(&self, operation: &O) -> impl Future<Output = Result<O::Output, Error>> + Send
    where
        O: Operation + Sync,
    {
        async move { self.run_in(&self.__schema(), operation).await }
    }

    /// As [`run`](Self::run), with the kernel in this schema.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    fn run_in<O>(&self, schema: &Schema, operation: &O) -> impl Future<Output = Result<O::Output, Error>> + Send
    where
        O: Operation + Sync,
    {
        async move {
            let statement = operation.statement(schema)?;
            let reading = self.__reading().await?;
            let rows = reading.fetch(&statement, schema).await?;
            reading.end().await?;
            Ok(operation.decode(rows)?)
        }
    }

    /// A page of captured changes, newest first, with the transactions and actions they belong to.
    ///
    /// # Errors
    /// What [`Timeline`] documents, and as for [`run`](Self::run).
    fn timeline(&self, query: &Timeline) -> impl Future<Output = Result<Page<LinkedChange>, Error>> + Send {
        self.run(query)
    }

    /// A page of the changes of one row, newest first.
    ///
    /// # Errors
    /// What [`RowHistory`] documents, and as for [`run`](Self::run).
    fn row_history(&self, query: &RowHistory) -> impl Future<Output = Result<Page<LinkedChange>, Error>> + Send {
        self.run(query)
    }

    /// A row as it was at an instant, as JSON.
    ///
    /// # Errors
    /// What [`AsOf`] documents, and as for [`run`](Self::run).
    fn as_of_json(&self, query: &AsOf) -> impl Future<Output = Result<Json, Error>> + Send {
        self.run(query)
    }
}

/// Where a read runs.
#[doc(hidden)]
#[derive(Debug)]
pub struct Reading<'h>(Place<'h>);

#[derive(Debug)]
enum Place<'h> {
    /// In a transaction of its own.
    Alone(DatabaseTransaction),
    /// In one that is open.
    Within(&'h DatabaseTransaction),
    /// In an audited one, which learns of errors.
    Audited(&'h Scope<'h>),
    /// On SeaORM's mock, which sees this statement and no other.
    Mock(&'h DatabaseConnection),
}

impl Reading<'_> {
    async fn alone(connection: &DatabaseConnection) -> Result<Reading<'_>, Error> {
        wire::ensure_postgres(connection)?;
        if connection.is_mock_connection() {
            return Ok(Reading(Place::Mock(connection)));
        }
        let tx = Beginning::on(connection).await?;
        tx.execute_unprepared("SET TRANSACTION READ ONLY").await?;
        Ok(Reading(Place::Alone(tx)))
    }

    async fn fetch(&self, statement: &threadline_core::Statement, schema: &Schema) -> Result<Vec<String>, Error> {
        let rows = match &self.0 {
            Place::Alone(tx) => wire::fetch(tx, statement).await,
            Place::Within(tx) => wire::fetch(*tx, statement).await,
            Place::Audited(scope) => scope.forward(wire::fetch(scope.plain(), statement)).await,
            Place::Mock(connection) => wire::fetch(*connection, statement).await,
        };
        rows.map_err(|error| Error::from_own_statement(error, schema))
    }

    async fn end(self) -> Result<(), Error> {
        match self.0 {
            Place::Alone(tx) => Ok(tx.commit().await?),
            Place::Within(_) | Place::Audited(_) | Place::Mock(_) => Ok(()),
        }
    }
}

impl Trail for DatabaseConnection {
    async fn __reading(&self) -> Result<Reading<'_>, Error> {
        Reading::alone(self).await
    }
}

impl Trail for DatabaseTransaction {
    async fn __reading(&self) -> Result<Reading<'_>, Error> {
        wire::ensure_backend(ConnectionTrait::get_database_backend(self))?;
        Ok(Reading(Place::Within(self)))
    }
}

impl Trail for DatabaseExecutor<'_> {
    async fn __reading(&self) -> Result<Reading<'_>, Error> {
        match self {
            Self::Connection(connection) => Reading::alone(connection).await,
            Self::Transaction(tx) => tx.__reading().await,
            Self::OwnedTransaction(tx) => tx.__reading().await,
        }
    }
}

impl Trail for AuditedDatabase {
    async fn __reading(&self) -> Result<Reading<'_>, Error> {
        Reading::alone(self.unaudited()).await
    }

    fn __schema(&self) -> Schema {
        self.schema().clone()
    }
}

impl Trail for AuditedTransaction {
    async fn __reading(&self) -> Result<Reading<'_>, Error> {
        Ok(Reading(Place::Audited(self.scope())))
    }

    fn __schema(&self) -> Schema {
        self.scope().schema().clone()
    }
}

impl Trail for Attached<'_> {
    async fn __reading(&self) -> Result<Reading<'_>, Error> {
        Ok(Reading(Place::Audited(self.scope())))
    }

    fn __schema(&self) -> Schema {
        self.scope().schema().clone()
    }
}
