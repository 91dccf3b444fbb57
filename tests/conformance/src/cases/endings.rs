//! How a transaction ends.

use crate::place::{assert_clean, user};
use crate::script::{Expected, act, insert, sql};
use crate::{Adapter, Call, Ending, Kind, Place, Step};

pub(super) async fn an_error_of_the_closure_rolls_back<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let call = Call::new(user("42"), vec![insert(1), act("posted"), Step::Fail]);
    let error = adapter.transaction(&call).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Own, "the closure's own error comes out: {error:?}");
    place.assert_untouched();
    assert_clean(&adapter, "after an error").await;
}

pub(super) async fn an_error_of_the_database_rolls_back<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let call = Call::new(user("42"), vec![insert(1), act("posted"), insert(1)]);
    let error = adapter.transaction(&call).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Driver, "{error:?}");
    assert!(format!("{error:?}").contains("posts_pkey"), "the driver's words are kept: {error:?}");
    place.assert_untouched();
    adapter.transaction(&Call::new(user("43"), vec![insert(1)])).await.unwrap();
    assert_eq!(place.trail(), ["posts insert 1 43 -"]);
}

pub(super) async fn a_panic_rolls_back<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let task = {
        let adapter = adapter.clone();
        tokio::spawn(async move {
            adapter.transaction(&Call::new(user("42"), vec![insert(1), act("posted"), Step::Panic])).await
        })
    };
    let payload = task.await.unwrap_err().into_panic();
    assert!(payload.is::<Expected>(), "the closure's own panic comes out");
    place.until_quiet().await;
    place.assert_untouched();
    assert_clean(&adapter, "after a panic").await;
    adapter.transaction(&Call::new(user("43"), vec![insert(1)])).await.unwrap();
    assert_eq!(place.trail(), ["posts insert 1 43 -"]);
}

/// PostgreSQL answers COMMIT with ROLLBACK then, which most drivers take for a success.
pub(super) async fn a_swallowed_error_is_no_commit<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let call = Call::new(user("42"), vec![insert(1), Step::Careless("SELECT 1 / 0".to_owned())]);
    let error = adapter.transaction(&call).await.unwrap_err();
    assert_eq!(error.kind(), Kind::RolledBack, "{error:?}");
    place.assert_untouched();
    assert_clean(&adapter, "after a swallowed error").await;
}

pub(super) async fn a_deferred_constraint_fails_the_commit<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let call = Call::new(user("42"), vec![insert(1), sql("INSERT INTO comments VALUES (1, 99)")]);
    let error = adapter.transaction(&call).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Driver, "{error:?}");
    assert!(format!("{error:?}").contains("comments_post_id_fkey"), "{error:?}");
    place.assert_untouched();
    assert_clean(&adapter, "after a refused commit").await;
}

pub(super) async fn the_begin_form_commits<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let scope = Step::Nested(Some(user("43")), vec![insert(2)]);
    let call = Call::new(user("42"), vec![insert(1), act("posted"), scope, insert(3)]);
    let id = adapter.guard(&call, Ending::Commit).await.unwrap();
    assert_eq!(place.trail(), ["posts insert 1 42 posted", "posts insert 2 43 -", "posts insert 3 42 posted"]);
    let recorded = place.value("SELECT min(transaction_id) FROM threadline.audit_changes");
    assert_eq!(id.map(|id| id.0.to_string()), Some(recorded));
    assert_clean(&adapter, "after a commit").await;
}

pub(super) async fn the_begin_form_rolls_back<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let call = Call::new(user("42"), vec![insert(1), act("posted")]);
    adapter.guard(&call, Ending::Rollback).await.unwrap();
    place.assert_untouched();
    assert_clean(&adapter, "after a rollback").await;
}

pub(super) async fn the_begin_form_rolls_back_when_dropped<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let call = Call::new(user("42"), vec![insert(1), act("posted")]);
    adapter.guard(&call, Ending::Drop).await.unwrap();
    assert_clean(&adapter, "after a guard was dropped").await;
    place.until_quiet().await;
    place.assert_untouched();
}
