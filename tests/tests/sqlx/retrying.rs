//! Running a transaction again when it lost against another one.

use std::error::Error as StdError;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use threadline::sqlx::{AuditedPool, BeginAudited, Error, RetryPolicy, is_serialization_failure, retry};
use threadline::{Action, IsolationLevel};
use threadline_testkit::Proxy;
use tokio::sync::Barrier;

use crate::support::{Target, insert_post, on_both, run, text, user};

on_both! {
    a_conflict_in_a_statement_is_retried,
    a_conflict_in_commit_is_retried,
    a_deadlock_is_retried,
    attempts_are_bounded,
    other_errors_are_not_retried,
    an_unknown_commit_is_not_retried,
    inside_a_transaction_it_is_refused,
    a_plain_connection_retries_too,
    a_failure_is_found_inside_the_users_error,
    an_error_that_is_no_std_error_is_judged_by_the_caller,
    it_runs_in_a_spawned_task,
}

const CONFLICT: &str = "DO $$ BEGIN RAISE EXCEPTION 'on purpose' USING ERRCODE = '40001'; END $$";

fn quick() -> RetryPolicy {
    RetryPolicy::new().attempts(NonZeroU32::new(3).unwrap()).pause(Duration::from_millis(1))
}

async fn a_conflict_in_a_statement_is_retried(target: Target) {
    let db = target.audited(2);
    let attempts = AtomicU32::new(0);
    let outcome = db
        .with(&user("42"))
        .options(IsolationLevel::RepeatableRead)
        .retry(&quick(), async |tx| {
            let attempt = attempts.fetch_add(1, Ordering::SeqCst) + 1;
            tx.record_action(&Action::new(format!("attempt {attempt}"))).await?;
            text(tx, "SELECT n::text FROM counters WHERE id = 1").await?;
            if attempt == 1 {
                // Somebody else changes what this snapshot still sees as it was.
                db.transaction(&user("other"), async |tx| run(tx, "UPDATE counters SET n = n + 10 WHERE id = 1").await)
                    .await?;
            }
            run(tx, "UPDATE counters SET n = n + 1 WHERE id = 1").await?;
            Ok::<_, Error>(attempt)
        })
        .await
        .unwrap();
    assert_eq!(outcome.value, 2);
    assert!(outcome.transaction_id.is_some());
    assert_eq!(target.value("SELECT n FROM counters WHERE id = 1").as_deref(), Some("11"));
    assert_eq!(target.trail(), ["counters update 1 other -", "counters update 1 42 attempt 2"]);
    assert_eq!(target.actions(), ["attempt 2 ok 42"]);
}

