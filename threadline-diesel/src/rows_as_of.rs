//! A model's table as it was.

use std::fmt;
use std::vec;

use diesel::RunQueryDsl;
use diesel::connection::LoadConnection;
use diesel::deserialize::QueryableByName;
use diesel::pg::Pg;
use threadline_core::{Audited, RowAsOf, Schema, TableAsOf};

use crate::statement::bound;
use crate::{Entries, Error};

/// The rows of a model's table as they were at an instant: what [`table_as_of`](crate::Trail::table_as_of) gives.
///
/// Dropping it ends the read.
#[must_use = "it reads nothing until it is iterated"]
pub struct RowsAsOf<'c, C, R>
where
    C: LoadConnection<Backend = Pg>,
{
    images: Entries<'c, C, TableAsOf>,
    ready: vec::IntoIter<RowAsOf<R>>,
}

impl<'c, C, R> RowsAsOf<'c, C, R>
where
    C: LoadConnection<Backend = Pg>,
    R: Audited + QueryableByName<Pg> + 'static,
{
    pub(crate) fn begin(connection: &'c mut C, schema: &Schema, read: TableAsOf) -> Result<Self, Error> {
        Ok(Self { images: Entries::begin(connection, schema, read)?, ready: Vec::new().into_iter() })
    }

    fn advance(&mut self) -> Result<bool, Error> {
        let Some(images) = self.images.next_batch()? else { return Ok(false) };
        if !images.is_empty() {
            let (connection, schema, read) = self.images.parts();
            let statement = read.rows_statement(schema, &images, R::columns())?;
            let rows: Vec<R> =
                bound(&statement).get_results(connection).map_err(|error| Error::from_own_statement(error, schema))?;
            let rows = rows.into_iter().zip(images).map(|(row, image)| RowAsOf::new(row, image.origin));
            self.ready = rows.collect::<Vec<_>>().into_iter();
        }
        Ok(true)
    }
}

impl<C, R> Iterator for RowsAsOf<'_, C, R>
where
    C: LoadConnection<Backend = Pg>,
    R: Audited + QueryableByName<Pg> + 'static,
{
    type Item = Result<RowAsOf<R>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.ready.next() {
                return Some(Ok(row));
            }
            match self.advance() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    self.images.end();
                    return Some(Err(error));
                }
            }
        }
    }
}

impl<C, R> fmt::Debug for RowsAsOf<'_, C, R>
where
    C: LoadConnection<Backend = Pg>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowsAsOf").finish_non_exhaustive()
    }
}
