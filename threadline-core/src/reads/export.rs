//! Handing changes out: CSV, one JSON document, or one JSON object per line.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{
    export_output::Output,
    query::{self, Query, expand},
    reading::{Reading, Streamed},
    scope::{Scope, ScopedRead},
    timeline::Timeline,
};
use crate::{Error, Schema, Statement, instant};

/// How changes are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ExportFormat {
    /// RFC 4180 with a header: every value quoted, NULL an empty field without quotes, lines end with CR LF.
    #[default]
    Csv,
    /// One document: `format_version` 1, `generated_at`, `changes`, and at its end how many there are and whether that is
    /// all.
    Json,
    /// One JSON object for each change, on a line of its own: the same objects as in the document.
    Ndjson,
}

impl ExportFormat {
    /// The format as the command line and file names spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Ndjson => "ndjson",
        }
    }
}

impl fmt::Display for ExportFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for ExportFormat {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        [Self::Csv, Self::Json, Self::Ndjson]
            .into_iter()
            .find(|format| format.as_str() == text)
            .ok_or_else(|| Error::invalid_input("format", "is not known", "Use csv, json or ndjson"))
    }
}

/// The changes that match the filters of a timeline, written out newest first, of one snapshot and in constant memory.
///
/// A spreadsheet takes a cell that begins with `=`, `+`, `-`, `@`, a tab or a carriage return for a formula. In CSV such a
/// value gets an apostrophe before it; [`raw_cells`](Self::raw_cells) leaves it as it is.
///
/// # Examples
/// ```
/// use threadline_core::{Export, ExportFormat, Exporting, Schema, Timeline};
///
/// # fn fetch(_: threadline_core::Statement) -> Result<Vec<String>, threadline_core::Error> { Ok(Vec::new()) }
/// let export = Export::new(Timeline::new().table("posts")).format(ExportFormat::Ndjson).max_rows(1_000);
/// // What an adapter's `export` does:
/// let schema = Schema::default();
/// let mut file = Vec::new();
/// let mut exporting = Exporting::new(export);
/// while let Some(statement) = exporting.next_statement(&schema)? {
///     file.extend(exporting.chunk(fetch(statement)?)?);
/// }
/// let (end, summary) = exporting.finish()?;
/// file.extend(end);
/// assert!(!summary.truncated);
/// # Ok::<(), threadline_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Export {
    timeline: Timeline,
    format: ExportFormat,
    max_rows: Option<u64>,
    raw_cells: bool,
    pub(super) gzip: bool,
    generated_at: Option<OffsetDateTime>,
}

/// What an export wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ExportSummary {
    /// How it was written.
    pub format: ExportFormat,
    /// How many changes there are in it.
    pub returned_count: u64,
    /// How many there could be.
    pub max_rows: Option<u64>,
    /// Whether there are more that match.
    pub truncated: bool,
}

/// What an export hands out: bytes to write, and at last what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExportPiece {
    /// Write these.
    Bytes(Vec<u8>),
    /// That was all.
    Done(ExportSummary),
}

impl Export {
    /// How many changes are written unless said otherwise.
    pub const DEFAULT_MAX_ROWS: u64 = 10_000;

    /// The changes that match these filters, as CSV.
    pub fn new(timeline: Timeline) -> Self {
        Self {
            timeline,
            format: ExportFormat::Csv,
            max_rows: Some(Self::DEFAULT_MAX_ROWS),
            raw_cells: false,
            gzip: false,
            generated_at: None,
        }
    }

    /// Written so.
    pub fn format(mut self, format: ExportFormat) -> Self {
        self.format = format;
        self
    }

    /// At most so many changes, 1 or more; 10,000 unless said.
    pub fn max_rows(mut self, rows: u64) -> Self {
        self.max_rows = Some(rows);
        self
    }

    /// However many there are.
    pub fn all_rows(mut self) -> Self {
        self.max_rows = None;
        self
    }

    /// Cells of CSV as they are, also when a spreadsheet would take them for formulas.
    pub fn raw_cells(mut self) -> Self {
        self.raw_cells = true;
        self
    }

    /// The instant that the JSON document says it was made at, instead of now.
    pub fn generated_at(mut self, at: OffsetDateTime) -> Self {
        self.generated_at = Some(at);
        self
    }

