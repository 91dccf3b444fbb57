//! From any handle of sqlx to a connection inside a transaction.

use std::future::Future;

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use threadline_core::Schema;

use crate::guarded::Guarded;
use crate::{AuditedPool, AuditedTransaction, Error, wire};

/// What is asked of a connection on which a transaction is open.
pub trait Request: Send {
    /// What comes back.
    type Answer: Send;

    /// Asks, with the kernel in this schema.
    fn ask(
        self,
        connection: &mut PgConnection,
        schema: &Schema,
    ) -> impl Future<Output = Result<Self::Answer, Error>> + Send;
}

/// A handle that a request can be made on: inside its transaction when it has one open, else in a read-only one of the
/// request's own.
pub trait Reach: Sized + Send {
    /// The schema in which this handle expects the kernel.
    fn kernel(&self) -> Schema {
        Schema::default()
    }

    /// Makes the request.
    fn reach<Q: Request>(self, schema: &Schema, request: Q) -> impl Future<Output = Result<Q::Answer, Error>> + Send;
}

impl Reach for &PgPool {
    async fn reach<Q: Request>(self, schema: &Schema, request: Q) -> Result<Q::Answer, Error> {
        alone(Guarded::acquire(self).await?, schema, request).await
    }
}

impl Reach for &AuditedPool {
    fn kernel(&self) -> Schema {
        self.schema().clone()
    }

    async fn reach<Q: Request>(self, schema: &Schema, request: Q) -> Result<Q::Answer, Error> {
        self.unaudited().reach(schema, request).await
    }
}

impl Reach for &mut PgConnection {
    async fn reach<Q: Request>(self, schema: &Schema, request: Q) -> Result<Q::Answer, Error> {
        // COMMIT of a transaction of ours must never be the COMMIT of one that was begun with SQL text.
        if wire::in_transaction(self).await? {
            request.ask(self, schema).await
        } else {
            alone(Guarded::borrowed(self), schema, request).await
        }
    }
}

impl Reach for &mut AuditedTransaction<'_> {
    fn kernel(&self) -> Schema {
        Schema::clone(&self.schema)
    }

    async fn reach<Q: Request>(self, schema: &Schema, request: Q) -> Result<Q::Answer, Error> {
        self.guarded.ensure_alive()?;
        request.ask(self.guarded.connection(), schema).await
    }
}

/// Handles that hand over to the connection inside them.
macro_rules! by_connection {
    ($($handle:ty),*) => {$(
        impl Reach for &mut $handle {
            async fn reach<Q: Request>(self, schema: &Schema, request: Q) -> Result<Q::Answer, Error> {
                (&mut **self).reach(schema, request).await
            }
        }
    )*};
}

by_connection!(Transaction<'_, Postgres>, PoolConnection<Postgres>);

async fn alone<Q: Request>(mut guarded: Guarded<'_>, schema: &Schema, request: Q) -> Result<Q::Answer, Error> {
    guarded.begin("BEGIN READ ONLY".to_owned(), "a read").await?;
    let answer = request.ask(guarded.connection(), schema).await?;
    guarded.commit().await?;
    Ok(answer)
}
