//! From any handle of sqlx to a connection inside a transaction.

use std::future::Future;

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use threadline_core::{BEGIN_READ, Schema};

use crate::guarded::Guarded;
use crate::{AuditedPool, AuditedTransaction, Error, wire};

/// A handle on which the trail can be read: inside its transaction when it has one open, else in a read-only one of the
/// read's own.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot read the trail",
    note = "call it on a `PgPool`, an `AuditedPool`, or a `&mut` connection or transaction"
)]
pub trait Reach: Sized + Send {
    /// What is read from.
    type Opened: Opened;

    /// The schema in which this handle expects the kernel.
    fn kernel(&self) -> Schema {
        Schema::default()
    }

    /// Makes sure of a transaction.
    fn open(self) -> impl Future<Output = Result<Self::Opened, Error>> + Send;
}

/// A connection on which a transaction is open.
pub trait Opened: Send {
    /// The connection.
    fn connection(&mut self) -> &mut PgConnection;

    /// Whether the connection may be closed when a COPY is cancelled: what is on its way then belongs to nobody, and sqlx
    /// 0.9.0 would give it to the next statement.
    fn can_copy(&self) -> bool {
        false
    }

    /// A COPY begins, or has ended.
    fn copying(&mut self, begins: bool) {
        let _ = begins;
    }

    /// Ends the transaction when it is the read's own.
    fn close(self) -> impl Future<Output = Result<(), Error>> + Send;
}

/// A connection with a transaction of the read's own, which is rolled back when it is dropped.
#[derive(Debug)]
pub struct Alone<'c>(Guarded<'c>);

/// A connection with somebody's transaction.
#[derive(Debug)]
pub struct Within<'c>(&'c mut PgConnection);

/// Either.
#[derive(Debug)]
pub enum Somewhere<'c> {
    /// No transaction was open.
    Alone(Alone<'c>),
    /// One was.
    Within(Within<'c>),
}

impl<'c> Alone<'c> {
    async fn begin(mut guarded: Guarded<'c>) -> Result<Self, Error> {
        guarded.begin(BEGIN_READ.to_owned(), "a read").await?;
        Ok(Self(guarded))
    }
}

impl Opened for Alone<'_> {
    fn connection(&mut self) -> &mut PgConnection {
        self.0.connection()
    }

    fn can_copy(&self) -> bool {
        self.0.is_from_pool()
    }

    fn copying(&mut self, begins: bool) {
        self.0.copying(begins);
    }

    async fn close(mut self) -> Result<(), Error> {
        self.0.commit().await
    }
}

impl Opened for Within<'_> {
    fn connection(&mut self) -> &mut PgConnection {
        self.0
    }

    async fn close(self) -> Result<(), Error> {
        Ok(())
    }
}

impl Opened for Somewhere<'_> {
    fn connection(&mut self) -> &mut PgConnection {
        match self {
            Self::Alone(alone) => alone.connection(),
            Self::Within(within) => within.connection(),
        }
    }

    async fn close(self) -> Result<(), Error> {
        match self {
            Self::Alone(alone) => alone.close().await,
            Self::Within(within) => within.close().await,
        }
    }
}

impl Reach for &PgPool {
    type Opened = Alone<'static>;

    async fn open(self) -> Result<Alone<'static>, Error> {
        Alone::begin(Guarded::acquire(self).await?).await
    }
}

impl Reach for &AuditedPool {
    type Opened = Alone<'static>;

    fn kernel(&self) -> Schema {
        self.schema().clone()
    }

    async fn open(self) -> Result<Alone<'static>, Error> {
        self.unaudited().open().await
    }
}

impl<'c> Reach for &'c mut PgConnection {
    type Opened = Somewhere<'c>;

    async fn open(self) -> Result<Somewhere<'c>, Error> {
        // COMMIT of a transaction of ours must never be the COMMIT of one that was begun with SQL text.
        if wire::in_transaction(self).await? {
            Ok(Somewhere::Within(Within(self)))
        } else {
            Ok(Somewhere::Alone(Alone::begin(Guarded::borrowed(self)).await?))
        }
    }
}

impl<'c> Reach for &'c mut AuditedTransaction<'_> {
    type Opened = Within<'c>;

    fn kernel(&self) -> Schema {
        Schema::clone(&self.schema)
    }

    async fn open(self) -> Result<Within<'c>, Error> {
        self.guarded.ensure_alive()?;
        Ok(Within(self.guarded.connection()))
    }
}

/// Handles that hand over to the connection inside them.
macro_rules! by_connection {
    ($($handle:ty),*) => {$(
        impl<'c> Reach for &'c mut $handle {
            type Opened = Somewhere<'c>;

            async fn open(self) -> Result<Somewhere<'c>, Error> {
                (&mut **self).open().await
            }
        }
    )*};
}

by_connection!(Transaction<'_, Postgres>, PoolConnection<Postgres>);
