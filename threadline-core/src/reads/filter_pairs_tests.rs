//! Filters from names and values.

use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::json;
use time::{OffsetDateTime, macros::datetime};

use super::*;
use crate::{ActionStatus, ActorRef, ChangeId, ChangeOp, Cursor, Operation, Schema};

fn refused(pairs: &[(&str, &str)]) -> (String, String) {
    let error = Timeline::from_pairs(pairs.iter().copied()).unwrap_err();
    assert!(error.is_invalid_input(), "{error}");
    (error.setting().unwrap().to_owned(), error.to_string())
}

#[test]
fn every_filter_is_read() {
    let cursor = Cursor::new(datetime!(2026-01-02 3:04 UTC), ChangeId(7));
    let by_name = Timeline::from_pairs([
        ("table", "posts"),
        ("table", r#"billing."a.""b""#),
        ("schema", "public"),
        ("key", r#"{"id": 7}"#),
        ("op", "update"),
        ("op", "delete"),
        ("changed_field", "title"),
        ("actor", "user:42"),
        ("action", "post.published"),
        ("action_id", "9"),
        ("action_category", "editing"),
        ("action_status", "error"),
        ("correlation_id", " c-1 "),
        ("request_id", "r-1"),
        ("job_id", "j-1"),
        ("transaction_id", "5"),
        ("since", "2026-01-01T00:00:00+02:00"),
        ("until", "2026-12-31T23:59:59.999999Z"),
        ("limit", "20"),
        ("cursor", &cursor.to_string()),
    ]);
    let built = Timeline::new()
        .table("posts")
        .table_in("billing", "a.\"b")
        .schema("public")
        .key(RowKey::from_json(r#"{"id": 7}"#).unwrap())
        .op(ChangeOp::Update)
        .op(ChangeOp::Delete)
        .changed_field("title")
        .actor(&ActorRef::user("42").unwrap())
        .action("post.published")
        .action_id(ActionId(9))
        .action_category("editing")
        .action_status(ActionStatus::Error)
        .correlation_id("c-1")
        .request_id("r-1")
        .job_id("j-1")
        .transaction_id(TransactionId(5))
        .since(datetime!(2026-01-01 0:00 +02:00))
        .until(datetime!(2026-12-31 23:59:59.999_999 UTC))
        .limit(20)
        .cursor(cursor);
    assert_eq!(by_name.unwrap(), built);
    assert_eq!(Timeline::from_pairs([("", ""); 0]).unwrap(), Timeline::new());
}

#[test]
fn every_filter_that_the_timeline_knows_has_a_name() {
    // No `..`: a new filter has to be named here, and then in FILTERS.
    let Timeline { filters, limit: _, cursor: _ } = Timeline::new();
    let super::super::filters::Filters {
        schema: _,
        tables: _,
        key: _,
        ops: _,
        actor: _,
        action: _,
        action_id: _,
        action_category: _,
        action_status: _,
        correlation_id: _,
        request_id: _,
        job_id: _,
        transaction: _,
        changed_fields: _,
        since: _,
        until: _,
        scope: _,
    } = filters;
    // Every one but the scope.
    assert_eq!(FILTERS.len(), 16 + 2);
}

#[test]
fn a_name_that_is_not_known_is_said_with_those_that_are() {
    let (setting, message) = refused(&[("table", "posts"), ("tabel", "posts")]);
    assert_eq!(setting, "tabel");
    insta::assert_snapshot!(message, @r#""tabel" is not a filter. Use table, schema, key, op, changed_field, actor, action, action_id, action_category, action_status, correlation_id, request_id, job_id, transaction_id, since, until, limit, cursor"#);
    let long = format!("\u{1b}[2J{}", "x".repeat(10_000));
    let (setting, message) = refused(&[(&long, "posts")]);
    assert!(setting.chars().count() == 40 && message.len() < 400 && !message.contains('\u{1b}'), "{message}");
    assert_eq!(refused(&[("TABLE", "posts")]).0, "TABLE");
    assert_eq!(refused(&[("", "posts")]).0, "");
    assert_eq!(refused(&[("scope", "acme")]).0, "scope", "that is not for the asker to say");
}

#[test]
fn what_means_one_thing_is_not_said_twice() {
    for (name, again) in FILTERS {
        let value = match name {
            "op" => "insert",
            "action_status" => "ok",
            "actor" => "nobody",
            "since" | "until" => "2026-01-01T00:00:00Z",
            "cursor" => continue,
            _ => "7",
        };
        let twice = Timeline::from_pairs([(name, value), (name, value)]);
        match again {
            true => assert!(twice.is_ok(), "{name}"),
            false => {
                assert_eq!(
                    refused(&[(name, value), (name, value)]),
                    (name.to_owned(), format!("{name} is given twice. Give it once"))
                );
            }
        }
    }
}

#[test]
fn a_value_that_is_empty_is_refused() {
    for (name, _) in FILTERS {
        for value in ["", " "] {
            let (setting, message) = refused(&[(name, value)]);
            assert_eq!((setting.as_str(), message.contains("is empty")), (name, true), "{message}");
        }
    }
}

#[test]
fn a_value_that_is_malformed_or_too_long_is_refused() {
    let long = "x".repeat(1_000);
    for (name, value) in [
        ("table", "a.b.c"),
        ("table", "a."),
        ("table", ".a"),
        ("table", "\"a"),
        ("table", "a\"b"),
        ("table", "\"a\"b"),
        ("table", "\"\""),
        ("table", &long),
        ("schema", &long),
        ("schema", "a\0b"),
        ("changed_field", &long),
        ("key", "{id: 7}"),
        ("key", "{}"),
        ("key", r#"{"id": null}"#),
        ("key", "[1"),
        ("key", "\"a"),
        ("key", "\"\\u0000\""),
        ("key", "a\0b"),
        ("op", "upsert"),
        ("op", "UPDATE"),
        ("actor", "robot:42"),
        ("actor", "user:"),
        ("actor", "user"),
        ("actor", r#"{"type": "user"}"#),
        ("actor", &format!("user:{long}")),
        ("action", &long),
        ("action", "a\nb"),
        ("action_category", &long),
        ("action_status", "failed"),
        ("action_id", "seven"),
        ("action_id", "9223372036854775808"),
        ("transaction_id", "7.0"),
        ("correlation_id", &long),
        ("request_id", &long),
        ("job_id", &long),
        ("since", "yesterday"),
        ("since", "2026-01-01"),
        ("since", "2026-01-01T00:00:00"),
        // What a query string makes of +02:00.
        ("since", "2026-01-01T00:00:00 02:00"),
        ("until", "2026-13-01T00:00:00Z"),
        ("limit", "0"),
        ("limit", "1001"),
        ("limit", "-1"),
        ("limit", "4294967297"),
        ("cursor", "x"),
    ] {
        let (setting, message) = refused(&[(name, value)]);
        assert_eq!(setting, name, "{value}: {message}");
        assert!(!message.contains(&long), "{message}");
    }
    assert_eq!(refused(&[("since", "2026-01-02T00:00:00Z"), ("until", "2026-01-01T00:00:00Z")]).0, "since");
}

#[test]
fn a_key_is_a_number_a_text_or_an_object() {
    let key = |value: &str| key(value).unwrap();
    assert_eq!(key("7"), RowKey::value(7));
    assert_eq!(key(r#""7""#), RowKey::value("7"));
    assert_eq!(key("0.10").parameter().unwrap(), "0.10", "no digit is lost");
    assert_eq!(key("true"), RowKey::value(true));
    for text in ["abc", "7f", "null", "a b", "0b9f3c7e-4f0e-4d1c-9d0a-0d9d3b1f2a77"] {
        assert_eq!(key(text), RowKey::value(text));
    }
    assert_eq!(key(r#" {"id": 7}"#), RowKey::from_json(r#"{"id": 7}"#).unwrap());
}

#[test]
fn filters_that_need_another_are_refused_when_they_are_asked() {
    let timeline = Timeline::from_pairs([("op", "insert")]).unwrap();
    assert_eq!(timeline.statement(&Schema::default()).unwrap_err().setting(), Some("op"));
    assert!(timeline.table("posts").statement(&Schema::default()).is_ok());
}

#[test]
fn serde_reads_and_writes_the_same_names() {
    let text = r#"{"table":["posts","comments"],"actor":"user:42","transaction_id":"5","limit":"20"}"#;
    let timeline: Timeline = serde_json::from_str(text).unwrap();
    let built = Timeline::new().table("posts").table("comments").actor(&ActorRef::user("42").unwrap());
    assert_eq!(timeline, built.transaction_id(TransactionId(5)).limit(20));
    assert_eq!(serde_json::to_string(&timeline).unwrap(), text);
    let numbers: Timeline = serde_json::from_value(json!({"transaction_id": 5, "limit": 20, "op": "update"})).unwrap();
    assert_eq!(numbers, Timeline::new().transaction_id(TransactionId(5)).limit(20).op(ChangeOp::Update));
    for (json, says) in [
        (json!({"tabel": "posts"}), "\"tabel\" is not a filter"),
        (json!({"action": ["a", "b"]}), "action is given twice"),
        (json!({"table": null}), "a text, a whole number, or a list"),
        (json!([]), "filters of a timeline"),
    ] {
        let error = serde_json::from_value::<Timeline>(json).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let wrong = serde_json::to_string(&Timeline::new().action("")).unwrap_err().to_string();
    assert!(wrong.contains("action is empty"), "{wrong}");
}

#[test]
fn serde_reads_query_strings() {
    let query = "table=posts&table=comments&actor=user%3A42&since=2026-01-01T00%3A00%3A00%2B02%3A00&limit=20";
    let timeline: Timeline = serde_urlencoded::from_str(query).unwrap();
    let built = Timeline::new().table("posts").table("comments").actor(&ActorRef::user("42").unwrap());
    assert_eq!(timeline, built.since(datetime!(2026-01-01 0:00 +02:00)).limit(20));
    let again = serde_urlencoded::to_string(timeline.to_pairs().unwrap()).unwrap();
    assert_eq!(serde_urlencoded::from_str::<Timeline>(&again).unwrap(), timeline);
    assert!(
        serde_urlencoded::from_str::<Timeline>("op=insert&op=upsert")
            .unwrap_err()
            .to_string()
            .contains("op is not known")
    );
}

/// A name of PostgreSQL's, with anything in it.
fn a_name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z_]{1,8}", "[a-z.\" A-Z é]{1,8}", r#"["]{1,3}|[.]{1,3}|x "#]
        .prop_filter("a name has something in it", |name| !name.trim().is_empty())
}

fn a_line() -> impl Strategy<Value = String> {
    "[ -~é]{1,20}".prop_map(|text| text.trim().to_owned()).prop_filter("empty", |text| !text.is_empty())
}

fn a_key() -> impl Strategy<Value = RowKey> {
    prop_oneof![
        any::<i64>().prop_map(RowKey::value),
        any::<bool>().prop_map(RowKey::value),
        "\\PC{0,12}".prop_map(RowKey::value),
        ("[a-z]{1,4}", "\\PC{0,8}").prop_map(|(name, value)| RowKey::columns([(name, json!(value))])),
        Just(RowKey::from_json(r#"{"n": 0.1000000000000000000001, "id":7}"#).unwrap()),
    ]
}

fn an_actor() -> impl Strategy<Value = Option<ActorRef>> {
    let somebody = prop_oneof![
        Just(ActorRef::anonymous()),
        "[ -~é]{1,12}".prop_filter_map("blank", |id| ActorRef::user(id).ok()),
        "[a-z]{1,5}".prop_map(|id| ActorRef::admin("7").unwrap().on_behalf_of(ActorRef::user(id).unwrap()).unwrap()),
    ];
    option::of(somebody)
}

fn an_instant() -> impl Strategy<Value = OffsetDateTime> {
    (-62_135_596_800_i64..253_402_300_800, 0_i64..1_000_000_000, -23_i8..=23).prop_filter_map(
        "out of range",
        |(seconds, nanoseconds, hours)| {
            let at = OffsetDateTime::from_unix_timestamp(seconds).ok()? + time::Duration::nanoseconds(nanoseconds);
            at.checked_to_offset(time::UtcOffset::from_hms(hours, 0, 0).ok()?)
        },
    )
}

prop_compose! {
    fn a_timeline()(
        tables in vec((option::of(a_name()), a_name()), 0..3),
        schema in option::of(a_name()),
        key in option::of(a_key()),
        ops in vec(select(&[ChangeOp::Insert, ChangeOp::Update, ChangeOp::Delete, ChangeOp::Truncate][..]), 0..3),
        fields in vec(a_name(), 0..3),
        actor in option::of(an_actor()),
        texts in vec(option::of(a_line()), 5),
        ids in vec(option::of(any::<i64>()), 3),
        status in option::of(select(&[ActionStatus::Ok, ActionStatus::Error][..])),
        mut between in vec(an_instant(), 0..3),
        limit in option::of(1..=Timeline::MAX_LIMIT),
    ) -> Timeline {
        let mut timeline = Timeline::new();
        for (schema, table) in tables {
            timeline = match schema {
                Some(schema) => timeline.table_in(schema, table),
                None => timeline.table(table),
            };
        }
        for op in ops {
            timeline = timeline.op(op);
        }
        for field in fields {
            timeline = timeline.changed_field(field);
        }
        if let Some(actor) = actor {
            timeline = timeline.actor(actor.as_ref());
        }
        timeline.filters.schema = schema;
        timeline.filters.key = key;
        let mut texts = texts.into_iter();
        let filters = &mut timeline.filters;
        for filter in [&mut filters.action, &mut filters.action_category, &mut filters.correlation_id, &mut filters.request_id, &mut filters.job_id] {
            *filter = texts.next().flatten();
        }
        filters.action_id = ids[0].map(ActionId);
        filters.transaction = ids[1].map(TransactionId);
        filters.action_status = status;
        between.sort();
        let mut between = between.into_iter();
        filters.since = between.next();
        filters.until = between.next();
        timeline.limit = limit;
        timeline.cursor = ids[2].map(|id| Cursor::new(datetime!(2026-01-02 3:04:05.000_006 UTC), ChangeId(id)));
        timeline
    }
}

proptest! {
    #[test]
    fn what_is_printed_is_read_again(timeline in a_timeline()) {
        let pairs = timeline.to_pairs()?;
        prop_assert_eq!(&Timeline::from_pairs(pairs)?, &timeline);
        let json = serde_json::to_string(&timeline)?;
        prop_assert_eq!(serde_json::from_str::<Timeline>(&json)?, timeline);
    }

    #[test]
    fn no_text_is_too_odd(name in "\\PC{0,12}", value in "\\PC{0,30}", known in select(&FILTERS[..])) {
        prop_assert!(Timeline::from_pairs([(&name, &value)]).is_err() || FILTERS.iter().any(|(known, _)| *known == name));
        if let Err(error) = Timeline::from_pairs([(known.0, &value)]) {
            prop_assert_eq!(error.setting(), Some(known.0));
        }
    }
}
