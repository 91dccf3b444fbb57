//! Long and odd strings.

use threadline_core::{Action, ActorRef, AuditContext, Timeline};

use crate::place::{assert_clean, user};
use crate::script::{act, insert};
use crate::{Adapter, Call, Place, Step};

const ODD: [&str; 8] = [
    "it's",
    r"back\slash \' \\ \u0041 \n",
    r#"{"json": "quoted"}"#,
    "$1 $$ $tag$ %s {schema} @schema@ ?",
    "'; DROP TABLE posts; --",
    "/* comment */ -- line",
    "naïve Ω 日本 🦀 \u{301}",
    "E'' U&'' \"name\"",
];

pub(super) async fn odd_ones_come_back_as_they_were<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    for (number, odd) in (1..).zip(ODD) {
        let actor = ActorRef::user(odd).unwrap();
        let context = AuditContext::new(actor.clone()).correlation_id(odd).source(odd).meta(odd, odd);
        let action = Action::new(odd).reason(odd).comment(format!("{odd}\n\t{odd}"));
        // In a nested scope and in an attached transaction the strings travel another way.
        let nested = Step::Nested(Some(context.clone()), vec![Step::Insert(100 + number, odd.to_owned())]);
        let script = vec![Step::Act(action), Step::Insert(number, odd.to_owned()), nested];
        adapter.transaction(&Call::new(context, script)).await.unwrap();
        let page = adapter.timeline(&Timeline::new().actor(&actor)).await.unwrap();
        assert_eq!(page.entries.len(), 2, "{odd}");
        for linked in &page.entries {
            let by = linked.transaction.as_ref().unwrap();
            assert_eq!(by.actor.as_ref(), Some(&actor));
            assert_eq!((by.correlation_id.as_deref(), by.source.as_deref()), (Some(odd), Some(odd)));
            let meta: std::collections::BTreeMap<String, String> =
                serde_json::from_str(by.meta.as_ref().unwrap().get()).unwrap();
            assert_eq!(meta.get(odd).map(String::as_str), Some(odd));
        }
        let action = page.entries[1].action.as_ref().unwrap();
        assert_eq!((action.name.as_str(), action.reason.as_deref()), (odd, Some(odd)));
        assert_eq!(action.comment.as_deref(), Some(format!("{odd}\n\t{odd}").as_str()));
    }
    let titles = place.column("SELECT title FROM posts WHERE id < 100 ORDER BY id");
    assert_eq!(titles, ODD);
}

pub(super) async fn nul_is_refused_before_anything_is_sent<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let context = user("42").meta("note", "a\0b");
    let error = adapter.transaction(&Call::new(context, vec![insert(1)])).await.unwrap_err();
    assert_eq!(error.code(), Some("malformed_context"), "{error:?}");
    let action = Action::new("posted").comment("a\0b");
    let error = adapter.transaction(&Call::new(user("42"), vec![insert(1), Step::Act(action)])).await.unwrap_err();
    assert_eq!(error.code(), Some("invalid_action"), "{error:?}");
    place.assert_untouched();
    assert_clean(&adapter, "after a refused string").await;
}

pub(super) async fn nul_in_a_row_leaves_nothing<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let call = Call::new(user("42"), vec![act("posted"), Step::Insert(1, "a\0b".to_owned())]);
    adapter.transaction(&call).await.unwrap_err();
    place.assert_untouched();
    adapter.transaction(&Call::new(user("43"), vec![insert(1)])).await.unwrap();
    assert_eq!(place.trail(), ["posts insert 1 43 -"]);
}

pub(super) async fn a_comment_of_a_megabyte<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    // Every character that a literal has to double.
    let comment = r"it's \ ".repeat((1 << 20) / 7 + 1);
    let action = Action::new("posted").comment(comment.as_str());
    let title = comment.clone();
    adapter.transaction(&Call::new(user("42"), vec![Step::Act(action), Step::Insert(1, title)])).await.unwrap();
    let page = adapter.timeline(&Timeline::new()).await.unwrap();
    let action = page.entries[0].action.as_ref().unwrap();
    assert!(action.comment.as_deref() == Some(comment.as_str()), "the comment came back changed");
    assert!(place.value("SELECT title FROM posts") == comment, "the row came back changed");
}

pub(super) async fn ids_of_the_longest_kind<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let id = "é".repeat(128);
    let context = user("42").correlation_id(id.as_str()).meta("note", "x".repeat(100_000));
    adapter.transaction(&Call::new(context, vec![insert(1)])).await.unwrap();
    let page = adapter.timeline(&Timeline::new().correlation_id(id.as_str())).await.unwrap();
    assert_eq!(page.entries.len(), 1);
    let context = user("42").correlation_id(format!("{id}x"));
    let error = adapter.transaction(&Call::new(context, vec![insert(2)])).await.unwrap_err();
    assert_eq!(error.code(), Some("malformed_context"), "{error:?}");
    assert_eq!(place.count("posts"), 1);
}