/// Two transactions that each read what the other writes; the one that commits second is refused.
async fn a_conflict_in_commit_is_retried(target: Target) {
    let db = target.audited(2);
    let serializable = db.with(&user("42")).options(IsolationLevel::Serializable);
    let attempts = AtomicU32::new(0);
    let read = "SELECT sum(n)::text FROM counters";
    serializable
        .retry(&quick(), async |tx| {
            let attempt = attempts.fetch_add(1, Ordering::SeqCst) + 1;
            text(tx, read).await?;
            if attempt == 1 {
                let mut other = db.with(&user("other")).options(IsolationLevel::Serializable).begin().await?;
                text(&mut other, read).await?;
                run(&mut other, "UPDATE counters SET n = n + 10 WHERE id = 2").await?;
                run(tx, "UPDATE counters SET n = n + 1 WHERE id = 1").await?;
                other.commit().await?;
            } else {
                run(tx, "UPDATE counters SET n = n + 1 WHERE id = 1").await?;
            }
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
    assert_eq!(attempts.into_inner(), 2, "the closure succeeded both times");
    assert_eq!(target.trail(), ["counters update 2 other -", "counters update 1 42 -"]);
}

async fn a_deadlock_is_retried(target: Target) {
    let db = target.audited(2);
    let both_hold_one = Arc::new(Barrier::new(2));
    let work = |me: &'static str, first: i32, second: i32| {
        let (db, both_hold_one) = (db.clone(), Arc::clone(&both_hold_one));
        tokio::spawn(async move {
            let attempts = AtomicU32::new(0);
            db.retry(&user(me), &quick().attempts(NonZeroU32::new(20).unwrap()), async |tx| {
                run(tx, "SET LOCAL deadlock_timeout = '20ms'").await?;
                run(tx, &format!("UPDATE counters SET n = n + 1 WHERE id = {first}")).await?;
                if attempts.fetch_add(1, Ordering::SeqCst) == 0 {
                    both_hold_one.wait().await;
                }
                run(tx, &format!("UPDATE counters SET n = n + 1 WHERE id = {second}")).await?;
                Ok::<_, sqlx::Error>(())
            })
            .await
            .unwrap();
            attempts.into_inner()
        })
    };
    let (one, other) = (work("one", 1, 2), work("other", 2, 1));
    assert!(one.await.unwrap() + other.await.unwrap() > 2, "one of the two had to run again");
    assert_eq!(target.value("SELECT sum(n) FROM counters").as_deref(), Some("4"));
    assert_eq!(target.trail().len(), 4);
}

async fn attempts_are_bounded(target: Target) {
    let db = target.audited(1);
    let attempts = AtomicU32::new(0);
    let error = db
        .retry(&user("42"), &quick(), async |tx| {
            attempts.fetch_add(1, Ordering::SeqCst);
            insert_post(tx, 1).await?;
            run(tx, CONFLICT).await
        })
        .await
        .unwrap_err();
    assert!(is_serialization_failure(&error), "{error}");
    assert_eq!(attempts.into_inner(), 3);
    assert_eq!(target.count("posts"), 0);
}

async fn other_errors_are_not_retried(target: Target) {
    let db = target.audited(1);
    let attempts = AtomicU32::new(0);
    let error = db
        .retry(&user("42"), &quick(), async |tx| {
            attempts.fetch_add(1, Ordering::SeqCst);
            run(tx, "SELECT 1 / 0").await
        })
        .await
        .unwrap_err();
    assert!(!is_serialization_failure(&error), "{error}");
    assert_eq!(attempts.into_inner(), 1);
}

async fn an_unknown_commit_is_not_retried(target: Target) {
    let proxy = Proxy::before(&target.url).await.unwrap();
    let db = AuditedPool::new(target.pool_at(proxy.url(), 1));
    let attempts = AtomicU32::new(0);
    let error: Error = db
        .retry(&user("42"), &quick(), async |tx| {
            let attempt = attempts.fetch_add(1, Ordering::SeqCst) + 1;
            insert_post(tx, attempt.into()).await?;
            proxy.break_at_commit();
            Ok(())
        })
        .await
        .unwrap_err();
    assert!(error.is_unknown_commit(), "{error}");
    assert_eq!(attempts.into_inner(), 1);
    assert_eq!(target.count("posts"), 1);
}

async fn inside_a_transaction_it_is_refused(target: Target) {
    let pool = target.pool(1);
    let mut tx = pool.begin_audited(&user("42")).await.unwrap();
    let error: Error = retry(&mut tx, &user("43"), &quick(), async |_| panic!("not run"))
        .await
        .map(drop::<threadline::Outcome<()>>)
        .unwrap_err();
    assert!(error.is_nested(), "{error}");
    insert_post(&mut tx, 1).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 -"]);
}

async fn a_plain_connection_retries_too(target: Target) {
    let mut connection = target.pool(1).acquire().await.unwrap();
    let attempts = AtomicU32::new(0);
    let outcome = retry(&mut connection, &user("42"), &quick(), async |tx| {
        insert_post(tx, 1).await?;
        if attempts.fetch_add(1, Ordering::SeqCst) == 0 {
            run(tx, CONFLICT).await?;
        }
        Ok::<_, sqlx::Error>("done")
    })
    .await
    .unwrap();
    assert_eq!((outcome.value, attempts.into_inner()), ("done", 2));
    assert_eq!(target.trail(), ["posts insert 1 42 -"]);
}

/// The two usual shapes of an error type: one that shows its content as its source, one that steps aside for it.
#[derive(Debug)]
enum UserError {
    Wrapped(sqlx::Error),
    Transparent(Error),
    TransparentSqlx(sqlx::Error),
}

impl fmt::Display for UserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it failed")
    }
}

impl StdError for UserError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Wrapped(error) => Some(error),
            Self::Transparent(error) => error.source(),
            Self::TransparentSqlx(error) => error.source(),
        }
    }
}

impl From<Error> for UserError {
    fn from(error: Error) -> Self {
        Self::Transparent(error)
    }
}

async fn a_failure_is_found_inside_the_users_error(target: Target) {
    let db = target.audited(1);
    let shapes: [fn(sqlx::Error) -> UserError; 3] =
        [UserError::Wrapped, |error| UserError::Transparent(error.into()), UserError::TransparentSqlx];
    for shape in shapes {
        let attempts = AtomicU32::new(0);
        db.retry(&user("42"), &quick(), async |tx| {
            if attempts.fetch_add(1, Ordering::SeqCst) == 0 {
                run(tx, CONFLICT).await.map_err(shape)?;
            }
            Ok::<_, UserError>(())
        })
        .await
        .unwrap();
        assert_eq!(attempts.into_inner(), 2);
    }
}

async fn an_error_that_is_no_std_error_is_judged_by_the_caller(target: Target) {
    type AnyError = Box<dyn StdError + Send + Sync>;
    let attempts = AtomicU32::new(0);
    target
        .audited(1)
        .with(&user("42"))
        .retry_when(
            &quick(),
            |error: &AnyError| is_serialization_failure(&**error),
            async |tx| {
                if attempts.fetch_add(1, Ordering::SeqCst) == 0 {
                    run(tx, CONFLICT).await?;
                }
                Ok::<_, AnyError>(())
            },
        )
        .await
        .unwrap();
    assert_eq!(attempts.into_inner(), 2);
}

async fn it_runs_in_a_spawned_task(target: Target) {
    let db = target.audited(1);
    let task = tokio::spawn(async move {
        let attempts = AtomicU32::new(0);
        db.retry(&user("42"), &quick(), async |tx| {
            insert_post(tx, 1).await?;
            tx.nested(None, async |tx| insert_post(tx, 2).await).await?;
            if attempts.fetch_add(1, Ordering::SeqCst) == 0 {
                run(tx, CONFLICT).await?;
            }
            Ok::<_, Error>(())
        })
        .await
    });
    task.await.unwrap().unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 -", "posts insert 2 42 -"]);
}
