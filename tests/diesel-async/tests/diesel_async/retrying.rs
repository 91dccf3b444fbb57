//! Running a transaction again when it lost against another one.

use std::error::Error as StdError;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use diesel::result::Error as DieselError;
use threadline_core::{Action, IsolationLevel, Outcome, RetryPolicy};
use threadline_diesel::asynchronous::AuditDsl;
use threadline_diesel::{Error, is_serialization_failure};
use tokio::sync::Barrier;

use crate::support::{Target, insert_post, run, text, user};

const CONFLICT: &str = "DO $$ BEGIN RAISE EXCEPTION 'on purpose' USING ERRCODE = '40001'; END $$";

fn quick() -> RetryPolicy {
    RetryPolicy::new().attempts(NonZeroU32::new(3).unwrap()).pause(Duration::from_millis(1))
}

#[tokio::test]
async fn a_conflict_in_a_statement_is_retried() {
    let target = Target::new();
    let (mut conn, mut other) = (target.connect().await, target.connect().await);
    let attempts = AtomicU32::new(0);
    let other = tokio::sync::Mutex::new(&mut other);
    let outcome = conn
        .with(&user("42"))
        .options(IsolationLevel::RepeatableRead)
        .retry(&quick(), async |conn| {
            let attempt = attempts.fetch_add(1, Ordering::SeqCst) + 1;
            conn.record_action(&Action::new(format!("attempt {attempt}"))).await?;
            text(conn, "SELECT n FROM counters WHERE id = 1").await?;
            if attempt == 1 {
                // Somebody else changes what this snapshot still sees as it was.
                let somebody_else = user("other");
                let mut other = other.lock().await;
                other.audited(&somebody_else, async |conn| run(conn, INCREASE).await).await?;
            }
            run(conn, INCREASE).await?;
            Ok::<_, Error>(attempt)
        })
        .await
        .unwrap();
    assert_eq!(outcome.value, 2);
    assert!(outcome.transaction_id.is_some());
    assert_eq!(target.value("SELECT n FROM counters WHERE id = 1").as_deref(), Some("2"));
    assert_eq!(target.trail(), ["counters update 1 other -", "counters update 1 42 attempt 2"]);
    assert_eq!(target.actions(), ["attempt 2 ok 42"]);
}

const INCREASE: &str = "UPDATE counters SET n = n + 1 WHERE id = 1";

