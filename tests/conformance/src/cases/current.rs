//! The current context of a task.

use std::time::Duration;

use threadline_core::AuditContext;

use crate::place::user;
use crate::script::insert;
use crate::{Adapter, Call, Failure, Kind, Place};

/// Code deep inside a request: nobody handed it a context.
async fn deep_inside<A: Adapter>(adapter: A, id: i64) -> Result<(), Failure> {
    // Goes to sleep, so that it may wake up on another thread.
    tokio::time::sleep(Duration::from_millis(1)).await;
    // Without one nobody is named, and the transaction does not begin.
    let context = AuditContext::current().unwrap_or_else(AuditContext::without_actor);
    adapter.transaction(&Call::new(context, vec![insert(id)])).await.map(drop)
}

pub(super) async fn code_deep_inside_finds_the_context<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    user("42").scope(deep_inside(adapter.clone(), 1)).await.unwrap();
    let error = deep_inside(adapter, 2).await.unwrap_err();
    assert_eq!(error.kind(), Kind::MissingActor, "{error:?}");
    assert_eq!(place.trail(), ["posts insert 1 42 -"]);
}

pub(super) async fn it_is_lost_over_spawn<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let request = user("42").scope(async {
        let lost = tokio::spawn(deep_inside(adapter.clone(), 1)).await.unwrap();
        assert_eq!(lost.unwrap_err().kind(), Kind::MissingActor);
        let lost = tokio::task::spawn_blocking(AuditContext::current).await.unwrap();
        assert_eq!(lost, None);
        // Taken along by name.
        let context = AuditContext::current().unwrap();
        tokio::spawn(context.scope(deep_inside(adapter.clone(), 2))).await.unwrap().unwrap();
    });
    request.await;
    assert_eq!(place.trail(), ["posts insert 2 42 -"]);
}

pub(super) async fn tasks_in_turns_keep_their_own<A: Adapter>(place: Place) {
    let adapter: A = place.open(2).await;
    let tasks: Vec<_> =
        (1..=16).map(|id| tokio::spawn(user(&id.to_string()).scope(deep_inside(adapter.clone(), id)))).collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let wrong = "SELECT c.table_pk FROM threadline.audit_changes c
        JOIN threadline.audit_transactions t ON t.id = c.transaction_id
        WHERE t.actor_ref ->> 'id' IS DISTINCT FROM c.table_pk ->> 'id'";
    assert_eq!((place.trail().len(), place.column(wrong)), (16, Vec::new()));
}
