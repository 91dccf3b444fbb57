//! Installing the kernel and choosing what is captured, through sqlx alone.

use threadline::sqlx::{Error, Trail, apply, enable, install, install_manifest, uninstall};
use threadline::{AuditedTable, CapturePolicy, CreatePartitions, InstalledVersion, Manifest, Schema, kernel};
use threadline_testkit::Sweep;

use crate::support::{Target, has_transaction, insert_post, on_both, run, user};

on_both! {
    installing_twice_changes_nothing,
    two_services_install_at_once,
    uninstalling_leaves_the_tables,
    an_administrative_operation_is_applied,
    a_manifest_is_installed_whole_or_not_at_all,
    a_table_is_enabled_alone,
    cancelled_installations_leave_all_or_nothing,
}

async fn installing_twice_changes_nothing(target: Target) {
    let (pool, schema) = (target.pool(1), Schema::new("second").unwrap());
    for _ in 0..2 {
        install(&pool, &schema).await.unwrap();
        assert_eq!(pool.run_in(&schema, &InstalledVersion).await.unwrap(), Some(kernel::LATEST));
    }
}

async fn two_services_install_at_once(target: Target) {
    let schema = Schema::new("second").unwrap();
    let services: Vec<_> = (0..4)
        .map(|_| {
            let (pool, schema) = (target.pool(1), schema.clone());
            tokio::spawn(async move { install(&pool, &schema).await })
        })
        .collect();
    for service in services {
        service.await.unwrap().unwrap();
    }
    assert_eq!(target.pool(1).run_in(&schema, &InstalledVersion).await.unwrap(), Some(kernel::LATEST));
}

async fn uninstalling_leaves_the_tables(target: Target) {
    let db = target.audited(1);
    db.transaction(&user("42"), async |tx| insert_post(tx, 1).await).await.unwrap();
    let pool = db.unaudited();
    for _ in 0..2 {
        uninstall(pool, &Schema::default()).await.unwrap();
        assert_eq!(pool.run(&InstalledVersion).await.unwrap(), None);
    }
    let mut tx = pool.begin().await.unwrap();
    insert_post(&mut tx, 2).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(target.count("posts"), 2);
}

async fn an_administrative_operation_is_applied(target: Target) {
    let pool = target.pool(1);
    let schema = Schema::default();
    assert!(apply(&pool, &schema, &CreatePartitions::months_ahead(60)).await.unwrap() > 0);
    assert_eq!(apply(&pool, &schema, &CreatePartitions::months_ahead(60)).await.unwrap(), 0);
    let error = apply(&pool, &Schema::new("elsewhere").unwrap(), &CreatePartitions::months_ahead(1)).await.unwrap_err();
    assert!(error.is_not_installed(), "{error}");
}

async fn a_manifest_is_installed_whole_or_not_at_all(target: Target) {
    let db = target.audited(1).with_schema(Schema::new("second").unwrap());
    let good = Manifest::new().table(AuditedTable::new("public", "plain"));
    let bad = good.clone().table(AuditedTable::new("public", "missing"));
    assert!(db.install_manifest(&bad).await.is_err());
    assert_eq!(db.run(&InstalledVersion).await.unwrap(), None, "the kernel neither");
    for _ in 0..2 {
        db.install_manifest(&good).await.unwrap();
    }
    let write = async |tx: &mut threadline::sqlx::AuditedTransaction<'_>| run(tx, "INSERT INTO plain VALUES (1)").await;
    assert!(db.transaction(&user("42"), write).await.unwrap().transaction_id.is_some());
    assert_eq!(target.count("second.audit_changes"), 1);

    let twice = good.table(AuditedTable::new("public", "plain"));
    assert!(db.install_manifest(&twice).await.unwrap_err().as_core().unwrap().is_invalid_policy());
    install_manifest(db.unaudited(), &Manifest::new()).await.unwrap();
}

async fn a_table_is_enabled_alone(target: Target) {
    let pool = target.pool(1);
    enable(&pool, &AuditedTable::new("public", "plain").policy(CapturePolicy::new().require_actor())).await.unwrap();
    let mut tx = pool.begin().await.unwrap();
    let error = Error::from(run(&mut tx, "INSERT INTO plain VALUES (1)").await.unwrap_err());
    assert!(error.is_missing_actor());
    drop(tx);
    let typo = AuditedTable::new("public", "plain").policy(CapturePolicy::new().exclude(["no_such_column"]));
    let error = enable(&pool, &typo).await.unwrap_err();
    assert!(error.as_core().unwrap().is_unknown_column(), "{error}");
}

async fn cancelled_installations_leave_all_or_nothing(target: Target) {
    let (pool, schema) = (target.pool(1), Schema::new("second").unwrap());
    let mut sweep = Sweep::new(10, 2);
    while sweep.next_round().is_some() {
        let done = sweep.cancel(install(&pool, &schema)).await.map(Result::unwrap).is_some();
        assert!(!has_transaction(&mut pool.acquire().await.unwrap()).await);
        target.until_quiet().await;
        let version = pool.run_in(&schema, &InstalledVersion).await.unwrap();
        assert!(version == Some(kernel::LATEST) || (version.is_none() && !done), "{version:?} {sweep}");
        target.database.execute("DROP SCHEMA IF EXISTS second CASCADE").unwrap();
    }
}
