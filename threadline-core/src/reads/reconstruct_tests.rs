//! The row at an instant, case by case. The instant is microsecond 10 of capture.

use serde_json::{Value, json};
use time::macros::datetime;

use super::*;

const NOON: OffsetDateTime = datetime!(2026-01-01 12:00 UTC);

fn instant(micros: i64) -> OffsetDateTime {
    NOON + time::Duration::microseconds(micros)
}

fn row(title: &str) -> Value {
    json!({"id": 1, "title": title})
}

/// A change of the key `{"id": 1}` in the transaction `xid`.
fn touch(xid: u64, op: &str, more: &Value) -> Value {
    let mut touch = json!({
        "xid": xid.to_string(), "op": op, "departs": op == "delete", "arrives": op == "insert", "data_after": null,
        "changed_from": null, "withheld": false,
    });
    for (name, value) in more.as_object().unwrap() {
        touch[name] = value.clone();
    }
    touch
}

fn insert(xid: u64, title: &str) -> Value {
    touch(xid, "insert", &json!({"data_after": row(title)}))
}

fn update(xid: u64, from: &str, to: &str) -> Value {
    touch(xid, "update", &json!({"data_after": row(to), "changed_from": {"title": from}}))
}

fn lean_update(xid: u64, from: &str) -> Value {
    touch(xid, "update", &json!({"changed_from": {"title": from}}))
}

fn delete(xid: u64, title: &str) -> Value {
    touch(xid, "delete", &json!({"changed_from": row(title)}))
}

/// The row leaves for `{"id": 2}`.
fn leave(xid: u64, title: &str) -> Value {
    let after = json!({"id": 2, "title": title});
    let more = json!({"table_pk": {"id": 2}, "data_after": after, "changed_from": {"id": 1}, "departs": true});
    touch(xid, "update", &more)
}

/// A row comes from `{"id": 0}`.
fn come(xid: u64, title: &str) -> Value {
    touch(xid, "update", &json!({"data_after": row(title), "changed_from": {"id": 0}, "arrives": true}))
}

struct Case(Value);

impl Case {
    fn new() -> Self {
        Self(json!({
            "facts": null,
            "enabled_at": crate::instant::floor(instant(0), "at").unwrap(),
            "before": [], "after": [], "live": null,
        }))
    }

    fn set(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0[name] = value.into();
        self
    }

    fn ask(&self) -> Result<RowAsOf<Json>, Error> {
        let evidence: Evidence = serde_json::from_str(&self.0.to_string()).unwrap();
        evidence.row("public", "posts", &RowKey::value(1), instant(10))
    }

    /// The title of the row found.
    fn title(&self) -> String {
        let then = self.ask().unwrap();
        let told_by_then = self.0["after"] == json!([]) && self.0["live"].is_null();
        assert_eq!(then.origin, if told_by_then { Origin::Image } else { Origin::Reconstructed });
        let image: Value = then.decode().unwrap();
        assert_eq!(image["id"], 1);
        image["title"].as_str().unwrap().to_owned()
    }
}

fn before(touches: Vec<Value>) -> Case {
    Case::new().set("before", touches)
}

fn after(touches: Vec<Value>) -> Case {
    Case::new().set("after", touches)
}

#[test]
fn the_last_image_by_then_is_the_row() {
    assert_eq!(before(vec![insert(1, "a")]).title(), "a");
    assert_eq!(before(vec![update(2, "a", "b")]).title(), "b");
    assert_eq!(before(vec![come(2, "c")]).title(), "c");
}

#[test]
fn a_deleted_row_is_deleted() {
    for touches in [
        vec![insert(1, "a"), delete(2, "a")],
        vec![insert(1, "a"), delete(1, "a")],
        vec![leave(1, "a"), insert(2, "b"), delete(3, "b")],
    ] {
        let error = before(touches).ask().unwrap_err();
        assert!(error.is_deleted_record(), "{error}");
        assert_eq!((error.table(), error.moved_to()), (Some("public.posts"), None));
    }
}

