//! Installing the kernel, and operations that change what is captured.

use threadline_core::{AuditedTable, EnableCapture, Manifest, Operation, Schema, kernel};

use crate::Error;
use crate::asynchronous::guarded::Guarded;
use crate::asynchronous::{AuditDsl, wire};

/// Installs the kernel into `schema`, or upgrades it in place; does nothing when it is up to date.
///
/// One transaction. Two services that start at once wait for each other, also through a transaction pooler.
///
/// # Errors
/// Diesel's, for example when the role may not create a schema; [`is_nested`](Error::is_nested) inside a transaction.
/// Nothing is changed then.
///
/// # Examples
/// ```no_run
/// # async fn example(mut conn: diesel_async::AsyncPgConnection) -> Result<(), threadline_diesel::Error> {
/// threadline_diesel::asynchronous::install(&mut conn, &threadline_core::Schema::default()).await?;
/// # Ok(())
/// # }
/// ```
pub async fn install<C: AuditDsl>(conn: &mut C, schema: &Schema) -> Result<(), Error> {
    let mut change = Change::begin(conn, schema).await?;
    change.script(&kernel::install_script(schema)).await?;
    change.commit().await
}

/// Removes the kernel, the triggers and **the whole trail** from the database. Your tables are not touched.
///
/// # Errors
/// As for [`install`]. Nothing is changed then.
pub async fn uninstall<C: AuditDsl>(conn: &mut C, schema: &Schema) -> Result<(), Error> {
    let mut change = Change::begin(conn, schema).await?;
    change.script(&kernel::uninstall_script(schema)).await?;
    change.commit().await
}

/// Captures a table from now on, or changes the policy of one that is captured. The kernel is in the schema
/// `threadline`.
///
/// # Errors
/// As for [`EnableCapture`] and [`apply`]. Nothing is changed then.
///
/// # Examples
/// ```no_run
/// use threadline_core::{AuditedTable, CapturePolicy};
///
/// # async fn example(mut conn: diesel_async::AsyncPgConnection) -> Result<(), threadline_diesel::Error> {
/// let posts = AuditedTable::new("public", "posts").policy(CapturePolicy::new().exclude(["password_hash"]));
/// threadline_diesel::asynchronous::enable(&mut conn, &posts).await?;
/// # Ok(())
/// # }
/// ```
pub async fn enable<C: AuditDsl>(conn: &mut C, table: &AuditedTable) -> Result<(), Error> {
    apply(conn, &Schema::default(), &EnableCapture::new(table.clone())).await.map(drop)
}

/// Installs or upgrades the kernel in the schema `threadline` and captures every table of the manifest under its policy:
/// all of it in one transaction, or none of it.
///
/// # Errors
/// As for [`install`] and [`enable`].
///
/// # Examples
/// ```no_run
/// use threadline_core::{AuditedTable, Manifest};
///
/// # async fn example(mut conn: diesel_async::AsyncPgConnection) -> Result<(), threadline_diesel::Error> {
/// let manifest = Manifest::new()
///     .table(AuditedTable::new("public", "posts"))
///     .table(AuditedTable::new("public", "comments"));
/// threadline_diesel::asynchronous::install_manifest(&mut conn, &manifest).await?;
/// # Ok(())
/// # }
/// ```
pub async fn install_manifest<C: AuditDsl>(conn: &mut C, manifest: &Manifest) -> Result<(), Error> {
    manifest.validate()?;
    let schema = Schema::default();
    let mut change = Change::begin(conn, &schema).await?;
    change.script(&kernel::install_script(&schema)).await?;
    for table in manifest {
        change.run(&EnableCapture::new(table.clone())).await?;
    }
    change.commit().await
}

/// Runs an administrative operation, such as [`CreatePartitions`](threadline_core::CreatePartitions), in a transaction of
/// its own.
///
/// # Errors
/// What the operation documents; [`is_not_installed`](Error::is_not_installed) without a kernel;
/// [`is_nested`](Error::is_nested) inside a transaction; otherwise Diesel's.
///
/// # Examples
/// ```no_run
/// use threadline_core::{CreatePartitions, Schema};
///
/// # async fn example(mut conn: diesel_async::AsyncPgConnection) -> Result<(), threadline_diesel::Error> {
/// let months = CreatePartitions::months_ahead(6);
/// let created = threadline_diesel::asynchronous::apply(&mut conn, &Schema::default(), &months).await?;
/// # Ok(())
/// # }
/// ```
pub async fn apply<C, O>(conn: &mut C, schema: &Schema, operation: &O) -> Result<O::Output, Error>
where
    C: AuditDsl,
    O: Operation + Sync,
{
    let mut change = Change::begin(conn, schema).await?;
    let output = change.run(operation).await?;
    change.commit().await?;
    Ok(output)
}

/// A transaction that changes the kernel or what it captures, one at a time in a database and schema.
struct Change<'c, C: AuditDsl> {
    guarded: Guarded<&'c mut C>,
    schema: &'c Schema,
}

impl<'c, C: AuditDsl> Change<'c, C> {
    async fn begin(conn: &'c mut C, schema: &'c Schema) -> Result<Self, Error> {
        if wire::depth(conn)? > 0 {
            return Err(threadline_core::Error::nested("a change of the kernel").into());
        }
        let sql = format!("BEGIN; {}", kernel::change_lock(schema));
        Ok(Self { guarded: Guarded::begin(conn, &sql).await?, schema })
    }

    async fn script(&mut self, sql: &str) -> Result<(), Error> {
        self.guarded
            .connection()
            .batch_execute(sql)
            .await
            .map_err(|error| Error::from_own_statement(error, self.schema))
    }

    async fn run<O: Operation + Sync>(&mut self, operation: &O) -> Result<O::Output, Error> {
        let statement = operation.statement(self.schema)?;
        let rows = wire::fetch(self.guarded.connection(), &statement)
            .await
            .map_err(|error| Error::from_own_statement(error, self.schema))?;
        Ok(operation.decode(rows)?)
    }

    async fn commit(mut self) -> Result<(), Error> {
        self.guarded.commit().await
    }
}
