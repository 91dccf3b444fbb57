//! Scopes inside a transaction: their own context, and the outer one back whichever way they end.

use std::panic::{AssertUnwindSafe, catch_unwind};

use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use threadline_diesel::Error;
use threadline_diesel::prelude::*;

use crate::support::{Target, actor, has_transaction, insert_post, on_both, run, user};

on_both! {
    a_scope_inherits_the_context,
    diesels_own_transaction_inherits_the_context,
    a_scope_with_another_context_restores_the_outer_one,
    scopes_nest_to_any_depth,
    an_error_rolls_back_the_scope_alone,
    a_panic_rolls_back_the_scope_alone,
    a_swallowed_error_fails_the_scope_and_spares_the_transaction,
    the_current_action_stays_with_its_context,
    an_action_of_a_rolled_back_scope_is_gone,
    a_scope_without_an_actor_is_refused_before_it_opens,
    a_scope_outside_a_transaction_is_refused,
    a_scope_in_a_failed_transaction_is_refused,
    an_audited_transaction_inside_a_test_transaction_is_attributed,
    a_guard_inside_a_transaction_restores_the_outer_context,
}

fn a_scope_inherits_the_context(target: &Target) {
    let mut conn = target.connect();
    let outcome = conn
        .audited(&user("42"), |conn| {
            insert_post(conn, 1)?;
            conn.nested(None, |conn| insert_post(conn, 2))?;
            insert_post(conn, 3)
        })
        .unwrap();
    assert!(outcome.transaction_id.is_some());
    assert_eq!(target.trail(), ["posts insert 1 42 -", "posts insert 2 42 -", "posts insert 3 42 -"]);
    assert_eq!(target.count("threadline.audit_transactions"), 1);
}

fn diesels_own_transaction_inherits_the_context(target: &Target) {
    target
        .connect()
        .audited(&user("42"), |conn| {
            conn.transaction(|conn| insert_post(conn, 1))?;
            let failed = conn.transaction(|conn| {
                insert_post(conn, 2)?;
                Err::<(), _>(DieselError::RollbackTransaction)
            });
            assert!(failed.is_err());
            insert_post(conn, 3)
        })
        .unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 -", "posts insert 3 42 -"]);
}

fn a_scope_with_another_context_restores_the_outer_one(target: &Target) {
    target
        .connect()
        .audited(&user("outer"), |conn| {
            insert_post(conn, 1)?;
            let inner = user("inner").correlation_id("c");
            let value = conn.nested(Some(&inner), |conn| {
                insert_post(conn, 2)?;
                Ok::<_, DieselError>("value")
            })?;
            assert_eq!((value, actor(conn)), ("value", "outer".to_owned()));
            insert_post(conn, 3)
        })
        .unwrap();
    assert_eq!(target.trail(), ["posts insert 1 outer -", "posts insert 2 inner -", "posts insert 3 outer -"]);
    let correlated = "SELECT actor_ref ->> 'id' FROM threadline.audit_transactions WHERE correlation_id = 'c'";
    assert_eq!(target.value(correlated).as_deref(), Some("inner"));
}

fn scopes_nest_to_any_depth(target: &Target) {
    target
        .connect()
        .audited(&user("1"), |conn| {
            conn.audited(&user("2"), |conn| {
                insert_post(conn, 2)?;
                let failed = conn.audited(&user("3"), |conn| {
                    insert_post(conn, 3)?;
                    conn.audited(&user("4"), |conn| insert_post(conn, 4))?;
                    Err::<(), _>(DieselError::NotFound)
                });
                assert!(failed.is_err());
                insert_post(conn, 5)
            })?;
            insert_post(conn, 6)
        })
        .unwrap();
    assert_eq!(target.trail(), ["posts insert 2 2 -", "posts insert 5 2 -", "posts insert 6 1 -"]);
}

fn an_error_rolls_back_the_scope_alone(target: &Target) {
    target
        .connect()
        .audited(&user("outer"), |conn| {
            insert_post(conn, 1)?;
            let duplicate = conn.audited(&user("inner"), |conn| {
                insert_post(conn, 2)?;
                insert_post(conn, 1)
            });
            let Err(DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) = duplicate else {
                panic!("{duplicate:?}")
            };
            assert_eq!(actor(conn), "outer");
            insert_post(conn, 3)
        })
        .unwrap();
    assert_eq!(target.trail(), ["posts insert 1 outer -", "posts insert 3 outer -"]);
}

fn a_panic_rolls_back_the_scope_alone(target: &Target) {
    let mut conn = target.connect();
    conn.audited(&user("outer"), |conn| {
        let panicking = catch_unwind(AssertUnwindSafe(|| {
            conn.audited(&user("inner"), |conn| {
                insert_post(conn, 1)?;
                // Diesel's own levels are left open by a panic, and closed with the scope.
                conn.transaction::<(), DieselError, _>(|_| panic!("on purpose"))
            })
        }));
        assert!(panicking.is_err());
        assert_eq!(actor(conn), "outer");
        insert_post(conn, 2)
    })
    .unwrap();
    assert!(!has_transaction(&mut conn));
    assert_eq!(target.trail(), ["posts insert 2 outer -"]);
}

