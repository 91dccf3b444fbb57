//! Transactions that run again because they lost against another one.

use std::error::Error as StdError;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sea_orm::{ConnectionTrait, DbErr};
use threadline_core::{Action, IsolationLevel, RetryPolicy};
use threadline_seaorm::{AuditedDatabase, Error, is_serialization_failure};

use crate::support::{Target, insert_post, text, user};

const CONFLICT: &str = "DO $$ BEGIN RAISE EXCEPTION 'on purpose' USING ERRCODE = '40001'; END $$";

fn quick() -> RetryPolicy {
    RetryPolicy::new().attempts(NonZeroU32::new(3).unwrap()).pause(Duration::from_millis(1))
}

#[tokio::test]
async fn all_of_it_runs_again_actions_included() {
    let target = Target::new();
    let attempts = AtomicU32::new(0);
    let outcome = target
        .audited(1)
        .retry(&user("42"), &quick(), async |tx| {
            tx.record_action(&Action::new("post.published")).await?;
            insert_post(tx, 1).await?;
            if attempts.fetch_add(1, Ordering::SeqCst) == 0 {
                tx.execute_unprepared(CONFLICT).await?;
            }
            Ok::<_, DbErr>("done")
        })
        .await
        .unwrap();
    assert_eq!((outcome.value, attempts.into_inner()), ("done", 2));
    assert_eq!(target.trail(), ["posts insert 1 42 post.published"]);
    assert_eq!(target.actions().len(), 1);
}

/// Reads both counters and adds to one: two at once is a write skew, which SERIALIZABLE refuses one of.
async fn work(db: AuditedDatabase, actor: &'static str, row: i32, barrier: Arc<tokio::sync::Barrier>) -> u32 {
    let attempts = AtomicU32::new(0);
    db.with(&user(actor))
        .options(IsolationLevel::Serializable)
        .retry(&RetryPolicy::new(), async |tx| {
            let sum = text(tx, "SELECT sum(n)::text FROM counters").await?;
            if attempts.fetch_add(1, Ordering::SeqCst) == 0 {
                barrier.wait().await;
            }
            tx.execute_unprepared(&format!("UPDATE counters SET n = {sum} + 1 WHERE id = {row}")).await
        })
        .await
        .unwrap();
    attempts.into_inner()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_serialization_failure_is_retried() {
    let target = Target::new();
    let db = target.audited(2);
    let barrier = Arc::new(tokio::sync::Barrier::new(2));
    let one = tokio::spawn(work(db.clone(), "one", 1, Arc::clone(&barrier)));
    let other = tokio::spawn(work(db, "other", 2, barrier));
    assert!(one.await.unwrap() + other.await.unwrap() > 2, "one of the two had to run again");
    assert_eq!(target.value("SELECT sum(n) FROM counters").as_deref(), Some("3"));
    assert_eq!(target.trail().len(), 2);
}

#[tokio::test]
async fn attempts_are_bounded() {
    let target = Target::new();
    let attempts = AtomicU32::new(0);
    let error = target
        .audited(1)
        .retry(&user("42"), &quick(), async |tx| {
            attempts.fetch_add(1, Ordering::SeqCst);
            insert_post(tx, 1).await?;
            tx.execute_unprepared(CONFLICT).await
        })
        .await
        .unwrap_err();
    assert!(is_serialization_failure(&error), "{error}");
    assert_eq!((attempts.into_inner(), target.count("posts")), (3, 0));
}

#[tokio::test]
async fn other_errors_are_not_retried() {
    let target = Target::new();
    let attempts = AtomicU32::new(0);
    let error = target
        .audited(1)
        .retry(&user("42"), &quick(), async |tx| {
            attempts.fetch_add(1, Ordering::SeqCst);
            tx.execute_unprepared("SELECT 1 / 0").await
        })
        .await
        .unwrap_err();
    assert!(!is_serialization_failure(&error), "{error}");
    assert_eq!(attempts.into_inner(), 1);
}

#[tokio::test]
async fn an_unknown_commit_is_not_retried() {
    let target = Target::new();
    let (db, proxy) = target.held().await;
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
    assert_eq!((attempts.into_inner(), target.count("posts")), (1, 1));
}

/// The two usual shapes of an error type: one that shows its content as its source, one that steps aside for it.
#[derive(Debug)]
enum UserError {
    Wrapped(DbErr),
    Transparent(DbErr),
    Ours(Error),
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
            Self::Ours(error) => error.source(),
        }
    }
}

impl From<Error> for UserError {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

#[tokio::test]
async fn a_failure_is_found_inside_the_users_error() {
    let target = Target::new();
    let db = target.audited(1);
    let shapes: [fn(DbErr) -> UserError; 3] =
        [UserError::Wrapped, UserError::Transparent, |error| UserError::Ours(error.into())];
    for shape in shapes {
        let attempts = AtomicU32::new(0);
        db.retry(&user("42"), &quick(), async |tx| {
            if attempts.fetch_add(1, Ordering::SeqCst) == 0 {
                tx.execute_unprepared(CONFLICT).await.map_err(shape)?;
            }
            Ok::<_, UserError>(())
        })
        .await
        .unwrap();
        assert_eq!(attempts.into_inner(), 2);
    }
    assert!(!is_serialization_failure(&UserError::Wrapped(DbErr::RecordNotInserted)));
}

#[tokio::test]
async fn an_error_that_is_no_std_error_is_judged_by_the_caller() {
    type AnyError = Box<dyn StdError + Send + Sync>;
    let target = Target::new();
    let attempts = AtomicU32::new(0);
    target
        .audited(1)
        .with(&user("42"))
        .retry_when(
            &quick(),
            |error: &AnyError| is_serialization_failure(&**error),
            async |tx| {
                if attempts.fetch_add(1, Ordering::SeqCst) == 0 {
                    tx.execute_unprepared(CONFLICT).await?;
                }
                Ok::<_, AnyError>(())
            },
        )
        .await
        .unwrap();
    assert_eq!(attempts.into_inner(), 2);
}
