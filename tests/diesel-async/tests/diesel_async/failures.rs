//! Operations that failed and are recorded although their transaction was rolled back.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, Once};

use diesel::result::{DatabaseErrorKind, Error as DieselError};
use threadline_core::{Action, ActionStatus, RetryPolicy};
use threadline_diesel::Error;
use threadline_diesel::asynchronous::AuditDsl;
use tracing::{Event, Level, Metadata, Subscriber, field, span};

use crate::support::{Target, has_transaction, insert_post, run, text, user};

#[tokio::test]
async fn an_error_in_the_closure_is_recorded_after_the_rollback() {
    let target = Target::new();
    let mut conn = target.connect().await;
    let context = user("42").correlation_id("c-1");
    let session = conn.with(&context).on_error_record(Action::new("invoice.charge").reason("card"));
    let error = session
        .transaction(async |conn| {
            insert_post(conn, 1).await?;
            conn.record_action(&Action::new("invoice.started")).await?;
            insert_post(conn, 1).await?;
            Ok::<_, Error>(())
        })
        .await
        .unwrap_err();
    assert_eq!(error.sqlstate(), Some("23505"), "the closure's error is told: {error}");
    assert_eq!(target.actions(), ["invoice.charge error 42"]);
    let recorded = "SELECT correlation_id || ' ' || reason FROM threadline.audit_actions";
    assert_eq!(target.value(recorded).as_deref(), Some("c-1 card"));
    assert_eq!((target.count("posts"), target.trail().len()), (0, 0));
    assert!(!has_transaction(&mut conn).await);
}

#[tokio::test]
async fn a_refused_commit_is_recorded() {
    let target = Target::new();
    let mut conn = target.connect().await;
    let add = || Action::new("comment.add").status(ActionStatus::Ok);
    let session = conn.with(&user("42")).on_error_record(add());
    let error =
        session.transaction(async |conn| run(conn, "INSERT INTO comments VALUES (1, 99)").await).await.unwrap_err();
    assert!(matches!(error, DieselError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _)), "{error}");
    let error: Error = conn
        .with(&user("42"))
        .on_error_record(add())
        .transaction(async |conn| {
            let _ = run(conn, "SELECT 1 / 0").await;
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
    let (mut conn, proxy) = target.watched().await;
    let session = conn.with(&user("42")).on_error_record(Action::new("post.publish"));
    let error: Error = session
        .transaction(async |conn| {
            insert_post(conn, 1).await?;
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
    let mut conn = target.connect().await;
    let session = conn.with(&user("42")).on_error_record(Action::new("post.publish"));
    session.transaction(async |conn| insert_post(conn, 1).await).await.unwrap();
    assert_eq!(target.actions(), [""; 0]);
}

#[tokio::test]
async fn retries_record_the_last_failure_once() {
    let target = Target::new();
    let mut conn = target.connect().await;
    let attempts = AtomicU32::new(0);
    let conflict = "DO $$ BEGIN RAISE EXCEPTION 'on purpose' USING ERRCODE = '40001'; END $$";
    let session = conn.with(&user("42")).on_error_record(Action::new("seat.take"));
    let result = session
        .retry(&RetryPolicy::new(), async |conn| {
            attempts.fetch_add(1, Ordering::SeqCst);
            run(conn, conflict).await
        })
        .await;
    assert!(result.is_err());
    assert_eq!(attempts.into_inner(), 5);
    assert_eq!(target.actions(), ["seat.take error 42"]);
}

#[tokio::test]
async fn a_failure_is_recorded_outside_a_transaction_only() {
    let target = Target::new();
    let mut conn = target.connect().await;
    let action = Action::new("login");
    let mut tx = conn.begin_audited(&user("42")).await.unwrap();
    let error = tx.record_failure(&user("42"), &action).await.unwrap_err();
    assert!(error.is_nested(), "{error}");
    tx.commit().await.unwrap();
    conn.record_failure(&user("43"), &action).await.unwrap();
    assert_eq!(target.actions(), ["login error 43"]);
}

#[tokio::test]
async fn a_failure_that_cannot_be_recorded_is_traced_and_keeps_the_error() {
    let target = Target::new();
    let mut conn = target.connect().await;
    let context = user("secret-actor");
    let session = conn.with(&context).on_error_record(Action::new("post.publish").verb(""));
    let error = session.transaction(async |_| Err::<(), _>(DieselError::NotFound)).await.unwrap_err();
    assert!(matches!(error, DieselError::NotFound));
    let seen = SEEN.lock().unwrap();
    let event = seen.iter().find(|event| event.contains("invalid_action")).expect("an event");
    assert!(event.contains("a failed operation could not be recorded"), "{event}");
    assert!(event.contains("post.publish") && !event.contains("secret-actor"), "{event}");
}

#[tokio::test]
async fn a_broken_connection_keeps_the_error() {
    let target = Target::new();
    let pool = target.pool(1);
    let mut conn = pool.get().await.unwrap();
    let session = conn.with(&user("42")).on_error_record(Action::new("post.publish"));
    let error: Error = session
        .transaction(async |conn| {
            let backend = text(conn, "pg_backend_pid()").await?;
            target.rows(&format!("SELECT pg_terminate_backend({backend}, 5000)"));
            insert_post(conn, 1).await?;
            Ok(())
        })
        .await
        .unwrap_err();
    assert!(!error.is_nested() && !error.is_unknown_commit(), "{error}");
    drop(conn);
    assert_eq!(target.actions(), [""; 0]);
    let mut conn = pool.get().await.unwrap();
    conn.audited(&user("43"), async |conn| insert_post(conn, 2).await).await.unwrap();
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
