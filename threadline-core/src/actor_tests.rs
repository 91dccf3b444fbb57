//! What an actor ref accepts and how it reads.

use proptest::prelude::*;

use super::*;

#[test]
fn the_six_kinds_round_trip() {
    for kind in ActorKind::ALL {
        let actor = match kind {
            ActorKind::Anonymous => ActorRef::anonymous(),
            _ => ActorRef::new(kind, "a:b").unwrap(),
        };
        assert_eq!(actor.to_string().parse::<ActorRef>().unwrap(), actor);
        assert_eq!(ActorRef::from_json(&actor.to_json()).unwrap(), actor);
        assert_eq!(serde_json::to_string(&actor).unwrap(), actor.to_json());
    }
}

#[test]
fn the_json_is_the_originals() {
    assert_eq!(ActorRef::user("42").unwrap().to_json(), r#"{"type":"user","id":"42"}"#);
    assert_eq!(ActorRef::anonymous().to_json(), r#"{"type":"anonymous"}"#);
}

#[test]
fn malformed_json_is_a_clear_error() {
    for (json, reason) in [
        (r#"{"type":"robot","id":"1"}"#, "type is not known"),
        (r#"{"type":"user"}"#, "a user actor has no id"),
        (r#"{"type":"user","id":" "}"#, "is empty"),
        (r#"{"type":"user","id":"a\u0000"}"#, "NUL"),
        (r#"{"type":"user","id":"1","name":"x"}"#, "unknown field `name`"),
        (r#"{"type":"user","id":1}"#, "expected a string"),
        (r#"{"type":"anonymous","id":"1"}"#, "an anonymous actor has an id"),
        (r#"{"id":"1"}"#, "missing field `type`"),
        (r#""user:1""#, "invalid type"),
        (
            r#"{"type":"job","id":"1","on_behalf_of":{"type":"user","id":"2","on_behalf_of":{"type":"user","id":"3"}}}"#,
            "itself acts on behalf of another",
        ),
    ] {
        let error = ActorRef::from_json(json).unwrap_err();
        assert!(error.is_invalid_actor());
        // Shape errors are explained by their source, which may quote the text; the rest by our message.
        let explained = match std::error::Error::source(&error) {
            Some(source) => source.to_string(),
            None => error.to_string(),
        };
        assert!(explained.contains(reason), "{json}: {explained}");
        let read = serde_json::from_str::<ActorRef>(json).unwrap_err().to_string();
        assert!(read.contains(reason), "{json}: {read}");
    }
}

#[test]
fn an_id_has_at_most_255_characters() {
    assert!(ActorRef::user("é".repeat(255)).is_ok());
    assert!(ActorRef::user("é".repeat(256)).unwrap_err().is_invalid_actor());
}

#[test]
fn one_principal_at_most() {
    let user = || ActorRef::user("1").unwrap();
    let job = ActorRef::job("2").unwrap().on_behalf_of(user()).unwrap();
    assert!(ActorRef::admin("3").unwrap().on_behalf_of(job.clone()).is_err());
    assert!(job.on_behalf_of(user()).is_err());
}

proptest! {
    #[test]
    fn any_acceptable_id_survives_json(id in "\\PC{1,40}") {
        if let Ok(actor) = ActorRef::user(id.as_str()) {
            let read = ActorRef::from_json(&actor.to_json())?;
            prop_assert_eq!(read.id(), Some(id.as_str()));
            prop_assert_eq!(serde_json::to_string(&actor)?, actor.to_json());
        }
    }
}
