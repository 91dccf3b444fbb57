//! Futures dropped after 0, 1, 2 .. polls: whatever was on its way, the next borrower of the connection finds no open
//! transaction and nobody's actor, and the trail holds all of a transaction or none of it.

use std::future::Future;

use threadline_core::{Action, InstalledVersion};
use threadline_testkit::Sweep;

use crate::place::{assert_clean, user};
use crate::script::{act, insert, once, sql};
use crate::{Adapter, Call, Ending, Place, Route, Step};

/// On a direct connection; through a pooler fewer.
const TRIES: usize = 400;
const TRIES_THROUGH_A_POOLER: usize = 160;
/// Each way of each adapter waits for the server at least so often.
const DEPTH: usize = 2;

/// Tries `work` at least so many times, each time with a number of its own: dropped after no poll, after one, after two .. until
/// it is through before it can be dropped; then from the beginning.
async fn cancel<A: Adapter, F: Future<Output = Result<(), crate::Failure>>>(
    place: &Place,
    connections: u32,
    work: impl Fn(A, i64) -> F,
) {
    let adapter: A = place.open(connections).await;
    // With the connection still to be made.
    work(adapter.clone(), 1_000_001).await.unwrap();
    let tries = if place.route() == Route::Direct { TRIES } else { TRIES_THROUGH_A_POOLER };
    let mut sweep = Sweep::new(tries, DEPTH);
    while let Some(round) = sweep.next_round() {
        let future = Box::pin(work(adapter.clone(), i64::try_from(round).unwrap() + 1));
        let answer = sweep.cancel(future).await;
        assert_clean(&adapter, &sweep.to_string()).await;
        answer.transpose().unwrap();
    }
    place.until_quiet().await;
    assert_all_or_nothing(place);
}

/// Each try writes posts of its own number as the user of its number; a post of 10 million more is the inner user's.
fn assert_all_or_nothing(place: &Place) {
    let wrong = place.column(
        "SELECT concat_ws(' ', p.id, c.op, t.actor_ref ->> 'id') FROM posts p
        FULL JOIN threadline.audit_changes c ON (c.table_pk ->> 'id')::bigint = p.id
        LEFT JOIN threadline.audit_transactions t ON t.id = c.transaction_id
        WHERE (t.actor_ref ->> 'id' = CASE WHEN p.id > 10000000 THEN 'inner' ELSE p.id::text END) IS NOT TRUE",
    );
    assert_eq!(wrong, [""; 0], "changes without a post, posts without a change, changes of another actor");
}

/// Every action has its post and every post its action.
fn assert_actions_match(place: &Place) {
    let wrong = place.column(
        "SELECT concat_ws(' ', p.id, a.id) FROM posts p
        FULL JOIN threadline.audit_actions a ON a.actor_ref ->> 'id' = p.id::text WHERE p.id IS NULL OR a.id IS NULL",
    );
    assert_eq!(wrong, [""; 0]);
}

fn me(number: i64) -> threadline_core::AuditContext {
    user(&number.to_string())
}

pub(super) async fn of_the_closure_form<A: Adapter>(place: Place) {
    cancel::<A, _>(&place, 1, |adapter, number| async move {
        let call = Call::new(me(number), vec![act("posted"), insert(number)]);
        adapter.transaction(&call).await.map(drop)
    })
    .await;
    assert_actions_match(&place);
}

pub(super) async fn of_the_begin_form<A: Adapter>(place: Place) {
    cancel::<A, _>(&place, 1, |adapter, number| async move {
        let call = Call::new(me(number), vec![insert(number), act("posted")]);
        adapter.guard(&call, Ending::Commit).await.map(drop)
    })
    .await;
    assert_actions_match(&place);
}

pub(super) async fn of_a_rollback<A: Adapter>(place: Place) {
    cancel::<A, _>(&place, 1, |adapter, number| async move {
        adapter.guard(&Call::new(me(number), vec![insert(number)]), Ending::Rollback).await.map(drop)
    })
    .await;
    assert_eq!(place.count("posts"), 0);
}

pub(super) async fn of_nested_scopes<A: Adapter>(place: Place) {
    cancel::<A, _>(&place, 1, |adapter, number| async move {
        let scope = Step::Nested(Some(user("inner")), vec![insert(10_000_000 + number)]);
        let lost = Step::CarelessNested(None, vec![insert(20_000_000 + number), Step::Fail]);
        let call = Call::new(me(number), vec![insert(number), scope, lost, act("posted")]);
        adapter.transaction(&call).await.map(drop)
    })
    .await;
    let halves = place.column(
        "SELECT p.id FROM posts p FULL JOIN posts q ON q.id = p.id + 10000000
        WHERE p.id < 10000000 AND q.id IS NULL OR p.id IS NULL AND q.id > 10000000",
    );
    assert_eq!(halves, [""; 0]);
}

pub(super) async fn of_the_retried_form<A: Adapter>(place: Place) {
    cancel::<A, _>(&place, 1, |adapter, number| async move {
        let conflict = sql("DO $$ BEGIN RAISE EXCEPTION 'on purpose' USING ERRCODE = '40001'; END $$");
        let call = Call::new(me(number), vec![act("posted"), insert(number), once(vec![conflict])]);
        adapter.retry(3, &call).await.map(drop)
    })
    .await;
    assert_actions_match(&place);
}

pub(super) async fn of_recording_a_failure<A: Adapter>(place: Place) {
    cancel::<A, _>(&place, 1, |adapter, number| async move {
        adapter.record_failure(&me(number), &Action::new("login")).await
    })
    .await;
    assert!(place.actions().iter().all(|action| action.starts_with("login error ")));
}

pub(super) async fn of_a_read<A: Adapter>(place: Place) {
    cancel::<A, _>(&place, 1, |adapter, _| async move { adapter.run(&InstalledVersion).await.map(drop) }).await;
}
