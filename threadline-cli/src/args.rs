//! The arguments of every command.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;
use threadline_core::{
    ActorHistory, Compression, Correlation, CountChanges, Cursor, Export, ExportFormat, Incident, Manifest, RowHistory,
    Schema, Timeline,
};
use time::OffsetDateTime;

use crate::filters::{ActorFilter, Filters, actor};
use crate::key::Key;
use crate::moment;
use crate::name::TableName;
use crate::policy::PolicyArgs;

/// Audit trail for PostgreSQL: install it, choose what it captures, and read who changed what, and why.
#[derive(Debug, Parser)]
#[command(
    name = "threadline",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 done; 1 the answer is no, or the server refused; 2 wrong usage or input; 3 the database \
                  cannot be reached or the kernel is not installed."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The database, as postgres://user@host/database
    #[arg(long, global = true, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: Option<String>,

    /// The schema of the kernel and the trail
    #[arg(long, global = true, value_name = "NAME", default_value = "threadline")]
    pub(crate) schema: Schema,

    /// Print one JSON document
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Install the kernel and the trail, or upgrade them in place
    ///
    /// Does nothing when they are up to date. Needs the right to create a schema in the database; with the right to
    /// create roles, everything is given to a role without login.
    Install(Install),
    /// Remove the kernel, the capture triggers and the whole trail
    ///
    /// Your tables are not touched. What the trail recorded is gone afterwards.
    Uninstall(Uninstall),
    /// Print the SQL that enable would run, and run nothing
    Plan(Capture),
    /// Capture a table from now on, or change the policy of one that is captured
    ///
    /// The options are the whole policy: what is not said is the default, whatever the table was captured with before.
    Enable(Enable),
    /// List changes, newest first
    Timeline(TimelineArgs),
    /// List what happened to one row, newest first
    History(HistoryArgs),
    /// Print a row as it was at some time
    AsOf(AsOfArgs),
    /// Count changes
    Count(CountArgs),
    /// Show one audit transaction: who, when, and why
    Transaction(TransactionArgs),
    /// Show one audit transaction whole: who, why, and every column that it changed
    Incident(IncidentArgs),
    /// Show the actions and changes recorded under a correlation id
    Correlation(CorrelationArgs),
    /// List the audit transactions of an actor, newest first
    Actor(ActorArgs),
    /// Show what one change changed, column by column
    Diff(DiffArgs),
    /// Write changes as CSV or JSON, newest first, of one moment
    ///
    /// At most 10000 unless said otherwise; whether there are more is told at the end. With --json the summary is one JSON
    /// document, and the changes need --output.
    Export(ExportArgs),
}

#[derive(Debug, Args)]
pub(crate) struct Install {
    /// Print the script and run nothing; needs no database
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Uninstall {
    /// Yes, remove the trail
    #[arg(long)]
    pub(crate) yes: bool,

    /// Print the script and run nothing; needs no database
    #[arg(long, conflicts_with = "yes")]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Enable {
    #[command(flatten)]
    pub(crate) capture: Capture,

    /// Print the SQL and run nothing, as plan does
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Capture {
    /// The table as in SQL: posts, billing.invoices, '"My table"'
    #[arg(value_name = "TABLE")]
    pub(crate) table: Option<TableName>,

    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TimelineArgs {
    /// At most so many changes, 1 to 1000
    #[arg(long, value_name = "N", default_value_t = Timeline::DEFAULT_LIMIT, value_parser = limit(Timeline::MAX_LIMIT))]
    pub(crate) limit: u32,

    /// Go on where an earlier page ended
    #[arg(long, value_name = "CURSOR")]
    pub(crate) cursor: Option<Cursor>,

    #[command(flatten)]
    pub(crate) filters: Filters,
}

#[derive(Debug, Args)]
pub(crate) struct CountArgs {
    /// Count so far and no further
    #[arg(long, value_name = "N", default_value_t = CountChanges::DEFAULT_CAP, value_parser = limit(CountChanges::MAX_CAP))]
    pub(crate) cap: u32,

    #[command(flatten)]
    pub(crate) filters: Filters,
}

#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    #[command(flatten)]
    pub(crate) row: Row,

    /// At most so many changes, 1 to 1000
    #[arg(long, value_name = "N", default_value_t = RowHistory::DEFAULT_LIMIT, value_parser = limit(Timeline::MAX_LIMIT))]
    pub(crate) limit: u32,

    /// Go on where an earlier page ended
    #[arg(long, value_name = "CURSOR")]
    pub(crate) cursor: Option<Cursor>,
}

#[derive(Debug, Args)]
pub(crate) struct AsOfArgs {
    /// The table as in SQL: posts, billing.invoices, '"My table"'
    #[arg(value_name = "TABLE")]
    pub(crate) table: TableName,

    /// The row's key: {"id": 7}, or the value alone if the key is one column
    #[arg(
        value_name = "KEY",
        allow_negative_numbers = true,
        required_unless_present = "all_rows",
        conflicts_with = "all_rows"
    )]
    pub(crate) key: Option<Key>,

    /// Show every row that the table had then, in no particular order
    #[arg(long)]
    pub(crate) all_rows: bool,

    /// Leave out rows that cannot be told, instead of failing
    #[arg(long, requires = "all_rows", conflicts_with = "key")]
    pub(crate) known_rows: bool,

