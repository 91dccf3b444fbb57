//! Asking the trail what happened.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::value::RawValue;
use threadline::sqlx::prelude::*;
use threadline::{AuditChange, ChangeOp, Json, LinkedChange};
use threadline_testkit::Version;
use time::OffsetDateTime;

use crate::paint::{CHANGED, GONE, NEW, QUIET, WHO, flow, title};
use crate::shop::{Shop, ShopError};
use crate::story::{SECRETS, Story};

/// The columns of a row, values as PostgreSQL wrote them: 4.50 stays 4.50.
type Columns = BTreeMap<String, Box<RawValue>>;

/// A paragraph of the thread: one audit transaction, or an action that changed nothing.
struct Chapter {
    at: OffsetDateTime,
    text: String,
}

/// Who did what, and why, oldest first.
pub(crate) async fn of(shop: &Shop, story: &Story, version: Version) -> Result<String, ShopError> {
    let mut entries = shop.db.timeline(&Timeline::new().limit(Timeline::MAX_LIMIT)).await?.entries;
    entries.reverse();
    let mut chapters = failures(shop).await?;
    for of_one_transaction in entries.chunk_by(|a, b| a.change.transaction_id == b.change.transaction_id) {
        chapters.extend(chapter(of_one_transaction));
    }
    chapters.sort_by_key(|chapter| chapter.at);

    let mut text = title(&format!(
        "A small shop on PostgreSQL {}: {} row changes, who made them, and why",
        version.major,
        entries.len(),
    ));
    for chapter in &chapters {
        let _ = write!(text, "\n{}", chapter.text);
    }
    text.push_str(&as_of(shop, story).await?);
    text.push_str(&nothing_left(shop, story).await?);
    Ok(text)
}

/// One audit transaction: who, why, under which ids; then its changes.
fn chapter(entries: &[LinkedChange]) -> Option<Chapter> {
    let first = entries.first()?;
    let transaction = first.transaction.as_ref()?;
    let who = match &transaction.actor {
        Some(actor) => actor.to_string(),
        None => {
            format!("nobody was named: role {}, program {}", transaction.session_role, transaction.application_name)
        }
    };
    let mut why = Vec::new();
    let action = first.action.as_ref();
    let reason = action.and_then(|action| action.reason.as_ref());
    why.extend(reason.map(|reason| format!("because \"{reason}\"")));
    for (name, id) in [
        ("correlation", &transaction.correlation_id),
        ("request", &transaction.request_id),
        ("job", &transaction.job_id),
        ("from", &transaction.source),
    ] {
        why.extend(id.as_ref().map(|id| format!("{name} {id}")));
    }
    let name = action.map_or("", |action| &action.name);
    let mut text = heading(first.change.captured_at, name, &who, &why);
    for entry in entries {
        text.push_str(&change(&entry.change));
    }
    Some(Chapter { at: first.change.captured_at, text })
}

fn heading(at: OffsetDateTime, action: &str, who: &str, why: &[String]) -> String {
    let gap = if action.is_empty() { "" } else { "  " };
    let mut text = format!("{QUIET}{}{QUIET:#}  {WHO}{who}{WHO:#}{gap}{action}\n", clock(at));
    if !why.is_empty() {
        text.push_str(&flow("              ", QUIET, why));
    }
    text
}

/// One changed row: `+` new, `~` changed, `-` gone.
fn change(change: &AuditChange) -> String {
    let after = change.data_after.as_ref().map(columns).unwrap_or_default();
    let before = change.changed_from.as_ref().map(columns).unwrap_or_default();
    let key = change.table_pk.as_ref().map(columns).unwrap_or_default();
    let row = format!("{} {}", change.table_name, key_text(&key));
    let without_key = |columns: &Columns| -> Vec<String> {
        let others = columns.iter().filter(|(name, _)| !key.contains_key(*name));
        others.map(|(name, value)| format!("{name} {value}")).collect()
    };
    match change.op {
        ChangeOp::Insert => flow(&format!("  + {row}  "), NEW, &without_key(&after)),
        ChangeOp::Update => {
            let fields = change.changed_fields.iter().flatten();
            let side = |columns: &Columns, name| columns.get(name).map(ToString::to_string).unwrap_or_default();
            let parts: Vec<String> =
                fields.map(|name| format!("{name} {} → {}", side(&before, name), side(&after, name))).collect();
            flow(&format!("  ~ {row}  "), CHANGED, &parts)
        }
        _ => flow(&format!("  - {row}  "), GONE, &without_key(&before)),
    }
}

/// `7`, or `line=1 order_id=3`.
fn key_text(key: &Columns) -> String {
    let single = key.len() == 1;
    let parts = key.iter().map(|(name, value)| {
        let value = value.get().trim_matches('"');
        if single { value.to_owned() } else { format!("{name}={value}") }
    });
    parts.collect::<Vec<_>>().join(" ")
}

