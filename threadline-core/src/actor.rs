//! Who did it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeMap};

use crate::{
    Error,
    bounds::{self, Limit},
    error::Kind,
};

/// The longest actor id, in characters.
const MAX_ID_CHARACTERS: usize = 255;

/// What kind of actor it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ActorKind {
    /// A person using the service.
    User,
    /// A person of the operator's staff.
    Admin,
    /// Another service, an API token.
    ServiceAccount,
    /// A background job.
    Job,
    /// The service itself: a migration, a scheduler, a start-up task.
    System,
    /// Somebody unknown; has no id.
    Anonymous,
}

impl ActorKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::User, Self::Admin, Self::ServiceAccount, Self::Job, Self::System, Self::Anonymous];

    /// The kind as JSON and SQL spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
            Self::ServiceAccount => "service_account",
            Self::Job => "job",
            Self::System => "system",
            Self::Anonymous => "anonymous",
        }
    }
}

impl fmt::Display for ActorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for ActorKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
            invalid("the actor's type is not known")
                .remedy_text("Use user, admin, service_account, job, system or anonymous")
        })
    }
}

/// Who is responsible for a change or an action: a kind and an id, optionally on behalf of somebody else.
///
/// As JSON it is exactly `{"type":"user","id":"42"}`, with `"on_behalf_of":{..}` when the actor stands in for another;
/// anonymous has no id. Reading is strict: an unknown type, a missing id or an extra key is an error.
///
/// # Examples
/// ```
/// use threadline_core::ActorRef;
///
/// let actor = ActorRef::admin("7")?.on_behalf_of(ActorRef::user("42")?)?;
/// assert_eq!(actor.to_string(), "admin:7 on behalf of user:42");
/// assert_eq!(actor.to_json(), r#"{"type":"admin","id":"7","on_behalf_of":{"type":"user","id":"42"}}"#);
/// assert_eq!("user:42".parse::<ActorRef>()?, ActorRef::user("42")?);
/// assert!("robot:42".parse::<ActorRef>().is_err());
/// # Ok::<(), threadline_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActorRef {
    kind: ActorKind,
    id: Option<String>,
    on_behalf_of: Option<Box<ActorRef>>,
}

impl ActorRef {
    /// An actor of any kind but anonymous.
    ///
    /// # Errors
    /// [`is_invalid_actor`](Error::is_invalid_actor) when the id is blank, has a control character or more than 255
    /// characters, or when the kind is anonymous.
    pub fn new(kind: ActorKind, id: impl Into<String>) -> Result<Self, Error> {
        Self::from_parts(kind, Some(id.into()))
    }

    /// A person using the service.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn user(id: impl Into<String>) -> Result<Self, Error> {
        Self::new(ActorKind::User, id)
    }

    /// A person of the operator's staff.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn admin(id: impl Into<String>) -> Result<Self, Error> {
        Self::new(ActorKind::Admin, id)
    }

    /// Another service, an API token.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn service_account(id: impl Into<String>) -> Result<Self, Error> {
        Self::new(ActorKind::ServiceAccount, id)
    }

    /// A background job.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn job(id: impl Into<String>) -> Result<Self, Error> {
        Self::new(ActorKind::Job, id)
    }

    /// The service itself: a migration, a scheduler, a start-up task.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn system(id: impl Into<String>) -> Result<Self, Error> {
        Self::new(ActorKind::System, id)
    }

    /// Somebody unknown.
    #[must_use]
    pub fn anonymous() -> Self {
        Self { kind: ActorKind::Anonymous, id: None, on_behalf_of: None }
    }

    /// The same actor, acting on behalf of `principal`: an admin impersonating a user, a job started by a user.
    ///
    /// # Errors
    /// [`is_invalid_actor`](Error::is_invalid_actor) when the principal itself acts on behalf of somebody (one level is
    /// kept), or when this actor already has a principal.
    pub fn on_behalf_of(self, principal: Self) -> Result<Self, Error> {
        if principal.on_behalf_of.is_some() {
            return Err(invalid("an actor acts on behalf of one that itself acts on behalf of another")
                .remedy_text("Name the last principal only: one level is kept"));
        }
        if self.on_behalf_of.is_some() {
            return Err(invalid("the actor already acts on behalf of another").remedy_text("Name one principal"));
        }
        Ok(Self { on_behalf_of: Some(Box::new(principal)), ..self })
    }

    /// What kind of actor it is.
    #[must_use]
    pub fn kind(&self) -> ActorKind {
        self.kind
    }

    /// The id; `None` for anonymous only.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// On whose behalf the actor acted.
    #[must_use]
    pub fn principal(&self) -> Option<&Self> {
        self.on_behalf_of.as_deref()
    }

    /// The actor as the trail stores it.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut json = format!("{{\"type\":\"{}\"", self.kind);
        if let Some(id) = &self.id {
            // A JSON string: the only part that needs escaping.
            json.push_str(",\"id\":");
            json.push_str(&serde_json::Value::from(id.as_str()).to_string());
        }
        if let Some(principal) = &self.on_behalf_of {
            json.push_str(",\"on_behalf_of\":");
            json.push_str(&principal.to_json());
        }
        json.push('}');
        json
    }

    /// Reads what [`to_json`](Self::to_json) writes.
    ///
    /// # Errors
    /// [`is_invalid_actor`](Error::is_invalid_actor) when the text is not exactly an actor ref.
    pub fn from_json(json: &str) -> Result<Self, Error> {
        serde_json::from_str::<Wire>(json)
            .map_err(|error| {
                invalid("the actor ref is not JSON like {\"type\":\"user\",\"id\":\"42\"}").with_source(error)
            })?
            .try_into()
    }

    fn from_parts(kind: ActorKind, id: Option<String>) -> Result<Self, Error> {
        match (kind, &id) {
            (ActorKind::Anonymous, Some(_)) => {
                return Err(
                    invalid("an anonymous actor has an id").remedy_text("Leave the id out, or name another type")
                );
            }
            (ActorKind::Anonymous, None) => {}
            (_, None) => {
                return Err(invalid(format!("a {kind} actor has no id"))
                    .remedy_text("Give the id that your service knows the actor by"));
            }
            (_, Some(id)) => bounds::line(id, Limit::Characters(MAX_ID_CHARACTERS)).map_err(|problem| {
                invalid(format!("the id of a {kind} actor {problem}"))
                    .remedy_text("Give the id that your service knows the actor by")
            })?,
        }
        Ok(Self { kind, id, on_behalf_of: None })
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(Kind::InvalidActor, message).setting_name("actor_ref")
}

