//! The rules of [`Replay`](super::Replay), one by one.

use super::*;
use crate::trail::tests::change;

fn json(text: &str) -> Json {
    text.parse().unwrap()
}

fn row(id: i64, title: &str) -> Json {
    json(&format!(r#"{{"id": {id}, "title": "{title}"}}"#))
}

fn key(id: i64) -> Option<Json> {
    Some(json(&format!(r#"{{"id": {id}}}"#)))
}

fn insert(at: i64, xid: u64, id: i64, title: &str) -> AuditChange {
    AuditChange { table_pk: key(id), data_after: Some(row(id, title)), ..change(at, xid, at, ChangeOp::Insert) }
}

fn delete(at: i64, xid: u64, id: i64, title: &str) -> AuditChange {
    AuditChange { table_pk: key(id), changed_from: Some(row(id, title)), ..change(at, xid, at, ChangeOp::Delete) }
}

fn retitle(at: i64, xid: u64, id: i64, from: &str, to: &str) -> AuditChange {
    AuditChange {
        table_pk: key(id),
        data_after: Some(row(id, to)),
        changed_from: Some(json(&format!(r#"{{"title": "{from}"}}"#))),
        ..change(at, xid, at, ChangeOp::Update)
    }
}

fn rekey(at: i64, xid: u64, from: i64, to: i64, title: &str) -> AuditChange {
    AuditChange {
        table_pk: key(to),
        previous_pk: key(from),
        data_after: Some(row(to, title)),
        changed_from: Some(json(&format!(r#"{{"id": {from}}}"#))),
        ..change(at, xid, at, ChangeOp::Update)
    }
}

fn replayed(changes: &[AuditChange]) -> Vec<String> {
    let mut replay = Replay::new();
    for change in changes {
        replay.apply(change).unwrap();
    }
    replay.rows().map(|row| row.image.map_or("?".to_owned(), |image| image.get().to_owned())).collect()
}

#[test]
fn rows_come_change_and_go() {
    let changes = [
        insert(1, 1, 1, "a"),
        insert(2, 1, 2, "b"),
        retitle(3, 2, 1, "a", "c"),
        delete(4, 3, 2, "b"),
        insert(5, 4, 3, "d"),
    ];
    assert_eq!(replayed(&changes), [r#"{"id": 1, "title": "c"}"#, r#"{"id": 3, "title": "d"}"#]);
}

#[test]
fn a_key_shift_in_either_order_keeps_every_row() {
    let start = [insert(1, 1, 1, "a"), insert(2, 1, 2, "b"), insert(3, 1, 3, "c")];
    let upwards = [rekey(4, 2, 1, 2, "a"), rekey(5, 2, 2, 3, "b"), rekey(6, 2, 3, 4, "c")];
    let expected = [r#"{"id": 2, "title": "a"}"#, r#"{"id": 3, "title": "b"}"#, r#"{"id": 4, "title": "c"}"#];
    let mut downwards = upwards.clone();
    downwards.reverse();
    assert_eq!(replayed(&[&start[..], &upwards].concat()), expected);
    assert_eq!(replayed(&[&start[..], &downwards].concat()), expected);
}

#[test]
fn two_keys_can_be_swapped() {
    let start = [insert(1, 1, 1, "a"), insert(2, 1, 2, "b")];
    let swap = [rekey(3, 2, 1, 2, "a"), rekey(4, 2, 2, 1, "b")];
    let expected = [r#"{"id": 1, "title": "b"}"#, r#"{"id": 2, "title": "a"}"#];
    assert_eq!(replayed(&[&start[..], &swap].concat()), expected);
}

#[test]
fn an_insert_recorded_before_the_delete_it_replaces_survives() {
    // MERGE: its inserts are recorded before its deletes.
    let changes = [insert(1, 1, 1, "old"), insert(2, 2, 1, "new"), delete(3, 2, 1, "old")];
    assert_eq!(replayed(&changes), [r#"{"id": 1, "title": "new"}"#]);
}

#[test]
fn without_images_the_oldest_leaves() {
    let mut departure = delete(3, 2, 1, "new");
    departure.changed_from = None;
    let changes = [insert(1, 1, 1, "old"), insert(2, 2, 1, "new"), departure];
    assert_eq!(replayed(&changes), [r#"{"id": 1, "title": "new"}"#]);
}

#[test]
fn images_tell_who_leaves() {
    let changes = [insert(1, 1, 1, "old"), insert(2, 2, 1, "new"), delete(3, 2, 1, "new")];
    assert_eq!(replayed(&changes), [r#"{"id": 1, "title": "old"}"#]);
}

#[test]
fn a_row_that_came_and_went_in_one_transaction_is_gone() {
    assert_eq!(replayed(&[insert(1, 1, 1, "a"), delete(2, 1, 1, "a")]), Vec::<String>::new());
}

#[test]
fn the_next_transaction_finds_only_the_newest_occupant() {
    let changes = [insert(1, 1, 1, "unseen to leave"), insert(2, 2, 1, "b"), delete(3, 3, 1, "b")];
    assert_eq!(replayed(&changes), Vec::<String>::new());
}

#[test]
fn truncate_empties_the_table() {
    let truncate = change(2, 2, 2, ChangeOp::Truncate);
    let changes = [insert(1, 1, 1, "a"), truncate, insert(3, 3, 2, "b")];
    assert_eq!(replayed(&changes), [r#"{"id": 2, "title": "b"}"#]);
}

#[test]
fn rows_from_before_capture_appear_when_they_change() {
    let changes = [retitle(1, 1, 1, "a", "b"), delete(2, 2, 9, "never seen"), rekey(3, 3, 5, 6, "c")];
    assert_eq!(replayed(&changes), [r#"{"id": 1, "title": "b"}"#, r#"{"id": 6, "title": "c"}"#]);
}

#[test]
fn a_key_that_changed_its_scale_only_is_the_same_key() {
    let mut before = insert(1, 1, 1, "a");
    before.table_pk = Some(json(r#"{"id": 1.0}"#));
    let mut after = rekey(2, 2, 1, 1, "b");
    after.previous_pk = Some(json(r#"{"id": 1.0}"#));
    after.table_pk = Some(json(r#"{"id": 1.00}"#));
    assert_eq!(replayed(&[before, after]).len(), 1);
}

#[test]
fn a_lean_row_is_there_without_an_image() {
    let mut lean = insert(1, 1, 1, "a");
    lean.data_after = None;
    assert_eq!(replayed(&[lean]), ["?"]);
}

#[test]
fn rows_without_a_key_are_told_apart_by_their_values() {
    let keyless = |change: AuditChange| AuditChange { table_pk: None, previous_pk: None, ..change };
    let changes = [
        insert(1, 1, 1, "twice"),
        insert(2, 1, 1, "twice"),
        insert(3, 1, 2, "once"),
        delete(4, 2, 1, "twice"),
        retitle(5, 2, 2, "once", "changed"),
    ]
    .map(keyless);
    assert_eq!(replayed(&changes), [r#"{"id": 1, "title": "twice"}"#, r#"{"id": 2, "title": "changed"}"#]);
}

mod model {
    //! Random histories of a table, with the order inside a transaction that statement capture gives.

    use std::collections::btree_map::Entry;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(i64),
        Delete(i64),
        Retitle(i64),
        Shift(i64),
        Swap(i64, i64),
        Truncate,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0_i64..6).prop_map(Step::Insert),
            2 => (0_i64..6).prop_map(Step::Delete),
            3 => (0_i64..6).prop_map(Step::Retitle),
            2 => (-2_i64..3).prop_map(Step::Shift),
            1 => (0_i64..6, 0_i64..6).prop_map(|(a, b)| Step::Swap(a, b)),
            1 => Just(Step::Truncate),
        ]
    }

    proptest! {
        #[test]
        fn replaying_gives_the_table(transactions in proptest::collection::vec(proptest::collection::vec(step(), 1..4), 1..12), reversed: bool) {
            let mut table: BTreeMap<i64, String> = BTreeMap::new();
            let mut replay = Replay::new();
            let mut at = 0;
            for (xid, steps) in transactions.iter().enumerate() {
                for step in steps {
                    let mut changes = Vec::new();
                    let mut next = || { at += 1; at };
                    let xid = xid as u64 + 1;
                    match *step {
                        Step::Insert(id) => if let Entry::Vacant(place) = table.entry(id) {
                            let time = next();
                            let title = format!("t{time}");
                            changes.push(insert(time, xid, id, &title));
                            place.insert(title);
                        },
                        Step::Delete(id) => if let Some(title) = table.remove(&id) {
                            changes.push(delete(next(), xid, id, &title));
                        },
                        Step::Retitle(id) => if let Some(title) = table.get_mut(&id) {
                            let time = next();
                            changes.push(retitle(time, xid, id, title, &format!("t{time}")));
                            *title = format!("t{time}");
                        },
                        Step::Shift(by) => if by != 0 {
                            for (id, title) in &table {
                                changes.push(rekey(next(), xid, *id, id + by, title));
                            }
                            table = table.into_iter().map(|(id, title)| (id + by, title)).collect();
                        },
                        Step::Swap(a, b) => if a != b && table.contains_key(&a) && table.contains_key(&b) {
                            let (one, other) = (table[&a].clone(), table[&b].clone());
                            changes.push(rekey(next(), xid, a, b, &one));
                            changes.push(rekey(next(), xid, b, a, &other));
                            table.insert(a, other);
                            table.insert(b, one);
                        },
                        Step::Truncate => {
                            changes.push(change(next(), xid, at, ChangeOp::Truncate));
                            table.clear();
                        }
                    }
                    if reversed {
                        changes.reverse();
                    }
                    for change in &changes {
                        replay.apply(change)?;
                    }
                }
            }
            let mut got: Vec<_> = replay.rows().map(|row| row.image.map(|image| image.get().to_owned())).collect();
            got.sort();
            let mut want: Vec<_> = table.iter().map(|(id, title)| Some(row(*id, title).get().to_owned())).collect();
            want.sort();
            prop_assert_eq!(got, want);
        }
    }
}