    /// The time: 2026-11-23T15:04:05Z, "10m ago"
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    pub(crate) at: OffsetDateTime,
}

#[derive(Debug, Args)]
pub(crate) struct Row {
    /// The table as in SQL: posts, billing.invoices, '"My table"'
    #[arg(value_name = "TABLE")]
    pub(crate) table: TableName,

    /// The row's key: {"id": 7}, or the value alone if the key is one column
    #[arg(value_name = "KEY", allow_negative_numbers = true)]
    pub(crate) key: Key,
}

#[derive(Debug, Args)]
pub(crate) struct TransactionArgs {
    /// The audit transaction, as the other commands print it
    #[arg(value_name = "TRANSACTION")]
    pub(crate) id: i64,
}

#[derive(Debug, Args)]
pub(crate) struct IncidentArgs {
    /// The audit transaction, as the other commands print it
    #[arg(value_name = "TRANSACTION")]
    pub(crate) id: i64,

    /// At most so many changes, 1 to 1000
    #[arg(long, value_name = "N", default_value_t = Incident::DEFAULT_LIMIT, value_parser = limit(Timeline::MAX_LIMIT))]
    pub(crate) limit: u32,

    /// Go on where an earlier page ended
    #[arg(long, value_name = "CURSOR")]
    pub(crate) cursor: Option<Cursor>,
}

#[derive(Debug, Args)]
pub(crate) struct CorrelationArgs {
    /// The id that the work ran under
    #[arg(value_name = "ID")]
    pub(crate) id: String,

    /// At most so many changes, 1 to 1000
    #[arg(long, value_name = "N", default_value_t = Correlation::DEFAULT_LIMIT, value_parser = limit(Timeline::MAX_LIMIT))]
    pub(crate) limit: u32,

    /// Go on where an earlier page ended
    #[arg(long, value_name = "CURSOR")]
    pub(crate) cursor: Option<Cursor>,
}

#[derive(Debug, Args)]
pub(crate) struct ActorArgs {
    /// Who: user:42, anonymous, or nobody for what nobody was named for
    #[arg(value_name = "ACTOR", value_parser = actor)]
    pub(crate) actor: ActorFilter,

    /// Begun at this time or later: 2026-11-23T15:04:05Z, "10m ago"
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    pub(crate) since: Option<OffsetDateTime>,

    /// Begun at this time or earlier
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    pub(crate) until: Option<OffsetDateTime>,

    /// At most so many transactions, 1 to 1000
    #[arg(long, value_name = "N", default_value_t = ActorHistory::DEFAULT_LIMIT, value_parser = limit(Timeline::MAX_LIMIT))]
    pub(crate) limit: u32,

    /// Go on where an earlier page ended
    #[arg(long, value_name = "CURSOR")]
    pub(crate) cursor: Option<Cursor>,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The change, by the id that JSON and exports tell
    #[arg(value_name = "CHANGE")]
    pub(crate) id: i64,

    /// When it was captured, as JSON and exports tell; needed for changes that are not among the newest 100,000
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    pub(crate) at: Option<OffsetDateTime>,

    /// Or the audit transaction that it belongs to
    #[arg(long, value_name = "N", conflicts_with = "at")]
    pub(crate) transaction: Option<i64>,

    /// List the columns of inserted and of deleted rows, too
    #[arg(long)]
    pub(crate) expand: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Into this file, which must not exist yet; else to the standard output
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Replace the file if it exists
    #[arg(long, requires = "output")]
    pub(crate) overwrite: bool,

    /// How it is written [default: as the file's name ends, else csv]
    #[arg(long, value_name = "FORMAT", value_parser = format())]
    pub(crate) format: Option<ExportFormat>,

    /// At most so many changes, the newest
    #[arg(long, value_name = "N", default_value_t = Export::DEFAULT_MAX_ROWS, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_rows: u64,

    /// However many there are
    #[arg(long, conflicts_with = "max_rows")]
    pub(crate) all_rows: bool,

    /// Compress [default: as the file's name ends, .gz or .zst, else not]
    #[arg(long, value_name = "WITH", value_parser = compression())]
    pub(crate) compress: Option<Compression>,

    /// Leave cells of CSV as they are, also when a spreadsheet takes them for formulas
    #[arg(long)]
    pub(crate) raw_cells: bool,

    #[command(flatten)]
    pub(crate) filters: Filters,
}

fn format() -> impl TypedValueParser<Value = ExportFormat> {
    PossibleValuesParser::new(["csv", "json", "ndjson"]).try_map(|text| text.parse::<ExportFormat>())
}

fn compression() -> impl TypedValueParser<Value = Compression> {
    PossibleValuesParser::new(["gzip", "zstd"]).try_map(|text| text.parse::<Compression>())
}

fn limit(most: u32) -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=i64::from(most))
}

impl Arguments {
    /// Reads the arguments. Without a manifest there is nothing to act on but the table that is named.
    pub(crate) fn read(manifest: &Manifest, arguments: Vec<OsString>) -> Result<Self, clap::Error> {
        let mut command = Self::command();
        if manifest.tables().is_empty() {
            for name in ["plan", "enable"] {
                command = command.mut_subcommand(name, |sub| sub.mut_arg("table", |table| table.required(true)));
            }
        }
        Self::from_arg_matches(&command.try_get_matches_from_mut(arguments)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_holds() {
        Arguments::command().debug_assert();
    }
}