#[test]
fn a_row_that_left_its_key_tells_where_it_went() {
    for touches in [vec![leave(2, "a")], vec![insert(1, "b"), delete(2, "b"), come(3, "a"), leave(4, "a")]] {
        let error = before(touches).ask().unwrap_err();
        assert!(error.is_moved_key(), "{error}");
        assert_eq!(error.moved_to().unwrap().get(), r#"{"id":2}"#);
        assert!(!format!("{error} {error:?}").contains(r#""id""#), "a key is no part of a message");
    }
}

#[test]
fn a_key_that_was_shifted_is_held_by_the_newcomer() {
    let shifted = before(vec![insert(1, "old"), come(2, "new"), leave(2, "old")]);
    assert_eq!(shifted.title(), "new");
}

#[test]
fn a_key_that_was_shifted_twice_is_held_by_the_last_newcomer() {
    let touches = vec![insert(1, "a"), come(2, "b"), leave(2, "a"), come(3, "c"), leave(3, "b")];
    assert_eq!(before(touches).title(), "c");
}

#[test]
fn the_first_change_ever_may_be_a_shift() {
    assert_eq!(before(vec![come(1, "new"), leave(1, "older than capture")]).title(), "new");
    assert!(before(vec![come(1, "new"), leave(1, "new")]).ask().unwrap_err().is_moved_key());
}

#[test]
fn a_truncate_ends_the_row() {
    let truncate = || touch(3, "truncate", &json!({}));
    assert!(before(vec![insert(1, "a"), truncate()]).ask().unwrap_err().is_deleted_record());
    assert_eq!(before(vec![insert(1, "a"), truncate(), insert(4, "b")]).title(), "b");
    assert!(before(vec![truncate(), insert(4, "b"), delete(5, "b")]).ask().unwrap_err().is_deleted_record());
    assert!(before(vec![truncate()]).ask().unwrap_err().is_never_existed());
}

#[test]
fn a_withheld_image_is_said() {
    let withheld = touch(2, "update", &json!({"withheld": true}));
    let error = before(vec![withheld.clone()]).set("after", vec![touch(3, "update", &json!({"withheld": true}))]).ask();
    assert!(error.unwrap_err().is_image_unavailable());
    assert!(before(vec![withheld]).ask().unwrap_err().is_image_unavailable());
}

#[test]
fn a_lean_row_is_rebuilt_from_the_live_row() {
    let lean = touch(1, "insert", &json!({}));
    let case = before(vec![lean]).set("after", vec![lean_update(2, "b"), lean_update(3, "c")]).set("live", row("d"));
    assert_eq!(case.title(), "b");
}

#[test]
fn a_lean_row_is_rebuilt_from_the_first_whole_row_after() {
    let lean = || before(vec![lean_update(1, "a")]);
    assert_eq!(lean().set("after", vec![lean_update(2, "b"), delete(3, "c")]).title(), "b");
    assert_eq!(lean().set("after", vec![delete(3, "c")]).title(), "c");
    assert_eq!(lean().set("after", vec![lean_update(2, "b"), update(3, "c", "d")]).title(), "b");
    assert_eq!(lean().set("after", vec![leave(3, "c")]).title(), "c");
}

#[test]
fn a_lean_row_outlives_a_newcomer_that_was_recorded_first() {
    let arrival = touch(2, "insert", &json!({}));
    let case = before(vec![lean_update(1, "a")]).set("after", vec![arrival, lean_update(2, "x"), delete(2, "mine")]);
    assert_eq!(case.title(), "mine");
}

#[test]
fn a_row_that_left_without_an_image_cannot_be_told() {
    let more = json!({"changed_from": {"id": 1}, "departs": true});
    let case = before(vec![lean_update(1, "a")]).set("after", vec![touch(2, "update", &more)]);
    assert!(case.ask().unwrap_err().is_image_unavailable());
}

#[test]
fn a_row_that_vanished_cannot_be_told() {
    let lean = || before(vec![lean_update(1, "a")]);
    assert!(lean().ask().unwrap_err().is_image_unavailable());
    let truncated = lean().set("after", vec![lean_update(2, "b"), touch(3, "truncate", &json!({}))]);
    assert!(truncated.ask().unwrap_err().is_image_unavailable());
}

#[test]
fn a_row_older_than_its_first_change_is_rebuilt() {
    assert_eq!(after(vec![update(2, "a", "b")]).title(), "a");
    assert_eq!(after(vec![delete(2, "a")]).title(), "a");
    assert_eq!(after(vec![leave(2, "a")]).title(), "a");
    assert_eq!(Case::new().set("live", row("unchanged ever since")).title(), "unchanged ever since");
    assert_eq!(after(vec![come(2, "new"), leave(2, "older than capture")]).title(), "older than capture");
}

#[test]
fn without_before_values_an_older_row_cannot_be_told() {
    let blind = touch(2, "update", &json!({"data_after": row("b")}));
    assert!(after(vec![blind]).ask().unwrap_err().is_image_unavailable());
}

#[test]
fn a_key_first_taken_later_never_existed() {
    assert!(after(vec![insert(2, "a")]).ask().unwrap_err().is_never_existed());
    assert!(after(vec![insert(2, "a"), delete(2, "a")]).ask().unwrap_err().is_never_existed());
    assert!(Case::new().ask().unwrap_err().is_never_existed());
}

#[test]
fn before_capture_nothing_is_known() {
    let enabled_later = crate::instant::floor(instant(11), "at").unwrap();
    for case in [Case::new(), after(vec![update(2, "a", "b")]), Case::new().set("live", row("a"))] {
        let error = case.set("enabled_at", enabled_later.as_str()).ask().unwrap_err();
        assert!(error.is_before_horizon(), "{error}");
    }
    // An earlier period of capture still tells what it saw.
    assert_eq!(before(vec![insert(1, "a")]).set("enabled_at", enabled_later).title(), "a");
}

#[test]
fn a_wrong_question_is_explained() {
    let asked = |facts: Value| Case::new().set("facts", facts).ask().unwrap_err();
    assert!(asked(json!({"captured": false})).is_not_captured());
    assert!(asked(json!({"captured": true, "key_columns": ["a", "b"]})).is_invalid_input());
    let text = asked(json!({"captured": true, "key_columns": ["id"], "column_types": {"id": "uuid"}}));
    assert_eq!(text.setting(), Some("key"));
}
