//! Reading the trail.

use threadline_core::{ActorRef, RowHistory, Timeline};

use crate::place::user;
use crate::script::{insert, sql};
use crate::{Adapter, Call, Place};

pub(super) async fn pages_of_the_timeline<A: Adapter>(place: Place) {
    let adapter: A = place.open(2).await;
    for id in 1..=5 {
        adapter.transaction(&Call::new(user(&(id % 2).to_string()), vec![insert(id)])).await.unwrap();
    }
    let odd = ActorRef::user("1").unwrap();
    let query = Timeline::new().schema("public").table("posts").actor(&odd).limit(2);
    let first = adapter.timeline(&query).await.unwrap();
    let keys = |entries: &[threadline_core::LinkedChange]| -> Vec<String> {
        entries.iter().map(|linked| linked.change.table_pk.as_ref().unwrap().get().to_owned()).collect()
    };
    assert_eq!(keys(&first.entries), [r#"{"id": 5}"#, r#"{"id": 3}"#]);
    let second = adapter.timeline(&query.clone().cursor(first.next.unwrap())).await.unwrap();
    assert_eq!((keys(&second.entries), second.next.is_none()), (vec![r#"{"id": 1}"#.to_owned()], true));
    let history = adapter.run(&RowHistory::by_id("public", "posts", 5)).await.unwrap();
    assert_eq!(keys(&history.entries), [r#"{"id": 5}"#]);
}

pub(super) async fn inside_a_transaction_its_own_changes_are_seen<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let seen = crate::script::Slot::default();
    let script = vec![
        insert(1),
        crate::Step::Probe(vec![sql("UPDATE posts SET title = 'new'")], seen.clone()),
        crate::Step::Fail,
    ];
    adapter.transaction(&Call::new(user("42"), script)).await.unwrap_err();
    assert_eq!(seen.take().changes().len(), 1);
    assert!(adapter.timeline(&Timeline::new()).await.unwrap().entries.is_empty(), "it was rolled back");
}

pub(super) async fn a_table_that_is_not_captured_is_an_error<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let error = adapter.timeline(&Timeline::new().schema("public").table("plain")).await.unwrap_err();
    assert_eq!(error.code(), Some("not_captured"), "{error:?}");
    let error = adapter.timeline(&Timeline::new().correlation_id(" ")).await.unwrap_err();
    assert_eq!(error.code(), Some("invalid_input"), "{error:?}");
}
