//! The test mode: what users' own tests assert, inside a transaction that they roll back.

use threadline_core::{FinishProbe, Probed, StartProbe};

use crate::place::user;
use crate::script::{Slot, act, insert, sql};
use crate::{Adapter, Call, Part, Place, Step};

fn plain(id: i64) -> Part {
    Part::Sql(format!("INSERT INTO posts VALUES ({id}, 'x')"))
}

/// What the code under test wrote in a test's transaction, which is rolled back.
async fn probed<A: Adapter>(adapter: &A, set_up: Vec<Part>, code: Vec<Part>, after: Vec<Part>) -> Probed {
    let slot = Slot::default();
    let mut parts = set_up;
    parts.push(Part::Probe(code, slot.clone()));
    parts.extend(after);
    adapter.foreign(&parts, false).await.unwrap();
    slot.take()
}

pub(super) async fn attributed_code_passes<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let code = vec![Part::Attach(user("42"), vec![act("posted"), insert(2), Step::Nested(None, vec![insert(3)])])];
    let probed = probed(&adapter, vec![plain(1)], code, vec![plain(4)]).await;
    probed.verify().unwrap();
    assert_eq!(probed.changes().len(), 2, "neither the set-up nor what follows is counted");
    let actor = probed.changes()[0].transaction.as_ref().unwrap().actor.as_ref().unwrap();
    assert_eq!(actor.id(), Some("42"));
    place.assert_untouched();
}

/// carbonite#150: the unit that the test itself captured must not pass for the one of the code under test.
pub(super) async fn a_missing_context_is_seen_though_the_test_has_one<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    // One context is gone again, the other is still there when the code runs.
    for set_up in [
        Part::Attach(user("test"), vec![act("set up"), insert(1)]),
        Part::AttachForGood(user("test"), vec![act("set up"), insert(1)]),
    ] {
        let probed = probed(&adapter, vec![set_up], vec![plain(2)], Vec::new()).await;
        let error = probed.verify().unwrap_err();
        assert!(error.is_unattributed());
        assert!(error.to_string().contains("1 without an actor (1 insert of public.posts)"), "{error}");
        assert_eq!((probed.without_actor().count(), probed.without_action().count()), (1, 1));
    }
    place.assert_untouched();
}

pub(super) async fn a_missing_action_is_seen<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    // The set-up has an action of the same actor, which covers nothing of what the code does.
    let set_up = vec![Part::Attach(user("42"), vec![act("set up"), insert(1)])];
    let code = vec![Part::Attach(user("42"), vec![insert(2)])];
    let probed = probed(&adapter, set_up, code, Vec::new()).await;
    assert_eq!((probed.without_actor().count(), probed.without_action().count()), (0, 1));
    assert!(probed.verify().unwrap_err().to_string().contains("1 without an action"));
}

pub(super) async fn what_a_savepoint_rolled_back_is_not_counted<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let lost = Step::CarelessNested(None, vec![insert(1), Step::Fail]);
    let kept = vec![act("posted"), lost.clone(), insert(2)];
    probed(&adapter, Vec::new(), vec![Part::Attach(user("42"), kept)], Vec::new()).await.verify().unwrap();
    let nothing =
        probed(&adapter, Vec::new(), vec![Part::Attach(user("42"), vec![act("posted"), lost])], Vec::new()).await;
    assert!(nothing.verify().unwrap_err().to_string().contains("nothing was captured"));
}

pub(super) async fn the_context_is_back_afterwards<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let slot = Slot::default();
    let probe = Step::Probe(vec![Step::Nested(Some(user("43")), vec![insert(2), act("posted")])], slot.clone());
    adapter.transaction(&Call::new(user("42"), vec![act("outer"), insert(1), probe, insert(3)])).await.unwrap();
    slot.take().verify().unwrap();
    assert_eq!(place.trail(), ["posts insert 1 42 outer", "posts insert 2 43 posted", "posts insert 3 42 outer"]);
}

pub(super) async fn it_works_in_an_audited_transaction_too<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let slot = Slot::default();
    let probe = Step::Probe(vec![sql("UPDATE posts SET title = 'new'")], slot.clone());
    adapter.transaction(&Call::new(user("test"), vec![act("set up"), insert(1), probe, Step::Fail])).await.unwrap_err();
    assert_eq!(slot.take().without_actor().count(), 1, "the code under test brought no context of its own");
    place.assert_untouched();
}

pub(super) async fn code_that_commits_by_itself<A: Adapter>(place: Place) {
    let adapter: A = place.open(2).await;
    adapter.unaudited("INSERT INTO posts VALUES (1, 'x')").await.unwrap();
    let probe = adapter.run(&StartProbe).await.unwrap();
    adapter.transaction(&Call::new(user("42"), vec![act("posted"), insert(2)])).await.unwrap();
    let probed = adapter.run(&FinishProbe(&probe)).await.unwrap();
    assert_eq!(probed.changes().len(), 1);
    probed.verify().unwrap();
    adapter.unaudited("INSERT INTO posts VALUES (3, 'x')").await.unwrap();
    assert_eq!(adapter.run(&FinishProbe(&probe)).await.unwrap().without_actor().count(), 1);
}
