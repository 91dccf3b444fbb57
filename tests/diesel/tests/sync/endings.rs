//! How transactions end: committed whole or not at all, and never silently.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, Pool};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use threadline_diesel::Error;
use threadline_diesel::prelude::*;

use crate::support::{Target, actor, has_transaction, insert_post, on_both, run, text, user};

on_both! {
    a_dropped_guard_is_rolled_back,
    a_rolled_back_guard_leaves_nothing,
    an_error_in_the_closure_rolls_back,
    a_panic_in_the_closure_rolls_back_and_spares_the_connection,
    a_panic_costs_a_pool_no_more_than_the_connection,
    commit_of_a_failed_transaction_is_an_error,
    diesel_alone_calls_it_a_success,
    a_deferred_constraint_fails_the_commit,
    a_lost_answer_to_commit_is_unknown,
    a_terminated_backend_is_a_clear_error,
    a_terminated_backend_is_no_rollback_of_ours_when_its_error_is_swallowed,
    an_exhausted_pool_leaves_nothing,
}

fn a_dropped_guard_is_rolled_back(target: &Target) {
    let mut conn = target.connect();
    let mut tx = conn.begin_audited(&user("42")).unwrap();
    insert_post(&mut *tx, 1).unwrap();
    drop(tx);
    assert!(!has_transaction(&mut conn));
    assert_eq!((actor(&mut conn), target.count("posts"), target.trail().len()), (String::new(), 0, 0));
}

fn a_rolled_back_guard_leaves_nothing(target: &Target) {
    let mut conn = target.connect();
    let mut tx = conn.begin_audited(&user("42")).unwrap();
    tx.record_action(&Action::new("a")).unwrap();
    insert_post(&mut *tx, 1).unwrap();
    tx.rollback();
    conn.audited(&user("43"), |conn| insert_post(conn, 2)).unwrap();
    assert_eq!((target.trail(), target.actions()), (vec!["posts insert 2 43 -".to_owned()], vec![]));
}

fn an_error_in_the_closure_rolls_back(target: &Target) {
    #[derive(Debug)]
    enum AppError {
        Refused,
        Database,
    }
    impl<E: Into<DieselError>> From<E> for AppError {
        fn from(_: E) -> Self {
            Self::Database
        }
    }
    let mut conn = target.connect();
    let refused: Result<Outcome<()>, AppError> = conn.audited(&user("42"), |conn| {
        insert_post(conn, 1)?;
        Err(AppError::Refused)
    });
    assert!(matches!(refused, Err(AppError::Refused)), "{refused:?}");
    assert!(!has_transaction(&mut conn));
    assert_eq!((target.count("posts"), target.trail().len()), (0, 0));
}

fn a_panic_in_the_closure_rolls_back_and_spares_the_connection(target: &Target) {
    let mut conn = target.connect();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        conn.audited(&user("42"), |conn| {
            insert_post(conn, 1)?;
            if actor(conn) == "42" {
                panic!("on purpose");
            }
            Ok::<_, Error>(())
        })
    }));
    assert!(panicked.is_err());
    assert!(!has_transaction(&mut conn));
    conn.audited(&user("43"), |conn| insert_post(conn, 2)).unwrap();
    assert_eq!(target.trail(), ["posts insert 2 43 -"]);
}

fn a_panic_costs_a_pool_no_more_than_the_connection(target: &Target) {
    let pool = target.pool(1);
    let panicking = pool.clone();
    let panicked = std::thread::spawn(move || {
        panicking.get().unwrap().audited(&user("42"), |conn| {
            insert_post(conn, 1).unwrap();
            panic!("on purpose");
            #[allow(unreachable_code, reason = "types the closure")]
            Ok::<_, Error>(())
        })
    });
    assert!(panicked.join().is_err());
    let mut conn = pool.get().unwrap();
    assert!(!has_transaction(&mut conn));
    conn.audited(&user("43"), |conn| insert_post(conn, 2)).unwrap();
    assert_eq!(target.trail(), ["posts insert 2 43 -"]);
}

