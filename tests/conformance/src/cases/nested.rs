//! Scopes inside an audited transaction.

use threadline_core::AuditContext;

use crate::place::user;
use crate::script::{act, insert, sql};
use crate::{Adapter, Call, Kind, Place, Step};

pub(super) async fn a_scope_inherits_the_context<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let script = vec![act("outer"), insert(1), Step::Nested(None, vec![insert(2), act("inner"), insert(3)]), insert(4)];
    adapter.transaction(&Call::new(user("42"), script)).await.unwrap();
    assert_eq!(
        place.trail(),
        [
            "posts insert 1 42 outer",
            "posts insert 2 42 outer",
            "posts insert 3 42 inner",
            // Its actions stay current after it.
            "posts insert 4 42 inner"
        ]
    );
}

pub(super) async fn a_scope_with_another_context_restores_the_outer_one<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let script = vec![act("outer"), insert(1), Step::Nested(Some(user("43")), vec![insert(2)]), insert(3)];
    let id = adapter.transaction(&Call::new(user("42"), script)).await.unwrap();
    assert_eq!(place.trail(), ["posts insert 1 42 outer", "posts insert 2 43 -", "posts insert 3 42 outer"]);
    let outer = "SELECT transaction_id FROM threadline.audit_changes WHERE table_pk ->> 'id' = '3'";
    assert_eq!(id.map(|id| id.0.to_string()), Some(place.value(outer)), "the outcome is the outer context's");
}

pub(super) async fn a_failed_scope_is_rolled_back_alone<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    for (round, end) in [(0, sql("SELECT 1 / 0")), (10, Step::Fail)] {
        let scope = vec![insert(round + 2), act("lost"), end];
        let script = vec![insert(round + 1), Step::CarelessNested(None, scope), insert(round + 3)];
        adapter.transaction(&Call::new(user("42"), script)).await.unwrap();
    }
    let kept: Vec<String> = [1, 3, 11, 13].map(|id| format!("posts insert {id} 42 -")).into();
    assert_eq!((place.trail(), place.actions()), (kept, Vec::new()));
    assert_eq!(place.count("posts"), 4);
}

pub(super) async fn a_failed_scope_with_another_context_restores_the_outer_one<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let scope = vec![insert(2), sql("SELECT 1 / 0")];
    let script = vec![insert(1), Step::CarelessNested(Some(user("43")), scope), insert(3)];
    adapter.transaction(&Call::new(user("42"), script)).await.unwrap();
    assert_eq!(place.trail(), ["posts insert 1 42 -", "posts insert 3 42 -"]);
}

pub(super) async fn a_failed_scope_ends_the_transaction_unless_dropped<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let script = vec![insert(1), Step::Nested(Some(user("43")), vec![insert(2), Step::Fail]), insert(3)];
    let error = adapter.transaction(&Call::new(user("42"), script)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Own, "{error:?}");
    place.assert_untouched();
}

pub(super) async fn scopes_in_scopes<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let deepest = Step::Nested(Some(user("3")), vec![insert(3)]);
    let deep = Step::Nested(None, vec![deepest, insert(4), Step::CarelessNested(None, vec![insert(5), Step::Fail])]);
    let script = vec![insert(1), Step::Nested(Some(user("2")), vec![insert(2), deep, insert(6)]), insert(7)];
    adapter.transaction(&Call::new(user("1"), script)).await.unwrap();
    assert_eq!(
        place.trail(),
        [
            "posts insert 1 1 -",
            "posts insert 2 2 -",
            "posts insert 3 3 -",
            "posts insert 4 2 -",
            "posts insert 6 2 -",
            "posts insert 7 1 -"
        ]
    );
}

pub(super) async fn actions_stay_with_their_scope<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let scope = vec![insert(2), act("inner")];
    let script = vec![insert(1), Step::Nested(Some(user("43")), scope), insert(3), act("outer")];
    adapter.transaction(&Call::new(user("42"), script)).await.unwrap();
    assert_eq!(place.trail(), ["posts insert 1 42 outer", "posts insert 2 43 inner", "posts insert 3 42 outer"]);
    assert_eq!(place.actions(), ["inner ok 43", "outer ok 42"]);
}

pub(super) async fn a_scope_without_an_actor_is_refused<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let script = vec![insert(1), Step::Nested(Some(AuditContext::without_actor()), vec![insert(2)])];
    let error = adapter.transaction(&Call::new(user("42"), script)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::MissingActor, "{error:?}");
    place.assert_untouched();
}
