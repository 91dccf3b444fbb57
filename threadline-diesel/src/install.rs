//! Installing the kernel, and operations that change what is captured.

use diesel::connection::LoadConnection;
use diesel::pg::Pg;
use threadline_core::{AuditedTable, EnableCapture, Manifest, Operation, Schema, kernel};

use crate::{AuditedTransaction, Error, wire};

/// Installs the kernel into `schema`, or upgrades it in place; does nothing when it is up to date.
///
/// One transaction, or a savepoint of the open one. Two services that start at once wait for each other, also through a
/// transaction pooler.
///
/// # Errors
/// Diesel's, for example when the role may not create a schema. Nothing is changed then.
///
/// # Examples
/// ```no_run
/// # fn example(conn: &mut diesel::PgConnection) -> Result<(), threadline_diesel::Error> {
/// threadline_diesel::install(conn, &threadline_core::Schema::default())?;
/// # Ok(())
/// # }
/// ```
pub fn install<C>(connection: &mut C, schema: &Schema) -> Result<(), Error>
where
    C: LoadConnection<Backend = Pg>,
{
    change(connection, schema, |connection| script(connection, schema, &kernel::install_script(schema)))
}

/// Removes the kernel, the triggers and **the whole trail** from the database. Your tables are not touched.
///
/// # Errors
/// Diesel's. Nothing is changed then.
pub fn uninstall<C>(connection: &mut C, schema: &Schema) -> Result<(), Error>
where
    C: LoadConnection<Backend = Pg>,
{
    change(connection, schema, |connection| script(connection, schema, &kernel::uninstall_script(schema)))
}

/// Captures a table from now on, or changes the policy of one that is captured. The kernel is in the schema
/// `threadline`.
///
/// # Errors
/// As for [`EnableCapture`]; [`is_not_installed`](Error::is_not_installed) without a kernel; otherwise Diesel's. Nothing is
/// changed then.
///
/// # Examples
/// ```no_run
/// use threadline_core::{AuditedTable, CapturePolicy};
///
/// # fn example(conn: &mut diesel::PgConnection) -> Result<(), threadline_diesel::Error> {
/// let posts = AuditedTable::new("public", "posts").policy(CapturePolicy::new().exclude(["password_hash"]));
/// threadline_diesel::enable(conn, &posts)?;
/// # Ok(())
/// # }
/// ```
pub fn enable<C>(connection: &mut C, table: &AuditedTable) -> Result<(), Error>
where
    C: LoadConnection<Backend = Pg>,
{
    apply(connection, &Schema::default(), &EnableCapture::new(table.clone())).map(drop)
}

/// Installs or upgrades the kernel in the schema `threadline` and captures every table of the manifest under its policy:
/// all of it, or none of it.
///
/// # Errors
/// As for [`install`] and [`enable`].
///
/// # Examples
/// ```no_run
/// use threadline_core::{AuditedTable, Manifest};
///
/// # fn example(conn: &mut diesel::PgConnection) -> Result<(), threadline_diesel::Error> {
/// let manifest = Manifest::new()
///     .table(AuditedTable::new("public", "posts"))
///     .table(AuditedTable::new("public", "comments"));
/// threadline_diesel::install_manifest(conn, &manifest)?;
/// # Ok(())
/// # }
/// ```
pub fn install_manifest<C>(connection: &mut C, manifest: &Manifest) -> Result<(), Error>
where
    C: LoadConnection<Backend = Pg>,
{
    manifest.validate()?;
    let schema = Schema::default();
    change(connection, &schema, |connection| {
        script(connection, &schema, &kernel::install_script(&schema))?;
        for table in manifest {
            wire::perform(connection, &schema, &EnableCapture::new(table.clone()))?;
        }
        Ok(())
    })
}

/// Runs an administrative operation, such as [`CreatePartitions`](threadline_core::CreatePartitions), in a transaction of
/// its own, or a savepoint of the open one.
///
/// # Errors
/// What the operation documents; [`is_not_installed`](Error::is_not_installed) without a kernel; otherwise Diesel's.
///
/// # Examples
/// ```no_run
/// use threadline_core::{CreatePartitions, Schema};
///
/// # fn example(conn: &mut diesel::PgConnection) -> Result<(), threadline_diesel::Error> {
/// let created = threadline_diesel::apply(conn, &Schema::default(), &CreatePartitions::months_ahead(6))?;
/// # Ok(())
/// # }
/// ```
pub fn apply<C, O>(connection: &mut C, schema: &Schema, operation: &O) -> Result<O::Output, Error>
where
    C: LoadConnection<Backend = Pg>,
    O: Operation,
{
    change(connection, schema, |connection| wire::perform(connection, schema, operation))
}

/// Changes the kernel, or what it captures, one at a time in a database and schema.
fn change<C, T>(connection: &mut C, schema: &Schema, body: impl FnOnce(&mut C) -> Result<T, Error>) -> Result<T, Error>
where
    C: LoadConnection<Backend = Pg>,
{
    let lock = kernel::change_lock(schema);
    if wire::depth(connection)?.is_some() {
        return AuditedTransaction::savepoint(connection, |connection| {
            connection.batch_execute(&lock)?;
            body(connection)
        });
    }
    let mut own = wire::Own::begin(connection, &format!("BEGIN; {lock}"))?;
    let value = body(own.0)?;
    own.commit()?;
    Ok(value)
}

fn script<C>(connection: &mut C, schema: &Schema, sql: &str) -> Result<(), Error>
where
    C: LoadConnection<Backend = Pg>,
{
    connection.batch_execute(sql).map_err(|error| Error::from_own_statement(error, schema))
}
