//! Driving an export through a cursor of the database.

use super::{
    export::{Export, ExportSummary},
    export_row::{self, Form},
    export_writer::Writer,
    query::{self, Query},
    reading::{Reading, Streamed},
};
use crate::{Error, Schema, Statement};

/// The rows that an export makes lines of.
#[derive(Debug)]
pub(super) struct Rows(pub(super) Export);

impl Rows {
    pub(super) fn query<'a>(&'a self, schema: &'a Schema) -> Result<Query<'a>, Error> {
        self.0.validate()?;
        Query::new(schema, self.0.timeline.without_page()?)
    }
}

impl Streamed for Rows {
    type Item = String;

    fn probe(&self, schema: &Schema) -> Result<Option<Statement>, Error> {
        self.0.validate()?;
        Query::probe(schema, self.0.timeline.without_page()?)
    }

    fn check(&self, rows: Vec<String>) -> Result<(), Error> {
        query::check(self.0.timeline.filters(), &rows)
    }

    fn declare(&self, schema: &Schema, name: &str) -> Result<Statement, Error> {
        self.query(schema)?.declare_marked(name, &export_row::columns(Form::Cursor), self.0.most())
    }

    fn item(&self, row: String) -> Result<Option<String>, Error> {
        Ok(Some(row))
    }
}

/// Drives an export, whatever runs the statements: ask for the [next statement](Self::next_statement), run it, write the
/// [chunk](Self::chunk) that its rows make, and at last what [`finish`](Self::finish) gives.
///
/// Everything belongs into one transaction, which may be read-only.
#[derive(Debug)]
#[must_use]
pub struct Exporting {
    reading: Reading<Rows>,
    writer: Writer,
}

impl Exporting {
    /// The most rows that are fetched at a time.
    const BATCH: u32 = 5_000;

    /// An export from the beginning.
    pub fn new(export: Export) -> Self {
        let writer = Writer::new(export.clone(), Form::Cursor);
        Self { reading: Reading::new(Rows(export)).batch(Self::BATCH), writer }
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
    /// For a question that cannot have an answer, as with a [`Timeline`](crate::Timeline).
    pub fn chunk(&mut self, rows: Vec<String>) -> Result<Vec<u8>, Error> {
        let rows = self.reading.items(rows)?;
        let mut text = String::with_capacity(rows.iter().map(|row| 2 * row.len()).sum());
        for row in rows {
            if !self.writer.add(&row, &mut text)? {
                self.reading.stop();
                break;
            }
        }
        self.writer.take(text)
    }

    /// The end of what is written, and what it was.
    ///
    /// # Errors
    /// [`is_output_failed`](Error::is_output_failed) when compressing fails.
    pub fn finish(self) -> Result<(Vec<u8>, ExportSummary), Error> {
        self.writer.finish()
    }
}

#[cfg(test)]
#[path = "exporting_tests.rs"]
mod tests;
