//! A context for a transaction that somebody else opened.

use crate::place::{assert_clean, user};
use crate::script::{act, insert, sql};
use crate::{Adapter, Kind, Part, Place, Step};

fn part(id: i64) -> Part {
    Part::Sql(format!("INSERT INTO posts VALUES ({id}, 'x')"))
}

pub(super) async fn changes_in_between_are_attributed<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let script = vec![insert(2), act("imported"), Step::Nested(Some(user("43")), vec![insert(3)]), insert(4)];
    let parts = [part(1), Part::Attach(user("42"), script), part(5), Part::Attach(user("44"), vec![insert(6)])];
    adapter.foreign(&parts, true).await.unwrap();
    assert_eq!(
        place.trail(),
        [
            "posts insert 1 - -",
            "posts insert 2 42 imported",
            "posts insert 3 43 -",
            "posts insert 4 42 imported",
            "posts insert 5 - -",
            "posts insert 6 44 -"
        ]
    );
    assert_clean(&adapter, "after an attached transaction").await;
}

pub(super) async fn a_context_never_detached_ends_with_the_transaction<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let parts = [Part::AttachForGood(user("42"), vec![insert(1)]), part(2)];
    adapter.foreign(&parts, true).await.unwrap();
    assert_clean(&adapter, "after a context was not detached").await;
    adapter.unaudited("INSERT INTO posts VALUES (3, 'x')").await.unwrap();
    assert_eq!(place.trail(), ["posts insert 1 42 -", "posts insert 2 42 -", "posts insert 3 - -"]);
}

pub(super) async fn the_owner_may_roll_back<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let parts = [part(1), Part::Attach(user("42"), vec![insert(2), act("imported")])];
    adapter.foreign(&parts, false).await.unwrap();
    let failing = [part(1), Part::Attach(user("42"), vec![insert(2), sql("SELECT 1 / 0")])];
    let error = adapter.foreign(&failing, true).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Driver, "{error:?}");
    assert_clean(&adapter, "after a rollback").await;
    place.assert_untouched();
}

pub(super) async fn outside_a_transaction_it_is_refused<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let error = adapter.attach_outside(&user("42")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotInTransaction, "{error:?}");
    assert_clean(&adapter, "after a refused attach").await;
}
