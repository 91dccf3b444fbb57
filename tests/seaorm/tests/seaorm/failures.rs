//! Operations that failed and are recorded although their transaction was rolled back.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, Once};

use sea_orm::{ConnectionTrait, DbErr, SqlErr, TransactionError, TransactionTrait};
use threadline_core::{Action, ActionStatus, RetryPolicy};
use threadline_seaorm::{Error, record_failure};
use tracing::{Event, Level, Metadata, Subscriber, field, span};

use crate::support::{Target, insert_post, is_clean, text, user};

#[tokio::test]
async fn an_error_in_the_closure_is_recorded_after_the_rollback() {
    let target = Target::new();
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
    assert!(is_clean(db.unaudited()).await);
}

#[tokio::test]
async fn seaorms_closure_form_records_too() {
    let target = Target::new();
    let session = target.audited(1).with(&user("42")).on_error_record(Action::new("post.publish"));
    let result = TransactionTrait::transaction::<_, (), DbErr>(&session, |tx| {
        Box::pin(async move {
            insert_post(tx, 1).await?;
            insert_post(tx, 1).await
        })
    })
    .await;
    let Err(TransactionError::Transaction(error)) = result else { panic!("{result:?}") };
    assert!(matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))));
    assert_eq!((target.actions(), target.count("posts")), (vec!["post.publish error 42".to_owned()], 0));
}

#[tokio::test]
async fn a_refused_commit_is_recorded() {
    let target = Target::new();
    let db = target.audited(1);
    let session = db.with(&user("42")).on_error_record(Action::new("comment.add").status(ActionStatus::Ok));
    let error: DbErr = session
        .transaction(async |tx| tx.execute_unprepared("INSERT INTO comments VALUES (1, 99)").await.map(drop))
        .await
        .unwrap_err();
    assert!(matches!(error.sql_err(), Some(SqlErr::ForeignKeyConstraintViolation(_))));
    let error: Error = session
        .transaction(async |tx| {
            let _ = tx.execute_unprepared("SELECT 1 / 0").await;
            Ok(())
        })
        .await
        .unwrap_err();
    assert!(error.is_rolled_back());
    assert_eq!(target.actions(), ["comment.add error 42", "comment.add error 42"]);
}

#[tokio::test]
async fn an_unknown_commit_is_not_recorded() {
    let target = Target::new();
    let (db, proxy) = target.held().await;
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

#[tokio::test]
async fn a_success_records_nothing() {
    let target = Target::new();
    let session = target.audited(1).with(&user("42")).on_error_record(Action::new("post.publish"));
    session.transaction(async |tx| insert_post(tx, 1).await).await.unwrap();
    assert_eq!(target.actions(), [""; 0]);
}

#[tokio::test]
async fn retries_record_the_last_failure_once() {
    let target = Target::new();
    let session = target.audited(1).with(&user("42")).on_error_record(Action::new("seat.take"));
    let attempts = AtomicU32::new(0);
    let conflict = "DO $$ BEGIN RAISE EXCEPTION 'on purpose' USING ERRCODE = '40P01'; END $$";
    let result = session
        .retry(&RetryPolicy::new(), async |tx| {
            attempts.fetch_add(1, Ordering::SeqCst);
            tx.execute_unprepared(conflict).await
        })
        .await;
    assert!(result.is_err());
    assert_eq!(attempts.into_inner(), 5);
    assert_eq!(target.actions(), ["seat.take error 42"]);
}

#[tokio::test]
async fn a_failure_is_recorded_without_a_transaction_before_it() {
    let target = Target::new();
    let db = target.audited(1);
    db.record_failure(&user("42"), &Action::new("login")).await.unwrap();
    record_failure(db.unaudited(), &user("43"), &Action::new("login")).await.unwrap();
    assert_eq!(target.actions(), ["login error 42", "login error 43"]);
}

#[tokio::test]
async fn a_guard_rolls_back_and_records() {
    let target = Target::new();
    let db = target.audited(1);
    let tx = db.begin(&user("42")).await.unwrap();
    insert_post(&tx, 1).await.unwrap();
    assert!(tx.execute_unprepared("SELECT 1 / 0").await.is_err());
    tx.rollback_and_record(&Action::new("post.publish")).await.unwrap();
    assert_eq!((target.count("posts"), target.actions()), (0, vec!["post.publish error 42".to_owned()]));
    assert!(is_clean(db.unaudited()).await);
}

#[tokio::test]
async fn a_failure_that_cannot_be_recorded_is_traced_and_keeps_the_error() {
    let target = Target::new();
    let session = target.audited(1).with(&user("secret-actor")).on_error_record(Action::new("post.publish").verb(""));
    let error = session.transaction(async |_| Err::<(), Error>(DbErr::RecordNotInserted.into())).await.unwrap_err();
    assert!(matches!(error.as_db_err(), Some(DbErr::RecordNotInserted)));
    let seen = SEEN.lock().unwrap();
    let event = seen.iter().find(|event| event.contains("could not be recorded")).expect("an event");
    assert!(event.contains("invalid_action") && !event.contains("secret-actor"), "{event}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_connection_keeps_the_error() {
    let target = Target::new();
    let db = target.audited(2);
    let session = db.with(&user("42")).on_error_record(Action::new("post.publish"));
    let error: Error = session
        .transaction(async |tx| {
            let backend = text(tx, "SELECT pg_backend_pid()::text").await?;
            target.rows(&format!("SELECT pg_terminate_backend({backend}, 5000)"));
            insert_post(tx, 1).await?;
            Ok(())
        })
        .await
        .unwrap_err();
    assert!(!error.is_nested() && !error.is_unknown_commit(), "{error}");
    assert_eq!(target.trail(), [""; 0]);
    db.transaction(&user("43"), async |tx| insert_post(tx, 2).await).await.unwrap();
    assert_eq!(target.trail(), ["posts insert 2 43 -"]);
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
