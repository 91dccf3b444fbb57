//! Adopting a transaction that somebody else opened.

use diesel::prelude::*;
use diesel::result::Error as DieselError;
use threadline_core::AuditContext;
use threadline_diesel::Error;
use threadline_diesel::prelude::*;

use crate::support::{Target, actor, has_transaction, insert_post, on_both, run, user};

on_both! {
    changes_are_attributed_from_attaching_to_detaching,
    an_attached_transaction_records_actions_and_nests,
    the_context_of_an_audited_transaction_comes_back,
    a_transaction_begun_with_sql_text_can_be_attached_to,
    without_a_transaction_attaching_is_refused,
    a_missing_actor_is_refused,
    a_failed_transaction_is_refused,
    dropped_it_leaves_its_context_for_that_transaction_only,
}

fn changes_are_attributed_from_attaching_to_detaching(target: &Target) {
    let mut conn = target.connect();
    conn.transaction(|conn| {
        insert_post(conn, 1)?;
        let mut audited = attach(&user("42"), conn)?;
        insert_post(&mut *audited, 2)?;
        audited.detach()?;
        insert_post(conn, 3)
    })
    .unwrap();
    assert_eq!(target.trail(), ["posts insert 1 - -", "posts insert 2 42 -", "posts insert 3 - -"]);
}

fn an_attached_transaction_records_actions_and_nests(target: &Target) {
    target
        .connect()
        .transaction::<_, Error, _>(|conn| {
            let mut audited = attach(&user("outer"), conn)?;
            audited.record_action(&Action::new("imported"))?;
            audited.audited(&user("inner"), |conn| insert_post(conn, 1))?;
            let failed = audited.audited(&user("inner"), |conn| {
                insert_post(conn, 2)?;
                Err::<(), _>(DieselError::NotFound)
            });
            assert!(failed.is_err());
            insert_post(&mut *audited, 3)?;
            audited.detach()
        })
        .unwrap();
    assert_eq!(target.trail(), ["posts insert 1 inner -", "posts insert 3 outer imported"]);
}

fn the_context_of_an_audited_transaction_comes_back(target: &Target) {
    target
        .connect()
        .audited(&user("outer"), |conn| {
            conn.record_action(&Action::new("a"))?;
            let mut audited = attach(&user("inner"), conn)?;
            insert_post(&mut *audited, 1)?;
            audited.detach()?;
            insert_post(conn, 2)
        })
        .unwrap();
    assert_eq!(target.trail(), ["posts insert 1 inner -", "posts insert 2 outer a"]);
}

fn a_transaction_begun_with_sql_text_can_be_attached_to(target: &Target) {
    let mut conn = target.connect();
    run(&mut conn, "BEGIN").unwrap();
    let mut audited = attach(&user("42"), &mut conn).unwrap();
    insert_post(&mut *audited, 1).unwrap();
    audited.record_action(&Action::new("imported")).unwrap();
    // Diesel would take the scope's end for the end of the transaction.
    let error: Error = audited.nested(None, |_| Ok(())).unwrap_err();
    assert!(error.is_not_in_transaction(), "{error}");
    audited.detach().unwrap();
    assert!(has_transaction(&mut conn));
    run(&mut conn, "COMMIT").unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 imported"]);
}

fn without_a_transaction_attaching_is_refused(target: &Target) {
    let mut conn = target.connect();
    let error = attach(&user("42"), &mut conn).unwrap_err();
    assert!(error.is_not_in_transaction(), "{error}");
    assert_eq!(actor(&mut conn), "");
    conn.audited(&user("43"), |conn| insert_post(conn, 1)).unwrap();
    assert_eq!(target.trail(), ["posts insert 1 43 -"]);
}

fn a_missing_actor_is_refused(target: &Target) {
    target
        .connect()
        .transaction(|conn| {
            let error = attach(&AuditContext::without_actor(), conn).unwrap_err();
            assert!(error.is_missing_actor(), "{error}");
            insert_post(conn, 1)
        })
        .unwrap();
}

fn a_failed_transaction_is_refused(target: &Target) {
    let mut conn = target.connect();
    let rolled_back = conn.transaction::<(), Error, _>(|conn| {
        assert!(run(conn, "SELECT 1 / 0").is_err());
        assert!(attach(&user("42"), conn).is_err());
        Err(DieselError::RollbackTransaction.into())
    });
    assert!(rolled_back.is_err());
    let rolled_back = conn.transaction::<(), Error, _>(|conn| {
        let mut audited = attach(&user("42"), conn)?;
        assert!(run(&mut *audited, "SELECT 1 / 0").is_err());
        audited.detach()
    });
    let error = rolled_back.unwrap_err();
    assert!(error.is_rolled_back(), "{error:?}");
}

fn dropped_it_leaves_its_context_for_that_transaction_only(target: &Target) {
    let mut conn = target.connect();
    conn.transaction(|conn| {
        drop(attach(&user("42"), conn)?);
        insert_post(conn, 1)
    })
    .unwrap();
    conn.transaction(|conn| insert_post(conn, 2)).unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 -", "posts insert 2 - -"]);
}
