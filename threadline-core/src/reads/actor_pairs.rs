//! What an actor did, asked by names and values.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    actor_history::ActorHistory,
    pairs::{self, Name, actor, actor_text, moment, number},
    row_history::page_limit,
};
use crate::{Error, instant};

/// What it can be asked by.
const NAMES: [Name; 5] = [("actor", false), ("since", false), ("until", false), ("limit", false), ("cursor", false)];

impl ActorHistory {
    /// The history that names and values ask for, such as those of a query string or a form. The names are those of
    /// [`Timeline::from_pairs`](crate::Timeline::from_pairs), for the changes in the transactions.
    ///
    /// | name | value |
    /// |---|---|
    /// | `actor` | `user:42`, `anonymous`, an actor ref as JSON, or `nobody` for what nobody was named for; not to be left out |
    /// | `since`, `until` | an instant with its offset from UTC: `2026-11-23T15:04:05Z` |
    /// | `limit`, `cursor` | of the page |
    ///
    /// # Errors
    /// [`is_invalid_input`](Error::is_invalid_input), and [`setting`](Error::setting) names it, when a name is not known,
    /// comes twice, or has a value that is empty, malformed or too long, and when there is no actor.
    ///
    /// # Examples
    /// ```
    /// use threadline_core::ActorHistory;
    ///
    /// // From https://example.com/audit/actor?actor=user:42&limit=20
    /// let asked = [("actor", "user:42"), ("limit", "20")];
    /// let history = ActorHistory::from_pairs(asked)?;
    /// assert_eq!(history.to_pairs()?, asked.map(|(name, value)| (name, value.to_owned())));
    ///
    /// let error = ActorHistory::from_pairs([("limit", "20")]).unwrap_err();
    /// assert_eq!(error.setting(), Some("actor"));
    /// # Ok::<(), threadline_core::Error>(())
    /// ```
    pub fn from_pairs<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Result<Self, Error>
    where
        N: AsRef<str>,
        V: AsRef<str>,
    {
        let mut of = None;
        let mut history = Self::of(None);
        for pair in pairs::checked(&NAMES, pairs) {
            let (name, value) = pair?;
            let value = value.as_ref();
            history = match name {
                "actor" => {
                    of = Some(actor(value)?);
                    history
                }
                "since" => history.since(moment(name, value)?),
                "until" => history.until(moment(name, value)?),
                "limit" => {
                    let limit = number(name, value)?;
                    page_limit(limit, Self::MAX_LIMIT)?;
                    history.limit(limit)
                }
                "cursor" => history.cursor(value.trim().parse()?),
                _ => return Err(pairs::unknown(name, &NAMES)),
            };
        }
        let remedy = "Say whose history: user:42, anonymous, or nobody for what nobody was named for";
        history.actor = of.ok_or_else(|| Error::invalid_input("actor", "is missing", remedy))?;
        history.validate()?;
        Ok(history)
    }

    /// What [`from_pairs`](Self::from_pairs) reads back as the same history, for a link to it or to its next page. Without
    /// the scope.
    ///
    /// # Errors
    /// [`is_invalid_input`](Error::is_invalid_input) for a value that is out of bounds.
    pub fn to_pairs(&self) -> Result<Vec<(&'static str, String)>, Error> {
        self.validate()?;
        let mut pairs = vec![("actor", actor_text(self.actor.as_ref()))];
        let texts = [
            ("since", self.since.map(|at| instant::exact(at, "since")).transpose()?),
            ("until", self.until.map(|at| instant::exact(at, "until")).transpose()?),
            ("limit", self.limit.map(|limit| limit.to_string())),
            ("cursor", self.cursor.map(|cursor| cursor.to_string())),
        ];
        pairs.extend(texts.into_iter().filter_map(|(name, value)| Some((name, value?))));
        Ok(pairs)
    }
}

/// The names and values of [`from_pairs`](Self::from_pairs): of a query string, or an object of texts. Unknown names are
/// refused.
impl<'de> Deserialize<'de> for ActorHistory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        pairs::deserialize(deserializer, "filters of an actor's history and their values", Self::from_pairs)
    }
}

