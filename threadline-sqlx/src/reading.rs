//! How a read is run: in the transaction that a handle opens for it.

use futures_util::stream::{Stream, try_unfold};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection};
use threadline_core::{AsOf, Audited, Operation, Reading, RowAsOf, Schema, Statement, Streamed};

use crate::reach::{Opened, Reach};
use crate::{Error, wire};

/// The one column of a statement's rows.
pub(crate) async fn fetch(
    connection: &mut PgConnection,
    schema: &Schema,
    statement: &Statement,
) -> Result<Vec<String>, Error> {
    wire::fetch_bound(connection, statement).await.map_err(|error| Error::from_own_statement(error, schema))
}

/// One statement.
pub(crate) async fn run<H: Reach, O: Operation + Sync>(
    handle: H,
    schema: &Schema,
    operation: &O,
) -> Result<O::Output, Error> {
    let statement = operation.statement(schema)?;
    let mut opened = handle.open().await?;
    let rows = fetch(opened.connection(), schema, &statement).await?;
    opened.close().await?;
    Ok(operation.decode(rows)?)
}

/// A row as it was, in two steps: the image, then the row made of it.
pub(crate) async fn row<H, R>(handle: H, schema: &Schema, as_of: AsOf) -> Result<RowAsOf<R>, Error>
where
    H: Reach,
    R: Audited + for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    let statement = as_of.statement(schema)?;
    let mut opened = handle.open().await?;
    let connection = opened.connection();
    let image = as_of.decode(fetch(connection, schema, &statement).await?)?;
    let statement = as_of.row_statement(schema, &image, R::columns())?;
    let types = fetch(connection, schema, &wire::own_types(schema, &R::audited_table())?).await?;
    let row = wire::fetch_row(connection, &statement, &types).await;
    let row = R::from_row(&row.map_err(|error| Error::from_own_statement(error, schema))?)?;
    opened.close().await?;
    Ok(RowAsOf::new(row, image.origin))
}

/// Everything that a read finds, one after the other.
pub(crate) fn stream<H, S>(handle: H, schema: Schema, read: S) -> impl Stream<Item = Result<S::Item, Error>> + Send
where
    H: Reach,
    S: Streamed + Send,
    S::Item: Send,
{
    try_unfold((Streaming::NotYet(handle), schema, Some(read)), |(state, schema, mut source)| async move {
        let next = next(state, &schema, &mut source).await?;
        Ok(next.map(|(item, state)| (item, (state, schema, source))))
    })
}

/// Where a stream is.
enum Streaming<H: Reach, S: Streamed> {
    NotYet(H),
    Open { opened: H::Opened, reading: Reading<S>, ready: std::vec::IntoIter<S::Item> },
}

async fn next<H, S>(
    mut state: Streaming<H, S>,
    schema: &Schema,
    source: &mut Option<S>,
) -> Result<Option<(S::Item, Streaming<H, S>)>, Error>
where
    H: Reach,
    S: Streamed,
{
    loop {
        state = match state {
            Streaming::NotYet(handle) => {
                let Some(source) = source.take() else { return Ok(None) };
                Streaming::Open {
                    opened: handle.open().await?,
                    reading: Reading::new(source),
                    ready: Vec::new().into_iter(),
                }
            }
            Streaming::Open { mut opened, mut reading, mut ready } => {
                if let Some(item) = ready.next() {
                    return Ok(Some((item, Streaming::Open { opened, reading, ready })));
                }
                let Some(statement) = reading.next_statement(schema)? else {
                    opened.close().await?;
                    return Ok(None);
                };
                let rows = fetch(opened.connection(), schema, &statement).await?;
                ready = reading.items(rows)?.into_iter();
                Streaming::Open { opened, reading, ready }
            }
        };
    }
}
