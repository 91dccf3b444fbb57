//! Running a transaction again when it lost against another one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use threadline_core::{Action, IsolationLevel};
use threadline_testkit::until;
use tokio::sync::Barrier;

use crate::place::{assert_clean, user};
use crate::script::{Slot, act, insert, meanwhile, once, sql};
use crate::{Adapter, Call, Kind, Place, Step};

const CONFLICT: &str = "DO $$ BEGIN RAISE EXCEPTION 'on purpose' USING ERRCODE = '40001'; END $$";

/// A step that counts how often it comes by.
fn counted() -> (Arc<AtomicU32>, Step) {
    let count = Arc::new(AtomicU32::new(0));
    let step = meanwhile({
        let count = Arc::clone(&count);
        move || {
            count.fetch_add(1, Ordering::SeqCst);
            async {}
        }
    });
    (count, step)
}

fn read(sql: &str) -> Step {
    Step::Read(sql.to_owned(), Slot::default())
}

/// Somebody else changes what a snapshot still sees as it was.
pub(super) async fn a_conflict_in_a_statement<A: Adapter>(place: Place) {
    let adapter: A = place.open(2).await;
    let other = {
        let adapter = adapter.clone();
        meanwhile(move || {
            let adapter = adapter.clone();
            async move {
                let script = vec![sql("UPDATE counters SET n = n + 10 WHERE id = 1")];
                adapter.transaction(&Call::new(user("other"), script)).await.unwrap();
            }
        })
    };
    let (attempts, attempt) = counted();
    let script = vec![
        attempt,
        act("counted"),
        read("SELECT n::text FROM counters WHERE id = 1"),
        once(vec![other]),
        sql("UPDATE counters SET n = n + 1 WHERE id = 1"),
    ];
    let call = Call::new(user("42"), script).options(IsolationLevel::RepeatableRead);
    assert!(adapter.retry(3, &call).await.unwrap().is_some());
    assert_eq!(attempts.load(Ordering::SeqCst), 2);
    assert_eq!(place.value("SELECT n FROM counters WHERE id = 1"), "11");
    assert_eq!(place.trail(), ["counters update 1 other -", "counters update 1 42 counted"]);
    assert_eq!(place.actions(), ["counted ok 42"], "the action of the lost attempt is gone");
}

/// Two transactions that each read what the other writes; the one that commits second is refused.
pub(super) async fn a_conflict_in_commit<A: Adapter>(place: Place) {
    let adapter: A = place.open(2).await;
    let sum = "SELECT sum(n)::text FROM counters";
    let other = {
        let adapter = adapter.clone();
        meanwhile(move || {
            let adapter = adapter.clone();
            async move {
                let script = vec![read(sum), sql("UPDATE counters SET n = n + 10 WHERE id = 2")];
                let call = Call::new(user("other"), script).options(IsolationLevel::Serializable);
                adapter.transaction(&call).await.unwrap();
            }
        })
    };
    let (attempts, attempt) = counted();
    let write = sql("UPDATE counters SET n = n + 1 WHERE id = 1");
    // Our write comes first, so that nothing but COMMIT is left to fail.
    let script = vec![attempt, read(sum), write, once(vec![other])];
    let call = Call::new(user("42"), script).options(IsolationLevel::Serializable);
    adapter.retry(3, &call).await.unwrap();
    assert_eq!(attempts.load(Ordering::SeqCst), 2);
    assert_eq!(place.trail(), ["counters update 2 other -", "counters update 1 42 -"]);
}

pub(super) async fn a_deadlock<A: Adapter>(place: Place) {
    let adapter: A = place.open(2).await;
    let both_hold_one = Arc::new(Barrier::new(2));
    let work = |me: &'static str, first: i32, second: i32| {
        let adapter = adapter.clone();
        let barrier = Arc::clone(&both_hold_one);
        let meet = meanwhile(move || {
            let barrier = Arc::clone(&barrier);
            async move {
                barrier.wait().await;
            }
        });
        let (attempts, attempt) = counted();
        let script = vec![
            attempt,
            sql("SET LOCAL deadlock_timeout = '20ms'"),
            sql(format!("UPDATE counters SET n = n + 1 WHERE id = {first}")),
            once(vec![meet]),
            sql(format!("UPDATE counters SET n = n + 1 WHERE id = {second}")),
        ];
        tokio::spawn(async move {
            adapter.retry(20, &Call::new(user(me), script)).await.unwrap();
            attempts.load(Ordering::SeqCst)
        })
    };
    let (one, other) = (work("one", 1, 2), work("other", 2, 1));
    assert!(one.await.unwrap() + other.await.unwrap() > 2, "one of the two had to run again");
    assert_eq!(place.value("SELECT sum(n) FROM counters"), "4");
    assert_eq!(place.trail().len(), 4);
}

pub(super) async fn attempts_are_bounded<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let (attempts, attempt) = counted();
    let call = Call::new(user("42"), vec![attempt, insert(1), sql(CONFLICT)]);
    let error = adapter.retry(3, &call.on_error(Action::new("seat.take"))).await.unwrap_err();
    assert_eq!(error.kind(), Kind::SerializationFailure, "{error:?}");
    assert_eq!(attempts.load(Ordering::SeqCst), 3);
    assert_eq!((place.count("posts"), place.trail().len()), (0, 0));
    assert_eq!(place.actions(), ["seat.take error 42"], "the failure is recorded once");
    assert_clean(&adapter, "after the last attempt").await;
}

pub(super) async fn other_errors_are_not_retried<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    for (end, kind) in [(sql("SELECT 1 / 0"), Kind::Driver), (Step::Fail, Kind::Own)] {
        let (attempts, attempt) = counted();
        let error = adapter.retry(3, &Call::new(user("42"), vec![attempt, insert(1), end])).await.unwrap_err();
        assert_eq!((error.kind(), attempts.load(Ordering::SeqCst)), (kind, 1), "{error:?}");
    }
    place.assert_untouched();
}

/// The server process goes away while COMMIT is under way.
pub(super) async fn an_unknown_commit_is_not_retried<A: Adapter>(place: Place) {
    place.execute(
        "CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER linger AFTER INSERT ON plain DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION linger()",
    );
    let adapter: A = place.open(1).await;
    let (attempts, attempt) = counted();
    let script = vec![attempt, insert(1), sql("INSERT INTO plain VALUES (1)")];
    let call = Call::new(user("42"), script).on_error(Action::new("post.publish"));
    let work = tokio::spawn(async move { adapter.retry(3, &call).await });
    let lingering = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
    until("COMMIT to linger", || !place.column(lingering).is_empty()).await;
    place.execute(&format!("SELECT pg_terminate_backend(pid, 5000) FROM ({lingering}) AS l"));
    let error = work.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), Kind::UnknownCommit, "{error:?}");
    assert_eq!(attempts.load(Ordering::SeqCst), 1);
    assert_eq!(place.actions(), [""; 0], "what is not known to have failed is not recorded as a failure");
}

pub(super) async fn inside_a_transaction_it_is_refused<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let error = adapter.retry_inside(&Call::new(user("42"), vec![insert(1)])).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Nested, "{error:?}");
    assert_eq!(place.count("posts"), 0);
    assert_clean(&adapter, "after a refused retry").await;
}
