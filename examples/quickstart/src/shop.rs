//! A small ordering service, as a user of Threadline writes one.
//!
//! Each function takes an [`AuditContext`]: who asks, and under which request. A real service builds one per request or
//! job. Nothing else is different from a service that is not audited.

use std::fmt;

use sqlx::{PgConnection, PgPool};
use threadline::sqlx::prelude::*;

const TABLES: &str = "
    CREATE TABLE customers (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name text NOT NULL,
        email text NOT NULL,
        card_token text
    );
    CREATE TABLE products (
        sku text PRIMARY KEY,
        name text NOT NULL,
        price numeric(10, 2) NOT NULL,
        stock int NOT NULL
    );
    CREATE TABLE orders (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        customer_id bigint NOT NULL REFERENCES customers,
        status text NOT NULL DEFAULT 'placed'
    );
    CREATE TABLE order_lines (
        order_id bigint REFERENCES orders ON DELETE CASCADE,
        line int,
        sku text NOT NULL REFERENCES products,
        quantity int NOT NULL,
        PRIMARY KEY (order_id, line)
    );
";

/// What is audited, and what the trail must not hold.
pub(crate) fn manifest() -> Manifest {
    let customers = CapturePolicy::new()
        // That an address changed is recorded; what it was or became is not.
        .mask(["email"])
        // The trail knows nothing of this column.
        .exclude(["card_token"]);
    Manifest::new()
        .table(AuditedTable::new("public", "customers").policy(customers))
        .table(AuditedTable::new("public", "products"))
        .table(AuditedTable::new("public", "orders"))
        .table(AuditedTable::new("public", "order_lines"))
}

/// The service. Its database handle can only begin audited transactions, and read.
#[derive(Clone, Debug)]
pub(crate) struct Shop {
    pub(crate) db: AuditedPool,
}

/// What the service can answer.
#[derive(Debug)]
pub(crate) enum ShopError {
    /// The bank said no.
    Declined(&'static str),
    Database(threadline::sqlx::Error),
}

impl Shop {
    /// Creates the tables and switches the audit trail on. A real service does both in its migrations.
    pub(crate) async fn open(pool: PgPool) -> Result<Self, ShopError> {
        sqlx::raw_sql(TABLES).execute(&pool).await?;
        let db = AuditedPool::new(pool);
        db.install_manifest(&manifest()).await?;
        Ok(Self { db })
    }

    pub(crate) async fn load_catalog(
        &self,
        context: &AuditContext,
        products: &[(&str, &str, &str, i32)],
    ) -> Result<(), ShopError> {
        let loaded = self.db.transaction(context, async |tx| {
            tx.record_action(&Action::new("catalog.loaded")).await?;
            for (sku, name, price, stock) in products {
                sqlx::query("INSERT INTO products VALUES ($1, $2, $3::numeric, $4)")
                    .bind(sku)
                    .bind(name)
                    .bind(price)
                    .bind(stock)
                    .execute(&mut **tx)
                    .await?;
            }
            Ok(())
        });
        loaded.await.map(Outcome::into_value)
    }

    pub(crate) async fn sign_up(
        &self,
        context: &AuditContext,
        name: &str,
        email: &str,
        card_token: &str,
    ) -> Result<i64, ShopError> {
        let signed_up = self.db.transaction(context, async |tx| {
            tx.record_action(&Action::new("customer.signed_up")).await?;
            let insert = "INSERT INTO customers (name, email, card_token) VALUES ($1, $2, $3) RETURNING id";
            let id = sqlx::query_scalar(insert).bind(name).bind(email).bind(card_token).fetch_one(&mut **tx).await?;
            Ok(id)
        });
        signed_up.await.map(Outcome::into_value)
    }

    /// Saves a profile as a form sends it, changed or not. Returns what the audited transaction returned.
    pub(crate) async fn save_profile(
        &self,
        context: &AuditContext,
        customer: i64,
        name: &str,
        email: &str,
    ) -> Result<Outcome<()>, ShopError> {
        let save = "UPDATE customers SET name = $2, email = $3 WHERE id = $1";
        self.db
            .transaction(context, async |tx| {
                sqlx::query(save).bind(customer).bind(name).bind(email).execute(&mut **tx).await?;
                Ok(())
            })
            .await
    }