/// What was tried and failed. The trail is plain tables: any SQL will do.
async fn failures(shop: &Shop) -> Result<Vec<Chapter>, ShopError> {
    let sql = "SELECT recorded_at, name, actor_ref ->> 'type' || ':' || (actor_ref ->> 'id'), reason, correlation_id \
               FROM threadline.audit_actions WHERE status = 'error'";
    let rows: Vec<(OffsetDateTime, String, String, String, String)> =
        sqlx::query_as(sql).fetch_all(shop.db.unaudited()).await?;
    let chapters = rows.into_iter().map(|(at, name, who, reason, correlation)| {
        let why = [format!("because \"{reason}\""), format!("correlation {correlation}")];
        let text = heading(at, &format!("{name} (error)"), &who, &why);
        Chapter { at, text: format!("{text}    no row changed: the transaction was rolled back\n") }
    });
    Ok(chapters.collect())
}

/// A row as it was at a moment in between, and as it is.
async fn as_of(shop: &Shop, story: &Story) -> Result<String, ShopError> {
    let at = story.before_correction;
    let then = shop.db.as_of_json(&AsOf::by_id("public", "products", "CUP", at)).await?;
    let now: String = sqlx::query_scalar("SELECT to_jsonb(products)::text FROM products WHERE sku = 'CUP'")
        .fetch_one(shop.db.unaudited())
        .await?;
    let mut text = title(&format!("products CUP as it was at {}, before the correction", clock(at)));
    text.push_str(&flow("  then  ", QUIET, &[then.get().to_owned()]));
    text.push_str(&flow("  now   ", QUIET, &[now]));
    Ok(text)
}

/// Proof by counting: work that changed nothing left nothing, and the secrets stayed out.
async fn nothing_left(shop: &Shop, story: &Story) -> Result<String, ShopError> {
    let count = async |sql: &'static str, value: String| -> Result<i64, ShopError> {
        Ok(sqlx::query_scalar(sql).bind(value).fetch_one(shop.db.unaudited()).await?)
    };
    let paid = "SELECT count(*) FROM threadline.audit_changes WHERE table_name = 'orders' \
                AND table_pk ->> 'id' = $1 AND data_after ->> 'status' = 'paid'";
    let shipped = "SELECT count(*) FROM threadline.audit_changes WHERE table_name = 'orders' \
                   AND op = 'update' AND data_after ->> 'status' = $1";
    let holding = "SELECT (SELECT count(*) FROM threadline.audit_changes AS c WHERE strpos(c::text, $1) > 0) \
                   + (SELECT count(*) FROM threadline.audit_transactions AS t WHERE strpos(t::text, $1) > 0) \
                   + (SELECT count(*) FROM threadline.audit_actions AS a WHERE strpos(a::text, $1) > 0)";
    let mut secrets = 0;
    for secret in SECRETS {
        secrets += count(holding, secret.to_owned()).await?;
    }
    let names = count(holding, "Porcelain cup".to_owned()).await?;
    let order = story.declined_order;
    let idle = story.idle_save.map_or_else(|| "none".to_owned(), |id| id.to_string());
    let facts = [
        (
            "bulk update of the job",
            format!("{} orders shipped", story.shipped),
            count(shipped, "shipped".to_owned()).await?,
        ),
        (
            "payment that was declined",
            format!("order {order} marked as paid, rolled back"),
            count(paid, order.to_string()).await?,
        ),
        ("save of an unchanged form", format!("audit transaction: {idle}"), changes_of_customers(shop).await?),
        ("e-mail addresses, card tokens", format!("{} planted", SECRETS.len()), secrets),
        ("the same search for a name", "Porcelain cup".to_owned(), names),
    ];
    let mut text = title("What the trail holds of it");
    for (what, done, found) in facts {
        let rows = if found == 1 { "row" } else { "rows" };
        let _ = writeln!(text, "  {what:<30}  {done:<40}  {found} {rows}");
    }
    text.push('\n');
    Ok(text)
}

/// Updates of customers in the trail.
async fn changes_of_customers(shop: &Shop) -> Result<i64, ShopError> {
    let updates = Timeline::new().table("customers").op(ChangeOp::Update);
    Ok(shop.db.timeline(&updates).await?.entries.len().try_into().unwrap_or(i64::MAX))
}

/// Where to go from here, while the database is there.
pub(crate) fn look_around(story: &Story, name: &str, url: &str) -> String {
    let at = story.before_correction;
    let instant = format!("{}T{}Z", at.date(), clock(at));
    format!(
        "The database {name} stays until you press Enter. In another terminal:\n\n  \
         export DATABASE_URL={url}\n  \
         cargo run -q -p threadline-cli -- timeline --correlation-id app-2002\n  \
         cargo run -q -p threadline-cli -- history orders 1\n  \
         cargo run -q -p threadline-cli -- as-of products CUP --at {instant}\n  \
         psql \"$DATABASE_URL\" -c 'SELECT * FROM threadline.audit_changes'\n\n"
    )
}

fn columns(json: &Json) -> Columns {
    serde_json::from_str(json.get()).unwrap_or_default()
}

/// `15:04:05.123`
fn clock(at: OffsetDateTime) -> String {
    format!("{:02}:{:02}:{:02}.{:03}", at.hour(), at.minute(), at.second(), at.millisecond())
}