fn a_swallowed_error_fails_the_scope_and_spares_the_transaction(target: &Target) {
    target
        .connect()
        .audited(&user("outer"), |conn| {
            let inner = user("inner");
            for context in [None, Some(&inner)] {
                let scope = conn.nested(context, |conn| {
                    insert_post(conn, 1)?;
                    let _ = run(conn, "SELECT 1 / 0");
                    Ok::<_, Error>(())
                });
                let error = scope.unwrap_err();
                assert!(error.is_rolled_back(), "{error:?}");
            }
            insert_post(conn, 2)
        })
        .unwrap();
    assert_eq!(target.trail(), ["posts insert 2 outer -"]);
}

fn the_current_action_stays_with_its_context(target: &Target) {
    target
        .connect()
        .audited(&user("outer"), |conn| {
            conn.record_action(&Action::new("a"))?;
            conn.audited(&user("inner"), |conn| insert_post(conn, 1))?;
            insert_post(conn, 2)?;
            conn.nested(None, |conn| conn.record_action(&Action::new("b")))?;
            insert_post(conn, 3)
        })
        .unwrap();
    assert_eq!(target.trail(), ["posts insert 1 inner -", "posts insert 2 outer a", "posts insert 3 outer b"]);
}

fn an_action_of_a_rolled_back_scope_is_gone(target: &Target) {
    target
        .connect()
        .audited(&user("outer"), |conn| {
            conn.record_action(&Action::new("a"))?;
            let scope = conn.nested(None, |conn| {
                conn.record_action(&Action::new("b"))?;
                Err::<(), _>(DieselError::NotFound)
            });
            assert!(scope.is_err());
            insert_post(conn, 1)
        })
        .unwrap();
    assert_eq!(target.trail(), ["posts insert 1 outer a"]);
    assert_eq!(target.actions(), ["a ok outer"]);
}

fn a_scope_without_an_actor_is_refused_before_it_opens(target: &Target) {
    target
        .connect()
        .audited(&user("outer"), |conn| {
            let nobody = threadline_core::AuditContext::without_actor();
            let error: Error = conn.audited(&nobody, |_| Ok(())).unwrap_err();
            assert!(error.is_missing_actor(), "{error}");
            insert_post(conn, 1)
        })
        .unwrap();
    assert_eq!(target.trail(), ["posts insert 1 outer -"]);
}

fn a_scope_outside_a_transaction_is_refused(target: &Target) {
    let mut conn = target.connect();
    for context in [None, Some(&user("42"))] {
        let error: Error = conn.nested(context, |_| Ok(())).unwrap_err();
        assert!(error.is_not_in_transaction(), "{error}");
    }
}

fn a_scope_in_a_failed_transaction_is_refused(target: &Target) {
    let mut conn = target.connect();
    let mut tx = conn.begin_audited(&user("outer")).unwrap();
    insert_post(&mut *tx, 1).unwrap();
    assert!(run(&mut *tx, "SELECT 1 / 0").is_err());
    let error: Error = tx.nested(None, |_| Ok(())).unwrap_err();
    assert!(error.is_rolled_back(), "{error:?}");
    let error: Error = tx.audited(&user("inner"), |_| Ok(())).unwrap_err();
    assert!(error.is_rolled_back(), "{error:?}");
    assert!(insert_post(&mut *tx, 2).is_err());
    let error = tx.commit().unwrap_err();
    assert!(error.is_rolled_back(), "{error:?}");
    assert_eq!((target.count("posts"), target.trail().len()), (0, 0));
    assert!(!has_transaction(&mut conn));
}

/// What tests of Diesel services do.
fn an_audited_transaction_inside_a_test_transaction_is_attributed(target: &Target) {
    let mut conn = target.connect();
    conn.test_transaction::<_, Error, _>(|conn| {
        let outcome = conn.audited(&user("42"), |conn| {
            conn.record_action(&Action::new("post.published"))?;
            insert_post(conn, 1)
        })?;
        assert!(outcome.transaction_id.is_some());
        let page = conn.timeline(&Timeline::new().actor(&ActorRef::user("42")?))?;
        assert_eq!(page.entries[0].action.as_ref().unwrap().name, "post.published");
        assert_eq!(actor(conn), "");
        Ok(())
    });
    assert_eq!((target.count("posts"), target.trail().len()), (0, 0));
}

fn a_guard_inside_a_transaction_restores_the_outer_context(target: &Target) {
    target
        .connect()
        .audited(&user("outer"), |conn| {
            let mut kept = conn.begin_audited(&user("kept"))?;
            insert_post(&mut *kept, 1)?;
            kept.commit()?;
            let mut dropped = conn.begin_audited(&user("dropped"))?;
            insert_post(&mut *dropped, 2)?;
            drop(dropped);
            insert_post(conn, 3)
        })
        .unwrap();
    assert_eq!(target.trail(), ["posts insert 1 kept -", "posts insert 3 outer -"]);
}