    pub(crate) async fn place_order(
        &self,
        context: &AuditContext,
        customer: i64,
        lines: &[(&str, i32)],
    ) -> Result<i64, ShopError> {
        let placed = self.db.transaction(context, async |tx| {
            tx.record_action(&Action::new("order.placed").verb("place").category("sales")).await?;
            let insert = "INSERT INTO orders (customer_id) VALUES ($1) RETURNING id";
            let order: i64 = sqlx::query_scalar(insert).bind(customer).fetch_one(&mut **tx).await?;
            for (line, (sku, quantity)) in (1..).zip(lines) {
                add_line(tx, order, line, sku, *quantity).await?;
            }
            Ok(order)
        });
        placed.await.map(Outcome::into_value)
    }

    /// Charges the customer's card. The order is marked first, so a card that is declined has something to roll back.
    pub(crate) async fn pay(&self, context: &AuditContext, order: i64, bank: Bank) -> Result<(), ShopError> {
        let session = self.db.with(context);
        let paid = session.transaction(async |tx| {
            tx.record_action(&Action::new("payment.taken")).await?;
            let mark = "UPDATE orders SET status = 'paid' WHERE id = $1";
            sqlx::query(mark).bind(order).execute(&mut **tx).await?;
            bank.charge()
        });
        match paid.await {
            Err(ShopError::Declined(reason)) => {
                // Nothing of the transaction is left; that it was tried is worth knowing all the same.
                session.record_failure(&Action::new("payment.failed").reason(reason)).await?;
                Err(ShopError::Declined(reason))
            }
            other => other.map(Outcome::into_value),
        }
    }

    pub(crate) async fn correct_price(
        &self,
        context: &AuditContext,
        sku: &str,
        price: &str,
        reason: &str,
    ) -> Result<(), ShopError> {
        let corrected = self.db.transaction(context, async |tx| {
            tx.record_action(&Action::new("price.corrected").reason(reason)).await?;
            let update = "UPDATE products SET price = $2::numeric WHERE sku = $1";
            sqlx::query(update).bind(sku).bind(price).execute(&mut **tx).await?;
            Ok(())
        });
        corrected.await.map(Outcome::into_value)
    }

    /// One statement for all orders that are paid. Returns how many were shipped.
    pub(crate) async fn ship_paid_orders(&self, context: &AuditContext) -> Result<u64, ShopError> {
        let shipped = self.db.transaction(context, async |tx| {
            tx.record_action(&Action::new("orders.shipped")).await?;
            let ship = "UPDATE orders SET status = 'shipped' WHERE status = 'paid'";
            Ok(sqlx::query(ship).execute(&mut **tx).await?.rows_affected())
        });
        shipped.await.map(Outcome::into_value)
    }

    /// The order's lines go with it, by the foreign key's cascade.
    pub(crate) async fn cancel_order(&self, context: &AuditContext, order: i64, reason: &str) -> Result<(), ShopError> {
        let cancelled = self.db.transaction(context, async |tx| {
            tx.record_action(&Action::new("order.cancelled").reason(reason)).await?;
            sqlx::query("DELETE FROM orders WHERE id = $1").bind(order).execute(&mut **tx).await?;
            Ok(())
        });
        cancelled.await.map(Outcome::into_value)
    }
}

/// Functions below the service take the connection, as they always did.
async fn add_line(tx: &mut PgConnection, order: i64, line: i32, sku: &str, quantity: i32) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO order_lines VALUES ($1, $2, $3, $4)")
        .bind(order)
        .bind(line)
        .bind(sku)
        .bind(quantity)
        .execute(&mut *tx)
        .await?;
    let take = "UPDATE products SET stock = stock - $2 WHERE sku = $1";
    sqlx::query(take).bind(sku).bind(quantity).execute(tx).await.map(drop)
}

/// Stands in for a payment provider.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bank {
    Accepts,
    Declines(&'static str),
}

impl Bank {
    fn charge(self) -> Result<(), ShopError> {
        match self {
            Self::Accepts => Ok(()),
            Self::Declines(reason) => Err(ShopError::Declined(reason)),
        }
    }
}

impl From<threadline::sqlx::Error> for ShopError {
    fn from(error: threadline::sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<sqlx::Error> for ShopError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

impl fmt::Display for ShopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Declined(reason) => write!(f, "the payment was declined: {reason}"),
            Self::Database(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ShopError {}
