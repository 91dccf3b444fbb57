//! A server that goes away. These cases have one of their own.

use crate::place::{assert_clean, user};
use crate::script::{act, insert, meanwhile};
use crate::{Adapter, Call, Kind, Place};

pub(super) async fn a_restart_in_mid_transaction<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    adapter.transaction(&Call::new(user("41"), vec![insert(10)])).await.unwrap();
    let crash = {
        let place = place.clone();
        meanwhile(move || {
            let place = place.clone();
            async move { tokio::task::spawn_blocking(move || place.crash()).await.unwrap() }
        })
    };
    let call = Call::new(user("42"), vec![insert(1), act("posted"), crash, insert(2)]);
    let error = adapter.transaction(&call).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Driver, "COMMIT was never sent: {error:?}");
    assert_eq!(
        (place.count("posts"), place.trail(), place.actions()),
        (1, vec!["posts insert 10 41 -".to_owned()], vec![])
    );

    // A pool may have to find out about each connection that is gone.
    let again = Call::new(user("43"), vec![insert(3)]);
    let mut answer = adapter.transaction(&again).await;
    for _ in 0..4 {
        if answer.is_err() {
            answer = adapter.transaction(&again).await;
        }
    }
    answer.unwrap();
    assert_eq!(place.trail(), ["posts insert 10 41 -", "posts insert 3 43 -"]);
    assert_clean(&adapter, "after a restart").await;
}
