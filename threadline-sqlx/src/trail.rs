//! Reading the trail on any handle of sqlx.

use std::future::Future;
use std::marker::PhantomData;

use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection};
use threadline_core::{
    AsOf, Audited, Json, LinkedChange, Operation, Page, RowHistory, RowKey, Schema, Statement, Timeline,
};
use time::OffsetDateTime;

use crate::reach::{Reach, Request};
use crate::{Error, wire};

/// Runs operations that read the trail, on a pool, a connection or a transaction.
///
/// A handle with an open transaction reads inside it, and sees its own changes. Otherwise the read has a read-only
/// transaction of its own, which is right behind a transaction pooler too and leaves nothing behind when it is cancelled.
///
/// The kernel is looked for in the schema `threadline`; an [`AuditedPool`](crate::AuditedPool) and an
/// [`AuditedTransaction`](crate::AuditedTransaction) know theirs.
///
/// # Examples
/// ```no_run
/// use threadline_core::{ActorRef, InstalledVersion, RowHistory, Timeline};
/// use threadline_sqlx::Trail;
///
/// # async fn example(pool: sqlx::PgPool) -> Result<(), threadline_sqlx::Error> {
/// let page = pool.timeline(&Timeline::new().table("posts").actor(&ActorRef::user("42")?)).await?;
/// let history = pool.row_history(&RowHistory::by_id("public", "posts", 7)).await?;
/// let version = pool.run(&InstalledVersion).await?;
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot read the trail",
    note = "call it on a `PgPool`, an `AuditedPool`, or a `&mut` connection or transaction"
)]
pub trait Trail: Reach {
    /// Runs an operation and decodes its answer.
    ///
    /// Without an open transaction an operation that writes is refused; see [`apply`](crate::apply) for those.
    ///
    /// # Errors
    /// What the operation documents; [`is_not_installed`](Error::is_not_installed) without a kernel; otherwise sqlx's.
    fn run<O>(self, operation: &O) -> impl Future<Output = Result<O::Output, Error>> + Send
    where
        O: Operation + Sync,
    {
        async move {
            let schema = self.kernel();
            self.run_in(&schema, operation).await
        }
    }

    /// As [`run`](Self::run), with the kernel in this schema.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    fn run_in<O>(self, schema: &Schema, operation: &O) -> impl Future<Output = Result<O::Output, Error>> + Send
    where
        O: Operation + Sync,
    {
        async move {
            let statement = operation.statement(schema)?;
            Ok(operation.decode(self.reach(schema, Fetch(statement)).await?)?)
        }
    }

    /// A page of captured changes, newest first, with the transactions and actions they belong to.
    ///
    /// # Errors
    /// What [`Timeline`] documents, and as for [`run`](Self::run).
    fn timeline(self, query: &Timeline) -> impl Future<Output = Result<Page<LinkedChange>, Error>> + Send {
        self.run(query)
    }

    /// A page of the changes of one row, newest first.
    ///
    /// # Errors
    /// What [`RowHistory`] documents, and as for [`run`](Self::run).
    fn row_history(self, query: &RowHistory) -> impl Future<Output = Result<Page<LinkedChange>, Error>> + Send {
        self.run(query)
    }

    /// A row as it was at an instant, as JSON.
    ///
    /// # Errors
    /// What [`AsOf`] documents, and as for [`run`](Self::run).
    #[allow(clippy::wrong_self_convention, reason = "Self is a reference, as in sqlx's Executor")]
    fn as_of_json(self, query: &AsOf) -> impl Future<Output = Result<Json, Error>> + Send {
        self.run(query)
    }

    /// The row of a model as it was at an instant, decoded by sqlx from columns of the table's own types.
    ///
    /// Fields of masked and excluded columns must be `Option`, and are `None`.
    ///
    /// # Errors
    /// What [`AsOf`] and [`AsOf::row_statement`] document, and as for [`run`](Self::run).
    ///
    /// # Examples
    /// ```no_run
    /// use threadline_core::{Audited, AuditedTable, ModelColumn};
    /// use threadline_sqlx::Trail;
    ///
    /// #[derive(sqlx::FromRow)]
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
    /// # async fn example(pool: sqlx::PgPool, yesterday: time::OffsetDateTime) -> Result<(), threadline_sqlx::Error> {
    /// let post = pool.as_of::<Post>(7, yesterday).await?;
    /// println!("it was called {}", post.title);
    /// # Ok(())
    /// # }
    /// ```
    #[allow(clippy::wrong_self_convention, reason = "Self is a reference, as in sqlx's Executor")]
    fn as_of<R>(
        self,
        key: impl Into<RowKey> + Send,
        at: OffsetDateTime,
    ) -> impl Future<Output = Result<R, Error>> + Send
    where
        R: Audited + for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let request = ReadRow::<R> { as_of: AsOf::model::<R>(key, at), row: PhantomData };
        async move {
            let schema = self.kernel();
            self.reach(&schema, request).await
        }
    }

    /// As [`as_of`](Self::as_of), with the kernel in this schema.
    ///
    /// # Errors
    /// As for [`as_of`](Self::as_of).
    #[allow(clippy::wrong_self_convention, reason = "Self is a reference, as in sqlx's Executor")]
    fn as_of_in<R>(
        self,
        schema: &Schema,
        key: impl Into<RowKey> + Send,
        at: OffsetDateTime,
    ) -> impl Future<Output = Result<R, Error>> + Send
    where
        R: Audited + for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let request = ReadRow::<R> { as_of: AsOf::model::<R>(key, at), row: PhantomData };
        async move { self.reach(schema, request).await }
    }
}

impl<T: Reach> Trail for T {}

/// One statement.
struct Fetch(Statement);

impl Request for Fetch {
    type Answer = Vec<String>;

    async fn ask(self, connection: &mut PgConnection, schema: &Schema) -> Result<Vec<String>, Error> {
        fetch(connection, schema, &self.0).await
    }
}

/// A row as it was, in two steps: the image, then the row made of it.
struct ReadRow<R> {
    as_of: AsOf,
    row: PhantomData<fn() -> R>,
}

impl<R: Audited + for<'r> FromRow<'r, PgRow> + Send + Unpin> Request for ReadRow<R> {
    type Answer = R;

    async fn ask(self, connection: &mut PgConnection, schema: &Schema) -> Result<R, Error> {
        let image = self.as_of.decode(fetch(connection, schema, &self.as_of.statement(schema)?).await?)?;
        let statement = self.as_of.row_statement(schema, &image, R::columns())?;
        let types = fetch(connection, schema, &wire::own_types(schema, &R::audited_table())?).await?;
        let row = wire::fetch_row(connection, &statement, &types).await;
        Ok(R::from_row(&row.map_err(|error| Error::from_own_statement(error, schema))?)?)
    }
}

async fn fetch(connection: &mut PgConnection, schema: &Schema, statement: &Statement) -> Result<Vec<String>, Error> {
    wire::fetch_bound(connection, statement).await.map_err(|error| Error::from_own_statement(error, schema))
}