/// As [`to_pairs`](Self::to_pairs).
impl Serialize for ActorHistory {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        pairs::serialize(self.to_pairs(), serializer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{option, prelude::*, sample::select};
    use time::{OffsetDateTime, macros::datetime};

    use super::*;
    use crate::{ActorRef, ChangeId, Cursor};

    fn refused(pairs: &[(&str, &str)]) -> (String, String) {
        let error = ActorHistory::from_pairs(pairs.iter().copied()).unwrap_err();
        assert!(error.is_invalid_input(), "{error}");
        (error.setting().unwrap().to_owned(), error.to_string())
    }

    #[test]
    fn everything_is_read() {
        let cursor = Cursor::new(datetime!(2026-01-02 3:04 UTC), ChangeId(7));
        let by_name = ActorHistory::from_pairs([
            ("actor", "user:42"),
            ("since", "2026-01-01T00:00:00+02:00"),
            ("until", "2026-12-31T23:59:59.999999Z"),
            ("limit", "20"),
            ("cursor", &cursor.to_string()),
        ]);
        let built = ActorHistory::of(&ActorRef::user("42").unwrap())
            .since(datetime!(2026-01-01 0:00 +02:00))
            .until(datetime!(2026-12-31 23:59:59.999_999 UTC))
            .limit(20)
            .cursor(cursor);
        assert_eq!(by_name.unwrap(), built);
        assert_eq!(ActorHistory::from_pairs([("actor", "nobody")]).unwrap(), ActorHistory::of(None));
    }

    #[test]
    fn everything_that_it_knows_has_a_name() {
        // No `..`: what is new has to be named here, and then in NAMES.
        let ActorHistory { actor: _, since: _, until: _, limit: _, cursor: _, scope: _ } = ActorHistory::of(None);
        // Every one but the scope.
        assert_eq!(NAMES.len(), 5);
    }

    #[test]
    fn what_is_missing_unknown_said_twice_or_malformed_is_named() {
        let (setting, message) = refused(&[("limit", "20")]);
        assert_eq!(setting, "actor");
        insta::assert_snapshot!(message, @"actor is missing. Say whose history: user:42, anonymous, or nobody for what nobody was named for");
        let (setting, message) = refused(&[("actor", "user:42"), ("table", "posts")]);
        assert_eq!(setting, "table");
        insta::assert_snapshot!(message, @r#""table" is not a filter. Use actor, since, until, limit, cursor"#);
        assert_eq!(refused(&[("actor", "user:42"), ("actor", "user:43")]).1, "actor is given twice. Give it once");
        for (name, value) in [
            ("actor", ""),
            ("actor", "robot:42"),
            ("since", "yesterday"),
            ("until", " "),
            ("limit", "1001"),
            ("limit", "many"),
            ("cursor", "x"),
            ("scope", "acme"),
        ] {
            let actor = if name == "actor" { None } else { Some(("actor", "user:42")) };
            let pairs: Vec<_> = actor.into_iter().chain([(name, value)]).collect();
            assert_eq!(refused(&pairs).0, name, "{value}");
        }
        let reversed = [("actor", "nobody"), ("since", "2026-01-02T00:00:00Z"), ("until", "2026-01-01T00:00:00Z")];
        assert_eq!(refused(&reversed).0, "since");
    }

    #[test]
    fn serde_reads_and_writes_the_same_names() {
        let text = r#"{"actor":"user:42","limit":"20"}"#;
        let history: ActorHistory = serde_json::from_str(text).unwrap();
        assert_eq!(history, ActorHistory::of(&ActorRef::user("42").unwrap()).limit(20));
        assert_eq!(serde_json::to_string(&history).unwrap(), text);
        assert_eq!(serde_urlencoded::from_str::<ActorHistory>("actor=user%3A42&limit=20").unwrap(), history);
        let error = serde_json::from_str::<ActorHistory>("[]").unwrap_err().to_string();
        assert!(error.contains("filters of an actor's history"), "{error}");
    }

    prop_compose! {
        fn a_history()(
            actor in option::of(select(&["42", "é", "a b"][..])),
            mut between in proptest::collection::vec(0..253_402_300_800_i64, 0..3),
            limit in option::of(1..=ActorHistory::MAX_LIMIT),
            id in option::of(any::<i64>()),
        ) -> ActorHistory {
            let mut history = ActorHistory::of(actor.map(|id| ActorRef::user(id).unwrap()).as_ref());
            between.sort_unstable();
            let mut between = between.into_iter().map(|at| OffsetDateTime::from_unix_timestamp(at).unwrap());
            (history.since, history.until) = (between.next(), between.next());
            history.limit = limit;
            history.cursor = id.map(|id| Cursor::new(datetime!(2026-01-02 3:04:05.000_006 UTC), ChangeId(id)));
            history
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(history in a_history()) {
            prop_assert_eq!(&ActorHistory::from_pairs(history.to_pairs()?)?, &history);
            let json = serde_json::to_string(&history)?;
            prop_assert_eq!(serde_json::from_str::<ActorHistory>(&json)?, history);
        }
    }
}
