//! What is captured of a table, and how.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{Error, error::Kind};

/// What a masked value becomes unless the policy says otherwise.
const DEFAULT_PLACEHOLDER: &str = "[REDACTED]";
/// The longest placeholder, in characters.
const MAX_PLACEHOLDER_CHARACTERS: usize = 200;

/// How much of a row each change keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Images {
    /// INSERT and UPDATE keep the whole row after the change, UPDATE the prior values of changed columns too.
    #[default]
    Full,
    /// INSERT keeps the key, UPDATE the prior values of changed columns; images are rebuilt from the live row
    /// backwards. For hot or bulk-loaded tables.
    Lean,
}

/// What TRUNCATE leaves in the trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum OnTruncate {
    /// One event for the table. The default with full images.
    Event,
    /// Every row, as if deleted. The default with lean images.
    Rows,
    /// Nothing: TRUNCATE fails.
    Refuse,
}

/// What is captured of a table: redaction, images, TRUNCATE, and whether an actor is required.
///
/// As JSON it is the policy that the kernel's `enable_capture` takes; every field is optional and an unknown one is an
/// error. What needs no look at the table is checked here, when a statement is made of it or by
/// [`validate`](Self::validate); the kernel checks the rest.
///
/// # Examples
/// ```
/// use threadline_core::CapturePolicy;
///
/// let policy = CapturePolicy::new().exclude(["password_hash"]).mask(["author_email"]).require_actor();
/// assert_eq!(
///     policy.to_json()?,
///     r#"{"exclude":["password_hash"],"mask":["author_email"],"require_actor":true}"#,
/// );
///
/// let confused = CapturePolicy::new().exclude(["email"]).mask(["email"]);
/// let error = confused.validate().unwrap_err();
/// assert!(error.is_invalid_policy());
/// assert_eq!(error.column(), Some("email"));
/// # Ok::<(), threadline_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
#[must_use]
pub struct CapturePolicy(Fields);

/// The policy JSON; what is not said is the default, and a default is not said.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Fields {
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    exclude: BTreeSet<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    mask: BTreeSet<String>,
    #[serde(skip_serializing_if = "is_default_placeholder")]
    mask_placeholder: String,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    except_columns: BTreeSet<String>,
    #[serde(skip_serializing_if = "Clone::clone")]
    before_values: bool,
    #[serde(skip_serializing_if = "is_default_images")]
    images: Images,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    require_actor: bool,
    /// The default depends on the images, so saying nothing is kept apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    truncate: Option<OnTruncate>,
}

fn is_default_placeholder(placeholder: &str) -> bool {
    placeholder == DEFAULT_PLACEHOLDER
}

fn is_default_images(images: &Images) -> bool {
    *images == Images::default()
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            exclude: BTreeSet::new(),
            mask: BTreeSet::new(),
            mask_placeholder: DEFAULT_PLACEHOLDER.to_owned(),
            except_columns: BTreeSet::new(),
            before_values: true,
            images: Images::Full,
            require_actor: false,
            truncate: None,
        }
    }
}

impl CapturePolicy {
    /// Everything of every column: full images with before-values, no redaction, no actor required, TRUNCATE recorded as
    /// one event.
    pub fn new() -> Self {
        Self::default()
    }

    /// Columns that the trail never holds, neither their values nor that they changed.
    pub fn exclude<C: Into<String>>(mut self, columns: impl IntoIterator<Item = C>) -> Self {
        self.0.exclude.extend(columns.into_iter().map(Into::into));
        self
    }

    /// Columns whose values are replaced by the placeholder; that they changed is recorded.
    pub fn mask<C: Into<String>>(mut self, columns: impl IntoIterator<Item = C>) -> Self {
        self.0.mask.extend(columns.into_iter().map(Into::into));
        self
    }

    /// What a masked value becomes, 1 to 200 visible characters; `[REDACTED]` unless said.
    pub fn mask_placeholder(mut self, placeholder: impl Into<String>) -> Self {
        self.0.mask_placeholder = placeholder.into();
        self
    }

    /// Columns that are kept in images but left out of `changed_fields` and `changed_from`: counters, `updated_at`.
    pub fn except_columns<C: Into<String>>(mut self, columns: impl IntoIterator<Item = C>) -> Self {
        self.0.except_columns.extend(columns.into_iter().map(Into::into));
        self
    }

