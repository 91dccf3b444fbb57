//! `timeline`, `history` and `as-of`.

use serde::Serialize;
use threadline_core::{AsOf, Json, LinkedChange, Page, RowHistory, Timeline, TransactionId};

use crate::args::{AsOfArgs, HistoryArgs, TimelineArgs};
use crate::database::Database;
use crate::failure::Failure;
use crate::lookup;
use crate::output::{self, Output};
use crate::render;

#[derive(Serialize)]
struct RowThen<'a> {
    table_schema: &'a str,
    table_name: &'a str,
    row: Json,
}

pub(crate) async fn timeline(database: &Database, arguments: &TimelineArgs, output: Output) -> Result<(), Failure> {
    let mut timeline = Timeline::new().limit(arguments.limit);
    if let Some(name) = &arguments.table {
        let table = lookup::known_table(database, name).await?;
        if let Some(key) = &arguments.key {
            timeline = timeline.schema(table.schema_or_public()).key(key.resolve(database, &table).await?);
        } else if let Some(schema) = &table.schema {
            timeline = timeline.schema(schema);
        }
        timeline = timeline.table(table.table);
    }
    if let Some(op) = arguments.op {
        timeline = timeline.op(op);
    }
    if let Some(actor) = &arguments.actor {
        timeline = timeline.actor(actor.0.as_ref());
    }
    if let Some(name) = &arguments.action {
        timeline = timeline.action(name);
    }
    if let Some(id) = &arguments.correlation_id {
        timeline = timeline.correlation_id(id);
    }
    if let Some(id) = &arguments.request_id {
        timeline = timeline.request_id(id);
    }
    if let Some(id) = &arguments.job_id {
        timeline = timeline.job_id(id);
    }
    if let Some(id) = arguments.transaction {
        timeline = timeline.transaction_id(TransactionId(id));
    }
    if let Some(at) = arguments.since {
        timeline = timeline.since(at);
    }
    if let Some(at) = arguments.until {
        timeline = timeline.until(at);
    }
    if let Some(cursor) = arguments.cursor {
        timeline = timeline.cursor(cursor);
    }
    print(&database.read(&timeline).await?, output)
}

pub(crate) async fn history(database: &Database, arguments: &HistoryArgs, output: Output) -> Result<(), Failure> {
    let table = lookup::known_table(database, &arguments.row.table).await?;
    let key = arguments.row.key.resolve(database, &table).await?;
    let mut history = RowHistory::new(table.schema_or_public(), &*table.table, key).limit(arguments.limit);
    if let Some(cursor) = arguments.cursor {
        history = history.cursor(cursor);
    }
    print(&database.read(&history).await?, output)
}

pub(crate) async fn as_of(database: &Database, arguments: &AsOfArgs, output: Output) -> Result<(), Failure> {
    let table = lookup::known_table(database, &arguments.row.table).await?;
    let key = arguments.row.key.resolve(database, &table).await?;
    let schema = table.schema_or_public();
    let row = database.read(&AsOf::new(schema, &*table.table, key, arguments.at)).await?;
    let then = RowThen { table_schema: schema, table_name: &table.table, row };
    output.result(&then, |then| render::columns(&then.row))
}

fn print(page: &Page<LinkedChange>, output: Output) -> Result<(), Failure> {
    output.result(page, |page| render::entries(&page.entries, output::width()))?;
    if page.is_empty() {
        output.remark("No changes.");
    }
    if let Some(cursor) = &page.next {
        output.remark(&format!("More: the same command with --cursor {cursor}"));
    }
    Ok(())
}
