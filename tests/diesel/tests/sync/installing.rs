//! Installing the kernel and choosing what is captured, through Diesel alone.

use std::thread;

use diesel::prelude::*;
use threadline_core::{AuditedTable, CapturePolicy, CreatePartitions, InstalledVersion, Manifest, Schema, kernel};
use threadline_diesel::prelude::*;
use threadline_diesel::{Error, apply, enable, install, install_manifest, uninstall};

use crate::support::{Target, has_transaction, insert_post, on_both, run, user};

on_both! {
    installing_twice_changes_nothing,
    two_services_install_at_once,
    uninstalling_leaves_the_tables,
    installing_inside_a_transaction_goes_with_it,
    an_administrative_operation_is_applied,
    a_manifest_is_installed_whole_or_not_at_all,
}

fn installing_twice_changes_nothing(target: &Target) {
    let (mut conn, schema) = (target.connect(), Schema::new("second").unwrap());
    for _ in 0..2 {
        install(&mut conn, &schema).unwrap();
        assert_eq!(conn.run_in(&schema, &InstalledVersion).unwrap(), Some(kernel::LATEST));
    }
}

fn two_services_install_at_once(target: &Target) {
    let schema = Schema::new("second").unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| install(&mut target.connect(), &schema).unwrap());
        }
    });
    assert_eq!(target.connect().run_in(&schema, &InstalledVersion).unwrap(), Some(kernel::LATEST));
}

fn uninstalling_leaves_the_tables(target: &Target) {
    let mut conn = target.connect();
    conn.audited(&user("42"), |conn| insert_post(conn, 1)).unwrap();
    for _ in 0..2 {
        uninstall(&mut conn, &Schema::default()).unwrap();
        assert_eq!(conn.run(&InstalledVersion).unwrap(), None);
    }
    insert_post(&mut conn, 2).unwrap();
    assert_eq!(target.count("posts"), 2);
}

fn installing_inside_a_transaction_goes_with_it(target: &Target) {
    let (mut conn, schema) = (target.connect(), Schema::new("second").unwrap());
    conn.test_transaction::<_, Error, _>(|conn| {
        install(conn, &schema)?;
        assert_eq!(conn.run_in(&schema, &InstalledVersion)?, Some(kernel::LATEST));
        Ok(())
    });
    assert_eq!(conn.run_in(&schema, &InstalledVersion).unwrap(), None);
    assert!(!has_transaction(&mut conn));
}

fn an_administrative_operation_is_applied(target: &Target) {
    let (mut conn, schema) = (target.connect(), Schema::default());
    assert!(apply(&mut conn, &schema, &CreatePartitions::months_ahead(60)).unwrap() > 0);
    assert_eq!(apply(&mut conn, &schema, &CreatePartitions::months_ahead(60)).unwrap(), 0);
    let elsewhere = Schema::new("elsewhere").unwrap();
    let error = apply(&mut conn, &elsewhere, &CreatePartitions::months_ahead(1)).unwrap_err();
    assert!(error.is_not_installed(), "{error}");
}

fn a_manifest_is_installed_whole_or_not_at_all(target: &Target) {
    let mut conn = target.connect();
    uninstall(&mut conn, &Schema::default()).unwrap();
    let good = Manifest::new().table(AuditedTable::new("public", "posts"));
    let bad = good.clone().table(AuditedTable::new("public", "missing"));
    assert!(install_manifest(&mut conn, &bad).is_err());
    assert_eq!(conn.run(&InstalledVersion).unwrap(), None, "the kernel neither");
    for _ in 0..2 {
        install_manifest(&mut conn, &good).unwrap();
    }
    assert!(conn.audited(&user("42"), |conn| insert_post(conn, 1)).unwrap().transaction_id.is_some());

    let policy = CapturePolicy::new().require_actor();
    enable(&mut conn, &AuditedTable::new("public", "posts").policy(policy)).unwrap();
    let error = Error::from(conn.transaction(|conn| insert_post(conn, 2)).unwrap_err());
    assert!(error.is_missing_actor());
    let typo = AuditedTable::new("public", "posts").policy(CapturePolicy::new().exclude(["no_such_column"]));
    let error = enable(&mut conn, &typo).unwrap_err();
    assert!(error.as_core().unwrap().is_unknown_column(), "{error}");
    assert!(run(&mut conn, "SELECT 1").is_ok());
}
