//! Migrations run by Diesel's own harness: up, down, and up again.

use std::fs;
use std::path::Path;

use diesel::connection::BoxableConnection;
use diesel::migration::{self, Migration, MigrationMetadata, MigrationName, MigrationSource, MigrationVersion};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel_migrations::{FileBasedMigrations, MigrationHarness};
use threadline_core::{ActorRef, AuditContext, AuditedTable, InstalledVersion, Manifest, Schema, kernel};
use threadline_diesel::migrations::{AuditMigration, AuditMigrations};
use threadline_diesel::prelude::*;
use threadline_testkit::{Database, require_server};

use crate::support::{insert_post, run, text, user};

fn manifest() -> Manifest {
    Manifest::new().table(AuditedTable::new("public", "posts"))
}

/// The user's own migrations, from a folder as `diesel migration generate` makes it.
fn folder(name: &str) -> Scratch {
    let folder = Scratch::new(name);
    let posts = folder.0.join("2026-01-01-000000_create_posts");
    fs::create_dir(&posts).unwrap();
    fs::write(posts.join("up.sql"), "CREATE TABLE posts (id bigint PRIMARY KEY, title text NOT NULL);").unwrap();
    fs::write(posts.join("down.sql"), "DROP TABLE posts;").unwrap();
    folder
}

/// A folder that goes with its value.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("threadline-diesel-{}-{name}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn empty() -> (Database, PgConnection) {
    let database = require_server().database().unwrap();
    let conn = PgConnection::establish(database.url()).unwrap();
    (database, conn)
}

fn files(folder: &Path) -> FileBasedMigrations {
    FileBasedMigrations::from_path(folder).unwrap()
}

fn embedded(folder: &Path) -> AuditMigrations<FileBasedMigrations> {
    let schema = Schema::default();
    AuditMigrations::new(files(folder))
        .with(AuditMigration::install("2026-01-02-000000", &schema))
        .with(AuditMigration::capture("2026-01-02-000001", &schema, &manifest()).unwrap())
        .with(AuditMigration::upgrade("2026-01-03-000000", &schema))
}

fn captures(conn: &mut PgConnection, id: i64) -> bool {
    conn.audited(&user("42"), |conn| insert_post(conn, id)).unwrap().transaction_id.is_some()
}

fn up_down_and_up_again(conn: &mut PgConnection, migrations: &impl MigrationSource<Pg>) {
    for round in 0..2 {
        assert_eq!(conn.run_pending_migrations(Borrowed(migrations)).unwrap().len(), 4, "round {round}");
        assert_eq!(conn.run(&InstalledVersion).unwrap(), Some(kernel::LATEST));
        assert!(captures(conn, 1));
        assert_eq!(conn.run_pending_migrations(Borrowed(migrations)).unwrap().len(), 0);
        assert_eq!(conn.revert_all_migrations(Borrowed(migrations)).unwrap().len(), 4);
        assert_eq!(conn.run(&InstalledVersion).unwrap(), None);
        assert_eq!(text(conn, "to_regclass('posts')").unwrap(), None);
    }
}

#[test]
fn embedded_migrations_go_up_down_and_up_again() {
    let (_database, mut conn) = empty();
    let folder = folder("embedded");
    up_down_and_up_again(&mut conn, &embedded(&folder.0));
}

#[test]
fn written_migrations_go_up_down_and_up_again() {
    let (_database, mut conn) = empty();
    let (folder, schema) = (folder("written"), Schema::default());
    for migration in [
        AuditMigration::install("2026-01-02-000000", &schema),
        AuditMigration::capture("2026-01-02-000001", &schema, &manifest()).unwrap(),
        AuditMigration::upgrade("2026-01-03-000000", &schema),
    ] {
        let written = migration.write_to(&folder.0).unwrap();
        assert_eq!(fs::read_to_string(written.join("up.sql")).unwrap(), migration.up());
        let again = migration.write_to(&folder.0).unwrap_err();
        assert_eq!(again.kind(), std::io::ErrorKind::AlreadyExists, "what was released is not overwritten");
    }
    up_down_and_up_again(&mut conn, &files(&folder.0));
}

#[test]
fn written_and_embedded_are_the_same_migrations_to_diesel() {
    let (_database, mut conn) = empty();
    let (first, second) = (folder("same-first"), folder("same-second"));
    let schema = Schema::default();
    AuditMigration::install("2026-01-02-000000", &schema).write_to(&first.0).unwrap();
    AuditMigration::capture("2026-01-02-000001", &schema, &manifest()).unwrap().write_to(&first.0).unwrap();
    AuditMigration::upgrade("2026-01-03-000000", &schema).write_to(&first.0).unwrap();
    conn.run_pending_migrations(files(&first.0)).unwrap();
    assert!(!conn.has_pending_migration(embedded(&second.0)).unwrap());
}

