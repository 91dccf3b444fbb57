//! Why it was done: semantic actions.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    ActorRef, Error,
    bounds::{self, Limit},
    context::MAX_ID_BYTES,
    error::Kind,
};

const MAX_NAME_CHARACTERS: usize = 255;
const MAX_WORD_CHARACTERS: usize = 255;
const MAX_REASON_BYTES: usize = 16 * 1024;
const MAX_COMMENT_BYTES: usize = 16 * 1024 * 1024;

/// How an action ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ActionStatus {
    /// It was done.
    #[default]
    Ok,
    /// It failed, and the failure itself is worth recording.
    Error,
}

impl ActionStatus {
    /// The status as JSON and SQL spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for ActionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for ActionStatus {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        [Self::Ok, Self::Error]
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| Error::invalid_input("action_status", "is not known", "Use ok or error"))
    }
}

/// A semantic action to record: `post.published`, with a reason and a comment.
///
/// An action covers the changes that follow it in the same context; the first one of a context also covers those before
/// it. Its actor and ids default to the context's. It is checked by [`to_json`](Self::to_json), that is, when recorded.
///
/// # Examples
/// ```
/// use threadline_core::Action;
///
/// let action = Action::new("post.published").reason("editor approved");
/// assert_eq!(action.to_json()?, r#"{"name":"post.published","status":"ok","reason":"editor approved"}"#);
/// assert!(Action::new(" ").to_json().unwrap_err().is_invalid_action());
/// # Ok::<(), threadline_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[must_use]
pub struct Action {
    name: String,
    status: ActionStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    verb: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<String>,
    #[serde(rename = "actor_ref", skip_serializing_if = "Option::is_none")]
    actor: Option<ActorRef>,
}

impl Action {
    /// An action called `name`, trimmed, one line of 1 to 255 characters; status ok.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into().trim().to_owned(),
            status: ActionStatus::Ok,
            verb: None,
            category: None,
            reason: None,
            comment: None,
            correlation_id: None,
            request_id: None,
            job_id: None,
            actor: None,
        }
    }

    /// How it ended.
    pub fn status(mut self, status: ActionStatus) -> Self {
        self.status = status;
        self
    }

    /// What was done in one word: `publish`. One line of 1 to 255 characters.
    pub fn verb(mut self, verb: impl Into<String>) -> Self {
        self.verb = Some(verb.into().trim().to_owned());
        self
    }

    /// The kind of action: `moderation`. One line of 1 to 255 characters.
    pub fn category(mut self, category: impl Into<String>) -> Self {
        self.category = Some(category.into().trim().to_owned());
        self
    }

    /// Why, in a sentence; up to 16 KiB.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Whatever a person wrote; up to 16 MiB.
    pub fn comment(mut self, comment: impl Into<String>) -> Self {
        self.comment = Some(comment.into());
        self
    }

    /// A correlation id other than the context's. One line of 1 to 256 bytes.
    pub fn correlation_id(mut self, id: impl Into<String>) -> Self {
        self.correlation_id = Some(id.into().trim().to_owned());
        self
    }

    /// A request id other than the context's. One line of 1 to 256 bytes.
    pub fn request_id(mut self, id: impl Into<String>) -> Self {
        self.request_id = Some(id.into().trim().to_owned());
        self
    }

    /// A job id other than the context's. One line of 1 to 256 bytes.
    pub fn job_id(mut self, id: impl Into<String>) -> Self {
        self.job_id = Some(id.into().trim().to_owned());
        self
    }

    /// An actor other than the context's.
    pub fn actor(mut self, actor: ActorRef) -> Self {
        self.actor = Some(actor);
        self
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Checks the action as recording it does.
    ///
    /// # Errors
    /// [`is_invalid_action`](Error::is_invalid_action) when a text is out of bounds; [`setting`](Error::setting) names
    /// it.
    pub fn validate(&self) -> Result<(), Error> {
        bounds::line(&self.name, Limit::Characters(MAX_NAME_CHARACTERS))
            .map_err(|problem| invalid("name", &problem))?;
        let lines = [
            ("verb", &self.verb, Limit::Characters(MAX_WORD_CHARACTERS)),
            ("category", &self.category, Limit::Characters(MAX_WORD_CHARACTERS)),
            ("correlation_id", &self.correlation_id, Limit::Bytes(MAX_ID_BYTES)),
            ("request_id", &self.request_id, Limit::Bytes(MAX_ID_BYTES)),
            ("job_id", &self.job_id, Limit::Bytes(MAX_ID_BYTES)),
        ];
        for (field, text, limit) in lines {
            if let Some(text) = text {
                bounds::line(text, limit).map_err(|problem| invalid(field, &problem))?;
            }
        }
        let prose = [("reason", &self.reason, MAX_REASON_BYTES), ("comment", &self.comment, MAX_COMMENT_BYTES)];
        for (field, text, most) in prose {
            if let Some(text) = text {
                bounds::prose(text, Limit::Bytes(most)).map_err(|problem| invalid(field, &problem))?;
            }
        }
        Ok(())
    }

    /// The action as the kernel takes it.
    ///
    /// # Errors
    /// As for [`validate`](Self::validate).
    pub fn to_json(&self) -> Result<String, Error> {
        self.validate()?;
        serde_json::to_string(self).map_err(|error| invalid("name", "is not JSON").with_source(error))
    }
}

fn invalid(field: &str, problem: &str) -> Error {
    Error::new(Kind::InvalidAction, format!("{field} of the action {problem}"))
        .setting_name(field)
        .remedy_text("Shorten or correct it, or leave it out if it is optional")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_reaches_the_json() {
        let action = Action::new(" post.published ")
            .status(ActionStatus::Error)
            .verb("publish")
            .category("moderation")
            .reason("line one\nline two")
            .comment("said \"so\"")
            .correlation_id("c")
            .request_id("r")
            .job_id("j")
            .actor(ActorRef::system("cron").unwrap());
        insta::assert_snapshot!("action", action.to_json().unwrap());
    }

    #[test]
    fn texts_out_of_bounds_are_named() {
        for (action, field) in [
            (Action::new(""), "name"),
            (Action::new("a\nb"), "name"),
            (Action::new("x".repeat(256)), "name"),
            (Action::new("a").verb(" "), "verb"),
            (Action::new("a").category("x".repeat(256)), "category"),
            (Action::new("a").reason("a\0b"), "reason"),
            (Action::new("a").comment("\0"), "comment"),
            (Action::new("a").correlation_id("x".repeat(257)), "correlation_id"),
            (Action::new("a").request_id(""), "request_id"),
            (Action::new("a").job_id("\u{7}"), "job_id"),
        ] {
            let error = action.to_json().unwrap_err();
            assert!(error.is_invalid_action());
            assert_eq!(error.setting(), Some(field));
        }
    }

    #[test]
    fn a_comment_may_be_long() {
        assert!(Action::new("a").comment("x".repeat(2 << 20)).to_json().is_ok());
    }
}
