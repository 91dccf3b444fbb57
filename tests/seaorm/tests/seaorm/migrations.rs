//! The migrations with the real migrator: up, down, fresh, refresh, and a data migration that attributes itself.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr};
use sea_orm_migration::prelude::*;
use threadline_core::{ActorRef, AuditContext, AuditedTable, CapturePolicy, InstalledVersion, kernel};
use threadline_seaorm::migration::{CaptureTable, InstallKernel};
use threadline_seaorm::{AuditedDatabase, Trail, attach};
use threadline_testkit::{Database, require_server};

use crate::support::{Target, insert_post, user};

struct CreatePosts;

impl MigrationName for CreatePosts {
    fn name(&self) -> &str {
        "m20261120_000001_create_posts"
    }
}

#[async_trait::async_trait]
#[allow(elided_lifetimes_in_paths, reason = "the trait's signature")]
impl MigrationTrait for CreatePosts {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut posts = Table::create();
        posts
            .table("posts")
            .col(ColumnDef::new("id").big_integer().primary_key())
            .col(ColumnDef::new("title").text().not_null())
            .col(ColumnDef::new("published").boolean().not_null().default(false));
        manager.create_table(posts).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("posts").take()).await
    }
}

/// A data migration.
struct SeedPosts;

impl MigrationName for SeedPosts {
    fn name(&self) -> &str {
        "m20261126_000001_seed_posts"
    }
}

#[async_trait::async_trait]
#[allow(elided_lifetimes_in_paths, reason = "the trait's signature")]
impl MigrationTrait for SeedPosts {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let context = AuditContext::new(ActorRef::job("seed-posts").map_err(threadline_seaorm::Error::from)?);
        let audited = attach(&context, manager.get_connection()).await?;
        insert_post(&audited, 1).await?;
        audited.detach().await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared("DELETE FROM posts WHERE id = 1").await.map(drop)
    }
}

struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let posts = AuditedTable::new("public", "posts").policy(CapturePolicy::new().mask(["title"]));
        vec![
            Box::new(CreatePosts),
            Box::new(InstallKernel::new("m20261125_000001_install_threadline")),
            Box::new(CaptureTable::new("m20261125_000002_audit_posts", posts)),
            Box::new(SeedPosts),
            Box::new(InstallKernel::new("m20270101_000001_upgrade_threadline").keep_on_down()),
        ]
    }
}

fn empty() -> (Database, DatabaseConnection) {
    let database = require_server().database().unwrap();
    let connection = Target::connection_to(database.url(), 1);
    (database, connection)
}

async fn version(connection: &DatabaseConnection) -> Option<u32> {
    connection.run(&InstalledVersion).await.unwrap()
}

fn trail(database: &Database) -> Vec<String> {
    let sql = "SELECT concat_ws(' ', c.op, c.table_pk ->> 'id', coalesce(t.actor_ref ->> 'id', '-'))
        FROM threadline.audit_changes c JOIN threadline.audit_transactions t ON t.id = c.transaction_id
        ORDER BY c.captured_at, c.id";
    database.query_text(sql).unwrap().into_iter().map(|row| row.into_iter().next().unwrap().unwrap()).collect()
}

#[tokio::test]
async fn up_installs_and_captures_and_down_removes() {
    let (database, connection) = empty();
    Migrator::up(&connection, None).await.unwrap();
    assert_eq!(version(&connection).await, Some(kernel::LATEST));
    assert_eq!(trail(&database), ["insert 1 seed-posts"]);

    // One down: the upgrade, whose down is nothing. The next: the data.
    Migrator::down(&connection, Some(2)).await.unwrap();
    assert_eq!(trail(&database), ["insert 1 seed-posts", "delete 1 -"]);
    // Capture stops, and what was recorded stays.
    Migrator::down(&connection, Some(1)).await.unwrap();
    insert_post(&connection, 2).await.unwrap();
    assert_eq!(trail(&database).len(), 2);
    // The kernel goes, the table keeps its rows.
    Migrator::down(&connection, Some(1)).await.unwrap();
    assert_eq!(version(&connection).await, None);
    assert_eq!(database.query_text("SELECT count(*) FROM posts").unwrap(), [[Some("1".to_owned())]]);
}

#[tokio::test]
async fn everything_can_be_applied_again() {
    let (database, connection) = empty();
    Migrator::up(&connection, None).await.unwrap();
    Migrator::refresh(&connection).await.unwrap();
    assert_eq!(trail(&database), ["insert 1 seed-posts"]);
    Migrator::reset(&connection).await.unwrap();
    assert_eq!(version(&connection).await, None);
    Migrator::up(&connection, None).await.unwrap();
    assert_eq!(trail(&database), ["insert 1 seed-posts"]);
}

#[tokio::test]
async fn fresh_keeps_the_trail_and_captures_the_new_tables() {
    let (database, connection) = empty();
    Migrator::fresh(&connection).await.unwrap();
    let db = AuditedDatabase::new(connection);
    db.transaction(&user("42"), async |tx| insert_post(tx, 2).await).await.unwrap();
    Migrator::fresh(db.unaudited()).await.unwrap();
    db.transaction(&user("43"), async |tx| insert_post(tx, 3).await).await.unwrap();
    assert_eq!(trail(&database), ["insert 1 seed-posts", "insert 2 42", "insert 1 seed-posts", "insert 3 43"]);
    let masked = "SELECT count(*) FROM threadline.audit_changes WHERE data_after ->> 'title' = 'title'";
    assert_eq!(database.query_text(masked).unwrap(), [[Some("0".to_owned())]], "the policy holds again");
}

#[tokio::test]
async fn a_migration_that_fails_leaves_nothing() {
    struct Broken;

    impl MigratorTrait for Broken {
        fn migrations() -> Vec<Box<dyn MigrationTrait>> {
            let nowhere = AuditedTable::new("public", "nowhere");
            vec![Box::new(InstallKernel::new("m1")), Box::new(CaptureTable::new("m2", nowhere))]
        }
    }

    let (_database, connection) = empty();
    let error = Broken::up(&connection, None).await.unwrap_err();
    assert_eq!(threadline_seaorm::Error::from(error).sqlstate().as_deref(), Some("42P01"));
    assert_eq!(version(&connection).await, Some(kernel::LATEST), "the migration before it stays");
    assert_eq!(Broken::get_pending_migrations(&connection).await.unwrap().len(), 1);
}
