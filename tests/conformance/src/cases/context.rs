//! Who and why.

use serde_json::json;
use threadline_core::{ActorRef, AuditContext, IsolationLevel, Timeline};

use crate::place::{assert_clean, user};
use crate::script::{Slot, act, insert, sql};
use crate::{Adapter, Call, Kind, Place, Step};

pub(super) async fn every_field_is_recorded<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let actor = ActorRef::admin("7").unwrap().on_behalf_of(ActorRef::user("42").unwrap()).unwrap();
    let context = AuditContext::new(actor.clone())
        .correlation_id("c-1")
        .request_id("r-1")
        .job_id("j-1")
        .source("api")
        .remote_ip("2001:db8::1".parse().unwrap())
        .meta("tenant", "acme");
    let id = adapter.transaction(&Call::new(context, vec![insert(1)])).await.unwrap();
    let page = adapter.timeline(&Timeline::new()).await.unwrap();
    let [linked] = &page.entries[..] else { panic!("{page:?}") };
    let by = linked.transaction.as_ref().unwrap();
    assert_eq!((Some(by.id), by.actor.as_ref()), (id, Some(&actor)));
    assert_eq!(by.correlation_id.as_deref(), Some("c-1"));
    assert_eq!(by.request_id.as_deref(), Some("r-1"));
    assert_eq!(by.job_id.as_deref(), Some("j-1"));
    assert_eq!(by.source.as_deref(), Some("api"));
    assert_eq!(by.remote_ip.as_deref(), Some("2001:db8::1"));
    assert_eq!(by.meta.as_ref().map(|meta| meta.get()), Some(r#"{"tenant": "acme"}"#));
}

pub(super) async fn meta_keeps_its_types<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let context = user("42")
        .meta("number", 1.5)
        .meta("list", json!([1, "two", null, {"deep": [true]}]))
        .meta("empty", json!({}))
        .meta("ключ", "значение");
    adapter.transaction(&Call::new(context, vec![insert(1)])).await.unwrap();
    let meta: serde_json::Value =
        serde_json::from_str(&place.value("SELECT meta FROM threadline.audit_transactions")).unwrap();
    assert_eq!(
        meta,
        json!({"number": 1.5, "list": [1, "two", null, {"deep": [true]}], "empty": {}, "ключ": "значение"})
    );
}

pub(super) async fn a_missing_actor_is_refused<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let call = Call::new(AuditContext::without_actor(), vec![insert(1)]);
    let error = adapter.transaction(&call).await.unwrap_err();
    assert_eq!(error.kind(), Kind::MissingActor, "{error:?}");
    place.assert_untouched();
}

pub(super) async fn a_missing_actor_is_allowed_when_said<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let context = AuditContext::without_actor().allow_missing_actor().correlation_id("c-1");
    adapter.transaction(&Call::new(context, vec![insert(1)])).await.unwrap();
    assert_eq!(place.trail(), ["posts insert 1 - -"]);
    assert_eq!(place.value("SELECT correlation_id FROM threadline.audit_transactions"), "c-1");
}

pub(super) async fn a_table_may_insist_on_an_actor<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let pay = vec![sql("INSERT INTO payments VALUES (1, 10)")];
    let nobody = AuditContext::without_actor().allow_missing_actor();
    let error = adapter.transaction(&Call::new(nobody, pay.clone())).await.unwrap_err();
    assert_eq!(error.kind(), Kind::MissingActor, "{error:?}");
    assert_eq!(place.count("payments"), 0);
    adapter.transaction(&Call::new(user("42"), pay)).await.unwrap();
    assert_eq!(place.trail(), ["payments insert 1 42 -"]);
}

pub(super) async fn the_outcome_tells_the_audit_transaction<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    for (id, other) in [(1, "42"), (2, "43")] {
        let outcome = adapter.transaction(&Call::new(user(other), vec![insert(id), act("posted")])).await.unwrap();
        let recorded = place
            .value(&format!("SELECT transaction_id FROM threadline.audit_changes WHERE table_pk ->> 'id' = '{id}'"));
        assert_eq!(outcome.map(|id| id.0.to_string()), Some(recorded));
    }
}

pub(super) async fn nothing_captured_has_no_audit_transaction<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let script = vec![sql("INSERT INTO plain VALUES (1)"), sql("UPDATE counters SET n = n")];
    assert_eq!(adapter.transaction(&Call::new(user("42"), script)).await.unwrap(), None);
    assert_eq!(place.count("plain"), 1);
}

pub(super) async fn options_reach_the_transaction<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    for (level, name) in [
        (IsolationLevel::ReadCommitted, "read committed"),
        (IsolationLevel::RepeatableRead, "repeatable read"),
        (IsolationLevel::Serializable, "serializable"),
    ] {
        let found = Slot::default();
        let script = vec![Step::Read("SELECT current_setting('transaction_isolation')".to_owned(), found.clone())];
        adapter.transaction(&Call::new(user("42"), script).options(level)).await.unwrap();
        assert_eq!(found.take().as_deref(), Some(name));
    }
}

pub(super) async fn the_context_ends_with_the_transaction<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    adapter.transaction(&Call::new(user("42"), vec![insert(1), act("posted")])).await.unwrap();
    assert_clean(&adapter, "after a commit").await;
    adapter.unaudited("INSERT INTO posts VALUES (2, 'x')").await.unwrap();
    adapter.transaction(&Call::new(user("43"), vec![insert(3), Step::Fail])).await.unwrap_err();
    assert_clean(&adapter, "after a rollback").await;
    adapter.unaudited("INSERT INTO posts VALUES (4, 'x')").await.unwrap();
    // The next transaction on the connection has none of it either.
    let nobody = AuditContext::without_actor().allow_missing_actor();
    adapter.transaction(&Call::new(nobody, vec![insert(5)])).await.unwrap();
    assert_eq!(
        place.trail(),
        ["posts insert 1 42 posted", "posts insert 2 - -", "posts insert 4 - -", "posts insert 5 - -"]
    );
}