    /// Compressed with gzip.
    #[cfg(feature = "gzip")]
    pub fn gzip(mut self) -> Self {
        self.gzip = true;
        self
    }

    /// The usual extension of the file's name: `csv`, or `csv.gz`.
    #[must_use]
    pub fn extension(&self) -> String {
        let compressed = if self.gzip { ".gz" } else { "" };
        format!("{}{compressed}", self.format)
    }

    fn validate(&self) -> Result<(), Error> {
        match self.max_rows {
            Some(0) => Err(Error::invalid_input("max_rows", "is 0", "Give 1 or more, or ask for all rows")),
            Some(rows) if i64::try_from(rows).is_ok_and(|rows| rows < i64::MAX) => Ok(()),
            Some(_) => Err(Error::invalid_input("max_rows", "is out of range", "Ask for all rows")),
            None => Ok(()),
        }
    }

    /// The expression over `c`, `t` and `a` that makes a line.
    fn line(&self) -> String {
        match self.format {
            ExportFormat::Json | ExportFormat::Ndjson => expand(include_str!("export_json.sql")),
            ExportFormat::Csv => {
                let cells: Vec<String> = COLUMNS.iter().map(|column| self.cell(column)).collect();
                // concat() passes over NULL.
                format!("pg_catalog.concat({})", cells.join(", ',',\n    "))
            }
        }
    }

    /// A quoted value; NULL when there is none, and so an empty field.
    fn cell(&self, column: &Column) -> String {
        let text = expand(column.text);
        let text = match column.holds {
            Holds::Plain => return format!("'\"' || {text} || '\"'"),
            Holds::Anything if !self.raw_cells => format!(
                "CASE WHEN pg_catalog.left({text}, 1) IN ('=', '+', '-', '@', E'\\t', E'\\r') THEN '''' ELSE '' END || {text}"
            ),
            Holds::Anything | Holds::Json => text,
        };
        format!("'\"' || pg_catalog.replace({text}, '\"', '\"\"') || '\"'")
    }
}

/// A column of the CSV.
struct Column {
    name: &'static str,
    /// An expression of type text over `c`, `t` and `a`.
    text: &'static str,
    holds: Holds,
}

/// What the values of a column can hold.
#[derive(Clone, Copy)]
enum Holds {
    /// No quotes.
    Plain,
    /// Quotes; it begins with none of a formula's characters.
    Json,
    /// Whatever somebody wrote.
    Anything,
}

const fn column(name: &'static str, text: &'static str, holds: Holds) -> Column {
    Column { name, text, holds }
}

/// The original's columns, and what is there beside them.
const COLUMNS: [Column; 16] = [
    column("id", "c.id::text", Holds::Plain),
    column("transaction_id", "c.transaction_id::text", Holds::Plain),
    column("table_schema", "c.table_schema", Holds::Anything),
    column("table_name", "c.table_name", Holds::Anything),
    column("op", "c.op", Holds::Plain),
    column("captured_at", "{captured_at}", Holds::Plain),
    column("table_pk", "c.table_pk::text", Holds::Json),
    column("previous_pk", "c.previous_pk::text", Holds::Json),
    column("data_after", "c.data_after::text", Holds::Json),
    column("changed_fields", "pg_catalog.array_to_json(c.changed_fields)::text", Holds::Json),
    column("changed_from", "c.changed_from::text", Holds::Json),
    column("withheld", "c.withheld", Holds::Anything),
    column("transaction_json", "CASE WHEN t.id IS NOT NULL THEN {transaction_json}::text END", Holds::Json),
    column("correlation_id", "t.correlation_id", Holds::Anything),
    column("action_id", "t.action_id::text", Holds::Plain),
    column("action_json", "CASE WHEN a.id IS NOT NULL THEN {action_json}::text END", Holds::Json),
];

/// Lines, each a change; the first and the last line are [`Exporting`]'s.
impl Streamed for Export {
    type Item = String;

    fn probe(&self, schema: &Schema) -> Result<Option<Statement>, Error> {
        self.validate()?;
        Query::probe(schema, self.timeline.without_page()?)
    }

    fn check(&self, rows: Vec<String>) -> Result<(), Error> {
        query::check(self.timeline.filters(), &rows)
    }

