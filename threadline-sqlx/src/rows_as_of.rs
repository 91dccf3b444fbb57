//! A model's table as it was.

use futures_util::stream::{Stream, try_unfold};
use sqlx::FromRow;
use sqlx::postgres::PgRow;
use threadline_core::{Audited, Reading, RowAsOf, Schema, TableAsOf};

use crate::reach::{Opened, Reach};
use crate::{Error, wire};

/// Where the stream is.
enum Rows<H: Reach, R> {
    NotYet(H, TableAsOf),
    Open { opened: H::Opened, reading: Reading<TableAsOf>, types: Vec<String>, ready: std::vec::IntoIter<RowAsOf<R>> },
}

pub(crate) fn rows_as_of<H, R>(
    handle: H,
    schema: Schema,
    read: TableAsOf,
) -> impl Stream<Item = Result<RowAsOf<R>, Error>> + Send
where
    H: Reach,
    R: Audited + for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    try_unfold((Rows::NotYet(handle, read), schema), |(state, schema)| async move {
        let next = next(state, &schema).await?;
        Ok(next.map(|(row, state)| (row, (state, schema))))
    })
}

async fn next<H, R>(mut state: Rows<H, R>, schema: &Schema) -> Result<Option<(RowAsOf<R>, Rows<H, R>)>, Error>
where
    H: Reach,
    R: Audited + for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    let failed = |error| Error::from_own_statement(error, schema);
    loop {
        state = match state {
            Rows::NotYet(handle, read) => {
                let types = wire::own_types(schema, &R::audited_table())?;
                let mut opened = handle.open().await?;
                let types = wire::fetch_bound(opened.connection(), &types).await.map_err(failed)?;
                Rows::Open { opened, reading: Reading::new(read), types, ready: Vec::new().into_iter() }
            }
            Rows::Open { mut opened, mut reading, types, mut ready } => {
                if let Some(row) = ready.next() {
                    return Ok(Some((row, Rows::Open { opened, reading, types, ready })));
                }
                let Some(statement) = reading.next_statement(schema)? else {
                    opened.close().await?;
                    return Ok(None);
                };
                let connection = opened.connection();
                let images = reading.items(wire::fetch_bound(connection, &statement).await.map_err(failed)?)?;
                if !images.is_empty() {
                    let statement = reading.source().rows_statement(schema, &images, R::columns())?;
                    let rows = wire::fetch_rows(connection, &statement, &types).await.map_err(failed)?;
                    let rows =
                        rows.iter().zip(images).map(|(row, image)| Ok(RowAsOf::new(R::from_row(row)?, image.origin)));
                    ready = rows.collect::<Result<Vec<_>, sqlx::Error>>()?.into_iter();
                }
                Rows::Open { opened, reading, types, ready }
            }
        };
    }
}
