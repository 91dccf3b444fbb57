//! Operations that failed and are recorded although their transaction was rolled back.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, Once};

use sqlx::Connection;
use threadline::sqlx::{AuditedPool, BeginAudited, Error, RetryPolicy, record_failure};
use threadline::{Action, ActionStatus};
use threadline_testkit::Proxy;
use tracing::{Event, Level, Metadata, Subscriber, field, span};

use crate::support::{Target, has_transaction, insert_post, on_both, run, text, user};

on_both! {
    an_error_in_the_closure_is_recorded_after_the_rollback,
    a_refused_commit_is_recorded,
    a_transaction_that_sqlx_gave_up_is_recorded,
    an_unknown_commit_is_not_recorded,
    a_success_records_nothing,
    retries_record_the_last_failure_once,
    a_session_records_a_failure_of_its_own,
    a_guard_rolls_back_and_records,
    a_plain_connection_records_outside_a_transaction_only,
    a_failure_that_cannot_be_recorded_is_traced_and_keeps_the_error,
    a_broken_connection_keeps_the_error,
}

async fn an_error_in_the_closure_is_recorded_after_the_rollback(target: Target) {
    let db = target.audited(1);
    let session =
        db.with(&user("42").correlation_id("c-1")).on_error_record(Action::new("invoice.charge").reason("card"));
    let error = session
        .transaction(async |tx| {
            insert_post(tx, 1).await?;
            tx.record_action(&Action::new("invoice.started")).await?;
            insert_post(tx, 1).await?;
            Ok::<_, Error>(())
        })
        .await
        .unwrap_err();
    assert_eq!(error.sqlstate().as_deref(), Some("23505"), "the closure's error is told: {error}");
    assert_eq!(target.actions(), ["invoice.charge error 42"]);
    let recorded = "SELECT correlation_id || ' ' || reason FROM threadline.audit_actions";
    assert_eq!(target.value(recorded).as_deref(), Some("c-1 card"));
    assert_eq!((target.count("posts"), target.trail().len()), (0, 0));
    let mut connection = db.unaudited().acquire().await.unwrap();
    assert!(!has_transaction(&mut connection).await);
    assert_eq!(db.unaudited().size(), 1, "on the same connection");
}

async fn a_refused_commit_is_recorded(target: Target) {
    let db = target.audited(1);
    let session = db.with(&user("42")).on_error_record(Action::new("comment.add").status(ActionStatus::Ok));
    let error: sqlx::Error =
        session.transaction(async |tx| run(tx, "INSERT INTO comments VALUES (1, 99)").await).await.unwrap_err();
    assert!(error.as_database_error().unwrap().is_foreign_key_violation());
    let error: Error = session
        .transaction(async |tx| {
            let _ = run(tx, "SELECT 1 / 0").await;
            Ok(())
        })
        .await
        .unwrap_err();
    assert!(error.is_rolled_back());
    assert_eq!(target.actions(), ["comment.add error 42", "comment.add error 42"]);
}

async fn a_transaction_that_sqlx_gave_up_is_recorded(target: Target) {
    let (pool, proxy) = target.held().await;
    let db = AuditedPool::new(pool);
    let session = db.with(&user("42")).on_error_record(Action::new("post.publish"));
    let error: Error = session
        .transaction(async |tx| {
            insert_post(tx, 1).await?;
            proxy.cancel(tx.begin()).await;
            insert_post(tx, 2).await?;
            Ok(())
        })
        .await
        .unwrap_err();
    assert_eq!(error.sqlstate().as_deref(), Some("25P02"), "{error}");
    assert_eq!((target.actions(), target.count("posts")), (vec!["post.publish error 42".to_owned()], 0));
    assert!(!has_transaction(&mut db.unaudited().acquire().await.unwrap()).await);
}

async fn an_unknown_commit_is_not_recorded(target: Target) {
    let proxy = Proxy::before(&target.url).await.unwrap();
    let db = AuditedPool::new(target.pool_at(proxy.url(), 1));
    let session = db.with(&user("42")).on_error_record(Action::new("post.publish"));
    let error: Error = session
        .transaction(async |tx| {
            insert_post(tx, 1).await?;
            proxy.break_at_commit();
            Ok(())
        })
        .await
        .unwrap_err();
    assert!(error.is_unknown_commit());
    assert_eq!(target.actions(), [""; 0]);
}

