//! Reading everything there is, entry by entry.

use std::fmt;
use std::vec;

use diesel::connection::LoadConnection;
use diesel::pg::Pg;
use threadline_core::{Reading, Schema, Streamed};

use crate::{Error, wire};

/// Every entry of a read, in the order of its pages; from [`Trail::stream`](crate::Trail::stream).
///
/// One snapshot, in constant memory: a cursor of the database, in the open transaction or in a read-only one of its own.
/// Dropping it ends the read.
///
/// It ends after the first error.
#[must_use = "nothing is read until it is asked for the next entry"]
pub struct Entries<'c, C, S>
where
    C: LoadConnection<Backend = Pg>,
    S: Streamed,
{
    connection: Held<'c, C>,
    schema: Schema,
    reading: Reading<S>,
    batch: vec::IntoIter<S::Item>,
    is_over: bool,
}

/// A connection with a transaction of the read's own, or with somebody's.
enum Held<'c, C>
where
    C: LoadConnection<Backend = Pg>,
{
    Own(wire::Own<'c, C>),
    Within(&'c mut C),
}

impl<C> Held<'_, C>
where
    C: LoadConnection<Backend = Pg>,
{
    fn connection(&mut self) -> &mut C {
        match self {
            Self::Own(own) => own.0,
            Self::Within(connection) => connection,
        }
    }
}

impl<'c, C, S> Entries<'c, C, S>
where
    C: LoadConnection<Backend = Pg>,
    S: Streamed,
{
    pub(crate) fn begin(connection: &'c mut C, schema: &Schema, read: S) -> Result<Self, Error> {
        let connection = if wire::in_transaction(connection)? {
            Held::Within(connection)
        } else {
            Held::Own(wire::Own::begin(connection, threadline_core::BEGIN_READ)?)
        };
        let (schema, reading) = (schema.clone(), Reading::new(read));
        Ok(Self { connection, schema, reading, batch: Vec::new().into_iter(), is_over: false })
    }

    /// The entries that the next statement of the cursor brings, if any; `None` when there is no statement left.
    pub(crate) fn next_batch(&mut self) -> Result<Option<Vec<S::Item>>, Error> {
        if self.is_over || !self.advance()? {
            self.is_over = true;
            return Ok(None);
        }
        Ok(Some(self.batch.by_ref().collect()))
    }

    /// What the read runs on, with what, and itself.
    pub(crate) fn parts(&mut self) -> (&mut C, &Schema, &S) {
        (self.connection.connection(), &self.schema, self.reading.source())
    }

    /// Nothing more is read: the statement that failed took the cursor along.
    pub(crate) fn end(&mut self) {
        self.is_over = true;
    }

    /// Runs the next statement of the cursor; false when there is none left.
    fn advance(&mut self) -> Result<bool, Error> {
        let Some(statement) = self.reading.next_statement(&self.schema)? else {
            if let Held::Own(own) = &mut self.connection {
                own.commit()?;
            }
            return Ok(false);
        };
        let rows = wire::fetch(self.connection.connection(), &self.schema, &statement)?;
        self.batch = self.reading.items(rows)?.into_iter();
        Ok(true)
    }
}

impl<C, S> Iterator for Entries<'_, C, S>
where
    C: LoadConnection<Backend = Pg>,
    S: Streamed,
{
    type Item = Result<S::Item, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.batch.next() {
                return Some(Ok(entry));
            }
            if self.is_over {
                return None;
            }
            match self.advance() {
                Ok(more) => self.is_over = !more,
                Err(error) => {
                    self.is_over = true;
                    return Some(Err(error));
                }
            }
        }
    }
}

impl<C, S> Drop for Entries<'_, C, S>
where
    C: LoadConnection<Backend = Pg>,
    S: Streamed,
{
    /// Closes the cursor in somebody's transaction; one of our own takes it along.
    fn drop(&mut self) {
        if self.is_over || matches!(self.connection, Held::Own(_)) {
            return;
        }
        self.reading.stop();
        // Where that fails, the transaction has failed, and takes the cursor along.
        while let Ok(true) = self.advance() {}
    }
}

impl<C, S> fmt::Debug for Entries<'_, C, S>
where
    C: LoadConnection<Backend = Pg>,
    S: Streamed,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries").field("is_over", &self.is_over).finish_non_exhaustive()
    }
}
