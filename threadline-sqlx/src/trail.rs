//! Reading the trail on any handle of sqlx.

use std::future::Future;

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use threadline_core::{AsOf, Json, LinkedChange, Operation, Page, RowHistory, Schema, Statement, Timeline};

use crate::guarded::Guarded;
use crate::{AuditedPool, AuditedTransaction, Error, wire};

/// Runs operations that read the trail, on a pool, a connection or a transaction.
///
/// A handle with an open transaction reads inside it, and sees its own changes. Otherwise the read has a read-only
/// transaction of its own, which is right behind a transaction pooler too and leaves nothing behind when it is cancelled.
///
/// The kernel is looked for in the schema `threadline`; an [`AuditedPool`] and an [`AuditedTransaction`] know theirs.
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
pub trait Trail: Sized + Send {
    /// Runs an operation and decodes its answer.
    ///
    /// Without an open transaction an operation that writes is refused; see [`apply`](crate::apply) for those.
    ///
    /// # Errors
    /// What the operation documents; [`is_not_installed`](Error::is_not_installed) without a kernel; otherwise sqlx's.
    fn run<O>(self, operation: &O) -> impl Future<Output = Result<O::Output, Error>> + Send
    where
        O: Operation + Sync;

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
    fn as_of(self, query: &AsOf) -> impl Future<Output = Result<Json, Error>> + Send {
        self.run(query)
    }

    /// As [`run`](Self::run), with the kernel in this schema.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    fn run_in<O>(self, schema: &Schema, operation: &O) -> impl Future<Output = Result<O::Output, Error>> + Send
    where
        O: Operation + Sync;
}

impl Trail for &PgPool {
    async fn run<O: Operation + Sync>(self, operation: &O) -> Result<O::Output, Error> {
        self.run_in(&Schema::default(), operation).await
    }

    async fn run_in<O: Operation + Sync>(self, schema: &Schema, operation: &O) -> Result<O::Output, Error> {
        let statement = operation.statement(schema)?;
        let guarded = Guarded::acquire(self).await?;
        let rows = read_alone(guarded, schema, &statement).await?;
        Ok(operation.decode(rows)?)
    }
}

impl Trail for &AuditedPool {
    async fn run<O: Operation + Sync>(self, operation: &O) -> Result<O::Output, Error> {
        self.unaudited().run_in(self.schema(), operation).await
    }

    async fn run_in<O: Operation + Sync>(self, schema: &Schema, operation: &O) -> Result<O::Output, Error> {
        self.unaudited().run_in(schema, operation).await
    }
}

impl Trail for &mut PgConnection {
    async fn run<O: Operation + Sync>(self, operation: &O) -> Result<O::Output, Error> {
        self.run_in(&Schema::default(), operation).await
    }

    async fn run_in<O: Operation + Sync>(self, schema: &Schema, operation: &O) -> Result<O::Output, Error> {
        let statement = operation.statement(schema)?;
        // COMMIT of a transaction of ours must never be the COMMIT of one that was begun with SQL text.
        let rows = if wire::in_transaction(self).await? {
            read_within(self, schema, &statement).await?
        } else {
            read_alone(Guarded::borrowed(self), schema, &statement).await?
        };
        Ok(operation.decode(rows)?)
    }
}

impl Trail for &mut AuditedTransaction<'_> {
    async fn run<O: Operation + Sync>(self, operation: &O) -> Result<O::Output, Error> {
        let schema = self.schema.clone();
        self.run_in(&schema, operation).await
    }

    async fn run_in<O: Operation + Sync>(self, schema: &Schema, operation: &O) -> Result<O::Output, Error> {
        self.guarded.ensure_alive()?;
        let statement = operation.statement(schema)?;
        let rows = read_within(self.guarded.connection(), schema, &statement).await?;
        Ok(operation.decode(rows)?)
    }
}

/// Handles that hand over to the connection inside them.
macro_rules! by_connection {
    ($($handle:ty),*) => {$(
        impl Trail for &mut $handle {
            async fn run<O: Operation + Sync>(self, operation: &O) -> Result<O::Output, Error> {
                (&mut **self).run(operation).await
            }

            async fn run_in<O: Operation + Sync>(self, schema: &Schema, operation: &O) -> Result<O::Output, Error> {
                (&mut **self).run_in(schema, operation).await
            }
        }
    )*};
}

by_connection!(Transaction<'_, Postgres>, PoolConnection<Postgres>);

async fn read_within(
    connection: &mut PgConnection,
    schema: &Schema,
    statement: &Statement,
) -> Result<Vec<String>, Error> {
    wire::fetch_bound(connection, statement).await.map_err(|error| Error::from_own_statement(error, schema))
}

async fn read_alone(mut guarded: Guarded<'_>, schema: &Schema, statement: &Statement) -> Result<Vec<String>, Error> {
    guarded.begin("BEGIN READ ONLY".to_owned(), "a read").await?;
    let rows = read_within(guarded.connection(), schema, statement).await?;
    guarded.commit().await?;
    Ok(rows)
}
