//! Whose part of the trail is read.

use threadline_core::{ActorRef, AuditContext, Scope, TransactionId};

use crate::questions::{Questions, READS};
use crate::script::{act, insert, sql};
use crate::{Adapter, Answers, Call, Place};

const TENANTS: [&str; 2] = ["acme", "umbrella"];

/// Two tenants, whose every text holds their name, under one actor and one correlation id.
struct Tenants<A> {
    adapter: A,
    /// What to ask about each of them.
    questions: Vec<Questions>,
}

async fn tenants<A: Adapter>(place: &Place) -> Tenants<A> {
    place.execute(
        "CREATE TABLE notes (id bigint PRIMARY KEY, tenant text NOT NULL, body text NOT NULL);
        SELECT threadline.enable_capture('notes', '{}')",
    );
    let adapter: A = place.open(1).await;
    let actor = ActorRef::user("42").unwrap();
    let mut questions = Vec::new();
    for (key, tenant) in (1..).zip(TENANTS) {
        let context = AuditContext::new(actor.clone()).correlation_id("shared").meta("tenant", tenant);
        let mut transaction_id = None;
        for script in [
            vec![sql(format!("INSERT INTO notes VALUES ({key}, '{tenant}', 'first of {tenant}')"))],
            vec![
                act(&format!("{tenant}.edited")),
                sql(format!("UPDATE notes SET body = 'second of {tenant}' WHERE id = {key}")),
            ],
        ] {
            transaction_id = adapter.transaction(&Call::new(context.clone(), script)).await.unwrap();
        }
        questions.push(Questions::about(key, transaction_id.unwrap(), &actor, "shared"));
    }
    Tenants { adapter, questions }
}

/// A tenant in each way that a scope can say it.
fn scopes(tenant: &str) -> [Scope; 3] {
    let (meta, field) = (Scope::meta("tenant", tenant), Scope::field("tenant", tenant));
    [meta.clone(), field.clone(), meta.and(field).and(Scope::schemas(["public"]))]
}

async fn ask<A: Adapter>(adapter: &A, scope: Option<&Scope>, questions: &Questions) -> Answers {
    let answers = adapter.ask(scope, questions).await.unwrap();
    assert_eq!(answers.iter().map(|(read, _)| *read).collect::<Vec<_>>(), READS);
    answers
}

pub(super) async fn no_read_tells_of_another_tenant<A: Adapter>(place: Place) {
    let Tenants { adapter, questions } = tenants::<A>(&place).await;
    for scope in scopes("acme") {
        for (read, answer) in ask(&adapter, Some(&scope), &questions[1]).await {
            match answer {
                Ok(text) => assert!(!text.contains("umbrella"), "{scope:?}, {read}: {text}"),
                Err(error) => {
                    let expected = if read.starts_with("as_of") { "never_existed" } else { "not_found" };
                    assert_eq!(error.code(), Some(expected), "{scope:?}, {read}: {error:?}");
                    assert!(!format!("{error:?}").contains("umbrella"), "{scope:?}, {read}: {error:?}");
                }
            }
        }
        // What is nowhere is answered in the same words.
        let nowhere = Questions::about(999, TransactionId(999_999), &ActorRef::user("42").unwrap(), "shared");
        let told = |answers: Answers| -> Vec<String> {
            let about_one =
                |read: &str| ["row_history", "find_transaction", "incident", "as_of_json", "as_of"].contains(&read);
            answers.into_iter().filter(|(read, _)| about_one(read)).map(|answer| format!("{answer:?}")).collect()
        };
        let others = told(ask(&adapter, Some(&scope), &questions[1]).await);
        assert_eq!(others, told(ask(&adapter, Some(&scope), &nowhere).await), "{scope:?}");
    }
    // A scope whose values nobody has, and one that lets nothing through.
    for scope in [Scope::meta("tenant", "none"), Scope::schemas::<String>([])] {
        for (read, answer) in ask(&adapter, Some(&scope), &questions[0]).await {
            let text = answer.unwrap_or_default();
            assert!(TENANTS.iter().all(|tenant| !text.contains(tenant)), "{read}: {text}");
        }
    }
}

pub(super) async fn every_read_tells_of_its_own_tenant<A: Adapter>(place: Place) {
    let Tenants { adapter, questions } = tenants::<A>(&place).await;
    for (number, tenant) in TENANTS.into_iter().enumerate() {
        for scope in scopes(tenant) {
            for (read, answer) in ask(&adapter, Some(&scope), &questions[number]).await {
                let text = answer.unwrap_or_else(|error| panic!("{scope:?}, {read}: {error:?}"));
                let expected = if read == "count_changes" { r#""count":2"# } else { tenant };
                assert!(text.contains(expected), "{scope:?}, {read}: {text}");
            }
        }
    }
    for (read, answer) in ask(&adapter, None, &questions[0]).await {
        let text = answer.unwrap_or_else(|error| panic!("{read}: {error:?}"));
        // Those that are about one row or one transaction cannot tell of both.
        let has_both = TENANTS.iter().all(|tenant| text.contains(tenant));
        let told = match read {
            "count_changes" => text.contains(r#""count":4"#),
            "timeline" | "change_diff" | "correlation" => has_both,
            "actor_history" | "stream" | "stream of an actor" => has_both,
            read if read.starts_with("export") => has_both,
            _ => text.contains("acme"),
        };
        assert!(told, "{read}: {text}");
    }
}

pub(super) async fn a_wrong_scope_is_an_error_that_names_it<A: Adapter>(place: Place) {
    let Tenants { adapter, questions } = tenants::<A>(&place).await;
    for scope in [
        Scope::field("", 1),
        Scope::meta("a\0b", 1),
        Scope::meta("tenant", "a\0b"),
        Scope::meta("tenant", serde_json::Value::Null),
        Scope::field("x".repeat(257), 1),
        Scope::schemas(["public", " "]),
    ] {
        for (read, answer) in ask(&adapter, Some(&scope), &questions[0]).await {
            let error = answer.unwrap_err();
            let told = (error.code(), error.setting());
            assert_eq!(told, (Some("invalid_input"), Some("scope")), "{scope:?}, {read}: {error:?}");
        }
    }
    assert!(
        ask(&adapter, None, &questions[0]).await.iter().all(|(_, answer)| answer.is_ok()),
        "the handle is in order"
    );
}

pub(super) async fn the_scoped_handle_writes_as_the_plain_one<A: Adapter>(place: Place) {
    let adapter: A = place.open(1).await;
    let context = AuditContext::new(ActorRef::user("42").unwrap());
    let call = Call::new(context, vec![act("posted"), insert(1)]);
    assert!(adapter.scoped_transaction(&call).await.unwrap().is_some());
    assert_eq!(place.trail(), ["posts insert 1 42 posted"]);
    let error =
        adapter.scoped_transaction(&Call::new(AuditContext::without_actor(), vec![insert(2)])).await.unwrap_err();
    assert_eq!(error.code(), Some("missing_actor"), "{error:?}");
    assert_eq!(place.count("posts"), 1);
}
