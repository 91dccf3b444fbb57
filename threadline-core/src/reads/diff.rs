//! What a change changed, column by column.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use time::OffsetDateTime;

use crate::{AuditChange, ChangeId, ChangeOp, Json, TransactionId, instant};

/// A change as a list of columns, for people and for programs that show it: a projection of what the trail holds, without
/// another look at it. `schema_version` tells the shape.
///
/// Updates list the columns that changed. Inserts and deletes list none, unless they are asked for
/// ([`with_inserts`](DiffOptions::with_inserts), [`with_deletes`](DiffOptions::with_deletes)).
///
/// # Examples
/// ```
/// use threadline_core::{AuditChange, ChangeDiff};
///
/// let change: AuditChange = serde_json::from_str(
///     r#"{"id": 5, "transaction_id": 1, "xid": "9", "captured_at": "2026-01-01T00:00:00Z", "table_schema": "public",
///         "table_name": "posts", "op": "update", "table_pk": {"id": 7}, "previous_pk": null,
///         "data_after": {"id": 7, "title": "new"}, "changed_fields": ["title"], "changed_from": {"title": "old"},
///         "withheld": null}"#,
/// )?;
/// let diff = ChangeDiff::of(&change);
/// assert_eq!(serde_json::to_string(&diff.field_changes)?, r#"[{"name":"title","before":"old","after":"new"}]"#);
/// assert_eq!(
///     diff.to_string(),
///     "update public.posts {\"id\": 7} at 2026-01-01T00:00:00.000000Z\n  title: \"old\" -> \"new\"\n"
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChangeDiff {
    /// 1, until the shape changes.
    pub schema_version: u32,
    /// The change.
    pub change_id: ChangeId,
    /// The audit transaction it belongs to.
    pub transaction_id: TransactionId,
    /// When it was captured.
    #[serde(with = "instant")]
    pub captured_at: OffsetDateTime,
    /// The table's schema at that time.
    pub table_schema: String,
    /// The table's name at that time.
    pub table_name: String,
    /// What happened.
    pub op: ChangeOp,
    /// The row's key after the change.
    pub table_pk: Option<Json>,
    /// The row's key before the change, when the change changed it.
    pub previous_pk: Option<Json>,
    /// Whether the trail holds values from before the change.
    pub before_values: BeforeValues,
    /// The columns, sorted by name.
    pub field_changes: Vec<FieldChange>,
}

/// Whether the trail holds values from before a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum BeforeValues {
    /// None.
    None,
    /// Of the columns that changed; of a deleted row, all.
    Sparse,
}

/// One column of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FieldChange {
    /// The column.
    pub name: String,
    /// In a list that was expanded: `set` by an insert, `removed` by a delete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<FieldChangeKind>,
    /// The value before.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "present")]
    pub before: Option<Json>,
    /// `omitted` when the trail does not hold the value before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prior_state: Option<Omitted>,
    /// The value after; absent when the trail does not hold it (lean images) and after a delete.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "present")]
    pub after: Option<Json>,
}

/// Why a column is in a list that was expanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum FieldChangeKind {
    /// An insert gave it this value.
    Set,
    /// It had this value when its row was deleted.
    Removed,
}

/// A value that the trail does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Omitted {
    /// It was not kept.
    Omitted,
}

/// JSON null is a value here; what is not there is absent.
mod present {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::Json;

    pub(super) fn serialize<S: Serializer>(value: &Option<Json>, serializer: S) -> Result<S::Ok, S::Error> {
        value.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
        Json::deserialize(deserializer).map(Some)
    }
}

/// Which columns a [`ChangeDiff`] lists.
///
/// # Examples
/// ```
/// use threadline_core::DiffOptions;
///
/// let options = DiffOptions::new().with_inserts().with_deletes();
/// assert_ne!(options, DiffOptions::new());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct DiffOptions {
    inserts: bool,
    deletes: bool,
}

impl DiffOptions {
    /// The columns that updates changed.
    pub fn new() -> Self {
        Self::default()
    }

    /// The columns that inserts set, too.
    pub fn with_inserts(mut self) -> Self {
        self.inserts = true;
        self
    }

    /// The columns of deleted rows, too.
    pub fn with_deletes(mut self) -> Self {
        self.deletes = true;
        self
    }
}

impl ChangeDiff {
    /// The version of the shape.
    pub const SCHEMA_VERSION: u32 = 1;

    /// What the change changed.
    #[must_use]
    pub fn of(change: &AuditChange) -> Self {
        Self::with(change, DiffOptions::new())
    }

    /// The same, with these columns.
    #[must_use]
    pub fn with(change: &AuditChange, options: DiffOptions) -> Self {
        let after = columns(change.data_after.as_ref());
        let before = columns(change.changed_from.as_ref());
        let mut field_changes: Vec<FieldChange> = match change.op {
            ChangeOp::Update => {
                let names = change.changed_fields.iter().flatten();
                names.map(|name| FieldChange::changed(name, before.get(name), after.get(name))).collect()
            }
            ChangeOp::Insert if options.inserts => after
                .iter()
                .map(|(name, value)| FieldChange::expanded(name, FieldChangeKind::Set, None, Some(value.clone())))
                .collect(),
            ChangeOp::Delete | ChangeOp::Truncate if options.deletes => before
                .iter()
                .map(|(name, value)| FieldChange::expanded(name, FieldChangeKind::Removed, Some(value.clone()), None))
                .collect(),
            _ => Vec::new(),
        };
        field_changes.sort_by(|a, b| a.name.cmp(&b.name));
        Self {
            schema_version: Self::SCHEMA_VERSION,
            change_id: change.id,
            transaction_id: change.transaction_id,
            captured_at: change.captured_at,
            table_schema: change.table_schema.clone(),
            table_name: change.table_name.clone(),
            op: change.op,
            table_pk: change.table_pk.clone(),
            previous_pk: change.previous_pk.clone(),
            before_values: match change.changed_from {
                Some(_) => BeforeValues::Sparse,
                None => BeforeValues::None,
            },
            field_changes,
        }
    }
}

