//! Reads of any size: a cursor of the database, in one transaction.

use futures_util::stream::{Stream, try_unfold};
use threadline_core::{Reading, Schema, Streamed};

use crate::reach::Reached;
use crate::{Error, Trail};

/// Where a stream of entries is.
enum Entries<'h, H: ?Sized, S: Streamed> {
    NotYet(&'h H, S),
    Open { reached: Reached<'h>, reading: Reading<S>, ready: std::vec::IntoIter<S::Item> },
}

pub(crate) fn entries<'h, H, S>(
    handle: &'h H,
    schema: Schema,
    read: S,
) -> impl Stream<Item = Result<S::Item, Error>> + Send + use<'h, H, S>
where
    H: Trail + ?Sized,
    S: Streamed + Send,
    S::Item: Send,
{
    try_unfold((Entries::NotYet(handle, read), schema), |(state, schema)| async move {
        let next = next_entry(state, &schema).await?;
        Ok(next.map(|(item, state)| (item, (state, schema))))
    })
}

async fn next_entry<'h, H, S>(
    mut state: Entries<'h, H, S>,
    schema: &Schema,
) -> Result<Option<(S::Item, Entries<'h, H, S>)>, Error>
where
    H: Trail + ?Sized,
    S: Streamed,
{
    loop {
        state = match state {
            Entries::NotYet(handle, read) => Entries::Open {
                reached: handle.__reach().await?,
                reading: Reading::new(read),
                ready: Vec::new().into_iter(),
            },
            Entries::Open { reached, mut reading, mut ready } => {
                if let Some(item) = ready.next() {
                    return Ok(Some((item, Entries::Open { reached, reading, ready })));
                }
                let Some(statement) = reading.next_statement(schema)? else {
                    reached.end().await?;
                    return Ok(None);
                };
                ready = reading.items(reached.fetch(&statement, schema).await?)?.into_iter();
                Entries::Open { reached, reading, ready }
            }
        };
    }
}
