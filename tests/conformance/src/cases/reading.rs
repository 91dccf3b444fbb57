//! Reading the trail.

use threadline_core::{
    ActionStatus, ActorHistory, ActorRef, AsOf, ChangeOp, Correlation, CountChanges, Incident, RowHistory, RowKey,
    Schema, Scope, Timeline, TransactionId, kernel,
};

use crate::place::user;
use crate::questions::READS_ELSEWHERE;
use crate::script::{insert, sql};
use crate::{Adapter, Call, Failure, Place, Questions};

pub(super) async fn pages_of_the_timeline<A: Adapter>(place: Place) {
    let adapter: A = place.open(2).await;
    for id in 1..=5 {
        adapter.transaction(&Call::new(user(&(id % 2).to_string()), vec![insert(id)])).await.unwrap();
    }
    let odd = ActorRef::user("1").unwrap();
    let query = Timeline::new().schema("public").table("posts").actor(&odd).limit(2);
    let first = adapter.timeline(&query).await.unwrap();
    let keys = |entries: &[threadline_core::LinkedChange]| -> Vec<String> {
        entries.iter().map(|linked| linked.change.table_pk.as_ref().unwrap().get().to_owned()).collect()
    };
    assert_eq!(keys(&first.entries), [r#"{"id": 5}"#, r#"{"id": 3}"#]);
    let second = adapter.timeline(&query.clone().cursor(first.next.unwrap())).await.unwrap();
    assert_eq!((keys(&second.entries), second.next.is_none()), (vec![r#"{"id": 1}"#.to_owned()], true));
    let history = adapter.run(&RowHistory::by_id("public", "posts", 5)).await.unwrap();
    assert_eq!(keys(&history.entries), [r#"{"id": 5}"#]);
}

pub(super) async fn inside_a_transaction_its_own_changes_are_seen<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let seen = crate::script::Slot::default();
    let script = vec![
        insert(1),
        crate::Step::Probe(vec![sql("UPDATE posts SET title = 'new'")], seen.clone()),
        crate::Step::Fail,
    ];
    adapter.transaction(&Call::new(user("42"), script)).await.unwrap_err();
    assert_eq!(seen.take().changes().len(), 1);
    assert!(adapter.timeline(&Timeline::new()).await.unwrap().entries.is_empty(), "it was rolled back");
}

pub(super) async fn a_table_that_is_not_captured_is_an_error<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let error = adapter.timeline(&Timeline::new().schema("public").table("plain")).await.unwrap_err();
    assert_eq!(error.code(), Some("not_captured"), "{error:?}");
    let actor = ActorRef::user("42").unwrap();
    for (setting, timeline) in [
        ("table", Timeline::new().schema("public").table("plain")),
        ("table", Timeline::new().table("nowhere")),
        ("schema", Timeline::new().schema("nowhere")),
    ] {
        let questions = Questions { timeline, ..Questions::about(1, TransactionId(1), &actor, "c") };
        for (read, answer) in adapter.ask(None, &questions).await.unwrap() {
            if has_filters(read) {
                let error = answer.expect_err(read);
                let told = (error.code(), error.setting());
                assert_eq!(told, (Some("not_captured"), Some(setting)), "{read}: {error:?}");
            }
        }
    }
}

pub(super) async fn a_kernel_in_another_schema_is_read<A: Adapter>(place: Place) {
    let schema = Schema::new("Audit trail").unwrap();
    place.execute(&kernel::install_script(&schema));
    place.execute(
        r#"CREATE TABLE notes (id bigint PRIMARY KEY, tenant text NOT NULL, body text NOT NULL);
        SELECT "Audit trail".enable_capture('notes', '{}');
        INSERT INTO notes VALUES (1, 'acme', 'of acme')"#,
    );
    let adapter: A = place.open(1).await;
    let questions = Questions::about(1, TransactionId(1), &ActorRef::user("42").unwrap(), "c");
    let answers = adapter.ask_in(&schema, &questions).await.unwrap();
    assert_eq!(answers.iter().map(|(read, _)| *read).collect::<Vec<_>>(), READS_ELSEWHERE);
    for (read, answer) in answers {
        let text = answer.unwrap_or_else(|error| panic!("{read}: {error:?}"));
        assert!(text.contains("acme"), "{read}: {text}");
    }
    for (read, answer) in adapter.ask_in(&Schema::default(), &questions).await.unwrap() {
        let error = answer.expect_err(read);
        assert_eq!(error.code(), Some("not_captured"), "{read}: {error:?}");
    }
    let nowhere = Schema::new("nowhere").unwrap();
    for (read, answer) in adapter.ask_in(&nowhere, &questions).await.unwrap() {
        let error = answer.expect_err(read);
        assert_eq!(error.code(), Some("not_installed"), "{read}: {error:?}");
    }
}

fn has_filters(read: &str) -> bool {
    ["timeline", "change_diff", "count_changes", "stream"].contains(&read) || read.starts_with("export")
}

/// Filters that cannot match anything, by the name that the error has to give.
fn wrong_filters() -> Vec<(&'static str, Timeline)> {
    let posts = || Timeline::new().schema("public").table("posts");
    let at = time::OffsetDateTime::UNIX_EPOCH;
    let before_the_calendar = at - time::Duration::days(366 * 2000);
    let mut wrong = vec![
        ("schema", Timeline::new().schema("")),
        ("schema", Timeline::new().schema("x".repeat(64))),
        ("schema", Timeline::new().table_in("a\0b", "posts")),
        ("table", Timeline::new().table("")),
        ("table", Timeline::new().table("x".repeat(64))),
        ("table", Timeline::new().table("a\0b")),
        ("table", (0..101).fold(Timeline::new(), |timeline, _| timeline.table("posts"))),
        ("key", Timeline::new().table("posts").key(7)),
        ("key", Timeline::new().key(7)),
        ("key", posts().table("counters").key(7)),
        ("key", posts().key(RowKey::value(serde_json::Value::Null))),
        ("key", posts().key(RowKey::columns::<&str>([]))),
        ("key", posts().key("a\0b")),
        ("key", posts().key("7")),
        ("key", posts().key(RowKey::columns([("nr", 7.into())]))),
        ("changed_field", posts().changed_field("")),
        ("changed_field", posts().changed_field("x".repeat(64))),
        ("changed_field", (0..101).fold(posts(), |timeline, _| timeline.changed_field("title"))),
        ("since", posts().since(at).until(at - time::Duration::SECOND)),
        ("since", posts().since(before_the_calendar)),
        ("until", posts().until(before_the_calendar)),
        // Alone they would have to look at the whole trail.
        ("op", Timeline::new().op(ChangeOp::Insert)),
        ("changed_field", Timeline::new().schema("public").changed_field("title")),
        ("action_category", Timeline::new().action_category("editing")),
        ("action_status", Timeline::new().action_status(ActionStatus::Error)),
    ];
    for text in ["", " ", "a\0b", "a\nb", &"é".repeat(129), &"x".repeat(257)] {
        wrong.push(("correlation_id", Timeline::new().correlation_id(text)));
        wrong.push(("request_id", Timeline::new().request_id(text)));
        wrong.push(("job_id", Timeline::new().job_id(text)));
    }
    for text in ["", " ", "a\0b", "a\nb", &"x".repeat(256)] {
        wrong.push(("action", Timeline::new().action(text)));
        wrong.push(("action_category", posts().action_category(text)));
    }
    wrong
}

pub(super) async fn a_wrong_filter_is_an_error_that_names_it<A: Adapter>(place: Place) {
    place.execute("CREATE TABLE notes (id bigint PRIMARY KEY); SELECT threadline.enable_capture('notes', '{}')");
    let adapter: A = place.open(1).await;
    let actor = ActorRef::user("42").unwrap();
    let assert_names = |setting: &str, read: &str, error: Failure| {
        let told = (error.code(), error.setting());
        assert_eq!(told, (Some("invalid_input"), Some(setting)), "{read}: {error:?}");
        assert!(error.to_string().contains(setting), "{read}: {error}");
    };
    for (setting, timeline) in wrong_filters() {
        let questions = Questions { timeline, ..Questions::about(1, TransactionId(1), &actor, "c") };
        for (read, answer) in adapter.ask(None, &questions).await.unwrap() {
            if has_filters(read) {
                assert_names(setting, read, answer.expect_err(&format!("{setting}: {:?}", questions.timeline)));
            }
        }
    }
    let at = time::OffsetDateTime::now_utc();
    let far = time::macros::datetime!(-0001-01-01 0:00 UTC);
    for (setting, query) in [
        ("limit", RowHistory::by_id("public", "posts", 1).limit(0)),
        ("limit", RowHistory::by_id("public", "posts", 1).limit(1_001)),
        ("schema", RowHistory::by_id("", "posts", 1)),
        ("table", RowHistory::by_id("public", "x".repeat(64), 1)),
        ("key", RowHistory::by_id("public", "posts", "seven")),
        ("since", RowHistory::by_id("public", "posts", 1).since(at).until(at - time::Duration::SECOND)),
    ] {
        assert_names(setting, "row_history", adapter.run(&query).await.unwrap_err());
    }
    for (setting, query) in [
        ("schema", AsOf::by_id("", "posts", 1, at)),
        ("table", AsOf::by_id("public", "", 1, at)),
        ("key", AsOf::by_id("public", "posts", "seven", at)),
        ("key", AsOf::by_id("public", "posts", serde_json::Value::Null, at)),
        ("at", AsOf::by_id("public", "posts", 1, far)),
    ] {
        assert_names(setting, "as_of_json", adapter.run(&query).await.unwrap_err());
    }
    // No row can have such a key, and nothing is wrong with its form.
    let error = adapter.run(&AsOf::by_id("public", "counters", 99_999_999_999_i64, at)).await.unwrap_err();
    assert_eq!(error.code(), Some("never_existed"), "{error:?}");
    for (setting, query) in [
        ("limit", ActorHistory::of(&actor).limit(0)),
        ("since", ActorHistory::of(&actor).since(at).until(at - time::Duration::SECOND)),
        ("until", ActorHistory::of(&actor).until(far)),
    ] {
        assert_names(setting, "actor_history", adapter.run(&query).await.unwrap_err());
    }
    for query in [Correlation::of(""), Correlation::of("x".repeat(257)), Correlation::of("a\0b")] {
        assert_names("correlation_id", "correlation", adapter.run(&query).await.unwrap_err());
    }
    assert_names("limit", "incident", adapter.run(&Incident::of(TransactionId(1)).limit(0)).await.unwrap_err());
    assert_names("cap", "count", adapter.run(&CountChanges::of(Timeline::new()).cap(0)).await.unwrap_err());
    let limits = [Timeline::new().limit(0), Timeline::new().limit(1_001)];
    for query in limits {
        assert_names("limit", "timeline", adapter.timeline(&query).await.unwrap_err());
    }
    assert!(adapter.timeline(&Timeline::new()).await.unwrap().is_empty());
    crate::place::assert_clean(&adapter, "by a wrong question").await;
}

/// A table whose columns came and went, two of them without a refresh in between.
const COLUMNS: &str = r#"
    CREATE TABLE notes (id bigint PRIMARY KEY, tenant text NOT NULL, body text NOT NULL, secret text, rank int, old int);
    SELECT threadline.enable_capture('notes', '{"exclude": ["secret"], "except_columns": ["rank"]}');
    INSERT INTO notes VALUES (1, 'acme', 'a');
    ALTER TABLE notes RENAME old TO renamed; SELECT threadline.refresh_capture('notes');
    ALTER TABLE notes DROP renamed; SELECT threadline.refresh_capture('notes');
    ALTER TABLE notes ADD late int, ADD ghost int; UPDATE notes SET ghost = 1; ALTER TABLE notes DROP ghost;
"#;

pub(super) async fn an_unknown_field_is_an_error_that_names_it<A: Adapter>(place: Place) {
    place.execute(COLUMNS);
    let adapter: A = place.open(1).await;
    let actor = ActorRef::user("42").unwrap();
    let notes = || Timeline::new().table("notes");
    let of_a_note = || Timeline::new().table_in("public", "notes").key(1);
    let everywhere = || Timeline::new().since(time::OffsetDateTime::UNIX_EPOCH);
    let wrong = [
        ("unknown_column", "titel", notes().changed_field("titel")),
        ("unknown_column", "titel", notes().table("posts").changed_field("titel")),
        ("unknown_column", "titel", of_a_note().changed_field("titel")),
        ("unknown_column", "titel", everywhere().changed_field("titel")),
        ("unknown_column", "titel", everywhere().schema("public").changed_field("titel")),
        // Beside others that are known, as a table is.
        ("unknown_column", "titel", notes().changed_field("ghost").changed_field("titel")),
        ("unknown_column", "titel", of_a_note().changed_field("ghost").changed_field("titel")),
        ("unknown_column", "titel", everywhere().changed_field("titel").changed_field("ghost")),
        ("unknown_column", "Body", notes().changed_field("Body")),
        // Another table's.
        ("unknown_column", "title", notes().changed_field("title")),
        ("column_redacted", "secret", notes().changed_field("secret")),
        ("column_redacted", "rank", notes().changed_field("body").changed_field("rank")),
    ];
    let scope = Scope::schemas(["public"]);
    for (code, field, timeline) in wrong {
        let questions = Questions { timeline, ..Questions::about(1, TransactionId(1), &actor, "c") };
        for scope in [None, Some(&scope)] {
            for (read, answer) in adapter.ask(scope, &questions).await.unwrap() {
                if has_filters(read) {
                    let error = answer.expect_err(&format!("{read}: {:?}", questions.timeline));
                    let told = (error.code(), error.setting());
                    assert_eq!(told, (Some(code), Some("changed_field")), "{read}: {error:?}");
                    assert!(error.to_string().contains(&format!("changed_field {field} is")), "{read}: {error}");
                }
            }
        }
    }
    let known = [
        notes().changed_field("body"),
        notes().changed_field("old"),
        notes().changed_field("renamed"),
        notes().changed_field("late"),
        notes().changed_field("ghost"),
        notes().changed_field("ghost").changed_field("body"),
        notes().table("posts").changed_field("title").changed_field("body"),
        of_a_note().changed_field("body").changed_field("ghost"),
        everywhere().changed_field("title").changed_field("late"),
        everywhere().schema("public").changed_field("ghost"),
    ];
    for timeline in known {
        let questions = Questions { timeline, ..Questions::about(1, TransactionId(1), &actor, "c") };
        for (read, answer) in adapter.ask(None, &questions).await.unwrap() {
            if has_filters(read) {
                answer.unwrap_or_else(|error| panic!("{read}: {:?}: {error:?}", questions.timeline));
            }
        }
    }
    assert_eq!(adapter.timeline(&notes().changed_field("ghost")).await.unwrap().entries.len(), 1);
    crate::place::assert_clean(&adapter, "by a wrong question").await;
}
