//! Driving an export through COPY.

use super::{
    export::{Export, ExportSummary},
    export_row::{self, Form, unreadable},
    export_writer::Writer,
    exporting::Rows,
    reading::Streamed,
};
use crate::{Error, Schema, Statement};

/// As [`Exporting`](crate::Exporting), for drivers that offer COPY: faster, and the same bytes. Run the
/// [probe](Self::probe), if there is one, and give its rows to [`check`](Self::check); then run the
/// [statement](Self::statement), write the [chunk](Self::chunk) that each piece of what it sends makes, and at last what
/// [`finish`](Self::finish) gives.
///
/// COPY is one statement for all of it, so it is not for a session with a `statement_timeout`, and it leaves nothing in
/// between for anything else.
///
/// # Examples
/// ```
/// use threadline_core::{Copying, Export, Schema, Statement, Timeline};
///
/// # fn fetch(_: Statement) -> Vec<String> { Vec::new() }
/// # fn copy(_: Statement) -> Vec<Vec<u8>> { Vec::new() }
/// let schema = Schema::default();
/// let mut copying = Copying::new(Export::new(Timeline::new()));
/// if let Some(probe) = copying.probe(&schema)? {
///     copying.check(fetch(probe))?;
/// }
/// let mut file = Vec::new();
/// for piece in copy(copying.statement(&schema)?) {
///     file.extend(copying.chunk(&piece)?);
/// }
/// let (end, summary) = copying.finish()?;
/// file.extend(end);
/// assert_eq!(summary.returned_count, 0);
/// # Ok::<(), threadline_core::Error>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct Copying {
    rows: Rows,
    writer: Writer,
    /// The beginning of a row whose end has not come yet.
    begun: Vec<u8>,
    /// Lines that have not been handed out yet.
    text: String,
}

impl Copying {
    /// How much is handed out at a time, at least.
    const CHUNK: usize = 64 * 1024;

    /// An export from the beginning.
    pub fn new(export: Export) -> Self {
        let writer = Writer::new(export.clone(), Form::Copy);
        Self { rows: Rows(export), writer, begun: Vec::new(), text: String::new() }
    }

    /// The statement, if any, that finds out whether the question can have an answer.
    ///
    /// # Errors
    /// What [`Export`] documents.
    pub fn probe(&self, schema: &Schema) -> Result<Option<Statement>, Error> {
        self.rows.probe(schema)
    }

    /// Looks at what the [probe](Self::probe) found.
    ///
    /// # Errors
    /// For a question that cannot have an answer, as with a [`Timeline`](crate::Timeline).
    pub fn check(&self, rows: Vec<String>) -> Result<(), Error> {
        self.rows.check(rows)
    }

    /// The COPY. It knows no parameters, so send it [with literals](Statement::with_literals).
    ///
    /// # Errors
    /// What [`Export`] documents.
    pub fn statement(&self, schema: &Schema) -> Result<Statement, Error> {
        self.rows.query(schema)?.copy(&export_row::columns(Form::Copy), self.rows.0.most())
    }

    /// What to write now that COPY has sent this, which need not end where a row does; often nothing.
    ///
    /// # Errors
    /// [`is_unreadable`](Error::is_unreadable) for anything but the rows of the [statement](Self::statement).
    pub fn chunk(&mut self, mut sent: &[u8]) -> Result<Vec<u8>, Error> {
        // In this format, a line break is the end of a row and nothing else.
        while let Some(end) = sent.iter().position(|byte| *byte == b'\n') {
            let (row, rest) = sent.split_at(end);
            if self.begun.is_empty() {
                self.row(row)?;
            } else {
                self.begun.extend_from_slice(row);
                let row = std::mem::take(&mut self.begun);
                self.row(&row)?;
            }
            sent = rest.get(1..).unwrap_or_default();
        }
        self.begun.extend_from_slice(sent);
        if self.text.len() < Self::CHUNK {
            return Ok(Vec::new());
        }
        let next = String::with_capacity(self.text.len());
        self.writer.take(std::mem::replace(&mut self.text, next))
    }

    fn row(&mut self, row: &[u8]) -> Result<(), Error> {
        let row = std::str::from_utf8(row).map_err(|error| Error::unreadable("a row of an export", error))?;
        // The one row more than there may be is the last.
        self.writer.add(row, &mut self.text).map(drop)
    }

    /// The end of what is written, and what it was, when COPY has sent everything.
    ///
    /// # Errors
    /// [`is_unreadable`](Error::is_unreadable) when the last row has no end;
    /// [`is_output_failed`](Error::is_output_failed) when compressing fails.
    pub fn finish(mut self) -> Result<(Vec<u8>, ExportSummary), Error> {
        if !self.begun.is_empty() {
            return Err(unreadable());
        }
        let mut written = self.writer.take(self.text)?;
        let (end, summary) = self.writer.finish()?;
        written.extend(end);
        Ok((written, summary))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ExportFormat, Timeline};

    fn row(id: u64) -> String {
        format!("{id}{}\n", "\t\\N".repeat(37))
    }

    #[test]
    fn statements() {
        let statement = |export: Export| Copying::new(export).statement(&Schema::default()).unwrap().snapshot();
        insta::assert_snapshot!("copy", statement(Export::new(Timeline::new().table("posts"))));
        insta::assert_snapshot!("copy_all", statement(Export::new(Timeline::new()).all_rows()));
    }

    #[test]
    fn pieces_need_not_end_where_rows_do() {
        let sent: String = (1..=3).map(row).collect();
        for size in [1, 2, 50, 1_000] {
            let mut copying = Copying::new(Export::new(Timeline::new()).format(ExportFormat::Csv));
            let mut written = Vec::new();
            for piece in sent.as_bytes().chunks(size) {
                written.extend(copying.chunk(piece).unwrap());
            }
            let (end, summary) = copying.finish().unwrap();
            written.extend(end);
            let text = String::from_utf8(written).unwrap();
            let lines: Vec<&str> = text.split("\r\n").skip(1).collect();
            let nothing = ",".repeat(15);
            assert_eq!(
                lines,
                [1, 2, 3]
                    .map(|id| format!("\"{id}\"{nothing}"))
                    .iter()
                    .map(|line| &**line)
                    .chain([""])
                    .collect::<Vec<_>>()
            );
            assert_eq!((summary.returned_count, summary.truncated), (3, false));
        }
    }

    #[test]
    fn a_row_without_an_end_is_no_row() {
        let mut copying = Copying::new(Export::new(Timeline::new()));
        copying.chunk(row(1).trim_end().as_bytes()).unwrap();
        assert!(copying.finish().unwrap_err().is_unreadable());
        assert!(Copying::new(Export::new(Timeline::new())).chunk(b"\xff\n").unwrap_err().is_unreadable());
    }

    #[test]
    fn one_more_tells_that_there_are_more() {
        let mut copying = Copying::new(Export::new(Timeline::new()).max_rows(1));
        copying.chunk((row(1) + &row(2)).as_bytes()).unwrap();
        let (_, summary) = copying.finish().unwrap();
        assert_eq!((summary.returned_count, summary.truncated), (1, true));
    }
}
