//! Threadline's migrations run by diesel-async's harness: up, down, and up again.

use diesel::migration::{self, Migration, MigrationSource};
use diesel::pg::Pg;
use diesel_async::AsyncMigrationHarness;
use diesel_migrations::MigrationHarness;
use threadline_core::{AuditedTable, InstalledVersion, Manifest, Schema, kernel};
use threadline_diesel::asynchronous::{AuditDsl, Trail};
use threadline_diesel::migrations::{AuditMigration, AuditMigrations};

use crate::support::{Target, insert_post, user};

/// The user's own: none.
struct Nothing;

impl MigrationSource<Pg> for Nothing {
    fn migrations(&self) -> migration::Result<Vec<Box<dyn Migration<Pg>>>> {
        Ok(Vec::new())
    }
}

fn migrations() -> AuditMigrations<Nothing> {
    let schema = Schema::default();
    let manifest = Manifest::new().table(AuditedTable::new("public", "posts"));
    AuditMigrations::new(Nothing)
        .with(AuditMigration::install("2026-01-02-000000", &schema))
        .with(AuditMigration::capture("2026-01-02-000001", &schema, &manifest).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn up_down_and_up_again() {
    let target = Target::new();
    target.set_up("DROP SCHEMA threadline CASCADE");
    let pool = target.pool(1);
    for id in [1, 2] {
        let mut harness = AsyncMigrationHarness::new(pool.get().await.unwrap());
        assert_eq!(harness.run_pending_migrations(migrations()).unwrap().len(), 2);
        assert_eq!(harness.run_pending_migrations(migrations()).unwrap().len(), 0);
        let mut conn = harness.into_inner();
        assert_eq!(conn.run(&InstalledVersion).await.unwrap(), Some(kernel::LATEST));
        conn.audited(&user("42"), async |conn| insert_post(conn, id).await).await.unwrap();
        assert_eq!(target.trail(), [format!("posts insert {id} 42 -")]);

        let mut harness = AsyncMigrationHarness::new(conn);
        assert_eq!(harness.revert_all_migrations(migrations()).unwrap().len(), 2);
        assert_eq!(harness.into_inner().run(&InstalledVersion).await.unwrap(), None);
        assert_eq!(target.count("posts"), id);
    }
}
