//! Migrations in Diesel's format: as files, or among those that a program embeds.
//!
//! # As files
//!
//! [`AuditMigration::write_to`] writes `up.sql` and `down.sql` into the folder that the `diesel` command works with. They
//! are plain SQL, to be reviewed and committed like any other migration; `diesel migration run`, `redo` and
//! `database reset` need nothing of Threadline.
//!
//! # Embedded
//!
//! Diesel wants to know every migration that was ever applied, so ours and yours are one source:
//!
//! ```no_run
//! use diesel::migration::MigrationSource;
//! use threadline_core::{AuditedTable, Manifest, Schema};
//! use threadline_diesel::migrations::{AuditMigration, AuditMigrations};
//! # fn example<M: MigrationSource<diesel::pg::Pg>>(MIGRATIONS: M) -> Result<(), threadline_core::Error> {
//!
//! // const MIGRATIONS: EmbeddedMigrations = embed_migrations!();
//! let schema = Schema::default();
//! let manifest = Manifest::new().table(AuditedTable::new("public", "posts"));
//! let migrations = AuditMigrations::new(MIGRATIONS)
//!     .with(AuditMigration::install("2026-11-25-120000", &schema))
//!     .with(AuditMigration::capture("2026-11-25-120001", &schema, &manifest)?);
//! // conn.run_pending_migrations(migrations)?;
//! # Ok(())
//! # }
//! ```
//!
//! A migration that was applied is history. To capture a table under another policy, or to bring the kernel up to date, add
//! another one.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use diesel::connection::BoxableConnection;
use diesel::migration::{self, Migration, MigrationMetadata, MigrationName, MigrationSource, MigrationVersion};
use diesel::pg::Pg;
use threadline_core::{
    DisableCapture, EnableCapture, Error as CoreError, Manifest, Operation, Schema, Statement, kernel, quote_literal,
};

use crate::Error;

/// One migration of Threadline's, up and down.
///
/// It runs in a transaction, as Diesel's migrations do unless they say otherwise. The timestamp is the part of its name that
/// Diesel orders migrations by: `2026-11-25-120000`.
#[derive(Clone)]
#[must_use = "a migration does nothing until it is run or written"]
pub struct AuditMigration {
    name: Name,
    up: String,
    down: String,
}

impl AuditMigration {
    /// Installs the kernel into `schema`. Reverting it removes the kernel and **the whole trail**.
    pub fn install(timestamp: &str, schema: &Schema) -> Self {
        Self {
            name: Name(format!("{timestamp}_threadline_install")),
            up: kernel::install_script(schema),
            down: kernel::uninstall_script(schema),
        }
    }

    /// Brings an installed kernel up to the version of this crate. Reverting it does nothing: a newer kernel serves what an
    /// older one did.
    pub fn upgrade(timestamp: &str, schema: &Schema) -> Self {
        Self {
            name: Name(format!("{timestamp}_threadline_upgrade")),
            up: kernel::install_script(schema),
            down: "-- The kernel stays as it is: a newer one serves what an older one did.\nSELECT 1;\n".to_owned(),
        }
    }

    /// Captures every table of the manifest under its policy. Reverting it stops capturing them; their history stays.
    ///
    /// # Errors
    /// As for [`Manifest::validate`].
    pub fn capture(timestamp: &str, schema: &Schema, manifest: &Manifest) -> Result<Self, CoreError> {
        manifest.validate()?;
        let (mut up, mut down) = (String::new(), String::new());
        for table in manifest {
            let disable = DisableCapture::new(table.schema.as_str(), table.table.as_str());
            up.push_str(&script(&EnableCapture::new(table.clone()).statement(schema)?)?);
            down.insert_str(0, &script(&disable.statement(schema)?)?);
        }
        Ok(Self { name: Name(format!("{timestamp}_threadline_capture")), up, down })
    }

    /// Writes `up.sql` and `down.sql` into a folder of its own in `migrations`, and answers which. Nothing is overwritten.
    ///
    /// # Errors
    /// When the folder cannot be written, and with [`AlreadyExists`](io::ErrorKind::AlreadyExists) when the migration is
    /// there already.
    pub fn write_to(&self, migrations: impl AsRef<Path>) -> io::Result<PathBuf> {
        let folder = migrations.as_ref().join(&self.name.0);
        fs::create_dir_all(&folder)?;
        for (file, sql) in [("up.sql", &self.up), ("down.sql", &self.down)] {
            File::create_new(folder.join(file))?.write_all(sql.as_bytes())?;
        }
        Ok(folder)
    }

