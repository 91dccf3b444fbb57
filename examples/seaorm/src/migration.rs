//! The migrations: the service's tables, then the kernel, then what is captured.
#![allow(elided_lifetimes_in_paths, reason = "as SeaORM's trait writes it")]

use sea_orm_migration::prelude::*;
use threadline::Audited;
use threadline::seaorm::migration::{CaptureTable, InstallKernel};

use crate::entity::{posts, tags};

pub(crate) struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(CreateTables),
            Box::new(InstallKernel::new("m20261125_000002_install_threadline")),
            Box::new(CaptureTable::new("m20261125_000003_audit_posts", posts::Model::audited_table())),
            Box::new(CaptureTable::new("m20261125_000004_audit_tags", tags::Model::audited_table())),
        ]
    }
}

struct CreateTables;

impl MigrationName for CreateTables {
    fn name(&self) -> &str {
        "m20261125_000001_create_tables"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for CreateTables {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let schema = sea_orm::Schema::new(backend);
        manager.create_table(schema.create_table_from_entity(posts::Entity)).await?;
        manager.create_table(schema.create_table_from_entity(tags::Entity)).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(tags::Entity).take()).await?;
        manager.drop_table(Table::drop().table(posts::Entity).take()).await
    }
}
