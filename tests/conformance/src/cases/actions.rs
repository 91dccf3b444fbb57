//! What was done, in the words of the business.

use threadline_core::{Action, ActionStatus, ActorRef, Timeline};

use crate::place::user;
use crate::script::{act, insert};
use crate::{Adapter, Call, Place, Step};

pub(super) async fn none_is_capture_only<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let outcome = adapter.transaction(&Call::new(user("42"), vec![insert(1)])).await.unwrap();
    assert!(outcome.is_some());
    assert_eq!((place.trail(), place.actions()), (vec!["posts insert 1 42 -".to_owned()], Vec::new()));
}

pub(super) async fn one_before_the_write<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    adapter.transaction(&Call::new(user("42"), vec![act("posted"), insert(1)])).await.unwrap();
    assert_eq!(place.trail(), ["posts insert 1 42 posted"]);
    assert_eq!(place.actions(), ["posted ok 42"]);
}

pub(super) async fn one_after_the_write<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    adapter.transaction(&Call::new(user("42"), vec![insert(1), insert(2), act("posted")])).await.unwrap();
    assert_eq!(place.trail(), ["posts insert 1 42 posted", "posts insert 2 42 posted"]);
}

pub(super) async fn one_between_two_writes<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    adapter.transaction(&Call::new(user("42"), vec![insert(1), act("posted"), insert(2)])).await.unwrap();
    assert_eq!(place.trail(), ["posts insert 1 42 posted", "posts insert 2 42 posted"]);
    assert_eq!(place.count("threadline.audit_transactions"), 1);
}

pub(super) async fn many<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let script = vec![insert(1), act("first"), insert(2), act("second"), insert(3), act("third")];
    adapter.transaction(&Call::new(user("42"), script)).await.unwrap();
    assert_eq!(place.trail(), ["posts insert 1 42 first", "posts insert 2 42 first", "posts insert 3 42 second"]);
    assert_eq!(place.actions(), ["first ok 42", "second ok 42", "third ok 42"]);
}

pub(super) async fn every_field_is_recorded<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let action = Action::new("post.removed")
        .status(ActionStatus::Error)
        .verb("remove")
        .category("moderation")
        .reason("line one\nline two")
        .comment("said \"so\"")
        .correlation_id("c-2");
    let context = user("42").correlation_id("c-1").request_id("r-1").job_id("j-1");
    adapter.transaction(&Call::new(context, vec![Step::Act(action), insert(1)])).await.unwrap();
    let page = adapter.timeline(&Timeline::new().action("post.removed")).await.unwrap();
    let [linked] = &page.entries[..] else { panic!("{page:?}") };
    let action = linked.action.as_ref().unwrap();
    assert_eq!(action.status, ActionStatus::Error);
    assert_eq!(action.verb.as_deref(), Some("remove"));
    assert_eq!(action.category.as_deref(), Some("moderation"));
    assert_eq!(action.reason.as_deref(), Some("line one\nline two"));
    assert_eq!(action.comment.as_deref(), Some("said \"so\""));
    assert_eq!(action.correlation_id.as_deref(), Some("c-2"), "the action's own");
    assert_eq!(action.request_id.as_deref(), Some("r-1"), "the context's");
    assert_eq!(action.job_id.as_deref(), Some("j-1"), "the context's");
}

pub(super) async fn an_action_may_have_another_actor<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let action = Action::new("approved").actor(ActorRef::admin("boss").unwrap());
    adapter.transaction(&Call::new(user("42"), vec![Step::Act(action), insert(1)])).await.unwrap();
    assert_eq!(place.trail(), ["posts insert 1 42 approved"]);
    assert_eq!(place.actions(), ["approved ok boss"]);
}
