//! A model's table as it was.

use futures_util::stream::{Stream, try_unfold};
use sea_orm::FromQueryResult;
use threadline_core::{Audited, Reading, RowAsOf, Schema, TableAsOf};

use crate::reach::Reached;
use crate::{Error, Trail};

/// Where the stream is.
enum Rows<'h, H: ?Sized, R> {
    NotYet(&'h H, TableAsOf),
    Open { reached: Reached<'h>, reading: Reading<TableAsOf>, ready: std::vec::IntoIter<RowAsOf<R>> },
}

pub(crate) fn rows_as_of<'h, H, R>(
    handle: &'h H,
    schema: Schema,
    read: TableAsOf,
) -> impl Stream<Item = Result<RowAsOf<R>, Error>> + Send + use<'h, H, R>
where
    H: Trail + ?Sized,
    R: Audited + FromQueryResult + Send,
{
    try_unfold((Rows::NotYet(handle, read), schema), |(state, schema)| async move {
        let next = next(state, &schema).await?;
        Ok(next.map(|(row, state)| (row, (state, schema))))
    })
}

async fn next<'h, H, R>(
    mut state: Rows<'h, H, R>,
    schema: &Schema,
) -> Result<Option<(RowAsOf<R>, Rows<'h, H, R>)>, Error>
where
    H: Trail + ?Sized,
    R: Audited + FromQueryResult + Send,
{
    loop {
        state = match state {
            Rows::NotYet(handle, read) => Rows::Open {
                reached: handle.__reach().await?,
                reading: Reading::new(read),
                ready: Vec::new().into_iter(),
            },
            Rows::Open { reached, mut reading, mut ready } => {
                if let Some(row) = ready.next() {
                    return Ok(Some((row, Rows::Open { reached, reading, ready })));
                }
                let Some(statement) = reading.next_statement(schema)? else {
                    reached.end().await?;
                    return Ok(None);
                };
                let images = reading.items(reached.fetch(&statement, schema).await?)?;
                if !images.is_empty() {
                    let statement = reading.source().rows_statement(schema, &images, R::columns())?;
                    let rows = reached.all(&statement, schema).await?;
                    let rows = rows
                        .iter()
                        .zip(images)
                        .map(|(row, image)| Ok(RowAsOf::new(R::from_query_result(row, "")?, image.origin)));
                    ready = rows.collect::<Result<Vec<_>, sea_orm::DbErr>>()?.into_iter();
                }
                Rows::Open { reached, reading, ready }
            }
        };
    }
}
