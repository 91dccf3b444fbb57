//! Reads of any size: a cursor of the database, in one transaction.

use std::io::Write;
use std::pin::pin;

use futures_util::stream::{Stream, TryStreamExt, try_unfold};
use threadline_core::{Export, ExportPiece, ExportSummary, Exporting, Reading, Schema, Streamed};
use tokio::io::{AsyncWrite, AsyncWriteExt};

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

/// Where an export is.
enum Pieces<'h, H: ?Sized> {
    NotYet(&'h H, Box<Exporting>),
    Open(Reached<'h>, Box<Exporting>),
    Done(ExportSummary),
    Over,
}

pub(crate) fn pieces<'h, H>(
    handle: &'h H,
    schema: Schema,
    export: Export,
) -> impl Stream<Item = Result<ExportPiece, Error>> + Send + use<'h, H>
where
    H: Trail + ?Sized,
{
    let start = Pieces::NotYet(handle, Box::new(Exporting::new(export)));
    try_unfold((start, schema), |(state, schema)| async move {
        let next = next_piece(state, &schema).await?;
        Ok(next.map(|(piece, state)| (piece, (state, schema))))
    })
}

async fn next_piece<'h, H>(
    mut state: Pieces<'h, H>,
    schema: &Schema,
) -> Result<Option<(ExportPiece, Pieces<'h, H>)>, Error>
where
    H: Trail + ?Sized,
{
    loop {
        state = match state {
            Pieces::NotYet(handle, exporting) => Pieces::Open(handle.__reach().await?, exporting),
            Pieces::Open(reached, mut exporting) => {
                let Some(statement) = exporting.next_statement(schema)? else {
                    reached.end().await?;
                    let (end, summary) = exporting.finish()?;
                    return Ok(Some((ExportPiece::Bytes(end), Pieces::Done(summary))));
                };
                let chunk = exporting.chunk(reached.fetch(&statement, schema).await?)?;
                if !chunk.is_empty() {
                    return Ok(Some((ExportPiece::Bytes(chunk), Pieces::Open(reached, exporting))));
                }
                Pieces::Open(reached, exporting)
            }
            Pieces::Done(summary) => return Ok(Some((ExportPiece::Done(summary), Pieces::Over))),
            Pieces::Over => return Ok(None),
        };
    }
}

/// Writes every piece.
pub(crate) async fn write<W: Write + Send>(
    pieces: impl Stream<Item = Result<ExportPiece, Error>> + Send,
    mut writer: W,
) -> Result<ExportSummary, Error> {
    let failed = |error: std::io::Error| threadline_core::Error::output_failed(error);
    let mut pieces = pin!(pieces);
    let mut summary = None;
    while let Some(piece) = pieces.try_next().await? {
        match piece {
            ExportPiece::Bytes(bytes) => writer.write_all(&bytes).map_err(failed)?,
            ExportPiece::Done(done) => summary = Some(done),
            _ => {}
        }
    }
    writer.flush().map_err(failed)?;
    Ok(summary.ok_or_else(|| failed(std::io::ErrorKind::UnexpectedEof.into()))?)
}

/// As [`write`], where writing is awaited.
pub(crate) async fn write_async<W: AsyncWrite + Send + Unpin>(
    pieces: impl Stream<Item = Result<ExportPiece, Error>> + Send,
    mut writer: W,
) -> Result<ExportSummary, Error> {
    let failed = |error: std::io::Error| threadline_core::Error::output_failed(error);
    let mut pieces = pin!(pieces);
    let mut summary = None;
    while let Some(piece) = pieces.try_next().await? {
        match piece {
            ExportPiece::Bytes(bytes) => writer.write_all(&bytes).await.map_err(failed)?,
            ExportPiece::Done(done) => summary = Some(done),
            _ => {}
        }
    }
    writer.flush().await.map_err(failed)?;
    Ok(summary.ok_or_else(|| failed(std::io::ErrorKind::UnexpectedEof.into()))?)
}
