//! A model's table as it was.

use std::vec;

use diesel::deserialize::QueryableByName;
use diesel::pg::Pg;
use diesel_async::RunQueryDsl;
use futures_util::stream::{Stream, try_unfold};
use threadline_core::{Audited, Reading, RowAsOf, Schema, TableAsOf};

use crate::Error;
use crate::asynchronous::AuditDsl;
use crate::asynchronous::streaming::Held;
use crate::statement::bound;

/// Where the stream is.
enum Rows<'c, C: AuditDsl, R> {
    NotYet(&'c mut C, TableAsOf),
    Open { held: Held<'c, C>, reading: Reading<TableAsOf>, ready: vec::IntoIter<RowAsOf<R>> },
}

pub(crate) fn rows_as_of<C, R>(
    conn: &mut C,
    schema: Schema,
    read: TableAsOf,
) -> impl Stream<Item = Result<RowAsOf<R>, Error>> + Send
where
    C: AuditDsl,
    R: Audited + QueryableByName<Pg> + Send + 'static,
{
    try_unfold((Rows::NotYet(conn, read), schema), |(state, schema)| async move {
        let next = state.next(&schema).await?;
        Ok(next.map(|(row, state)| (row, (state, schema))))
    })
}

impl<C, R> Rows<'_, C, R>
where
    C: AuditDsl,
    R: Audited + QueryableByName<Pg> + Send + 'static,
{
    async fn next(mut self, schema: &Schema) -> Result<Option<(RowAsOf<R>, Self)>, Error> {
        loop {
            self = match self {
                Self::NotYet(conn, read) => Self::Open {
                    held: Held::open(conn).await?,
                    reading: Reading::new(read),
                    ready: Vec::new().into_iter(),
                },
                Self::Open { mut held, mut reading, mut ready } => {
                    if let Some(row) = ready.next() {
                        return Ok(Some((row, Self::Open { held, reading, ready })));
                    }
                    let Some(statement) = reading.next_statement(schema)? else {
                        held.close().await?;
                        return Ok(None);
                    };
                    let images = reading.items(held.fetch(schema, &statement).await?)?;
                    if !images.is_empty() {
                        let statement = reading.source().rows_statement(schema, &images, R::columns())?;
                        let rows: Vec<R> = bound(&statement)
                            .get_results(held.connection())
                            .await
                            .map_err(|error| Error::from_own_statement(error, schema))?;
                        let rows = rows.into_iter().zip(images).map(|(row, image)| RowAsOf::new(row, image.origin));
                        ready = rows.collect::<Vec<_>>().into_iter();
                    }
                    Self::Open { held, reading, ready }
                }
            };
        }
    }
}
