//! A capture policy from options.

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use threadline_core::{CapturePolicy, Images, OnTruncate};

/// The policy of a table, option by option.
#[derive(Debug, Args)]
#[command(next_help_heading = "Policy")]
pub(crate) struct PolicyArgs {
    /// Replace this column's values by a placeholder; that they changed is recorded
    #[arg(long, value_name = "COLUMN")]
    mask: Vec<String>,

    /// Keep this column out of the trail altogether
    #[arg(long, value_name = "COLUMN")]
    exclude: Vec<String>,

    /// Keep this column in images, but do not count it as a change
    #[arg(long, value_name = "COLUMN")]
    except: Vec<String>,

    /// What a masked value becomes [default: [REDACTED]]
    #[arg(long, value_name = "TEXT")]
    mask_placeholder: Option<String>,

    /// How much of a row each change keeps [default: full]
    #[arg(long, value_name = "IMAGES", value_parser = images())]
    images: Option<Images>,

    /// Whether an update keeps the prior values of changed columns [default: true]
    #[arg(long, value_name = "BOOL")]
    before_values: Option<bool>,

    /// What TRUNCATE leaves in the trail [default: event; rows with lean images]
    #[arg(long, value_name = "MODE", value_parser = on_truncate())]
    truncate: Option<OnTruncate>,

    /// Refuse writes that no actor is named for
    #[arg(long)]
    require_actor: bool,
}

impl PolicyArgs {
    /// Whether any option was given.
    pub(crate) fn is_given(&self) -> bool {
        let Self { mask, exclude, except, mask_placeholder, images, before_values, truncate, require_actor } = self;
        !(mask.is_empty() && exclude.is_empty() && except.is_empty())
            || mask_placeholder.is_some()
            || images.is_some()
            || before_values.is_some()
            || truncate.is_some()
            || *require_actor
    }

    pub(crate) fn policy(&self) -> CapturePolicy {
        let mut policy = CapturePolicy::new()
            .mask(self.mask.iter().cloned())
            .exclude(self.exclude.iter().cloned())
            .except_columns(self.except.iter().cloned());
        if let Some(placeholder) = &self.mask_placeholder {
            policy = policy.mask_placeholder(placeholder);
        }
        if self.images == Some(Images::Lean) {
            policy = policy.lean();
        }
        if self.before_values == Some(false) {
            policy = policy.without_before_values();
        }
        if let Some(mode) = self.truncate {
            policy = policy.truncate(mode);
        }
        if self.require_actor {
            policy = policy.require_actor();
        }
        policy
    }
}

fn images() -> impl TypedValueParser<Value = Images> {
    PossibleValuesParser::new([
        PossibleValue::new("full").help("Whole rows"),
        PossibleValue::new("lean").help("What is needed to rebuild them, for hot or bulk-loaded tables"),
    ])
    .map(|text| if text == "lean" { Images::Lean } else { Images::Full })
}

fn on_truncate() -> impl TypedValueParser<Value = OnTruncate> {
    PossibleValuesParser::new([
        PossibleValue::new("event").help("One event for the table"),
        PossibleValue::new("rows").help("Every row, as if deleted"),
        PossibleValue::new("refuse").help("Nothing: TRUNCATE fails"),
    ])
    .map(|text| match text.as_str() {
        "rows" => OnTruncate::Rows,
        "refuse" => OnTruncate::Refuse,
        _ => OnTruncate::Event,
    })
}

/// What is not worth a word.
const DEFAULT_PLACEHOLDER: &str = "[REDACTED]";

/// The policy in words, the default included.
pub(crate) fn describe(policy: &CapturePolicy) -> String {
    let mut parts = Vec::new();
    let columns = |names: Vec<&str>| names.join(", ");
    let masked = match policy.placeholder() {
        DEFAULT_PLACEHOLDER => "masked".to_owned(),
        other => format!("masked as {other}"),
    };
    for (word, names) in [
        (&*masked, columns(policy.masked_columns().collect())),
        ("excluded", columns(policy.excluded_columns().collect())),
        ("not counted as changes", columns(policy.excepted_columns().collect())),
    ] {
        if !names.is_empty() {
            parts.push(format!("{word}: {names}"));
        }
    }
    if policy.images() == Images::Lean {
        parts.push("lean images".to_owned());
    }
    if !policy.keeps_before_values() {
        parts.push("no before-values".to_owned());
    }
    match policy.on_truncate() {
        OnTruncate::Rows => parts.push("TRUNCATE recorded row by row".to_owned()),
        OnTruncate::Refuse => parts.push("TRUNCATE refused".to_owned()),
        _ => {}
    }
    if policy.requires_actor() {
        parts.push("an actor is required".to_owned());
    }
    if parts.is_empty() {
        parts.push("every column, nothing redacted".to_owned());
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_told_in_words() {
        assert_eq!(describe(&CapturePolicy::new()), "every column, nothing redacted");
        let policy = CapturePolicy::new().mask(["email", "phone"]).exclude(["token"]).lean().require_actor();
        assert_eq!(
            describe(&policy),
            "masked: email, phone; excluded: token; lean images; TRUNCATE recorded row by row; an actor is required"
        );
    }
}