/// `user:42`, or `admin:7 on behalf of user:42`.
impl fmt::Display for ActorRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if let Some(id) = &self.id {
            write!(f, ":{id}")?;
        }
        if let Some(principal) = &self.on_behalf_of {
            write!(f, " on behalf of {principal}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ActorRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ActorRef({self})")
    }
}

/// Reads `user:42` and `anonymous`. The id is everything after the first colon, so an actor on behalf of another has no
/// such short form; use JSON.
impl FromStr for ActorRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (kind, id) = match text.split_once(':') {
            Some((kind, id)) => (kind, Some(id.to_owned())),
            None => (text, None),
        };
        Self::from_parts(kind.parse()?, id)
    }
}

impl Serialize for ActorRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entries = 1 + usize::from(self.id.is_some()) + usize::from(self.on_behalf_of.is_some());
        let mut map = serializer.serialize_map(Some(entries))?;
        map.serialize_entry("type", self.kind.as_str())?;
        if let Some(id) = &self.id {
            map.serialize_entry("id", id)?;
        }
        if let Some(principal) = &self.on_behalf_of {
            map.serialize_entry("on_behalf_of", principal)?;
        }
        map.end()
    }
}

/// The JSON before it is judged.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    r#type: String,
    id: Option<String>,
    on_behalf_of: Option<Box<Wire>>,
}

impl TryFrom<Wire> for ActorRef {
    type Error = Error;

    fn try_from(wire: Wire) -> Result<Self, Error> {
        let actor = Self::from_parts(wire.r#type.parse()?, wire.id)?;
        match wire.on_behalf_of {
            Some(principal) => actor.on_behalf_of(Self::try_from(*principal)?),
            None => Ok(actor),
        }
    }
}

/// Reads an actor that the trail holds. The kernel, which other clients use too, checks the type and that there is an id;
/// what only this crate refuses today must not make old rows unreadable.
pub(crate) fn recorded<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ActorRef, D::Error> {
    RecordedWire::deserialize(deserializer)?.read(1).map_err(de::Error::custom)
}

/// [`recorded`] for a column that may be null.
pub(crate) fn recorded_option<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ActorRef>, D::Error> {
    let wire = Option::<RecordedWire>::deserialize(deserializer)?;
    wire.map(|wire| wire.read(1)).transpose().map_err(de::Error::custom)
}

#[derive(Deserialize)]
struct RecordedWire {
    r#type: String,
    id: Option<String>,
    on_behalf_of: Option<Box<RecordedWire>>,
}

impl RecordedWire {
    fn read(self, level: u8) -> Result<ActorRef, Error> {
        let on_behalf_of = match self.on_behalf_of {
            Some(principal) if level == 1 => Some(Box::new(principal.read(2)?)),
            // The kernel looks no deeper than this either.
            Some(_) | None => None,
        };
        Ok(ActorRef { kind: self.r#type.parse()?, id: self.id, on_behalf_of })
    }
}

impl<'de> Deserialize<'de> for ActorRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(Wire::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
#[path = "actor_tests.rs"]
mod tests;
