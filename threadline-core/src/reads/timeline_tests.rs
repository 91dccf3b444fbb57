//! The timeline's statements and what it refuses.

use time::macros::datetime;

use super::*;
use crate::trail::tests::LINKED;

fn snapshot(timeline: &Timeline) -> String {
    timeline.statement(&Schema::default()).unwrap().snapshot()
}

#[test]
fn statements() {
    insta::assert_snapshot!("everything", snapshot(&Timeline::new()));
    insta::assert_snapshot!("schema", snapshot(&Timeline::new().schema("public")));
    insta::assert_snapshot!("table_in_any_schema", snapshot(&Timeline::new().table("posts")));
    let table = Timeline::new().schema("public").table("posts");
    insta::assert_snapshot!("table", snapshot(&table));
    insta::assert_snapshot!("key", snapshot(&table.key(RowKey::value(7)).op(ChangeOp::Update)));
}

#[test]
fn every_filter_has_a_condition() {
    let actor = ActorRef::admin("7").unwrap().on_behalf_of(ActorRef::user("42").unwrap()).unwrap();
    let all = Timeline::new()
        .op(ChangeOp::Delete)
        .actor(&actor)
        .action("post.published")
        .correlation_id("c-1")
        .request_id("r-1")
        .job_id("j-1")
        .transaction_id(TransactionId(9))
        .since(datetime!(2026-01-02 03:04:05.000_000_5 UTC))
        .until(datetime!(2026-02-03 04:05:06.000_000_5 +01:00))
        .limit(10)
        .cursor("1000645e8f7a3c0000000000000000002a".parse().unwrap());
    insta::assert_snapshot!("all_filters", snapshot(&all));
    insta::assert_snapshot!("anonymous", snapshot(&Timeline::new().actor(&ActorRef::anonymous())));
    insta::assert_snapshot!("nobody", snapshot(&Timeline::new().actor(None)));
}

#[test]
fn filters_out_of_bounds_are_named() {
    let at = datetime!(2026-01-01 0:00 UTC);
    for (timeline, setting) in [
        (Timeline::new().schema(""), "schema"),
        (Timeline::new().table("x".repeat(64)), "table"),
        (Timeline::new().table("posts").key(RowKey::value(1)), "key"),
        (Timeline::new().schema("public").table("posts").key(RowKey::columns::<&str>([])), "key"),
        (Timeline::new().action(""), "action"),
        (Timeline::new().correlation_id("x".repeat(257)), "correlation_id"),
        (Timeline::new().request_id("a\0"), "request_id"),
        (Timeline::new().job_id(" "), "job_id"),
        (Timeline::new().since(at).until(at - time::Duration::seconds(1)), "since"),
        (Timeline::new().since(datetime!(-0100-01-01 0:00 UTC)), "since"),
        (Timeline::new().limit(0), "limit"),
        (Timeline::new().limit(1001), "limit"),
    ] {
        let error = timeline.statement(&Schema::default()).unwrap_err();
        assert!(error.is_invalid_input());
        assert_eq!(error.setting(), Some(setting));
    }
}

#[test]
fn an_instant_may_be_both_ends() {
    let at = datetime!(2026-01-01 0:00 UTC);
    assert!(Timeline::new().since(at).until(at).statement(&Schema::default()).is_ok());
}

#[test]
fn pages() {
    let page = Timeline::new().limit(1).decode(vec![LINKED.to_owned(), LINKED.to_owned()]).unwrap();
    assert_eq!(page.entries.len(), 1);
    assert_eq!(page.next, Some(Cursor::at(&page.entries[0].change)));
    assert!(Timeline::new().decode(Vec::new()).unwrap().is_empty());
}

#[test]
fn an_unknown_table_is_an_error_not_an_empty_page() {
    let timeline = Timeline::new().table("postss");
    let error = timeline.decode(vec![r#"{"nothing": {"captured": false}}"#.to_owned()]).unwrap_err();
    assert!(error.is_not_captured());
    assert_eq!(error.table(), Some("postss"));
    assert!(timeline.decode(vec![r#"{"nothing": {"captured": true}}"#.to_owned()]).unwrap().is_empty());
}