impl FieldChange {
    fn changed(name: &str, before: Option<&Json>, after: Option<&Json>) -> Self {
        let prior_state = before.is_none().then_some(Omitted::Omitted);
        Self { name: name.to_owned(), kind: None, before: before.cloned(), prior_state, after: after.cloned() }
    }

    fn expanded(name: &str, kind: FieldChangeKind, before: Option<Json>, after: Option<Json>) -> Self {
        Self { name: name.to_owned(), kind: Some(kind), before, prior_state: None, after }
    }
}

/// The columns of an image; none of one that is no object, which no kernel writes.
fn columns(image: Option<&Json>) -> BTreeMap<String, Json> {
    let Some(image) = image else { return BTreeMap::new() };
    let columns: BTreeMap<String, Box<RawValue>> = serde_json::from_str(image.get()).unwrap_or_default();
    columns.into_iter().filter_map(|(name, value)| Some((name, value.get().parse().ok()?))).collect()
}

/// For terminals: one line for the change, one for each column.
impl fmt::Display for ChangeDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}.{}", self.op, self.table_schema.escape_debug(), self.table_name.escape_debug())?;
        match (&self.previous_pk, &self.table_pk) {
            (Some(previous), Some(key)) => write!(f, " {} -> {}", shown(previous), shown(key))?,
            (None, Some(key)) => write!(f, " {}", shown(key))?,
            (_, None) => {}
        }
        let at = instant::floor(self.captured_at, "captured_at").map_err(|_| fmt::Error)?;
        writeln!(f, " at {at}")?;
        for field in &self.field_changes {
            let name = field.name.escape_debug();
            let value = |value: &Option<Json>| value.as_ref().map_or("(not kept)".to_owned(), shown);
            match field.kind {
                Some(FieldChangeKind::Set) => writeln!(f, "  {name} = {}", value(&field.after))?,
                Some(FieldChangeKind::Removed) => writeln!(f, "  {name} was {}", value(&field.before))?,
                None => writeln!(f, "  {name}: {} -> {}", value(&field.before), value(&field.after))?,
            }
        }
        Ok(())
    }
}

/// A value for a terminal: JSON text leaves some control characters as they are.
fn shown(value: &Json) -> String {
    let mut text = String::with_capacity(value.get().len());
    for character in value.get().chars() {
        match character {
            '\u{7f}'..='\u{9f}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                text.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            character => text.push(character),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trail::tests::change;

    fn json(text: &str) -> Option<Json> {
        Some(text.parse().unwrap())
    }

    fn update() -> AuditChange {
        AuditChange {
            table_pk: json(r#"{"id": 2}"#),
            previous_pk: json(r#"{"id": 1}"#),
            data_after: json(r#"{"id": 2, "n": 1.10, "note": null, "secret": "[REDACTED]"}"#),
            changed_fields: Some(["secret", "note", "n", "id"].map(str::to_owned).to_vec()),
            changed_from: json(r#"{"id": 1, "note": "x\u001b", "secret": "[REDACTED]"}"#),
            ..change(5, 9, 7, ChangeOp::Update)
        }
    }

    #[test]
    fn shapes() {
        let insert = AuditChange { data_after: json(r#"{"b": [1], "a": null}"#), ..change(1, 9, 1, ChangeOp::Insert) };
        let delete =
            AuditChange { changed_from: json(r#"{"b": [1], "a": null}"#), ..change(2, 9, 2, ChangeOp::Delete) };
        let lean = AuditChange { data_after: None, changed_from: None, ..update() };
        let all = DiffOptions::new().with_inserts().with_deletes();
        let diffs = [
            ChangeDiff::of(&update()),
            ChangeDiff::of(&lean),
            ChangeDiff::of(&insert),
            ChangeDiff::of(&delete),
            ChangeDiff::with(&insert, all),
            ChangeDiff::with(&delete, all),
            ChangeDiff::of(&change(3, 9, 3, ChangeOp::Truncate)),
        ];
        let lines: Vec<String> = diffs.iter().map(|diff| serde_json::to_string(diff).unwrap()).collect();
        insta::assert_snapshot!("json", lines.join("\n"));
        let texts: Vec<String> = diffs.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!("text", texts.concat());
        for diff in diffs {
            let again: ChangeDiff = serde_json::from_str(&serde_json::to_string(&diff).unwrap()).unwrap();
            assert_eq!(again, diff);
        }
    }

    #[test]
    fn a_terminal_is_not_given_orders() {
        let mut change = update();
        change.data_after = json("{\"n\": \"\u{9b}31m\u{202e}\"}");
        change.changed_fields = Some(vec!["n".to_owned()]);
        change.table_name = "po\u{1b}sts".to_owned();
        let shown = ChangeDiff::of(&change).to_string();
        assert!(!shown.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}'), "{shown:?}");
    }
}
