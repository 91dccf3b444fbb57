//! Which changes are meant: the filters that timeline, count and export share.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use threadline_core::{ActionId, ActionStatus, ActorRef, ChangeOp, Timeline, TransactionId};
use time::OffsetDateTime;

use crate::database::Database;
use crate::failure::Failure;
use crate::key::Key;
use crate::lookup;
use crate::moment;
use crate::name::TableName;

/// Which changes are meant.
#[derive(Debug, Args)]
#[command(next_help_heading = "Filters (all of them must match; of one that is repeated, any)")]
pub(crate) struct Filters {
    /// Of this table, by the name it has today: posts, billing.invoices, '"My table"'
    #[arg(long, value_name = "TABLE")]
    table: Vec<TableName>,

    /// Of the tables that are in this schema today
    #[arg(long, value_name = "NAME")]
    in_schema: Option<String>,

    /// Of the row with this key: {"id": 7}, or the value alone if the key is one column
    #[arg(long, value_name = "KEY", requires = "table", allow_hyphen_values = true)]
    key: Option<Key>,

    /// Of this kind
    #[arg(long, value_parser = op())]
    op: Vec<ChangeOp>,

    /// Updates that changed this column
    #[arg(long, value_name = "COLUMN")]
    changed_field: Vec<String>,

    /// By this actor: user:42, anonymous, or nobody for changes that nobody was named for
    #[arg(long, value_name = "ACTOR", value_parser = actor)]
    actor: Option<ActorFilter>,

    /// Covered by an action of this name
    #[arg(long, value_name = "NAME")]
    action: Option<String>,

    /// Covered by this action
    #[arg(long, value_name = "N")]
    action_id: Option<i64>,

    /// Covered by an action of this category
    #[arg(long, value_name = "NAME")]
    action_category: Option<String>,

    /// Covered by an action that ended so
    #[arg(long, value_name = "STATUS", value_parser = status())]
    action_status: Option<ActionStatus>,

    /// Recorded under this correlation id
    #[arg(long, value_name = "ID")]
    correlation_id: Option<String>,

    /// Recorded under this request id
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,

    /// Recorded under this job id
    #[arg(long, value_name = "ID")]
    job_id: Option<String>,

    /// Of this audit transaction
    #[arg(long, value_name = "N")]
    transaction: Option<i64>,

    /// At this time or later: 2026-11-23T15:04:05Z, "10m ago"
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    since: Option<OffsetDateTime>,

    /// At this time or earlier
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    until: Option<OffsetDateTime>,
}

/// Who to look for; `None` is nobody.
#[derive(Clone, Debug)]
pub(crate) struct ActorFilter(pub(crate) Option<ActorRef>);

pub(crate) fn actor(text: &str) -> Result<ActorFilter, threadline_core::Error> {
    let text = text.trim();
    Ok(ActorFilter(match text {
        "nobody" => None,
        _ if text.starts_with('{') => Some(ActorRef::from_json(text)?),
        _ => Some(text.parse()?),
    }))
}

fn op() -> impl TypedValueParser<Value = ChangeOp> {
    PossibleValuesParser::new(["insert", "update", "delete", "truncate"]).try_map(|text| text.parse::<ChangeOp>())
}

fn status() -> impl TypedValueParser<Value = ActionStatus> {
    PossibleValuesParser::new(["ok", "error"]).try_map(|text| text.parse::<ActionStatus>())
}

impl Filters {
    /// The timeline that these filters make, without a page of it.
    pub(crate) async fn timeline(&self, database: &Database) -> Result<Timeline, Failure> {
        let texts = [
            ("schema", &self.in_schema),
            ("action", &self.action),
            ("action_category", &self.action_category),
            ("correlation_id", &self.correlation_id),
            ("request_id", &self.request_id),
            ("job_id", &self.job_id),
        ];
        let given = texts.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        let mut timeline = Timeline::from_pairs(given)?;
        for name in &self.table {
            let table = lookup::known_table(database, name).await?;
            if let Some(key) = &self.key {
                timeline = timeline.key(key.resolve(database, &table).await?);
                timeline = timeline.table_in(table.schema_or_public(), &*table.table);
            } else if let Some(schema) = table.schema {
                timeline = timeline.table_in(schema, table.table);
            } else {
                timeline = timeline.table(table.table);
            }
        }
        for op in &self.op {
            timeline = timeline.op(*op);
        }
        for column in &self.changed_field {
            timeline = timeline.changed_field(column);
        }
        if let Some(actor) = &self.actor {
            timeline = timeline.actor(actor.0.as_ref());
        }
        if let Some(id) = self.action_id {
            timeline = timeline.action_id(ActionId(id));
        }
        if let Some(status) = self.action_status {
            timeline = timeline.action_status(status);
        }
        if let Some(id) = self.transaction {
            timeline = timeline.transaction_id(TransactionId(id));
        }
        if let Some(at) = self.since {
            timeline = timeline.since(at);
        }
        if let Some(at) = self.until {
            timeline = timeline.until(at);
        }
        Ok(timeline)
    }
}
