//! Handing changes out: CSV, one JSON document, or one JSON object per line.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{
    scope::{Scope, ScopedRead},
    timeline::Timeline,
};
use crate::Error;

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
    pub(super) timeline: Timeline,
    pub(super) format: ExportFormat,
    pub(super) max_rows: Option<u64>,
    pub(super) raw_cells: bool,
    pub(super) gzip: bool,
    pub(super) generated_at: Option<OffsetDateTime>,
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

    pub(super) fn validate(&self) -> Result<(), Error> {
        match self.max_rows {
            Some(0) => Err(Error::invalid_input("max_rows", "is 0", "Give 1 or more, or ask for all rows")),
            Some(rows) if i64::try_from(rows).is_ok_and(|rows| rows < i64::MAX) => Ok(()),
            Some(_) => Err(Error::invalid_input("max_rows", "is out of range", "Ask for all rows")),
            None => Ok(()),
        }
    }

    /// One more tells whether these are all.
    pub(super) fn most(&self) -> Option<u64> {
        self.max_rows.map(|rows| rows + 1)
    }
}

impl ScopedRead for Export {
    fn in_scope(self, scope: &Scope) -> Self {
        Self { timeline: self.timeline.scope(scope), ..self }
    }
}
