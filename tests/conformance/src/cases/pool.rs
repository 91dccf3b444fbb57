//! A pool that has no connection left.

use std::time::Duration;

use crate::place::{assert_clean, user};
use crate::script::{Slot, insert, meanwhile};
use crate::{Adapter, Call, Kind, Place};

pub(super) async fn exhaustion_leaves_nothing<A: Adapter>(place: Place) {
    let adapter: A = place.open_within(1, Duration::from_secs(1)).await;
    let refused = Slot::default();
    let other = {
        let (adapter, refused) = (adapter.clone(), refused.clone());
        meanwhile(move || {
            let (adapter, refused) = (adapter.clone(), refused.clone());
            async move {
                refused.put(adapter.transaction(&Call::new(user("43"), vec![insert(2)])).await.unwrap_err());
            }
        })
    };
    adapter.transaction(&Call::new(user("42"), vec![insert(1), other, insert(3)])).await.unwrap();
    let error = refused.take();
    assert_eq!(error.kind(), Kind::Driver, "{error:?}");
    assert_eq!(place.trail(), ["posts insert 1 42 -", "posts insert 3 42 -"]);
    assert_clean(&adapter, "after the pool was exhausted").await;
    adapter.transaction(&Call::new(user("43"), vec![insert(2)])).await.unwrap();
    assert_eq!(place.trail().len(), 3);
}
