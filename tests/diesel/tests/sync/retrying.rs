//! Running a transaction again when it lost against another one.

use std::error::Error as StdError;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use diesel::prelude::*;
use diesel::result::Error as DieselError;
use threadline_diesel::prelude::*;
use threadline_diesel::{Error, is_serialization_failure};

use crate::support::{Target, insert_post, on_both, run, text, user};

on_both! {
    a_conflict_in_a_statement_is_retried,
    a_conflict_in_commit_is_retried,
    a_deadlock_is_retried,
    attempts_are_bounded,
    other_errors_are_not_retried,
    an_unknown_commit_is_not_retried,
    inside_a_transaction_it_is_refused,
    a_failure_is_found_inside_the_users_error,
    an_error_that_is_no_std_error_is_judged_by_the_caller,
}

const CONFLICT: &str = "DO $$ BEGIN RAISE EXCEPTION 'on purpose' USING ERRCODE = '40001'; END $$";

fn quick() -> RetryPolicy {
    RetryPolicy::new().attempts(NonZeroU32::new(3).unwrap()).pause(Duration::from_millis(1))
}

fn a_conflict_in_a_statement_is_retried(target: &Target) {
    let (mut conn, mut other) = (target.connect(), target.connect());
    let mut attempt = 0;
    let outcome = conn
        .with(&user("42"))
        .options(IsolationLevel::RepeatableRead)
        .retry(&quick(), |conn| {
            attempt += 1;
            conn.record_action(&Action::new(format!("attempt {attempt}")))?;
            text(conn, "SELECT n FROM counters WHERE id = 1")?;
            if attempt == 1 {
                // Somebody else changes what this snapshot still sees as it was.
                other.audited(&user("other"), |conn| run(conn, "UPDATE counters SET n = n + 10 WHERE id = 1"))?;
            }
            run(conn, "UPDATE counters SET n = n + 1 WHERE id = 1")?;
            Ok::<_, Error>(attempt)
        })
        .unwrap();
    assert_eq!(outcome.value, 2);
    assert!(outcome.transaction_id.is_some());
    assert_eq!(target.value("SELECT n FROM counters WHERE id = 1").as_deref(), Some("11"));
    assert_eq!(target.trail(), ["counters update 1 other -", "counters update 1 42 attempt 2"]);
    assert_eq!(target.actions(), ["attempt 2 ok 42"]);
}

/// Two transactions that each read what the other writes; the one that commits second is refused.
fn a_conflict_in_commit_is_retried(target: &Target) {
    let (mut conn, mut second) = (target.connect(), target.connect());
    let mut attempts = 0;
    let read = "SELECT sum(n) FROM counters";
    conn.with(&user("42"))
        .options(IsolationLevel::Serializable)
        .retry(&quick(), |conn| {
            attempts += 1;
            text(conn, read)?;
            if attempts > 1 {
                return run(conn, "UPDATE counters SET n = n + 1 WHERE id = 1");
            }
            let context = user("other");
            let mut other = second.with(&context).options(IsolationLevel::Serializable).begin()?;
            text(&mut *other, read)?;
            run(&mut *other, "UPDATE counters SET n = n + 10 WHERE id = 2")?;
            run(conn, "UPDATE counters SET n = n + 1 WHERE id = 1")?;
            other.commit()?;
            QueryResult::Ok(())
        })
        .unwrap();
    assert_eq!(attempts, 2, "the closure succeeded both times");
    assert_eq!(target.trail(), ["counters update 2 other -", "counters update 1 42 -"]);
}