/// Two transactions that each read what the other writes; the one that commits second is refused.
#[tokio::test]
async fn a_conflict_in_commit_is_retried() {
    let target = Target::new();
    let pool = target.pool(2);
    let mut conn = pool.get().await.unwrap();
    let attempts = AtomicU32::new(0);
    let read = "SELECT sum(n) FROM counters";
    let serializable = conn.with(&user("42")).options(IsolationLevel::Serializable);
    serializable
        .retry(&quick(), async |conn| {
            let attempt = attempts.fetch_add(1, Ordering::SeqCst) + 1;
            text(conn, read).await?;
            if attempt == 1 {
                let mut other = pool.get().await.unwrap();
                let mut other = other.with(&user("other")).options(IsolationLevel::Serializable).begin().await?;
                text(&mut other, read).await?;
                run(&mut other, "UPDATE counters SET n = n + 10 WHERE id = 2").await?;
                run(conn, INCREASE).await?;
                other.commit().await?;
            } else {
                run(conn, INCREASE).await?;
            }
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
    assert_eq!(attempts.into_inner(), 2, "the closure succeeded both times");
    assert_eq!(target.trail(), ["counters update 2 other -", "counters update 1 42 -"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_is_retried() {
    let target = Target::new();
    let pool = target.pool(2);
    let both_hold_one = Arc::new(Barrier::new(2));
    let work = |me: &'static str, first: i32, second: i32| {
        let (pool, both_hold_one) = (pool.clone(), Arc::clone(&both_hold_one));
        tokio::spawn(async move {
            let attempts = AtomicU32::new(0);
            let policy = quick().attempts(NonZeroU32::new(20).unwrap());
            let mut conn = pool.get().await.unwrap();
            conn.with(&user(me))
                .retry(&policy, async |conn| {
                    run(conn, "SET LOCAL deadlock_timeout = '20ms'").await?;
                    run(conn, &format!("UPDATE counters SET n = n + 1 WHERE id = {first}")).await?;
                    if attempts.fetch_add(1, Ordering::SeqCst) == 0 {
                        both_hold_one.wait().await;
                    }
                    run(conn, &format!("UPDATE counters SET n = n + 1 WHERE id = {second}")).await
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

#[tokio::test]
async fn attempts_are_bounded_and_other_errors_not_retried() {
    let target = Target::new();
    let mut conn = target.connect().await;
    for (sql, expected) in [(CONFLICT, 3), ("SELECT 1 / 0", 1)] {
        let attempts = AtomicU32::new(0);
        let error = conn
            .with(&user("42"))
            .retry(&quick(), async |conn| {
                attempts.fetch_add(1, Ordering::SeqCst);
                insert_post(conn, 1).await?;
                run(conn, sql).await
            })
            .await
            .unwrap_err();
        assert_eq!(is_serialization_failure(&error), expected == 3, "{error}");
        assert_eq!(attempts.into_inner(), expected);
    }
    assert_eq!(target.count("posts"), 0);
}

#[tokio::test]
async fn an_unknown_commit_is_not_retried() {
    let target = Target::new();
    let (mut conn, proxy) = target.watched().await;
    let attempts = AtomicU32::new(0);
    let error: Error = conn
        .with(&user("42"))
        .retry(&quick(), async |conn| {
            let attempt = attempts.fetch_add(1, Ordering::SeqCst) + 1;
            insert_post(conn, attempt.into()).await?;
            proxy.break_at_commit();
            Ok(())
        })
        .await
        .unwrap_err();
    assert!(error.is_unknown_commit(), "{error}");
    assert_eq!(attempts.into_inner(), 1);
    assert_eq!(target.count("posts"), 1);
}

#[tokio::test]
async fn inside_a_transaction_it_is_refused() {
    let target = Target::new();
    let mut conn = target.connect().await;
    let mut tx = conn.begin_audited(&user("42")).await.unwrap();
    let answer: Result<Outcome<()>, Error> =
        tx.with(&user("43")).retry(&quick(), async |_| unreachable!("it does not run")).await;
    assert!(answer.unwrap_err().is_nested());
    insert_post(&mut tx, 1).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 -"]);
}

#[tokio::test]
async fn an_error_that_is_no_std_error_is_judged_by_the_caller() {
    type AnyError = Box<dyn StdError + Send + Sync>;
    let target = Target::new();
    let mut conn = target.connect().await;
    let attempts = AtomicU32::new(0);
    conn.with(&user("42"))
        .retry_when(
            &quick(),
            |error: &AnyError| is_serialization_failure(&**error),
            async |conn| {
                if attempts.fetch_add(1, Ordering::SeqCst) == 0 {
                    run(conn, CONFLICT).await?;
                }
                Ok::<_, AnyError>(())
            },
        )
        .await
        .unwrap();
    assert_eq!(attempts.into_inner(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_runs_in_a_spawned_task() {
    let target = Target::new();
    let pool = target.bb8(1).await;
    let task = tokio::spawn(async move {
        let attempts = AtomicU32::new(0);
        let mut conn = pool.get().await.unwrap();
        conn.with(&user("42"))
            .retry(&quick(), async |conn| {
                insert_post(conn, 1).await?;
                conn.nested(None, async |conn| insert_post(conn, 2).await).await?;
                if attempts.fetch_add(1, Ordering::SeqCst) == 0 {
                    run(conn, CONFLICT).await?;
                }
                Ok::<_, DieselError>(())
            })
            .await
    });
    task.await.unwrap().unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 -", "posts insert 2 42 -"]);
}
