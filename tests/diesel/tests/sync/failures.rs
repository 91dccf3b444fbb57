//! Operations that failed and are recorded although their transaction was rolled back.

use std::fmt::Write;
use std::sync::{Mutex, Once};

use diesel::result::{DatabaseErrorKind, Error as DieselError};
use threadline_diesel::Error;
use threadline_diesel::prelude::*;
use tracing::{Event, Level, Metadata, Subscriber, field, span};

use crate::support::{Target, has_transaction, insert_post, on_both, run, text, user};

on_both! {
    an_error_in_the_closure_is_recorded_after_the_rollback,
    a_refused_commit_is_recorded,
    an_unknown_commit_is_not_recorded,
    a_success_records_nothing,
    retries_record_the_last_failure_once,
    inside_a_transaction_the_failure_is_recorded_in_that_one,
    a_failure_of_its_own_is_recorded_outside_a_transaction_only,
    a_failure_that_cannot_be_recorded_is_traced_and_keeps_the_error,
    a_broken_connection_keeps_the_error,
}

fn an_error_in_the_closure_is_recorded_after_the_rollback(target: &Target) {
    let mut conn = target.connect();
    let error = conn
        .with(&user("42").correlation_id("c-1"))
        .on_error_record(Action::new("invoice.charge").reason("card"))
        .transaction(|conn| {
            insert_post(conn, 1)?;
            conn.record_action(&Action::new("invoice.started"))?;
            insert_post(conn, 1)
        })
        .unwrap_err();
    assert!(matches!(error, DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _)), "{error}");
    assert_eq!(target.actions(), ["invoice.charge error 42"]);
    let recorded = "SELECT correlation_id || ' ' || reason FROM threadline.audit_actions";
    assert_eq!(target.value(recorded).as_deref(), Some("c-1 card"));
    assert_eq!((target.count("posts"), target.trail().len()), (0, 0));
    assert!(!has_transaction(&mut conn));
}

fn a_refused_commit_is_recorded(target: &Target) {
    let mut conn = target.connect();
    let action = Action::new("comment.add").status(ActionStatus::Ok);
    let error = conn
        .with(&user("42"))
        .on_error_record(action.clone())
        .transaction(|conn| run(conn, "INSERT INTO comments VALUES (1, 99)"))
        .unwrap_err();
    assert!(matches!(error, DieselError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _)), "{error}");
    let error: Error = conn
        .with(&user("42"))
        .on_error_record(action)
        .transaction(|conn| {
            let _ = run(conn, "SELECT 1 / 0");
            Ok(())
        })
        .unwrap_err();
    assert!(error.is_rolled_back());
    assert_eq!(target.actions(), ["comment.add error 42", "comment.add error 42"]);
}

fn an_unknown_commit_is_not_recorded(target: &Target) {
    let (mut conn, proxy, _runtime) = target.through_proxy();
    let name = format!("post.publish unknown at {}", target.url);
    let error: Error = conn
        .with(&user("42"))
        .on_error_record(Action::new(&name))
        .transaction(|conn| {
            insert_post(conn, 1)?;
            proxy.break_at_commit();
            Ok(())
        })
        .unwrap_err();
    assert!(error.is_unknown_commit());
    assert_eq!(target.actions(), [""; 0]);
    assert!(!SEEN.lock().unwrap().iter().any(|event| event.contains(&name)), "it was not even tried");
}

fn a_success_records_nothing(target: &Target) {
    let mut conn = target.connect();
    let context = user("42");
    conn.with(&context).on_error_record(Action::new("post.publish")).transaction(|conn| insert_post(conn, 1)).unwrap();
    assert_eq!(target.actions(), [""; 0]);
}

fn retries_record_the_last_failure_once(target: &Target) {
    let mut attempts = 0;
    let conflict = "DO $$ BEGIN RAISE EXCEPTION 'on purpose' USING ERRCODE = '40001'; END $$";
    let result = target.connect().with(&user("42")).on_error_record(Action::new("seat.take")).retry(
        &RetryPolicy::new(),
        |conn| {
            attempts += 1;
            run(conn, conflict)
        },
    );
    assert!(result.is_err());
    assert_eq!(attempts, 5);
    assert_eq!(target.actions(), ["seat.take error 42"]);
}

fn inside_a_transaction_the_failure_is_recorded_in_that_one(target: &Target) {
    target
        .connect()
        .audited(&user("outer"), |conn| {
            let failed = conn
                .with(&user("inner"))
                .on_error_record(Action::new("invoice.charge"))
                .transaction(|_| Err::<(), _>(DieselError::NotFound));
            assert!(failed.is_err());
            insert_post(conn, 1)
        })
        .unwrap();
    assert_eq!(target.actions(), ["invoice.charge error inner"]);
    assert_eq!(target.trail(), ["posts insert 1 outer -"]);
}

fn a_failure_of_its_own_is_recorded_outside_a_transaction_only(target: &Target) {
    let mut conn = target.connect();
    let action = Action::new("login");
    conn.audited(&user("42"), |conn| {
        let error = conn.record_failure(&user("42"), &action).unwrap_err();
        assert!(error.is_nested(), "{error}");
        Ok::<_, Error>(())
    })
    .unwrap();
    conn.record_failure(&user("43"), &action).unwrap();
    assert_eq!(target.actions(), ["login error 43"]);
}

fn a_failure_that_cannot_be_recorded_is_traced_and_keeps_the_error(target: &Target) {
    // Both instances of this test listen to the same process.
    let name = format!("post.publish at {}", target.url);
    let error = target
        .connect()
        .with(&user("secret-actor"))
        .on_error_record(Action::new(&name).verb(""))
        .transaction(|_| Err::<(), _>(DieselError::NotFound))
        .unwrap_err();
    assert!(matches!(error, DieselError::NotFound));
    let seen = SEEN.lock().unwrap();
    let event = seen.iter().find(|event| event.contains(&name)).expect("an event");
    assert!(event.contains("a failed operation could not be recorded"), "{event}");
    assert!(event.contains("invalid_action") && !event.contains("secret-actor"), "{event}");
}

fn a_broken_connection_keeps_the_error(target: &Target) {
    let answer: Result<Outcome<()>, Error> =
        target.connect().with(&user("42")).on_error_record(Action::new("post.publish")).transaction(|conn| {
            let backend = text(conn, "pg_backend_pid()")?.unwrap();
            target.rows(&format!("SELECT pg_terminate_backend({backend}, 5000)"));
            insert_post(conn, 1)?;
            Ok(())
        });
    let error = answer.unwrap_err();
    assert!(!error.is_nested() && !error.is_unknown_commit(), "{error}");
    assert_eq!(target.actions(), [""; 0]);
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
            write!(fields, "{field}={value:?} ").unwrap();
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
