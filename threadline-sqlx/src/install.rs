//! Installing the kernel, and operations that change what is captured.

use sqlx::PgPool;
use threadline_core::{AuditedTable, EnableCapture, Manifest, Operation, Schema, kernel};

use crate::guarded::Guarded;
use crate::{AuditedPool, Error, wire};

/// Installs the kernel into `schema`, or upgrades it in place; does nothing when it is up to date.
///
/// One transaction. Two services that start at once wait for each other, also through a transaction pooler.
///
/// # Errors
/// sqlx's, for example when the role may not create a schema. Nothing is changed then.
///
/// # Examples
/// ```no_run
/// # async fn example(pool: sqlx::PgPool) -> Result<(), threadline_sqlx::Error> {
/// threadline_sqlx::install(&pool, &threadline_core::Schema::default()).await?;
/// # Ok(())
/// # }
/// ```
pub async fn install(pool: &PgPool, schema: &Schema) -> Result<(), Error> {
    let mut change = Change::begin(pool, schema).await?;
    change.script(&kernel::install_script(schema)).await?;
    change.commit().await
}

/// Removes the kernel, the triggers and **the whole trail** from the database. Your tables are not touched.
///
/// # Errors
/// sqlx's. Nothing is changed then.
pub async fn uninstall(pool: &PgPool, schema: &Schema) -> Result<(), Error> {
    let mut change = Change::begin(pool, schema).await?;
    change.script(&kernel::uninstall_script(schema)).await?;
    change.commit().await
}

/// Captures a table from now on, or changes the policy of one that is captured. The kernel is in the schema
/// `threadline`.
///
/// # Errors
/// As for [`EnableCapture`]; [`is_not_installed`](Error::is_not_installed) without a kernel; otherwise sqlx's. Nothing is
/// changed then.
///
/// # Examples
/// ```no_run
/// use threadline_core::{AuditedTable, CapturePolicy};
///
/// # async fn example(pool: sqlx::PgPool) -> Result<(), threadline_sqlx::Error> {
/// let posts = AuditedTable::new("public", "posts").policy(CapturePolicy::new().exclude(["password_hash"]));
/// threadline_sqlx::enable(&pool, &posts).await?;
/// # Ok(())
/// # }
/// ```
pub async fn enable(pool: &PgPool, table: &AuditedTable) -> Result<(), Error> {
    apply(pool, &Schema::default(), &EnableCapture::new(table.clone())).await.map(drop)
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
/// # async fn example(pool: sqlx::PgPool) -> Result<(), threadline_sqlx::Error> {
/// let manifest = Manifest::new()
///     .table(AuditedTable::new("public", "posts"))
///     .table(AuditedTable::new("public", "comments"));
/// threadline_sqlx::install_manifest(&pool, &manifest).await?;
/// # Ok(())
/// # }
/// ```
pub async fn install_manifest(pool: &PgPool, manifest: &Manifest) -> Result<(), Error> {
    install_manifest_in(pool, &Schema::default(), manifest).await
}

async fn install_manifest_in(pool: &PgPool, schema: &Schema, manifest: &Manifest) -> Result<(), Error> {
    manifest.validate()?;
    let mut change = Change::begin(pool, schema).await?;
    change.script(&kernel::install_script(schema)).await?;
    for table in manifest {
        change.run(&EnableCapture::new(table.clone())).await?;
    }
    change.commit().await
}

/// The same in the pool's own schema.
impl AuditedPool {
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
/// What the operation documents; [`is_not_installed`](Error::is_not_installed) without a kernel; otherwise sqlx's.
///
/// # Examples
/// ```no_run
/// use threadline_core::{CreatePartitions, Schema};
///
/// # async fn example(pool: sqlx::PgPool) -> Result<(), threadline_sqlx::Error> {
/// let created = threadline_sqlx::apply(&pool, &Schema::default(), &CreatePartitions::months_ahead(6)).await?;
/// # Ok(())
/// # }
/// ```
pub async fn apply<O>(pool: &PgPool, schema: &Schema, operation: &O) -> Result<O::Output, Error>
where
    O: Operation + Sync,
{
    let mut change = Change::begin(pool, schema).await?;
    let output = change.run(operation).await?;
    change.commit().await?;
    Ok(output)
}

/// A transaction that changes the kernel or what it captures, one at a time in a database and schema.
struct Change<'s> {
    guarded: Guarded<'static>,
    schema: &'s Schema,
}

impl<'s> Change<'s> {
    async fn begin(pool: &PgPool, schema: &'s Schema) -> Result<Self, Error> {
        let mut guarded = Guarded::acquire(pool).await?;
        guarded.begin(format!("BEGIN; {}", kernel::change_lock(schema)), "a change of the kernel").await?;
        Ok(Self { guarded, schema })
    }

    async fn script(&mut self, sql: &str) -> Result<(), Error> {
        wire::execute(self.guarded.connection(), sql)
            .await
            .map_err(|error| Error::from_own_statement(error, self.schema))
    }

    async fn run<O: Operation + Sync>(&mut self, operation: &O) -> Result<O::Output, Error> {
        let statement = operation.statement(self.schema)?;
        let rows = wire::fetch_bound(self.guarded.connection(), &statement)
            .await
            .map_err(|error| Error::from_own_statement(error, self.schema))?;
        Ok(operation.decode(rows)?)
    }

    async fn commit(mut self) -> Result<(), Error> {
        self.guarded.commit().await
    }
}
