//! Installing the kernel, and operations that change what is captured.

use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction};
use threadline_core::{AuditedTable, EnableCapture, Manifest, Operation, Schema, kernel};

use crate::begin::Beginning;
use crate::{AuditedDatabase, Error, wire};

/// Installs the kernel into `schema`, or upgrades it in place; does nothing when it is up to date.
///
/// One transaction. Two services that start at once wait for each other, also through a transaction pooler.
///
/// # Errors
/// SeaORM's, for example when the role may not create a schema. Nothing is changed then.
///
/// # Examples
/// ```no_run
/// # async fn example(connection: sea_orm::DatabaseConnection) -> Result<(), threadline_seaorm::Error> {
/// threadline_seaorm::install(&connection, &threadline_core::Schema::default()).await?;
/// # Ok(())
/// # }
/// ```
pub async fn install(connection: &DatabaseConnection, schema: &Schema) -> Result<(), Error> {
    let change = Change::begin(connection, schema).await?;
    change.script(&kernel::install_script(schema)).await?;
    change.commit().await
}

/// Removes the kernel, the triggers and **the whole trail** from the database. Your tables are not touched.
///
/// # Errors
/// SeaORM's. Nothing is changed then.
pub async fn uninstall(connection: &DatabaseConnection, schema: &Schema) -> Result<(), Error> {
    let change = Change::begin(connection, schema).await?;
    change.script(&kernel::uninstall_script(schema)).await?;
    change.commit().await
}

/// Captures a table from now on, or changes the policy of one that is captured. The kernel is in the schema
/// `threadline`.
///
/// # Errors
/// As for [`EnableCapture`]; [`is_not_installed`](Error::is_not_installed) without a kernel; otherwise SeaORM's. Nothing is
/// changed then.
///
/// # Examples
/// ```no_run
/// use threadline_core::{AuditedTable, CapturePolicy};
///
/// # async fn example(connection: sea_orm::DatabaseConnection) -> Result<(), threadline_seaorm::Error> {
/// let posts = AuditedTable::new("public", "posts").policy(CapturePolicy::new().exclude(["password_hash"]));
/// threadline_seaorm::enable(&connection, &posts).await?;
/// # Ok(())
/// # }
/// ```
pub async fn enable(connection: &DatabaseConnection, table: &AuditedTable) -> Result<(), Error> {
    apply(connection, &Schema::default(), &EnableCapture::new(table.clone())).await.map(drop)
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
/// # async fn example(connection: sea_orm::DatabaseConnection) -> Result<(), threadline_seaorm::Error> {
/// let manifest = Manifest::new()
///     .table(AuditedTable::new("public", "posts"))
///     .table(AuditedTable::new("public", "comments"));
/// threadline_seaorm::install_manifest(&connection, &manifest).await?;
/// # Ok(())
/// # }
/// ```
pub async fn install_manifest(connection: &DatabaseConnection, manifest: &Manifest) -> Result<(), Error> {
    install_manifest_in(connection, &Schema::default(), manifest).await
}

async fn install_manifest_in(
    connection: &DatabaseConnection,
    schema: &Schema,
    manifest: &Manifest,
) -> Result<(), Error> {
    manifest.validate()?;
    let change = Change::begin(connection, schema).await?;
    change.script(&kernel::install_script(schema)).await?;
    for table in manifest {
        change.run(&EnableCapture::new(table.clone())).await?;
    }
    change.commit().await
}

/// The same in the database's own schema.
impl AuditedDatabase {
    /// As [`install`].
    ///
    /// # Errors
    /// As for [`install`].
    pub async fn install(&self) -> Result<(), Error> {
        install(self.unaudited(), self.schema()).await
    }

    /// As [`install_manifest`].
    ///
    /// # Errors
    /// As for [`install_manifest`].
    pub async fn install_manifest(&self, manifest: &Manifest) -> Result<(), Error> {
        install_manifest_in(self.unaudited(), self.schema(), manifest).await
    }

    /// As [`apply`].
    ///
    /// # Errors
    /// As for [`apply`].
    pub async fn apply<O>(&self, operation: &O) -> Result<O::Output, Error>
    where
        O: Operation + Sync,
    {
        apply(self.unaudited(), self.schema(), operation).await
    }
}

/// Runs an administrative operation, such as [`CreatePartitions`](threadline_core::CreatePartitions), in a transaction of
/// its own.
///
/// # Errors
/// What the operation documents; [`is_not_installed`](Error::is_not_installed) without a kernel; otherwise SeaORM's.
///
/// # Examples
/// ```no_run
/// use threadline_core::{CreatePartitions, Schema};
///
/// # async fn example(connection: sea_orm::DatabaseConnection) -> Result<(), threadline_seaorm::Error> {
/// let created = threadline_seaorm::apply(&connection, &Schema::default(), &CreatePartitions::months_ahead(6)).await?;
/// # Ok(())
/// # }
/// ```
pub async fn apply<O>(connection: &DatabaseConnection, schema: &Schema, operation: &O) -> Result<O::Output, Error>
where
    O: Operation + Sync,
{
    let change = Change::begin(connection, schema).await?;
    let output = change.run(operation).await?;
    change.commit().await?;
    Ok(output)
}

/// A transaction that changes the kernel or what it captures, one at a time in a database and schema.
struct Change<'s> {
    tx: DatabaseTransaction,
    schema: &'s Schema,
}

impl<'s> Change<'s> {
    async fn begin(connection: &DatabaseConnection, schema: &'s Schema) -> Result<Self, Error> {
        wire::ensure_postgres(connection)?;
        let tx = Beginning::on(connection).await?;
        tx.execute_unprepared(&kernel::change_lock(schema)).await?;
        Ok(Self { tx, schema })
    }

    async fn script(&self, sql: &str) -> Result<(), Error> {
        script(&self.tx, self.schema, sql).await
    }

    async fn run<O: Operation>(&self, operation: &O) -> Result<O::Output, Error> {
        wire::run(&self.tx, self.schema, operation).await
    }

    async fn commit(self) -> Result<(), Error> {
        self.tx.commit().await.map_err(Error::from_commit)
    }
}

/// Runs a script of several statements.
pub(crate) async fn script<C: ConnectionTrait>(connection: &C, schema: &Schema, sql: &str) -> Result<(), Error> {
    let answer = connection.execute_unprepared(sql).await;
    answer.map(drop).map_err(|error| Error::from_own_statement(error, schema))
}