fn a_deadlock_is_retried(target: &Target) {
    let both_hold_one = Barrier::new(2);
    let work = |me: &str, first: i32, second: i32| {
        let mut attempts = 0;
        target
            .connect()
            .with(&user(me))
            .retry(&quick().attempts(NonZeroU32::new(20).unwrap()), |conn| {
                run(conn, "SET LOCAL deadlock_timeout = '20ms'")?;
                run(conn, &format!("UPDATE counters SET n = n + 1 WHERE id = {first}"))?;
                attempts += 1;
                if attempts == 1 {
                    both_hold_one.wait();
                }
                run(conn, &format!("UPDATE counters SET n = n + 1 WHERE id = {second}"))
            })
            .unwrap();
        attempts
    };
    let attempts = thread::scope(|scope| {
        let (one, other) = (scope.spawn(|| work("one", 1, 2)), scope.spawn(|| work("other", 2, 1)));
        one.join().unwrap() + other.join().unwrap()
    });
    assert!(attempts > 2, "one of the two had to run again");
    assert_eq!(target.value("SELECT sum(n) FROM counters").as_deref(), Some("4"));
    assert_eq!(target.trail().len(), 4);
}

fn attempts_are_bounded(target: &Target) {
    let mut attempts = 0;
    let error = target
        .connect()
        .with(&user("42"))
        .retry(&quick(), |conn| {
            attempts += 1;
            insert_post(conn, 1)?;
            run(conn, CONFLICT)
        })
        .unwrap_err();
    assert!(is_serialization_failure(&error), "{error}");
    assert_eq!(attempts, 3);
    assert_eq!(target.count("posts"), 0);
}

fn other_errors_are_not_retried(target: &Target) {
    let mut attempts = 0;
    let error = target
        .connect()
        .with(&user("42"))
        .retry(&quick(), |conn| {
            attempts += 1;
            run(conn, "SELECT 1 / 0")
        })
        .unwrap_err();
    assert!(!is_serialization_failure(&error), "{error}");
    assert_eq!(attempts, 1);
}

fn an_unknown_commit_is_not_retried(target: &Target) {
    let (mut conn, proxy, _runtime) = target.through_proxy();
    let mut attempts = 0;
    let error: Error = conn
        .with(&user("42"))
        .retry(&quick(), |conn| {
            attempts += 1;
            insert_post(conn, 1)?;
            proxy.break_at_commit();
            Ok(())
        })
        .unwrap_err();
    assert!(error.is_unknown_commit(), "{error:?}");
    assert_eq!(attempts, 1);
}

fn inside_a_transaction_it_is_refused(target: &Target) {
    let mut attempts = 0;
    target
        .connect()
        .audited(&user("42"), |conn| {
            let retried = conn.with(&user("43")).retry(&quick(), |_| {
                attempts += 1;
                Ok::<_, Error>(())
            });
            let error = retried.unwrap_err();
            assert!(error.is_nested(), "{error}");
            insert_post(conn, 1)
        })
        .unwrap();
    assert_eq!(attempts, 0);
    assert_eq!(target.trail(), ["posts insert 1 42 -"]);
}

fn a_failure_is_found_inside_the_users_error(target: &Target) {
    #[derive(Debug)]
    struct AppError(DieselError);
    impl fmt::Display for AppError {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the application failed")
        }
    }
    impl StdError for AppError {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(&self.0)
        }
    }
    impl<E: Into<DieselError>> From<E> for AppError {
        fn from(error: E) -> Self {
            Self(error.into())
        }
    }
    let mut attempts = 0;
    target
        .connect()
        .with(&user("42"))
        .retry(&quick(), |conn| {
            attempts += 1;
            if attempts < 3 {
                run(conn, CONFLICT)?;
            }
            Ok::<_, AppError>(())
        })
        .unwrap();
    assert_eq!(attempts, 3);
}

fn an_error_that_is_no_std_error_is_judged_by_the_caller(target: &Target) {
    type AnyError = Box<dyn StdError + Send + Sync>;
    let mut attempts = 0;
    let worth_it = |error: &AnyError| is_serialization_failure(&**error);
    target
        .connect()
        .with(&user("42"))
        .retry_when(&quick(), worth_it, |conn| {
            attempts += 1;
            if attempts < 3 {
                run(conn, CONFLICT)?;
            }
            Ok::<_, AnyError>(())
        })
        .unwrap();
    assert_eq!(attempts, 3);
}
