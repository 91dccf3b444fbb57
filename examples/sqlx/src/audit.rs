//! What happened, asked over HTTP.

use axum::Json;
use axum::extract::{Query, State};
use serde_json::{Value, json};
use threadline::LinkedChange;
use threadline::sqlx::prelude::*;
use time::format_description::well_known::Rfc3339;

use crate::AppState;
use crate::error::AppError;

/// `GET /audit?table=tickets&actor=user:7&op=update`: a page, newest first, by the filters of [`Timeline::from_pairs`]. The
/// next one is the same question with `&cursor=` and what `next` says.
pub(crate) async fn timeline(
    State(AppState { db }): State<AppState>,
    Query(filters): Query<Vec<(String, String)>>,
) -> Result<Json<Value>, AppError> {
    let page = db.timeline(&Timeline::from_pairs(filters).map_err(threadline::sqlx::Error::from)?).await?;
    let changes: Vec<Value> = page.entries.iter().map(told).collect();
    Ok(Json(json!({ "changes": changes, "next": page.next })))
}

/// Who did what, and why.
pub(crate) fn told(entry: &LinkedChange) -> Value {
    json!({
        "at": entry.change.captured_at.format(&Rfc3339).ok(),
        "table": entry.change.table_name,
        "op": entry.change.op,
        "changed": entry.change.changed_fields,
        "by": entry.transaction.as_ref().and_then(|by| by.actor.as_ref()).map(ToString::to_string),
        "request": entry.transaction.as_ref().and_then(|by| by.request_id.as_deref()),
        "action": entry.action.as_ref().map(|action| &action.name),
        "reason": entry.action.as_ref().and_then(|action| action.reason.as_deref()),
    })
}