#[test]
fn reverting_capture_keeps_the_history() {
    let (database, mut conn) = empty();
    let folder = folder("capture");
    let migrations = embedded(&folder.0);
    conn.run_pending_migrations(&migrations).unwrap();
    assert!(captures(&mut conn, 1));
    conn.revert_last_migration(&migrations).unwrap();
    assert!(captures(&mut conn, 2), "the upgrade took nothing away");
    conn.revert_last_migration(&migrations).unwrap();
    assert!(!captures(&mut conn, 3));
    assert_eq!(database.query_text("SELECT count(*) FROM threadline.audit_changes").unwrap(), [[Some("2".to_owned())]]);
    conn.run_pending_migrations(&migrations).unwrap();
    assert!(captures(&mut conn, 4));
}

/// As `diesel database reset` does it: the database is dropped, made and migrated.
#[test]
fn a_database_is_reset() {
    let folder = folder("reset");
    for _ in 0..2 {
        let (_database, mut conn) = empty();
        conn.run_pending_migrations(embedded(&folder.0)).unwrap();
        assert!(captures(&mut conn, 1));
    }
}

/// A migration that moves data and says who it is.
struct Backfill;

impl Migration<Pg> for Backfill {
    fn run(&self, connection: &mut dyn BoxableConnection<Pg>) -> migration::Result<()> {
        let conn = connection.downcast_mut::<PgConnection>().ok_or("another connection")?;
        let mut audited = attach(&AuditContext::new(ActorRef::job("backfill-12")?), conn)?;
        run(&mut *audited, "UPDATE posts SET title = upper(title)")?;
        Ok(audited.detach()?)
    }

    fn revert(&self, _: &mut dyn BoxableConnection<Pg>) -> migration::Result<()> {
        Ok(())
    }

    fn metadata(&self) -> &dyn MigrationMetadata {
        self
    }

    fn name(&self) -> &dyn MigrationName {
        self
    }
}

impl MigrationMetadata for Backfill {}

impl MigrationName for Backfill {
    fn version(&self) -> MigrationVersion<'_> {
        "20260201000000".into()
    }
}

impl std::fmt::Display for Backfill {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("2026-02-01-000000_backfill")
    }
}

#[test]
fn a_data_migration_attributes_itself() {
    let (database, mut conn) = empty();
    let folder = folder("backfill");
    conn.run_pending_migrations(embedded(&folder.0)).unwrap();
    insert_post(&mut conn, 1).unwrap();
    conn.run_migration(&Backfill as &dyn Migration<Pg>).unwrap();
    let sql = "SELECT op, actor_ref ->> 'id' FROM threadline.audit_changes c
        JOIN threadline.audit_transactions t ON t.id = c.transaction_id ORDER BY c.captured_at, c.id";
    let expected = [["insert", ""], ["update", "backfill-12"]]
        .map(|row| row.map(|text| Some(text.to_owned()).filter(|text| !text.is_empty())));
    assert_eq!(database.query_text(sql).unwrap(), expected);
}

/// What `diesel print-schema` asks for the tables of a schema, in diesel_cli 2.3, and for their columns.
const PRINT_SCHEMA: [&str; 2] = [
    r"SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema
        AND table_name NOT LIKE '\_\_%' AND table_type LIKE 'BASE TABLE' ORDER BY 1",
    r"SELECT table_name, column_name, udt_name, udt_schema, is_nullable FROM information_schema.columns
        WHERE table_schema = current_schema AND table_name NOT LIKE '\_\_%' ORDER BY table_name, ordinal_position",
];

#[test]
fn print_schema_sees_what_it_saw() {
    let (database, mut conn) = empty();
    let folder = folder("print-schema");
    conn.run_pending_migrations(files(&folder.0)).unwrap();
    let asked = || PRINT_SCHEMA.map(|sql| database.query_text(sql).unwrap());
    let before = asked();
    assert_eq!(before[0], [[Some("posts".to_owned())]]);
    conn.run_pending_migrations(embedded(&folder.0)).unwrap();
    assert_eq!(asked(), before);
}

/// Diesel takes sources by value.
struct Borrowed<'a, S>(&'a S);

impl<S: MigrationSource<Pg>> MigrationSource<Pg> for Borrowed<'_, S> {
    fn migrations(&self) -> migration::Result<Vec<Box<dyn Migration<Pg>>>> {
        self.0.migrations()
    }
}
