//! Operations that failed and are recorded although their transaction was rolled back.

use threadline_core::Action;

use crate::place::{assert_clean, user};
use crate::script::{act, insert, sql};
use crate::{Adapter, Call, Kind, Place, Step};

fn charge() -> Action {
    Action::new("invoice.charge").reason("card")
}

pub(super) async fn a_failed_closure_is_recorded<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let call = Call::new(user("42").correlation_id("c-1"), vec![insert(1), act("started"), Step::Fail]);
    let error = adapter.transaction(&call.on_error(charge())).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Own, "the closure's error is told: {error:?}");
    assert_eq!(place.actions(), ["invoice.charge error 42"]);
    assert_eq!(place.value("SELECT correlation_id || ' ' || reason FROM threadline.audit_actions"), "c-1 card");
    assert_eq!((place.count("posts"), place.trail().len()), (0, 0));
    assert_clean(&adapter, "after a failure was recorded").await;
}

pub(super) async fn a_refused_commit_is_recorded<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let call = Call::new(user("42"), vec![sql("INSERT INTO comments VALUES (1, 99)")]);
    let error = adapter.transaction(&call.on_error(charge())).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Driver, "{error:?}");
    assert_eq!((place.actions(), place.count("comments")), (vec!["invoice.charge error 42".to_owned()], 0));
}

pub(super) async fn a_success_is_not_recorded_as_a_failure<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    adapter.transaction(&Call::new(user("42"), vec![insert(1)]).on_error(charge())).await.unwrap();
    assert_eq!((place.actions(), place.count("posts")), (Vec::new(), 1));
}

pub(super) async fn a_failure_is_recorded_by_itself<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    adapter.record_failure(&user("42"), &charge()).await.unwrap();
    assert_eq!(place.actions(), ["invoice.charge error 42"]);
    assert_clean(&adapter, "after a failure was recorded").await;
}