    /// UPDATE does not keep the prior values of changed columns.
    pub fn without_before_values(mut self) -> Self {
        self.0.before_values = false;
        self
    }

    /// Lean images, for hot or bulk-loaded tables; TRUNCATE then records every row unless refused.
    pub fn lean(mut self) -> Self {
        self.0.images = Images::Lean;
        self
    }

    /// Writes without an actor are refused.
    pub fn require_actor(mut self) -> Self {
        self.0.require_actor = true;
        self
    }

    /// What TRUNCATE leaves in the trail.
    pub fn truncate(mut self, on_truncate: OnTruncate) -> Self {
        self.0.truncate = Some(on_truncate);
        self
    }

    /// The excluded columns, sorted.
    pub fn excluded_columns(&self) -> impl Iterator<Item = &str> {
        self.0.exclude.iter().map(String::as_str)
    }

    /// The masked columns, sorted.
    pub fn masked_columns(&self) -> impl Iterator<Item = &str> {
        self.0.mask.iter().map(String::as_str)
    }

    /// The columns left out of `changed_fields` and `changed_from`, sorted.
    pub fn excepted_columns(&self) -> impl Iterator<Item = &str> {
        self.0.except_columns.iter().map(String::as_str)
    }

    /// Whether UPDATE keeps the prior values of changed columns.
    #[must_use]
    pub fn keeps_before_values(&self) -> bool {
        self.0.before_values
    }

    /// Whether writes without an actor are refused.
    #[must_use]
    pub fn requires_actor(&self) -> bool {
        self.0.require_actor
    }

    /// How much of a row each change keeps.
    #[must_use]
    pub fn images(&self) -> Images {
        self.0.images
    }

    /// What TRUNCATE leaves in the trail.
    #[must_use]
    pub fn on_truncate(&self) -> OnTruncate {
        self.0.truncate.unwrap_or(match self.images() {
            Images::Full => OnTruncate::Event,
            Images::Lean => OnTruncate::Rows,
        })
    }

    /// What a masked value becomes.
    #[must_use]
    pub fn placeholder(&self) -> &str {
        &self.0.mask_placeholder
    }

    /// Checks what needs no look at the table.
    ///
    /// # Errors
    /// [`is_invalid_policy`](Error::is_invalid_policy) when a column is both excluded and masked, when a column's name is
    /// empty or holds a NUL character, when the placeholder is out of bounds, or when lean images are combined with
    /// something that would make them impossible to rebuild. [`column`](Error::column) and
    /// [`setting`](Error::setting) name the culprit.
    pub fn validate(&self) -> Result<(), Error> {
        let Fields { exclude, mask, except_columns, .. } = &self.0;
        for (field, columns) in [("exclude", exclude), ("mask", mask), ("except_columns", except_columns)] {
            if columns.iter().any(|column| column.is_empty() || column.contains('\0')) {
                return Err(invalid(field, format!("{field} names a column that cannot exist"))
                    .remedy_text("Name columns as PostgreSQL stores them"));
            }
        }
        if let Some(column) = exclude.intersection(mask).next() {
            return Err(invalid("mask", format!("column {column} is both excluded and masked"))
                .column_name(column)
                .remedy_text("Choose one: exclude leaves the column out, mask records that it changed"));
        }
        let placeholder = self.placeholder();
        if placeholder.trim().is_empty()
            || placeholder.chars().count() > MAX_PLACEHOLDER_CHARACTERS
            || placeholder.chars().any(char::is_control)
        {
            return Err(invalid(
                "mask_placeholder",
                "the mask placeholder is empty, longer than 200 characters, or has control characters",
            )
            .remedy_text("Use a short visible text such as [REDACTED]"));
        }
        if self.images() == Images::Lean {
            self.validate_lean()?;
        }
        Ok(())
    }

