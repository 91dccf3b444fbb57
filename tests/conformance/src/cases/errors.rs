//! Errors on their way through the ORM's own error type.

use threadline_core::AuditContext;

use crate::place::user;
use crate::{Adapter, Kind, Place};

pub(super) async fn they_come_back_out_of_the_orms_error<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let insert = "INSERT INTO posts VALUES (1, 'x')";
    // One that is made before anything is sent.
    let answer = adapter.through_orm_error(&AuditContext::without_actor(), insert).await;
    assert_eq!(answer, Err(Some(Kind::MissingActor)));
    place.assert_untouched();
    // One that is the ORM's from the beginning.
    let answer = adapter.through_orm_error(&user("42"), "SELECT 1 / 0").await;
    assert_eq!(answer, Err(None));
    assert_eq!(adapter.through_orm_error(&user("42"), insert).await, Ok(()));
    assert_eq!(place.trail(), ["posts insert 1 42 -"]);
}
