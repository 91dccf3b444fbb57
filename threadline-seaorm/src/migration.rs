//! Migrations for sea-orm-migration: the kernel, and the capture of each table, up and down. (Feature `migration`.)
//!
//! Put them among your own. The names are yours, as those of your files are, and must stay what they are once applied.
//!
//! ```
//! use sea_orm_migration::prelude::*;
//! use threadline_core::{AuditedTable, CapturePolicy};
//! use threadline_seaorm::migration::{CaptureTable, InstallKernel};
//!
//! struct Migrator;
//!
//! impl MigratorTrait for Migrator {
//!     fn migrations() -> Vec<Box<dyn MigrationTrait>> {
//!         let posts = AuditedTable::new("public", "posts").policy(CapturePolicy::new().exclude(["password_hash"]));
//!         vec![
//!             // Box::new(m20261120_000001_create_posts::Migration),
//!             Box::new(InstallKernel::new("m20261125_000001_install_threadline")),
//!             Box::new(CaptureTable::new("m20261125_000002_audit_posts", posts)),
//!         ]
//!     }
//! }
//! # assert_eq!(Migrator::migrations().len(), 2);
//! ```
//!
//! - A later version of Threadline upgrades the kernel with one more [`InstallKernel`] under a new name; its `down` is the
//!   first one's business.
//! - A table that changes its policy gets one more [`CaptureTable`] with the whole new policy.
//! - `fresh`, `refresh` and `reset` work. `fresh` drops your tables and leaves the trail, which then holds what happened
//!   to the dropped ones too; `refresh` and `reset` run [`InstallKernel`]'s `down`, **which removes the trail**.
//! - A data migration attributes itself with [`attach`](crate::attach)`(&context, manager.get_connection())`.
#![allow(
    elided_lifetimes_in_paths,
    reason = "async_trait takes `&SchemaManager<'_>` for another signature than the trait's"
)]

use sea_orm::DbErr;
use sea_orm_migration::async_trait::async_trait;
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};
use threadline_core::{AuditedTable, DisableCapture, EnableCapture, Schema, kernel};

use crate::{Error, install, wire};

/// Installs or upgrades the kernel. Going down **removes it and the whole trail**; your tables keep their rows.
#[derive(Clone, Debug)]
#[must_use = "give it to your migrator"]
pub struct InstallKernel {
    name: String,
    schema: Schema,
    keeps: bool,
}

impl InstallKernel {
    /// Into the schema `threadline`, under this name of the migration.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), schema: Schema::default(), keeps: false }
    }

    /// The same with the kernel in another schema.
    pub fn schema(mut self, schema: Schema) -> Self {
        self.schema = schema;
        self
    }

    /// Going down leaves everything as it is: for the upgrade of a kernel that an earlier migration installed, and for
    /// trails that no migration shall remove.
    pub fn keep_on_down(mut self) -> Self {
        self.keeps = true;
        self
    }
}

impl MigrationName for InstallKernel {
    fn name(&self) -> &str {
        &self.name
    }
}

#[async_trait]
impl MigrationTrait for InstallKernel {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        self.run(manager, &kernel::install_script(&self.schema)).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if self.keeps {
            return Ok(());
        }
        self.run(manager, &kernel::uninstall_script(&self.schema)).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

impl InstallKernel {
    async fn run(&self, manager: &SchemaManager<'_>, sql: &str) -> Result<(), DbErr> {
        ensure_postgres(manager)?;
        Ok(install::script(manager.get_connection(), &self.schema, sql).await?)
    }
}

/// Captures a table under its policy. Going down stops it; what was recorded stays.
#[derive(Clone, Debug)]
#[must_use = "give it to your migrator"]
pub struct CaptureTable {
    name: String,
    table: AuditedTable,
    schema: Schema,
}

impl CaptureTable {
    /// With the kernel in the schema `threadline`, under this name of the migration.
    pub fn new(name: impl Into<String>, table: AuditedTable) -> Self {
        Self { name: name.into(), table, schema: Schema::default() }
    }

    /// The same with the kernel in another schema.
    pub fn schema(mut self, schema: Schema) -> Self {
        self.schema = schema;
        self
    }
}

impl MigrationName for CaptureTable {
    fn name(&self) -> &str {
        &self.name
    }
}

#[async_trait]
impl MigrationTrait for CaptureTable {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        ensure_postgres(manager)?;
        let enable = EnableCapture::new(self.table.clone());
        wire::run(manager.get_connection(), &self.schema, &enable).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        ensure_postgres(manager)?;
        let disable = DisableCapture::new(self.table.schema.as_str(), self.table.table.as_str());
        wire::run(manager.get_connection(), &self.schema, &disable).await?;
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

fn ensure_postgres(manager: &SchemaManager<'_>) -> Result<(), Error> {
    wire::ensure_backend(manager.get_database_backend())
}