    fn validate_lean(&self) -> Result<(), Error> {
        if !self.0.before_values {
            return Err(invalid("before_values", "lean images cannot be rebuilt without before-values")
                .remedy_text("Keep before-values, or use full images"));
        }
        if let Some(column) = self.0.except_columns.first() {
            return Err(invalid(
                "except_columns",
                format!("lean images cannot be rebuilt when changes of column {column} are left out"),
            )
            .column_name(column)
            .remedy_text("Leave except_columns empty, or use full images"));
        }
        if self.on_truncate() == OnTruncate::Event {
            return Err(invalid(
                "truncate",
                "lean images cannot be rebuilt after a TRUNCATE that is recorded as one event",
            )
            .remedy_text("Record every row or refuse TRUNCATE, or use full images"));
        }
        Ok(())
    }

    /// The policy as the kernel takes it.
    ///
    /// # Errors
    /// As for [`validate`](Self::validate).
    pub fn to_json(&self) -> Result<String, Error> {
        self.validate()?;
        serde_json::to_string(self)
            .map_err(|error| invalid("exclude", "the policy cannot be written as JSON").with_source(error))
    }
}

fn invalid(field: &str, message: impl Into<String>) -> Error {
    Error::new(Kind::InvalidPolicy, message).setting_name(field)
}

impl From<CapturePolicy> for Fields {
    fn from(policy: CapturePolicy) -> Self {
        policy.0
    }
}

impl TryFrom<Fields> for CapturePolicy {
    type Error = Error;

    fn try_from(fields: Fields) -> Result<Self, Error> {
        let policy = Self(fields);
        policy.validate()?;
        Ok(policy)
    }
}

/// Two policies are equal when they mean the same, said or by default.
impl PartialEq for CapturePolicy {
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (&self.0, &other.0);
        a.exclude == b.exclude
            && a.mask == b.mask
            && a.mask_placeholder == b.mask_placeholder
            && a.except_columns == b.except_columns
            && a.before_values == b.before_values
            && a.images == b.images
            && a.require_actor == b.require_actor
            && self.on_truncate() == other.on_truncate()
    }
}

impl Eq for CapturePolicy {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_full_policy_round_trips() {
        let policy = CapturePolicy::new()
            .exclude(["password"])
            .mask(["email", "phone"])
            .mask_placeholder("***")
            .except_columns(["updated_at"])
            .without_before_values()
            .require_actor()
            .truncate(OnTruncate::Refuse);
        let json = policy.to_json().unwrap();
        insta::assert_snapshot!("policy", json);
        assert_eq!(serde_json::from_str::<CapturePolicy>(&json).unwrap(), policy);
    }

    #[test]
    fn what_the_kernel_completed_is_read_back() {
        let complete = r#"{"mask": [], "images": "lean", "exclude": [], "truncate": "rows", "before_values": true,
            "require_actor": false, "except_columns": [], "mask_placeholder": "[REDACTED]"}"#;
        let policy: CapturePolicy = serde_json::from_str(complete).unwrap();
        assert_eq!(policy, CapturePolicy::new().lean());
        assert_ne!(policy, CapturePolicy::new());
    }

    #[test]
    fn an_unknown_field_or_value_is_refused() {
        for json in [
            r#"{"masks":["email"]}"#,
            r#"{"mask":"email"}"#,
            r#"{"images":"small"}"#,
            r#"{"truncate":"ignore"}"#,
            r#"{"exclude":["a"],"mask":["a"]}"#,
        ] {
            assert!(serde_json::from_str::<CapturePolicy>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn contradictions_are_named() {
        let base = CapturePolicy::new;
        for (policy, setting, column) in [
            (base().exclude(["a", "b"]).mask(["b"]), "mask", Some("b")),
            (base().exclude([""]), "exclude", None),
            (base().mask_placeholder(" "), "mask_placeholder", None),
            (base().mask_placeholder("x".repeat(201)), "mask_placeholder", None),
            (base().mask_placeholder("a\nb"), "mask_placeholder", None),
            (base().lean().without_before_values(), "before_values", None),
            (base().lean().except_columns(["n"]), "except_columns", Some("n")),
            (base().lean().truncate(OnTruncate::Event), "truncate", None),
        ] {
            let error = policy.to_json().unwrap_err();
            assert!(error.is_invalid_policy());
            assert_eq!((error.setting(), error.column()), (Some(setting), column));
        }
        assert!(base().lean().truncate(OnTruncate::Refuse).validate().is_ok());
        assert!(base().lean().validate().is_ok(), "lean alone records every row of a TRUNCATE");
    }
}
