//! Changes of the trail as lines.

use std::collections::BTreeMap;

use anstyle::Style;
use serde_json::value::RawValue;
use threadline_core::{AuditAction, AuditChange, AuditTransaction, ChangeOp, Json, LinkedChange, Origin, RowAsOf};
use time::OffsetDateTime;

use super::style::{BAD, CHANGED, NEW, QUIET, STRONG, WHO};
use super::text::{flow, length, padded, plain, shortened, value};

/// What is wider than this pushes the rest of its own line aside, not everybody's: op, row, actor, action.
const MAX_WIDTHS: [usize; 4] = [8, 32, 24, 0];
/// The same for names of columns.
const MAX_NAME: usize = 40;
/// The indentation of what belongs to an entry.
pub(super) const INDENT: usize = 4;
/// The longest reason that is shown whole, in characters.
const MAX_REASON: usize = 200;

type Columns<'a> = BTreeMap<String, &'a RawValue>;

/// The changes, one paragraph each.
pub(crate) fn entries(page: &[LinkedChange], width: usize) -> String {
    let heads: Vec<[String; 4]> = page.iter().map(head).collect();
    let widths: [usize; 4] = std::array::from_fn(|column| {
        let lengths = heads.iter().map(|head| length(&head[column]));
        lengths.filter(|length| *length <= MAX_WIDTHS[column]).max().unwrap_or_default()
    });
    let mut text = String::new();
    let mut told = None;
    for (entry, head) in page.iter().zip(&heads) {
        let [op, row, actor, action] = head;
        let (op, row) = (padded(op, widths[0]), padded(row, widths[1]));
        let colour = op_style(entry.change.op);
        text.push_str(&format!(
            "{STRONG}{}{STRONG:#}  {colour}{op}{colour:#}  {STRONG}{row}{STRONG:#}  {WHO}{actor}{WHO:#}",
            instant(entry.change.captured_at),
        ));
        if !action.is_empty() {
            let gap = widths[2].saturating_sub(length(actor)) + 2;
            text.push_str(&format!("{}{action}", " ".repeat(gap)));
        }
        text.push('\n');
        // What is the same for all changes of a transaction is said once in a row.
        let work = (entry.change.transaction_id, entry.action.as_ref().map(|action| action.id));
        if told != Some(work) {
            let parts = circumstances(entry);
            if !parts.is_empty() {
                text.push_str(&format!("{QUIET}{}{QUIET:#}\n", flow(&parts, INDENT, width).trim_end()));
            }
            told = Some(work);
        }
        text.push_str(&fields(&entry.change, width));
    }
    text
}

/// `2026-11-23 16:20:01.000007Z`
pub(crate) fn instant(at: OffsetDateTime) -> String {
    let at = at.to_offset(time::UtcOffset::UTC);
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.microsecond()
    )
}

pub(super) fn op_style(op: ChangeOp) -> Style {
    match op {
        ChangeOp::Insert => NEW,
        ChangeOp::Update => CHANGED,
        _ => BAD,
    }
}

/// What happened, to which row, by whom, and why: the aligned columns.
fn head(entry: &LinkedChange) -> [String; 4] {
    let LinkedChange { change, transaction, action, .. } = entry;
    let action = action.as_ref().map_or_else(String::new, action_name);
    [change.op.to_string(), row(change), actor(transaction.as_ref()), action]
}

/// `post.published`, and whether it failed.
pub(super) fn action_name(action: &AuditAction) -> String {
    let failed = if action.status == threadline_core::ActionStatus::Error { " (failed)" } else { "" };
    format!("{}{failed}", plain(&action.name))
}

/// `posts 7`, or `billing.lines order=A-1 line=2`.
fn row(change: &AuditChange) -> String {
    let mut text = String::new();
    if change.table_schema != "public" {
        text.push_str(&name(&change.table_schema));
        text.push('.');
    }
    text.push_str(&name(&change.table_name));
    if let Some(key) = &change.table_pk {
        text.push(' ');
        text.push_str(&key_text(key));
    }
    text
}

/// The name as SQL and our own arguments take it.
fn name(name: &str) -> String {
    let plain_sql = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain_sql { name.to_owned() } else { plain(&format!("\"{}\"", name.replace('"', "\"\""))) }
}

fn key_text(key: &Json) -> String {
    let columns = columns_of(key);
    let single = columns.len() == 1;
    let parts = columns.into_iter().map(|(name, json)| {
        // A text that reads like one needs no quotes here.
        let text = serde_json::from_str::<String>(json.get()).map_or_else(|_| value(json), |text| plain(&text));
        if single { text } else { format!("{}={text}", plain(&name)) }
    });
    parts.collect::<Vec<_>>().join(" ")
}

