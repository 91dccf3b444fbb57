//! `timeline`, `count`, `history` and `as-of`.

use std::pin::pin;

use futures_util::TryStreamExt;
use serde::Serialize;
use threadline_core::{AsOf, CountChanges, Cursor, Json, LinkedChange, Page, RowAsOf, RowHistory, TableAsOf};
use threadline_sqlx::Trail;

use crate::args::{AsOfArgs, CountArgs, HistoryArgs, TimelineArgs};
use crate::database::Database;
use crate::failure::Failure;
use crate::lookup::{self, Found};
use crate::output::{self, Output};
use crate::render;

#[derive(Serialize)]
struct RowThen<'a> {
    table_schema: &'a str,
    table_name: &'a str,
    #[serde(flatten)]
    then: RowAsOf<Json>,
}

pub(crate) async fn timeline(database: &Database, arguments: &TimelineArgs, output: Output) -> Result<(), Failure> {
    let mut timeline = arguments.filters.timeline(database).await?.limit(arguments.limit);
    if let Some(cursor) = arguments.cursor {
        timeline = timeline.cursor(cursor);
    }
    print(&database.read(&timeline).await?, output)
}

pub(crate) async fn count(database: &Database, arguments: &CountArgs, output: Output) -> Result<(), Failure> {
    let count = CountChanges::of(arguments.filters.timeline(database).await?).cap(arguments.cap);
    output.result(&database.read(&count).await?, |count| format!("{count}\n"))
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
    let table = lookup::known_table(database, &arguments.table).await?;
    let Some(key) = &arguments.key else { return table_as_of(database, &table, arguments, output).await };
    let key = key.resolve(database, &table).await?;
    let schema = table.schema_or_public();
    let then = database.read(&AsOf::new(schema, &*table.table, key, arguments.at)).await?;
    let answer = RowThen { table_schema: schema, table_name: &table.table, then };
    output.result(&answer, |answer| render::row_as_of(&answer.then))
}

/// Row by row, as they come.
async fn table_as_of(database: &Database, table: &Found, arguments: &AsOfArgs, output: Output) -> Result<(), Failure> {
    let schema = table.schema_or_public();
    let mut read = TableAsOf::new(schema, &*table.table, arguments.at);
    if arguments.known_rows {
        read = read.known_rows();
    }
    let mut rows = pin!(database.audited.stream(read));
    let mut count = 0_u64;
    while let Some(then) = rows.try_next().await? {
        let before = match (output.json, count) {
            (true, 0) => head(schema, &table.table)?,
            (true, _) => ",".to_owned(),
            (false, 0) => String::new(),
            (false, _) => "\n".to_owned(),
        };
        count += 1;
        if !output.entry(&before, &then, render::row_as_of)? {
            return Ok(());
        }
    }
    if count == 0 {
        output.frame(&head(schema, &table.table)?)?;
        output.remark("No rows.");
    }
    output.frame("]}\n").map(|_| ())
}

/// How the JSON document of a whole table begins.
fn head(schema: &str, table: &str) -> Result<String, Failure> {
    let (schema, table) = (output::json(&schema)?, output::json(&table)?);
    Ok(format!("{{\"table_schema\":{},\"table_name\":{},\"rows\":[\n", schema.trim_end(), table.trim_end()))
}

fn print(page: &Page<LinkedChange>, output: Output) -> Result<(), Failure> {
    output.result(page, |page| render::entries(&page.entries, output::width()))?;
    if page.is_empty() {
        output.remark("No changes.");
    }
    more(page.next.as_ref(), output);
    Ok(())
}

/// Says how to go on.
pub(crate) fn more(next: Option<&Cursor>, output: Output) {
    if let Some(cursor) = next {
        output.remark(&format!("More: the same command with --cursor {cursor}"));
    }
}
