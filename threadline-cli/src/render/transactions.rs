//! Audit transactions, actions and differences as lines.

use threadline_core::{AuditAction, AuditTransaction, ChangeDiff, LinkedTransaction};

use super::entries::{INDENT, action_name, actor, instant, op_style, origins};
use super::style::{QUIET, STRONG, WHO};
use super::text::{flow, length, padded, plain};

/// One audit transaction: a line for each thing that is known of it.
pub(crate) fn transaction(transaction: &AuditTransaction, action: Option<&AuditAction>) -> String {
    let mut lines = vec![("actor", actor(Some(transaction)))];
    if let Some(action) = action {
        lines.push(("action", action_name(action)));
        let texts = [
            ("verb", &action.verb),
            ("category", &action.category),
            ("reason", &action.reason),
            ("comment", &action.comment),
        ];
        lines.extend(texts.into_iter().filter_map(|(name, text)| Some((name, plain(text.as_ref()?)))));
    }
    let correlation = transaction.correlation_id.as_ref().or(action.and_then(|action| action.correlation_id.as_ref()));
    let ids = [
        ("correlation", correlation),
        ("request", transaction.request_id.as_ref()),
        ("job", transaction.job_id.as_ref()),
        ("source", transaction.source.as_ref()),
        ("remote ip", transaction.remote_ip.as_ref()),
    ];
    lines.extend(ids.into_iter().filter_map(|(name, id)| Some((name, plain(id?)))));
    if let Some(notes) = &transaction.meta {
        lines.push(("notes", plain(notes.get())));
    }
    lines.push(("role", plain(&transaction.session_role)));
    if transaction.current_role_name != "none" {
        lines.push(("acting as", plain(&transaction.current_role_name)));
    }
    if !transaction.application_name.is_empty() {
        lines.push(("program", plain(&transaction.application_name)));
    }
    let widest = lines.iter().map(|(name, _)| length(name)).max().unwrap_or_default();
    let mut text = format!("{STRONG}transaction {}{STRONG:#}  {}\n", transaction.id, instant(transaction.occurred_at));
    for (name, value) in lines {
        text.push_str(&format!("    {QUIET}{}{QUIET:#}  {value}\n", padded(name, widest)));
    }
    text
}

/// Audit transactions, a line each, and a second one where more is known.
pub(crate) fn transactions(page: &[LinkedTransaction], width: usize) -> String {
    let mut text = String::new();
    for entry in page {
        let LinkedTransaction { transaction, action, .. } = entry;
        text.push_str(&format!(
            "{STRONG}{}  transaction {}{STRONG:#}  {WHO}{}{WHO:#}",
            instant(transaction.occurred_at),
            transaction.id,
            actor(Some(transaction)),
        ));
        if let Some(action) = action {
            text.push_str(&format!("  {}", action_name(action)));
        }
        text.push('\n');
        let origins = origins(Some(transaction), action.as_ref());
        if !origins.is_empty() {
            text.push_str(&format!("{QUIET}{}{QUIET:#}\n", flow(&origins, INDENT, width).trim_end()));
        }
    }
    text
}

/// Actions, a line each.
pub(crate) fn actions(actions: &[AuditAction]) -> String {
    let lines = actions.iter().map(|action| {
        let mut line = format!(
            "{STRONG}{}  action {}{STRONG:#}  {WHO}{}{WHO:#}  {}",
            instant(action.recorded_at),
            action.id,
            plain(&action.actor.to_string()),
            action_name(action),
        );
        if let Some(reason) = &action.reason {
            line.push_str(&format!("  \"{}\"", plain(reason)));
        }
        line.push('\n');
        line
    });
    lines.collect()
}

/// What a change changed: the core's own text, its first word in the colour of the kind.
pub(crate) fn diff(diff: &ChangeDiff) -> String {
    let (text, op) = (diff.to_string(), diff.op.to_string());
    let colour = op_style(diff.op);
    match text.strip_prefix(&op) {
        Some(rest) => format!("{colour}{op}{colour:#}{rest}"),
        None => text,
    }
}