/// The actor; where nobody was named, the role and the program that wrote.
pub(super) fn actor(transaction: Option<&AuditTransaction>) -> String {
    let Some(transaction) = transaction else { return "-".to_owned() };
    if let Some(actor) = &transaction.actor {
        return plain(&actor.to_string());
    }
    let program = plain(&transaction.application_name);
    let role = plain(&transaction.session_role);
    if program.is_empty() { format!("(role {role})") } else { format!("(role {role}, {program})") }
}

/// What helps to go on: the transaction and the ids it ran under, and the reason.
fn circumstances(entry: &LinkedChange) -> Vec<String> {
    let mut parts = vec![format!("transaction {}", entry.change.transaction_id)];
    parts.extend(origins(entry.transaction.as_ref(), entry.action.as_ref()));
    parts
}

/// The ids that work ran under, and its reason.
pub(super) fn origins(transaction: Option<&AuditTransaction>, action: Option<&AuditAction>) -> Vec<String> {
    let mut parts = Vec::new();
    let ids = [
        (
            "correlation",
            transaction.and_then(|t| t.correlation_id.as_ref()).or(action.and_then(|a| a.correlation_id.as_ref())),
        ),
        ("request", transaction.and_then(|t| t.request_id.as_ref())),
        ("job", transaction.and_then(|t| t.job_id.as_ref())),
        ("source", transaction.and_then(|t| t.source.as_ref())),
    ];
    for (name, id) in ids {
        if let Some(id) = id {
            parts.push(format!("{name} {}", plain(id)));
        }
    }
    if let Some(reason) = action.and_then(|action| action.reason.as_ref()) {
        parts.push(format!("\"{}\"", shortened(&plain(reason), MAX_REASON)));
    }
    parts
}

fn columns_of(json: &Json) -> Columns<'_> {
    serde_json::from_str(json.get()).unwrap_or_default()
}

/// The columns of the change with their values.
fn fields(change: &AuditChange, width: usize) -> String {
    let mut text = String::new();
    if let Some(why) = &change.withheld {
        text.push_str(&format!("    {BAD}values withheld{BAD:#}: {}\n", plain(why)));
    }
    if let Some(previous) = &change.previous_pk {
        text.push_str(&format!("    the key was {}\n", key_text(previous)));
    }
    let after = change.data_after.as_ref().map(columns_of).unwrap_or_default();
    let from = change.changed_from.as_ref().map(columns_of).unwrap_or_default();
    match &change.changed_fields {
        Some(names) => text.push_str(&differences(names, &from, &after)),
        None if change.op == ChangeOp::Delete => text.push_str(&image(&from, width)),
        None => text.push_str(&image(&after, width)),
    }
    text
}

/// `status  "new" → "paid"`, a line for each field.
fn differences(names: &[String], from: &Columns<'_>, after: &Columns<'_>) -> String {
    let names: Vec<(String, &String)> = names.iter().map(|name| (plain(name), name)).collect();
    let widest = names.iter().map(|(shown, _)| length(shown)).max().unwrap_or_default().min(MAX_NAME);
    let side = |columns: &Columns<'_>, name: &String| {
        columns.get(name).map_or_else(|| format!("{QUIET}not kept{QUIET:#}"), |json| value(json))
    };
    let lines = names
        .iter()
        .map(|(shown, name)| format!("    {}  {} → {}\n", padded(shown, widest), side(from, name), side(after, name)));
    lines.collect()
}

/// `id: 7  title: "Ship it"`, as many to a line as fit.
fn image(columns: &Columns<'_>, width: usize) -> String {
    let parts: Vec<String> = columns.iter().map(|(name, json)| format!("{}: {}", plain(name), value(json))).collect();
    flow(&parts, INDENT, width)
}

/// The columns of a row of the past, and that it was rebuilt if so.
pub(crate) fn row_as_of(then: &RowAsOf<Json>) -> String {
    let mut text = columns(then);
    if then.origin == Origin::Reconstructed {
        text.push_str(&format!(
            "{QUIET}    reconstructed from later changes: the trail holds no image of that instant{QUIET:#}\n"
        ));
    }
    text
}

/// A row, a line for each column.
fn columns(row: &Json) -> String {
    let columns: Vec<(String, &RawValue)> =
        columns_of(row).into_iter().map(|(name, json)| (plain(&name), json)).collect();
    let widest = columns.iter().map(|(name, _)| length(name)).max().unwrap_or_default().min(MAX_NAME);
    columns.iter().map(|(name, json)| format!("    {}  {}\n", padded(name, widest), plain(json.get()))).collect()
}