    fn declare(&self, schema: &Schema, name: &str) -> Result<Statement, Error> {
        self.validate()?;
        // One more tells whether these are all.
        let most = self.max_rows.map(|rows| rows + 1);
        Query::new(schema, self.timeline.without_page()?)?.declare(name, &self.line(), most)
    }

    fn item(&self, row: String) -> Result<String, Error> {
        Ok(row)
    }
}

impl ScopedRead for Export {
    fn in_scope(self, scope: &Scope) -> Self {
        Self { timeline: self.timeline.scope(scope), ..self }
    }
}

/// Drives an export, whatever runs the statements: ask for the [next statement](Self::next_statement), run it, write the
/// [chunk](Self::chunk) that its rows make, and at last what [`finish`](Self::finish) gives.
///
/// Everything belongs into one transaction, which may be read-only.
#[derive(Debug)]
#[must_use]
pub struct Exporting {
    reading: Reading<Export>,
    output: Output,
    count: u64,
    truncated: bool,
    begun: bool,
}

impl Exporting {
    /// Rows that are fetched at a time.
    const BATCH: u32 = 1_000;

    /// An export from the beginning.
    pub fn new(export: Export) -> Self {
        let output = Output::new(export.gzip);
        let reading = Reading::new(export).batch(Self::BATCH);
        Self { reading, output, count: 0, truncated: false, begun: false }
    }

    /// The statement to run next; `None` when everything was read.
    ///
    /// # Errors
    /// What [`Export`] documents, before anything runs.
    pub fn next_statement(&mut self, schema: &Schema) -> Result<Option<Statement>, Error> {
        self.reading.next_statement(schema)
    }

    /// What to write of the rows that the statement returned, perhaps nothing.
    ///
    /// # Errors
    /// [`is_not_captured`](Error::is_not_captured) and [`is_invalid_input`](Error::is_invalid_input) for a question that
    /// cannot have an answer.
    pub fn chunk(&mut self, rows: Vec<String>) -> Result<Vec<u8>, Error> {
        let mut lines = self.reading.items(rows)?;
        if let Some(max_rows) = self.reading.source().max_rows {
            let left = usize::try_from(max_rows.saturating_sub(self.count)).unwrap_or(usize::MAX);
            if lines.len() > left {
                lines.truncate(left);
                self.truncated = true;
                self.reading.stop();
            }
        }
        if lines.is_empty() {
            return Ok(Vec::new());
        }
        self.begin()?;
        let (separator, end) = match self.reading.source().format {
            ExportFormat::Csv => ("", "\r\n"),
            ExportFormat::Json => (",\n", ""),
            ExportFormat::Ndjson => ("", "\n"),
        };
        for line in lines {
            if self.count > 0 {
                self.output.write(separator)?;
            }
            self.output.write(&line)?;
            self.output.write(end)?;
            self.count += 1;
        }
        Ok(self.output.take())
    }

    fn begin(&mut self) -> Result<(), Error> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        let export = self.reading.source();
        match export.format {
            ExportFormat::Csv => {
                let names = COLUMNS.map(|column| column.name);
                self.output.write(&names.join(","))?;
                self.output.write("\r\n")
            }
            ExportFormat::Json => {
                let at = export.generated_at.unwrap_or_else(OffsetDateTime::now_utc);
                let at = instant::floor(at, "generated_at")?;
                self.output.write(&format!("{{\"format_version\":1,\"generated_at\":\"{at}\",\"changes\":[\n"))
            }
            ExportFormat::Ndjson => Ok(()),
        }
    }

    /// The end of what is written, and what it was.
    ///
    /// # Errors
    /// [`is_output_failed`](Error::is_output_failed) when compressing fails.
    pub fn finish(mut self) -> Result<(Vec<u8>, ExportSummary), Error> {
        self.begin()?;
        let export = self.reading.source();
        let summary = ExportSummary {
            format: export.format,
            returned_count: self.count,
            max_rows: export.max_rows,
            truncated: self.truncated,
        };
        if export.format == ExportFormat::Json {
            let max_rows = summary.max_rows.map_or("null".to_owned(), |rows| rows.to_string());
            self.output.write(&format!(
                "\n],\"returned_count\":{},\"max_rows\":{max_rows},\"truncated\":{}}}\n",
                summary.returned_count, summary.truncated
            ))?;
        }
        Ok((self.output.finish()?, summary))
    }
}

#[cfg(test)]
#[path = "export_tests.rs"]
mod tests;
