//! Installing the kernel and choosing what is captured, through diesel-async alone.

use threadline_core::{AuditedTable, CapturePolicy, CreatePartitions, InstalledVersion, Manifest, Schema, kernel};
use threadline_diesel::Error;
use threadline_diesel::asynchronous::{AuditDsl, Trail, apply, enable, install, install_manifest, uninstall};
use threadline_testkit::Sweep;

use crate::support::{Target, has_transaction, insert_post, run, user};

#[tokio::test]
async fn installing_twice_changes_nothing() {
    let target = Target::new();
    let (mut conn, schema) = (target.connect().await, Schema::new("second").unwrap());
    for _ in 0..2 {
        install(&mut conn, &schema).await.unwrap();
        assert_eq!(conn.run_in(&schema, &InstalledVersion).await.unwrap(), Some(kernel::LATEST));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_services_install_at_once() {
    let target = Target::new();
    let schema = Schema::new("second").unwrap();
    let services: Vec<_> = (0..4)
        .map(|_| {
            let (pool, schema) = (target.pool(1), schema.clone());
            tokio::spawn(async move { install(&mut pool.get().await.unwrap(), &schema).await })
        })
        .collect();
    for service in services {
        service.await.unwrap().unwrap();
    }
    assert_eq!(target.connect().await.run_in(&schema, &InstalledVersion).await.unwrap(), Some(kernel::LATEST));
}

#[tokio::test]
async fn uninstalling_leaves_the_tables() {
    let target = Target::new();
    let mut conn = target.connect().await;
    conn.audited(&user("42"), async |conn| insert_post(conn, 1).await).await.unwrap();
    for _ in 0..2 {
        uninstall(&mut conn, &Schema::default()).await.unwrap();
        assert_eq!(conn.run(&InstalledVersion).await.unwrap(), None);
    }
    insert_post(&mut conn, 2).await.unwrap();
    // What this connection has prepared works on after a reinstallation.
    install(&mut conn, &Schema::default()).await.unwrap();
    enable(&mut conn, &AuditedTable::new("public", "posts")).await.unwrap();
    conn.audited(&user("42"), async |conn| insert_post(conn, 3).await).await.unwrap();
    assert_eq!((target.count("posts"), target.trail()), (3, vec!["posts insert 3 42 -".to_owned()]));
}

#[tokio::test]
async fn an_administrative_operation_is_applied() {
    let target = Target::new();
    let (mut conn, schema) = (target.connect().await, Schema::default());
    assert!(apply(&mut conn, &schema, &CreatePartitions::months_ahead(60)).await.unwrap() > 0);
    assert_eq!(apply(&mut conn, &schema, &CreatePartitions::months_ahead(60)).await.unwrap(), 0);
    let elsewhere = Schema::new("elsewhere").unwrap();
    let error = apply(&mut conn, &elsewhere, &CreatePartitions::months_ahead(1)).await.unwrap_err();
    assert!(error.is_not_installed(), "{error}");
    let mut tx = conn.begin_audited(&user("42")).await.unwrap();
    let error = apply(&mut tx, &schema, &CreatePartitions::months_ahead(1)).await.unwrap_err();
    assert!(error.is_nested(), "{error}");
}

#[tokio::test]
async fn a_manifest_is_installed_whole_or_not_at_all() {
    let target = Target::new();
    target.set_up("DROP SCHEMA threadline CASCADE");
    let mut conn = target.connect().await;
    let good = Manifest::new().table(AuditedTable::new("public", "plain"));
    let bad = good.clone().table(AuditedTable::new("public", "missing"));
    assert!(install_manifest(&mut conn, &bad).await.is_err());
    assert_eq!(conn.run(&InstalledVersion).await.unwrap(), None, "the kernel neither");
    for _ in 0..2 {
        install_manifest(&mut conn, &good).await.unwrap();
    }
    let write = async |conn: &mut _| run(conn, "INSERT INTO plain VALUES (1)").await;
    assert!(conn.audited(&user("42"), write).await.unwrap().transaction_id.is_some());

    let twice = good.table(AuditedTable::new("public", "plain"));
    let error = install_manifest(&mut conn, &twice).await.unwrap_err();
    assert!(error.as_core().unwrap().is_invalid_policy(), "{error}");
}

#[tokio::test]
async fn a_table_is_enabled_alone() {
    let target = Target::new();
    let mut conn = target.connect().await;
    let plain = || AuditedTable::new("public", "plain");
    enable(&mut conn, &plain().policy(CapturePolicy::new().require_actor())).await.unwrap();
    let error = Error::from(run(&mut conn, "INSERT INTO plain VALUES (1)").await.unwrap_err());
    assert!(error.is_missing_actor());
    let typo = plain().policy(CapturePolicy::new().exclude(["no_such_column"]));
    let error = enable(&mut conn, &typo).await.unwrap_err();
    assert!(error.as_core().unwrap().is_unknown_column(), "{error}");
}

#[tokio::test]
async fn cancelled_installations_leave_all_or_nothing() {
    let target = Target::new();
    let (mut conn, schema) = (target.connect().await, Schema::new("second").unwrap());
    let mut sweep = Sweep::new(10, 1);
    while sweep.next_round().is_some() {
        let done = sweep.cancel(install(&mut conn, &schema)).await.map(Result::unwrap).is_some();
        assert!(!has_transaction(&mut conn).await);
        target.until_quiet().await;
        let version = conn.run_in(&schema, &InstalledVersion).await.unwrap();
        assert!(version == Some(kernel::LATEST) || (version.is_none() && !done), "{version:?} {sweep}");
        target.set_up("DROP SCHEMA IF EXISTS second CASCADE");
    }
}
