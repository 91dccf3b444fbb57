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

/// How an export is compressed. Each way is a feature of this crate: `gzip`, `zstd`.
///
/// # Examples
/// ```
/// use threadline_core::Compression;
///
/// # #[cfg(feature = "zstd")] {
/// let zstd: Compression = "zstd".parse()?;
/// assert_eq!(Compression::of_extension("zst"), Some(zstd));
/// # }
/// assert_eq!("rar".parse::<Compression>().unwrap_err().setting(), Some("compression"));
/// # Ok::<(), threadline_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// What everything reads.
    #[cfg(feature = "gzip")]
    Gzip,
    /// Smaller and faster.
    #[cfg(feature = "zstd")]
    Zstd,
}

impl Compression {
    /// Those that there are.
    pub const ALL: &'static [Self] = &[
        #[cfg(feature = "gzip")]
        Self::Gzip,
        #[cfg(feature = "zstd")]
        Self::Zstd,
    ];

    /// The compression as the command line spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            #[cfg(feature = "gzip")]
            Self::Gzip => "gzip",
            #[cfg(feature = "zstd")]
            Self::Zstd => "zstd",
        }
    }

    /// The usual extension of the name of a file, without the dot.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            #[cfg(feature = "gzip")]
            Self::Gzip => "gz",
            #[cfg(feature = "zstd")]
            Self::Zstd => "zst",
        }
    }

    /// The compression that files of this extension have.
    #[must_use]
    pub fn of_extension(extension: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|compression| compression.extension() == extension)
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Compression {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL
            .iter()
            .copied()
            .find(|compression| compression.as_str() == text)
            .ok_or_else(|| Error::invalid_input("compression", "is not known", "Use gzip or zstd"))
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
    pub(super) compression: Option<Compression>,
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
    /// How many there could have been at most; `None` for however many there are.
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
            compression: None,
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

    /// Compressed so.
    pub fn compressed(mut self, compression: Compression) -> Self {
        self.compression = Some(compression);
        self
    }

    /// Compressed with gzip.
    #[cfg(feature = "gzip")]
    pub fn gzip(self) -> Self {
        self.compressed(Compression::Gzip)
    }

    /// Compressed with zstd.
    #[cfg(feature = "zstd")]
    pub fn zstd(self) -> Self {
        self.compressed(Compression::Zstd)
    }

    /// The usual extension of the file's name: `csv`, or `csv.gz`.
    #[must_use]
    pub fn extension(&self) -> String {
        match self.compression {
            None => self.format.to_string(),
            Some(compression) => format!("{}.{}", self.format, compression.extension()),
        }
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
