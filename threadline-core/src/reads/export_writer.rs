//! What an export writes: lines, and what is around them.

use time::OffsetDateTime;

use super::{
    export::{Export, ExportFormat, ExportSummary},
    export_lines::Lines,
    export_output::Output,
    export_row::Form,
};
use crate::{Error, instant};

/// Writes the rows of an export, up to as many as it may have.
#[derive(Debug)]
pub(super) struct Writer {
    export: Export,
    lines: Lines,
    /// `None` until the first text.
    output: Option<Output>,
    count: u64,
    truncated: bool,
    begun: bool,
}

impl Writer {
    pub(super) fn new(export: Export, form: Form) -> Self {
        let lines = Lines::new(export.format, export.raw_cells, form);
        Self { export, lines, output: None, count: 0, truncated: false, begun: false }
    }

    /// Adds the line of a row to the text; false when there were as many as there may be.
    pub(super) fn add(&mut self, row: &str, text: &mut String) -> Result<bool, Error> {
        if self.export.max_rows == Some(self.count) {
            self.truncated = true;
            return Ok(false);
        }
        self.begin(text)?;
        let (between, end) = match self.export.format {
            ExportFormat::Csv => ("", "\r\n"),
            ExportFormat::Json => (",\n", ""),
            ExportFormat::Ndjson => ("", "\n"),
        };
        if self.count > 0 {
            text.push_str(between);
        }
        self.lines.add(row, text)?;
        text.push_str(end);
        self.count += 1;
        Ok(true)
    }

    fn begin(&mut self, text: &mut String) -> Result<(), Error> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        match self.export.format {
            ExportFormat::Csv => {
                text.push_str(&Lines::header());
                text.push_str("\r\n");
            }
            ExportFormat::Json => {
                let at = self.export.generated_at.unwrap_or_else(OffsetDateTime::now_utc);
                let at = instant::floor(at, "generated_at")?;
                text.push_str(&format!("{{\"format_version\":1,\"generated_at\":\"{at}\",\"changes\":[\n"));
            }
            ExportFormat::Ndjson => {}
        }
        Ok(())
    }

    /// The text as it is written, perhaps compressed and so only later.
    pub(super) fn take(&mut self, text: String) -> Result<Vec<u8>, Error> {
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let mut output = self.output()?;
        let written = output.take(text)?;
        self.output = Some(output);
        Ok(written)
    }

    fn output(&mut self) -> Result<Output, Error> {
        self.output.take().map_or_else(|| Output::new(self.export.compression), Ok)
    }

    /// The end of what is written, and what it was.
    pub(super) fn finish(mut self) -> Result<(Vec<u8>, ExportSummary), Error> {
        let mut text = String::new();
        self.begin(&mut text)?;
        let summary = ExportSummary {
            format: self.export.format,
            returned_count: self.count,
            max_rows: self.export.max_rows,
            truncated: self.truncated,
        };
        if summary.format == ExportFormat::Json {
            let max_rows = summary.max_rows.map_or("null".to_owned(), |rows| rows.to_string());
            text.push_str(&format!(
                "\n],\"returned_count\":{},\"max_rows\":{max_rows},\"truncated\":{}}}\n",
                summary.returned_count, summary.truncated
            ));
        }
        Ok((self.output()?.finish(text)?, summary))
    }
}