    /// What it runs.
    #[must_use]
    pub fn up(&self) -> &str {
        &self.up
    }

    /// What reverting it runs.
    #[must_use]
    pub fn down(&self) -> &str {
        &self.down
    }
}

/// A statement of the core's with its parameters written into it. The text of these statements has no quotes in it.
fn script(statement: &Statement) -> Result<String, CoreError> {
    let mut sql = statement.sql().to_owned();
    // From the last one on, so that $1 is not taken for the beginning of $10.
    for (index, value) in statement.params().iter().enumerate().rev() {
        let literal = value.as_deref().map_or_else(|| Ok("NULL".to_owned()), quote_literal)?;
        sql = sql.replace(&format!("${}", index + 1), &literal);
    }
    Ok(format!("{sql};\n"))
}

impl Migration<Pg> for AuditMigration {
    fn run(&self, connection: &mut dyn BoxableConnection<Pg>) -> migration::Result<()> {
        Ok(connection.batch_execute(&self.up).map_err(Error::from)?)
    }

    fn revert(&self, connection: &mut dyn BoxableConnection<Pg>) -> migration::Result<()> {
        Ok(connection.batch_execute(&self.down).map_err(Error::from)?)
    }

    fn metadata(&self) -> &dyn MigrationMetadata {
        &InTransaction
    }

    fn name(&self) -> &dyn MigrationName {
        &self.name
    }
}

impl fmt::Debug for AuditMigration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditMigration").field("name", &self.name.0).finish_non_exhaustive()
    }
}

struct InTransaction;

impl MigrationMetadata for InTransaction {}

#[derive(Clone)]
struct Name(String);

impl MigrationName for Name {
    /// As Diesel takes it from the name of a folder.
    fn version(&self) -> MigrationVersion<'_> {
        self.0.split('_').next().unwrap_or_default().replace('-', "").into()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Your migrations and Threadline's as one source, in the order of their timestamps.
#[derive(Clone, Debug)]
#[must_use = "migrations do nothing until they are run"]
pub struct AuditMigrations<S> {
    yours: S,
    ours: Vec<AuditMigration>,
}

impl<S> AuditMigrations<S> {
    /// Your migrations alone.
    pub fn new(migrations: S) -> Self {
        Self { yours: migrations, ours: Vec::new() }
    }

    /// And this one.
    pub fn with(mut self, migration: AuditMigration) -> Self {
        self.ours.push(migration);
        self
    }
}

impl<S> MigrationSource<Pg> for AuditMigrations<S>
where
    S: MigrationSource<Pg>,
{
    fn migrations(&self) -> migration::Result<Vec<Box<dyn Migration<Pg>>>> {
        let mut migrations = self.yours.migrations()?;
        migrations.extend(self.ours.iter().map(|migration| Box::new(migration.clone()) as Box<dyn Migration<Pg>>));
        Ok(migrations)
    }
}

/// By reference, so that one value can be run, asked and reverted.
impl<S> MigrationSource<Pg> for &AuditMigrations<S>
where
    S: MigrationSource<Pg>,
{
    fn migrations(&self) -> migration::Result<Vec<Box<dyn Migration<Pg>>>> {
        (**self).migrations()
    }
}

#[cfg(test)]
mod tests {
    use threadline_core::{AuditedTable, CapturePolicy};

    use super::*;

    #[test]
    fn capture_is_reviewable_sql() {
        let manifest = Manifest::new()
            .table(AuditedTable::new("public", "posts").policy(CapturePolicy::new().mask(["it's"])))
            .table(AuditedTable::new("public", "comments"));
        let migration = AuditMigration::capture("2026-11-25-120000", &Schema::default(), &manifest).unwrap();
        let up: Vec<_> = migration.up().lines().collect();
        assert_eq!(up.len(), 2);
        assert!(up[0].contains(r#""threadline".enable_capture(E'"public"."posts"'::text"#), "{}", up[0]);
        assert!(up[0].contains(r#"E'{"mask":["it''s"]}'"#), "{}", up[0]);
        let down: Vec<_> = migration.down().lines().collect();
        assert!(down[0].contains("comments") && down[1].contains("posts"), "in the opposite order: {down:?}");
        assert!(!migration.up().contains('$') && !migration.down().contains('$'));
    }

    #[test]
    fn the_version_is_what_diesel_takes_from_the_folder() {
        let migration = AuditMigration::install("2026-11-25-120000", &Schema::default());
        let name: &dyn MigrationName = Migration::name(&migration);
        assert_eq!(name.to_string(), "2026-11-25-120000_threadline_install");
        assert_eq!(name.version().to_string(), "20261125120000");
    }
}
