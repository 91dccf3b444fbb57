//! Questions as names and values: query strings, form fields, settings.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serializer,
    de::{self, MapAccess, SeqAccess, Visitor},
    ser::SerializeMap,
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{ActorRef, Error};

/// What a question can be asked by, and whether it may be said again.
pub(super) type Name = (&'static str, bool);

const INSTANT: &str = "Give an instant such as 2026-11-23T15:04:05Z";

/// The pairs, each with a known name and a value, and said once where it can mean one thing.
pub(super) fn checked<N, V>(
    names: &[Name],
    pairs: impl IntoIterator<Item = (N, V)>,
) -> impl Iterator<Item = Result<(&'static str, V), Error>>
where
    N: AsRef<str>,
    V: AsRef<str>,
{
    let mut said = Vec::new();
    pairs.into_iter().map(move |(name, value)| {
        let name = name.as_ref();
        let Some((known, again)) = names.iter().copied().find(|(known, _)| *known == name) else {
            return Err(unknown(name, names));
        };
        if !again && said.contains(&known) {
            return Err(Error::invalid_input(known, "is given twice", "Give it once"));
        }
        if value.as_ref().trim().is_empty() {
            let remedy = "Give the value to look for, or leave the filter out";
            return Err(Error::invalid_input(known, "is empty", remedy));
        }
        said.push(known);
        Ok((known, value))
    })
}

pub(super) fn unknown(name: &str, names: &[Name]) -> Error {
    // Whatever it is, it is repeated in full only when it is short.
    let shown: String = name.chars().take(40).collect();
    let known: Vec<&str> = names.iter().map(|(known, _)| *known).collect();
    Error::invalid_input(&format!("{shown:?}"), "is not a filter", &format!("Use {}", known.join(", ")))
        .setting_name(shown)
}

pub(super) fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, Error> {
    value.trim().parse().map_err(|_| Error::invalid_input(name, "is not a number, or out of range", "Give its digits"))
}

pub(super) fn moment(name: &str, value: &str) -> Result<OffsetDateTime, Error> {
    OffsetDateTime::parse(value.trim(), &Rfc3339)
        .map_err(|error| Error::invalid_input(name, "is not an instant", INSTANT).with_source(error))
}

pub(super) fn actor(value: &str) -> Result<Option<ActorRef>, Error> {
    let actor = match value.trim_start() {
        "nobody" => return Ok(None),
        json if json.starts_with('{') => ActorRef::from_json(json),
        _ => value.parse(),
    };
    let remedy = "Give user:42, anonymous, an actor ref as JSON, or nobody for changes that nobody was named for";
    actor.map(Some).map_err(|error| Error::invalid_input("actor", "is not an actor", remedy).with_source(error))
}

pub(super) fn actor_text(actor: Option<&ActorRef>) -> String {
    match actor {
        None => "nobody".to_owned(),
        Some(actor) if actor.principal().is_some() => actor.to_json(),
        Some(actor) => actor.to_string(),
    }
}

/// What makes a question of pairs.
type Read<T> = fn(Vec<(String, String)>) -> Result<T, Error>;

/// Reads a map of texts, numbers and lists of them.
pub(super) fn deserialize<'de, T, D: Deserializer<'de>>(
    deserializer: D,
    expected: &'static str,
    read: Read<T>,
) -> Result<T, D::Error> {
    deserializer.deserialize_map(Pairs { expected, read })
}

struct Pairs<T> {
    expected: &'static str,
    read: Read<T>,
}

impl<'de, T> Visitor<'de> for Pairs<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut pairs = Vec::new();
        while let Some((name, Values(values))) = map.next_entry::<String, Values>()? {
            pairs.extend(values.into_iter().map(|value| (name.clone(), value)));
        }
        (self.read)(pairs).map_err(de::Error::custom)
    }
}

/// A text or a number, or a list of them.
struct Values(Vec<String>);

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;

        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Values;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a whole number, or a list of them")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Values, E> {
                Ok(Values(vec![text.to_owned()]))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Values, E> {
                Ok(Values(vec![number.to_string()]))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Values, E> {
                Ok(Values(vec![number.to_string()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Values, A::Error> {
                let mut all = Vec::new();
                while let Some(Values(values)) = list.next_element()? {
                    all.extend(values);
                }
                Ok(Values(all))
            }
        }

        deserializer.deserialize_any(OneOrMany)
    }
}

/// Writes a map of texts, with a list where a name is said again.
pub(super) fn serialize<S: Serializer>(
    pairs: Result<Vec<(&'static str, String)>, Error>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let pairs = pairs.map_err(serde::ser::Error::custom)?;
    let mut map = serializer.serialize_map(None)?;
    // What is said again stands together.
    for of_name in pairs.chunk_by(|(one, _), (other, _)| one == other) {
        match of_name {
            [(name, value)] => map.serialize_entry(name, value)?,
            [(name, _), ..] => {
                let values: Vec<&str> = of_name.iter().map(|(_, value)| &**value).collect();
                map.serialize_entry(name, &values)?;
            }
            [] => {}
        }
    }
    map.end()
}
