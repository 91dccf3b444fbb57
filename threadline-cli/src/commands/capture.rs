//! `plan` and `enable`.

use std::fmt::Write;

use serde::Serialize;
use threadline_core::{AuditedTable, CapturePolicy, EnableCapture, Manifest, PlanCapture};

use crate::args::{Capture, Enable};
use crate::database::Database;
use crate::failure::Failure;
use crate::lookup::{self, Found, RecordedPolicy};
use crate::name::TableName;
use crate::output::Output;
use crate::policy::describe;
use crate::render::plain;

#[derive(Serialize)]
struct Tables<T> {
    tables: Vec<T>,
}

#[derive(Serialize)]
struct Planned {
    table_schema: String,
    table_name: String,
    policy: CapturePolicy,
    sql: String,
}

/// A table that is captured now.
#[derive(Serialize)]
pub(crate) struct Captured {
    table_schema: String,
    table_name: String,
    policy: CapturePolicy,
    /// The policy before; null when the table was not captured.
    previous_policy: Option<CapturePolicy>,
}

impl Captured {
    /// What happened, as a line.
    pub(crate) fn sentence(&self) -> String {
        let table = plain(&format!("{}.{}", self.table_schema, self.table_name));
        let policy = plain(&describe(&self.policy));
        match &self.previous_policy {
            None => format!("Capturing {table} ({policy}).\n"),
            Some(previous) if *previous == self.policy => {
                format!("Still capturing {table} ({policy}); its functions were generated again.\n")
            }
            Some(previous) => {
                let previous = plain(&describe(previous));
                format!("Capturing {table} under another policy ({policy}); before it was: {previous}.\n")
            }
        }
    }
}

pub(crate) async fn plan(
    database: &Database,
    manifest: &Manifest,
    capture: &Capture,
    output: Output,
) -> Result<(), Failure> {
    let mut tables = Vec::new();
    for table in chosen(database, manifest, capture).await? {
        let sql = database.read(&PlanCapture::new(table.clone())).await?;
        tables.push(Planned { table_schema: table.schema, table_name: table.table, policy: table.policy, sql });
    }
    output.result(&Tables { tables }, |planned| {
        planned.tables.iter().fold(String::new(), |mut text, table| {
            let _ = writeln!(text, "{}", table.sql.trim_end());
            text
        })
    })
}

pub(crate) async fn enable(
    database: &Database,
    manifest: &Manifest,
    enable: &Enable,
    output: Output,
) -> Result<(), Failure> {
    if enable.dry_run {
        return plan(database, manifest, &enable.capture, output).await;
    }
    let chosen = chosen(database, manifest, &enable.capture).await?;
    let tables = enable_all(database, &chosen).await?;
    output.result(&Tables { tables }, |done| done.tables.iter().map(Captured::sentence).collect())
}

/// Captures the tables one after another, each in a transaction of its own: none of them is locked for longer than it
/// needs.
async fn enable_all(database: &Database, tables: &[AuditedTable]) -> Result<Vec<Captured>, Failure> {
    let captured = before(database, tables, true).await?;
    for (count, table) in tables.iter().enumerate() {
        let enabled = database.apply(&EnableCapture::new(table.clone())).await;
        enabled.map_err(|failure| failure.after_tables(count))?;
    }
    Ok(captured)
}

/// What will be told of the tables once they are captured. Those that do not exist are found out here.
pub(crate) async fn before(
    database: &Database,
    tables: &[AuditedTable],
    is_installed: bool,
) -> Result<Vec<Captured>, Failure> {
    let mut told = Vec::new();
    for table in tables {
        let name = TableName::stored(&table.schema, &table.table);
        let found = lookup::existing_table(database, &name).await?;
        let previous_policy = if is_installed { database.read(&RecordedPolicy(&found)).await? } else { None };
        told.push(Captured {
            table_schema: table.schema.clone(),
            table_name: table.table.clone(),
            policy: table.policy.clone(),
            previous_policy,
        });
    }
    Ok(told)
}

/// The tables to act on and their policies: the one that is named, or all of the manifest.
async fn chosen(database: &Database, manifest: &Manifest, capture: &Capture) -> Result<Vec<AuditedTable>, Failure> {
    let Some(name) = &capture.table else {
        if capture.policy.is_given() {
            return Err(Failure::refused("no_table", "a policy is given, but no table")
                .remedy("Name the table; without one, the tables and policies of the manifest are used"));
        }
        return Ok(manifest.tables().to_vec());
    };
    let Found { schema, table } = lookup::existing_table(database, name).await?;
    let schema = schema.unwrap_or_else(|| "public".to_owned());
    let listed = manifest.tables().iter().find(|listed| listed.schema == schema && listed.table == table);
    match listed {
        Some(_) if capture.policy.is_given() => {
            Err(Failure::refused("manifest_policy", format!("the policy of {name} is part of this program's manifest"))
                .remedy("Leave the options out, or change the manifest")
                .about_table(name))
        }
        Some(listed) => Ok(vec![listed.clone()]),
        None => {
            let table = AuditedTable::new(schema, table).policy(capture.policy.policy());
            table.validate()?;
            Ok(vec![table])
        }
    }
}