fn commit_of_a_failed_transaction_is_an_error(target: &Target) {
    let mut conn = target.connect();
    let swallowed = conn.audited(&user("42"), |conn| {
        insert_post(conn, 1)?;
        let _ = run(conn, "SELECT 1 / 0");
        Ok::<_, Error>(())
    });
    let error = swallowed.unwrap_err();
    assert!(error.is_rolled_back() && !error.is_unknown_commit(), "{error:?}");
    assert!(!has_transaction(&mut conn));
    assert_eq!((target.count("posts"), target.trail().len()), (0, 0));
}

/// What the test above protects from. When this one fails, Diesel tells by itself.
fn diesel_alone_calls_it_a_success(target: &Target) {
    let mut conn = target.connect();
    let swallowed = conn.transaction(|conn| {
        insert_post(conn, 1)?;
        let _ = run(conn, "SELECT 1 / 0");
        Ok::<_, DieselError>(())
    });
    assert!(swallowed.is_ok());
    assert_eq!(target.count("posts"), 0);
}

fn a_deferred_constraint_fails_the_commit(target: &Target) {
    let mut conn = target.connect();
    let refused = conn.audited(&user("42"), |conn| run(conn, "INSERT INTO comments VALUES (1, 99)"));
    let Err(DieselError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _)) = refused else {
        panic!("{refused:?}")
    };
    assert!(!has_transaction(&mut conn));
    assert_eq!((target.count("comments"), target.trail().len()), (0, 0));
}

fn a_lost_answer_to_commit_is_unknown(target: &Target) {
    let (mut conn, proxy, _runtime) = target.through_proxy();
    let answer = conn.audited(&user("42"), |conn| {
        insert_post(conn, 1)?;
        proxy.break_at_commit();
        Ok::<_, Error>(())
    });
    let error = answer.unwrap_err();
    assert!(error.is_unknown_commit(), "{error:?}");
    assert!(error.as_diesel().is_some(), "the cause is kept");
}

fn a_terminated_backend_is_a_clear_error(target: &Target) {
    let pool = target.pool(1);
    let mut conn = pool.get().unwrap();
    let answer = conn.audited(&user("42"), |conn| {
        insert_post(conn, 1)?;
        let backend = text(conn, "pg_backend_pid()")?.unwrap();
        target.rows(&format!("SELECT pg_terminate_backend({backend}, 5000)"));
        insert_post(conn, 2)
    });
    let error = Error::from(answer.unwrap_err());
    assert!(!error.is_unknown_commit() && !error.is_rolled_back(), "{error:?}");
    drop(conn);
    pool.get().unwrap().audited(&user("43"), |conn| insert_post(conn, 3)).unwrap();
    assert_eq!(target.trail(), ["posts insert 3 43 -"]);
}

fn a_terminated_backend_is_no_rollback_of_ours_when_its_error_is_swallowed(target: &Target) {
    let answer: Result<Outcome<()>, Error> = target.connect().audited(&user("42"), |conn| {
        let backend = text(conn, "pg_backend_pid()")?.unwrap();
        target.rows(&format!("SELECT pg_terminate_backend({backend}, 5000)"));
        for id in [1, 2] {
            let _ = insert_post(conn, id);
        }
        Ok(())
    });
    let error = answer.unwrap_err();
    assert!(!error.is_unknown_commit() && !error.is_rolled_back(), "{error:?}");
    assert_eq!((target.count("posts"), target.trail().len()), (0, 0));
}

fn an_exhausted_pool_leaves_nothing(target: &Target) {
    let pool: Pool<ConnectionManager<PgConnection>> = Pool::builder()
        .max_size(1)
        .min_idle(Some(0))
        .connection_timeout(Duration::from_millis(100))
        .build_unchecked(ConnectionManager::new(&target.url));
    let held = pool.get().unwrap();
    assert!(pool.get().is_err());
    drop(held);
    assert_eq!(target.trail().len(), 0);
}
