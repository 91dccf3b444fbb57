//! Reading the trail on any handle of SeaORM's.

use std::future::Future;

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseExecutor, DatabaseTransaction, DbErr, FromQueryResult, QueryResult,
};
use threadline_core::{AsOf, Audited, Json, LinkedChange, Operation, Page, RowHistory, RowKey, Schema, Timeline};
use time::OffsetDateTime;

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

    /// The row of a model as it was at an instant, decoded by SeaORM from columns of the table's own types.
    ///
    /// `R` is an entity's `Model`, or a struct of your own with some of the columns. Fields of masked and excluded columns
    /// must be `Option`, and are `None`. A column's `select_as` is not known here: the field has to decode the column itself.
    ///
    /// # Errors
    /// What [`AsOf`] and [`AsOf::row_statement`] document, and as for [`run`](Self::run).
    ///
    /// # Examples
    /// ```no_run
    /// use threadline_core::{Audited, AuditedTable, ModelColumn};
    /// use threadline_seaorm::Trail;
    ///
    /// #[derive(sea_orm::FromQueryResult)]
    /// struct Post {
    ///     id: i64,
    ///     title: String,
    /// }
    /// # // What `#[derive(Audited)]` writes.
    /// # impl Audited for Post {
    /// #     fn audited_table() -> AuditedTable { AuditedTable::new("public", "posts") }
    /// #     fn columns() -> &'static [ModelColumn] {
    /// #         &const { [ModelColumn::new("id").key(), ModelColumn::new("title")] }
    /// #     }
    /// # }
    ///
    /// # async fn example(
    /// #     connection: sea_orm::DatabaseConnection,
    /// #     yesterday: time::OffsetDateTime,
    /// # ) -> Result<(), threadline_seaorm::Error> {
    /// let post = connection.as_of::<Post>(7, yesterday).await?;
    /// println!("it was called {}", post.title);
    /// # Ok(())
    /// # }
    /// ```
    fn as_of<R>(
        &self,
        key: impl Into<RowKey> + Send,
        at: OffsetDateTime,
    ) -> impl Future<Output = Result<R, Error>> + Send
    where
        R: Audited + FromQueryResult + Send,
    {
        let as_of = AsOf::model::<R>(key, at);
        async move { row(self.__reading().await?, &self.__schema(), &as_of).await }
    }

    /// As [`as_of`](Self::as_of), with the kernel in this schema.
    ///
    /// # Errors
    /// As for [`as_of`](Self::as_of).
    fn as_of_in<R>(
        &self,
        schema: &Schema,
        key: impl Into<RowKey> + Send,
        at: OffsetDateTime,
    ) -> impl Future<Output = Result<R, Error>> + Send
    where
        R: Audited + FromQueryResult + Send,
    {
        let as_of = AsOf::model::<R>(key, at);
        async move { row(self.__reading().await?, schema, &as_of).await }
    }
}

/// A row as it was, in two steps: the image, then the row made of it.
async fn row<R>(reading: Reading<'_>, schema: &Schema, as_of: &AsOf) -> Result<R, Error>
where
    R: Audited + FromQueryResult + Send,
{
    let image = as_of.decode(reading.fetch(&as_of.statement(schema)?, schema).await?)?;
    let row = reading.one(&as_of.row_statement(schema, &image, R::columns())?, schema).await?;
    let model = R::from_query_result(&row, "")?;
    reading.end().await?;
    Ok(model)
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

    async fn one(&self, statement: &threadline_core::Statement, schema: &Schema) -> Result<QueryResult, Error> {
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
