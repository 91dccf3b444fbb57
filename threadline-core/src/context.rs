//! Who and why, as the application supplies it to a transaction.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;

use crate::{
    ActorRef, Error, Statement, TransactionOptions,
    bounds::{self, Limit},
    error::Kind,
    quote_literal,
};

/// The setting that carries the actor.
const ACTOR_SETTING: &str = "threadline.actor_ref";
/// The setting that carries the rest of the context.
const CONTEXT_SETTING: &str = "threadline.context";
/// The longest correlation, request and job id, and the longest source, in bytes.
pub(crate) const MAX_ID_BYTES: usize = 256;

/// The actor, the ids and the notes that a transaction's changes and actions are recorded under.
///
/// A context is a value: cheap to clone, serialisable (so that a job can carry it), and without any effect until an
/// adapter begins a transaction with it. It is checked there, or earlier with [`validate`](Self::validate).
///
/// The correlation id, request id, job id and source are trimmed, and then must be one line of 1 to 256 bytes.
///
/// # Examples
/// ```
/// use threadline_core::{ActorRef, AuditContext, TransactionOptions};
///
/// let context = AuditContext::new(ActorRef::user("42")?).correlation_id("req-7f3").meta("tenant", "acme");
/// assert_eq!(
///     context.begin_sql(&TransactionOptions::new())?,
///     r#"BEGIN; SET LOCAL threadline.actor_ref = E'{"type":"user","id":"42"}'; SET LOCAL threadline.context = E'{"correlation_id":"req-7f3","meta":{"tenant":"acme"}}'"#,
/// );
///
/// let job: AuditContext = serde_json::from_str(&serde_json::to_string(&context)?)?;
/// assert_eq!(job, context);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[must_use]
pub struct AuditContext {
    #[serde(rename = "actor_ref", skip_serializing_if = "Option::is_none")]
    actor: Option<ActorRef>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    allow_missing_actor: bool,
    #[serde(flatten)]
    details: Details,
}

/// What the `threadline.context` setting holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct Details {
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_ip: Option<IpAddr>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    meta: BTreeMap<String, Value>,
}

impl AuditContext {
    /// A context of `actor`.
    pub fn new(actor: ActorRef) -> Self {
        Self { actor: Some(actor), allow_missing_actor: false, details: Details::default() }
    }

    /// A context without an actor. A transaction does not begin with it unless
    /// [`allow_missing_actor`](Self::allow_missing_actor) says so too.
    pub fn without_actor() -> Self {
        Self { actor: None, allow_missing_actor: false, details: Details::default() }
    }

    /// Lets a transaction begin without an actor. Tables whose policy requires one still refuse writes.
    pub fn allow_missing_actor(mut self) -> Self {
        self.allow_missing_actor = true;
        self
    }

    /// The same context with this actor.
    pub fn with_actor(mut self, actor: ActorRef) -> Self {
        self.actor = Some(actor);
        self
    }

    /// The id that follows one piece of work through every service and job.
    pub fn correlation_id(mut self, id: impl Into<String>) -> Self {
        self.details.correlation_id = Some(trimmed(id.into()));
        self
    }

    /// The id of the one request.
    pub fn request_id(mut self, id: impl Into<String>) -> Self {
        self.details.request_id = Some(trimmed(id.into()));
        self
    }

    /// The id of the background job.
    pub fn job_id(mut self, id: impl Into<String>) -> Self {
        self.details.job_id = Some(trimmed(id.into()));
        self
    }

