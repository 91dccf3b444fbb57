//! Installing the kernel and capturing tables.

use threadline_core::{AuditedTable, CapturePolicy, CreatePartitions, InstalledVersion, Manifest, Schema, kernel};
use threadline_seaorm::{AuditedDatabase, Trail, apply, enable, install, install_manifest, uninstall};
use threadline_testkit::{Database, require_server};

use crate::support::{Target, insert_post, user};

const POSTS: &str =
    "CREATE TABLE posts (id bigint PRIMARY KEY, title text NOT NULL, published boolean NOT NULL DEFAULT false)";

fn empty() -> (Database, AuditedDatabase) {
    let database = require_server().database().unwrap();
    database.execute(POSTS).unwrap();
    let db = AuditedDatabase::new(Target::connection_to(database.url(), 2));
    (database, db)
}

#[tokio::test]
async fn it_installs_again_and_again_and_removes_all_of_it() {
    let (database, db) = empty();
    for _ in 0..2 {
        install(db.unaudited(), &Schema::default()).await.unwrap();
        enable(db.unaudited(), &AuditedTable::new("public", "posts")).await.unwrap();
        assert_eq!(db.run(&InstalledVersion).await.unwrap(), Some(kernel::LATEST));
    }
    db.transaction(&user("42"), async |tx| insert_post(tx, 1).await).await.unwrap();
    for _ in 0..2 {
        uninstall(db.unaudited(), &Schema::default()).await.unwrap();
    }
    assert_eq!(db.run(&InstalledVersion).await.unwrap(), None);
    assert_eq!(database.query_text("SELECT count(*) FROM posts").unwrap(), [[Some("1".to_owned())]]);
    install(db.unaudited(), &Schema::default()).await.unwrap();
}

#[tokio::test]
async fn a_manifest_is_installed_whole_or_not_at_all() {
    let (_database, db) = empty();
    let posts = AuditedTable::new("public", "posts").policy(CapturePolicy::new().mask(["title"]));
    let broken = Manifest::new().table(posts.clone()).table(AuditedTable::new("public", "nowhere"));
    assert!(install_manifest(db.unaudited(), &broken).await.is_err());
    assert_eq!(db.run(&InstalledVersion).await.unwrap(), None);
    db.install_manifest(&Manifest::new().table(posts)).await.unwrap();
    db.transaction(&user("42"), async |tx| insert_post(tx, 1).await).await.unwrap();
}

#[tokio::test]
async fn two_installers_at_once_wait_for_each_other() {
    let (_database, db) = empty();
    let manifest = Manifest::new().table(AuditedTable::new("public", "posts"));
    let (one, other) = tokio::join!(db.install_manifest(&manifest), db.install_manifest(&manifest));
    one.unwrap();
    other.unwrap();
}

#[tokio::test]
async fn administrative_operations_run_in_a_transaction() {
    let (_database, db) = empty();
    db.install().await.unwrap();
    let created = apply(db.unaudited(), db.schema(), &CreatePartitions::months_ahead(9)).await.unwrap();
    assert!(created > 0);
}