async fn a_success_records_nothing(target: Target) {
    let session = target.audited(1).with(&user("42")).on_error_record(Action::new("post.publish"));
    session.transaction(async |tx| insert_post(tx, 1).await).await.unwrap();
    assert_eq!(target.actions(), [""; 0]);
}

async fn retries_record_the_last_failure_once(target: Target) {
    let session = target.audited(1).with(&user("42")).on_error_record(Action::new("seat.take"));
    let attempts = AtomicU32::new(0);
    let conflict = "DO $$ BEGIN RAISE EXCEPTION 'on purpose' USING ERRCODE = '40P01'; END $$";
    let result = session
        .retry(&RetryPolicy::new(), async |tx| {
            attempts.fetch_add(1, Ordering::SeqCst);
            run(tx, conflict).await
        })
        .await;
    assert!(result.is_err());
    assert_eq!(attempts.into_inner(), 5);
    assert_eq!(target.actions(), ["seat.take error 42"]);
}

async fn a_session_records_a_failure_of_its_own(target: Target) {
    let db = target.audited(1);
    db.record_failure(&user("42"), &Action::new("login")).await.unwrap();
    assert_eq!(target.actions(), ["login error 42"]);
}

async fn a_guard_rolls_back_and_records(target: Target) {
    let db = target.audited(1);
    let mut tx = db.begin(&user("42")).await.unwrap();
    insert_post(&mut tx, 1).await.unwrap();
    assert!(run(&mut tx, "SELECT 1 / 0").await.is_err());
    tx.rollback_and_record(&Action::new("post.publish")).await.unwrap();
    assert_eq!((target.count("posts"), target.actions()), (0, vec!["post.publish error 42".to_owned()]));
    assert!(!has_transaction(&mut db.unaudited().acquire().await.unwrap()).await);
}

async fn a_plain_connection_records_outside_a_transaction_only(target: Target) {
    let pool = target.pool(1);
    let action = Action::new("login");
    let mut tx = pool.begin_audited(&user("42")).await.unwrap();
    let error = record_failure(&mut tx, &user("42"), &action).await.unwrap_err();
    assert!(error.is_nested(), "{error}");
    tx.commit().await.unwrap();
    record_failure(&mut pool.acquire().await.unwrap(), &user("43"), &action).await.unwrap();
    assert_eq!(target.actions(), ["login error 43"]);
}

async fn a_failure_that_cannot_be_recorded_is_traced_and_keeps_the_error(target: Target) {
    // Both instances of this test listen to the same process.
    let name = format!("post.publish at {}", target.url);
    let session = target.audited(1).with(&user("secret-actor")).on_error_record(Action::new(&name).verb(""));
    let error = session.transaction(async |_| Err::<(), Error>(sqlx::Error::RowNotFound.into())).await.unwrap_err();
    assert!(matches!(error.as_sqlx(), Some(sqlx::Error::RowNotFound)));
    let seen = SEEN.lock().unwrap();
    let event = seen.iter().find(|event| event.contains(&name)).expect("an event");
    assert!(event.contains("a failed operation could not be recorded"), "{event}");
    assert!(event.contains("invalid_action") && !event.contains("secret-actor"), "{event}");
}

async fn a_broken_connection_keeps_the_error(target: Target) {
    let db = target.audited(2);
    let session = db.with(&user("42")).on_error_record(Action::new("post.publish"));
    let error: Error = session
        .transaction(async |tx| {
            let backend = text(tx, "SELECT pg_backend_pid()::text").await?.unwrap();
            target.rows(&format!("SELECT pg_terminate_backend({backend}, 5000)"));
            insert_post(tx, 1).await?;
            Ok(())
        })
        .await
        .unwrap_err();
    assert!(!error.is_nested() && !error.is_unknown_commit(), "{error}");
    assert_eq!(target.actions(), [""; 0]);
    db.transaction(&user("43"), async |tx| insert_post(tx, 2).await).await.unwrap();
}

static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Listens to the events of level error, from before the first test on: tracing remembers that nobody listens.
pub(crate) fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Recorder).unwrap());
}

struct Recorder;

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::ERROR
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = String::new();
        event.record(&mut |field: &field::Field, value: &dyn std::fmt::Debug| {
            fields.push_str(&format!("{field}={value:?} "));
        });
        SEEN.lock().unwrap().push(fields);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}