    /// What the work came in through: `api`, `admin-console`, `import`.
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.details.source = Some(trimmed(source.into()));
        self
    }

    /// The address the request came from.
    pub fn remote_ip(mut self, address: IpAddr) -> Self {
        self.details.remote_ip = Some(address);
        self
    }

    /// One more note; the last value of a key counts.
    pub fn meta(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.details.meta.insert(key.into(), value.into());
        self
    }

    /// The actor, if there is one.
    #[must_use]
    pub fn actor(&self) -> Option<&ActorRef> {
        self.actor.as_ref()
    }

    /// The correlation id, if there is one.
    #[must_use]
    pub fn get_correlation_id(&self) -> Option<&str> {
        self.details.correlation_id.as_deref()
    }

    /// The request id, if there is one.
    #[must_use]
    pub fn get_request_id(&self) -> Option<&str> {
        self.details.request_id.as_deref()
    }

    /// The job id, if there is one.
    #[must_use]
    pub fn get_job_id(&self) -> Option<&str> {
        self.details.job_id.as_deref()
    }

    /// Checks the context as beginning a transaction does.
    ///
    /// # Errors
    /// [`is_missing_actor`](Error::is_missing_actor) when there is no actor and that is not allowed;
    /// [`is_malformed_context`](Error::is_malformed_context) when an id is blank, over-long or contains a control
    /// character, or when `meta` contains a NUL character. [`setting`](Error::setting) names the field.
    pub fn validate(&self) -> Result<(), Error> {
        if self.actor.is_none() && !self.allow_missing_actor {
            return Err(Error::new(Kind::MissingActor, "the audit context has no actor")
                .setting_name("actor_ref")
                .remedy_text(
                    "Make it with AuditContext::new(actor), or add .allow_missing_actor() if nobody is responsible",
                ));
        }
        self.details.validate()
    }

    /// The batch that begins a transaction with this context in one round trip, for the simple protocol: `BEGIN ..` and
    /// the two settings, which are always both set, so that a value of the session never leaks in.
    ///
    /// # Errors
    /// As for [`validate`](Self::validate).
    pub fn begin_sql(&self, options: &TransactionOptions) -> Result<String, Error> {
        let (actor, details) = self.settings()?;
        let (actor, details) = (quote_literal(&actor)?, quote_literal(&details)?);
        Ok(format!(
            // A third of the cost of set_config: nothing to plan.
            "{options}; SET LOCAL {ACTOR_SETTING} = {actor}; SET LOCAL {CONTEXT_SETTING} = {details}"
        ))
    }

    /// The same two settings as one statement, for a transaction that is already open and has no context yet. To give a
    /// nested scope another context and restore the outer one, use [`EnterContext`](crate::EnterContext).
    ///
    /// # Errors
    /// As for [`validate`](Self::validate).
    pub fn stamp(&self) -> Result<Statement, Error> {
        let (actor, details) = self.settings()?;
        // num_nonnulls makes one column of two and sends none of the context back.
        Ok(Statement::new(
            "SELECT pg_catalog.num_nonnulls(\
             pg_catalog.set_config('threadline.actor_ref', $1::text, true), \
             pg_catalog.set_config('threadline.context', $2::text, true))::text",
        )
        .bind(actor)
        .bind(details))
    }

    /// The checked values of the two settings; empty means absent.
    pub(crate) fn settings(&self) -> Result<(String, String), Error> {
        self.validate()?;
        let actor = self.actor.as_ref().map(ActorRef::to_json).unwrap_or_default();
        let details = if self.details == Details::default() {
            String::new()
        } else {
            serde_json::to_string(&self.details).map_err(|error| malformed("meta", "is not JSON").with_source(error))?
        };
        Ok((actor, details))
    }
}

impl Details {
    fn validate(&self) -> Result<(), Error> {
        let lines = [
            ("correlation_id", &self.correlation_id),
            ("request_id", &self.request_id),
            ("job_id", &self.job_id),
            ("source", &self.source),
        ];
        for (field, text) in lines {
            if let Some(text) = text {
                bounds::line(text, Limit::Bytes(MAX_ID_BYTES)).map_err(|problem| malformed(field, &problem))?;
            }
        }
        if self.meta.iter().any(|(key, value)| key.contains('\0') || bounds::json_has_nul(value)) {
            return Err(malformed("meta", "contains a NUL character"));
        }
        Ok(())
    }
}

fn malformed(field: &str, problem: &str) -> Error {
    Error::new(Kind::MalformedContext, format!("{field} of the audit context {problem}"))
        .setting_name(field)
        .remedy_text("Give one line of 1 to 256 bytes, or leave it out")
}

fn trimmed(text: String) -> String {
    let inner = text.trim();
    if inner.len() == text.len() { text } else { inner.to_owned() }
}

/// Strict: an unknown key, a malformed actor or an id out of bounds is an error, so a job never runs under a context
/// that was only half understood.
impl<'de> Deserialize<'de> for AuditContext {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Wire {
            actor_ref: Option<ActorRef>,
            #[serde(default)]
            allow_missing_actor: bool,
            correlation_id: Option<String>,
            request_id: Option<String>,
            job_id: Option<String>,
            source: Option<String>,
            remote_ip: Option<IpAddr>,
            #[serde(default)]
            meta: BTreeMap<String, Value>,
        }
        let wire = Wire::deserialize(deserializer)?;
        let context = Self {
            actor: wire.actor_ref,
            allow_missing_actor: wire.allow_missing_actor,
            details: Details {
                correlation_id: wire.correlation_id.map(trimmed),
                request_id: wire.request_id.map(trimmed),
                job_id: wire.job_id.map(trimmed),
                source: wire.source.map(trimmed),
                remote_ip: wire.remote_ip,
                meta: wire.meta,
            },
        };
        // A missing actor is judged when a transaction begins: whoever runs the job may still add one.
        context.details.validate().map_err(de::Error::custom)?;
        Ok(context)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::quote::tests::scan_literal;

    fn context() -> AuditContext {
        AuditContext::new(ActorRef::user("42").unwrap())
    }

    #[test]
    fn a_full_context_begins_in_one_batch() {
        let context = context()
            .correlation_id(" c-1 ")
            .request_id("r'1")
            .job_id(r"j\1")
            .source("api")
            .remote_ip("2001:db8::1".parse().unwrap())
            .meta("tenant", "acme")
            .meta("flags", json!(["a", 1]));
        let options = TransactionOptions::new().isolation(crate::IsolationLevel::Serializable);
        insta::assert_snapshot!("begin", context.begin_sql(&options).unwrap());
        insta::assert_snapshot!("stamp", context.stamp().unwrap().snapshot());
    }

    #[test]
    fn absent_values_are_set_to_nothing() {
        let sql = AuditContext::without_actor().allow_missing_actor().begin_sql(&TransactionOptions::new()).unwrap();
        insta::assert_snapshot!("begin_with_nothing", sql);
    }

    #[test]
    fn a_missing_actor_is_refused_unless_allowed() {
        let error = AuditContext::without_actor().begin_sql(&TransactionOptions::new()).unwrap_err();
        assert!(error.is_missing_actor());
        assert!(AuditContext::without_actor().stamp().unwrap_err().is_missing_actor());
        assert!(AuditContext::without_actor().allow_missing_actor().stamp().is_ok());
    }

    #[test]
    fn an_id_out_of_bounds_is_named() {
        let long = "x".repeat(257);
        for (broken, field) in [
            (context().correlation_id(" "), "correlation_id"),
            (context().request_id("a\0b"), "request_id"),
            (context().job_id("a\nb"), "job_id"),
            (context().correlation_id(long.as_str()), "correlation_id"),
            (context().source(""), "source"),
            (context().meta("a", json!({"b": "\0"})), "meta"),
        ] {
            let error = broken.validate().unwrap_err();
            assert!(error.is_malformed_context());
            assert_eq!(error.setting(), Some(field));
            assert!(!error.to_string().contains("xxx"), "the value is not shown");
        }
        assert!(context().correlation_id("é".repeat(128)).validate().is_ok());
    }

    #[test]
    fn a_job_carries_the_whole_context() {
        let context = context()
            .correlation_id("c")
            .request_id("r")
            .job_id("j")
            .source("s")
            .remote_ip("192.0.2.1".parse().unwrap())
            .meta("n", 1)
            .allow_missing_actor();
        let json = serde_json::to_string(&context).unwrap();
        assert_eq!(serde_json::from_str::<AuditContext>(&json).unwrap(), context);
        assert_eq!(serde_json::from_str::<AuditContext>("{}").unwrap(), AuditContext::without_actor());
    }

    #[test]
    fn half_understood_contexts_are_refused() {
        for json in [
            r#"{"actor":{"type":"user","id":"1"}}"#,
            r#"{"actor_ref":{"type":"user"}}"#,
            r#"{"correlation_id":""}"#,
            r#"{"remote_ip":"nowhere"}"#,
            r#"{"meta":[]}"#,
        ] {
            assert!(serde_json::from_str::<AuditContext>(json).is_err(), "{json}");
        }
    }

    proptest! {
        #[test]
        fn nothing_in_a_context_leaves_its_literal(id in "[ -~é]{1,20}", key in "\\PC{0,8}", value in "([^\\x00]|['\\\\\";]){0,20}") {
            let actor = ActorRef::user(format!("u{id}"))?;
            let context = AuditContext::new(actor.clone()).correlation_id(format!("c{id}")).meta(key, value.as_str());
            let sql = context.begin_sql(&TransactionOptions::new())?;
            let rest = sql.strip_prefix("BEGIN; SET LOCAL threadline.actor_ref = ");
            let (actor_text, rest) = rest.and_then(scan_literal).ok_or_else(|| TestCaseError::fail("no actor"))?;
            let rest = rest.strip_prefix("; SET LOCAL threadline.context = ");
            let (details, rest) = rest.and_then(scan_literal).ok_or_else(|| TestCaseError::fail("no details"))?;
            prop_assert_eq!(rest, "");
            prop_assert_eq!(ActorRef::from_json(&actor_text)?, actor);
            let read: AuditContext = serde_json::from_str(&details)?;
            prop_assert_eq!(read.details, context.details);
        }
    }
}
