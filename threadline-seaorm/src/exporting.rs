//! Exports: through COPY on a connection of the pool, else through a cursor.

use std::io::Write;

use futures_util::stream::{Stream, TryStreamExt, poll_fn};
use sea_orm::sqlx::PgPool;
use threadline_core::__write_pieces as write_pieces;
use threadline_core::{Copying, Export, ExportPiece, ExportPieces, ExportSummary, Exporting, Outlet, Schema};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::leased::Leased;
use crate::{Error, Trail};

/// The pieces of an export.
pub(crate) fn pieces<'h, H>(
    handle: &'h H,
    schema: Schema,
    export: Export,
) -> impl Stream<Item = Result<ExportPiece, Error>> + Send + use<'h, H>
where
    H: Trail + ?Sized,
{
    let mut pieces = ExportPieces::new(|outlet| async move { run(handle, &schema, export, &outlet).await });
    poll_fn(move |context| pieces.poll_next(context))
}

async fn run<H>(handle: &H, schema: &Schema, export: Export, outlet: &Outlet) -> Result<ExportSummary, Error>
where
    H: Trail + ?Sized,
{
    if let Some(pool) = handle.__pool()
        && let Some(summary) = by_copy(pool, schema, Copying::new(export.clone()), outlet).await?
    {
        return Ok(summary);
    }
    by_cursor(handle, schema, Exporting::new(export), outlet).await
}

async fn by_cursor<H>(
    handle: &H,
    schema: &Schema,
    mut exporting: Exporting,
    outlet: &Outlet,
) -> Result<ExportSummary, Error>
where
    H: Trail + ?Sized,
{
    let reached = handle.__reach().await?;
    while let Some(statement) = exporting.next_statement(schema)? {
        outlet.hand_out(exporting.chunk(reached.fetch(&statement, schema).await?)?).await;
    }
    reached.end().await?;
    let (end, summary) = exporting.finish()?;
    outlet.hand_out(end).await;
    Ok(summary)
}

/// `None` when it has to be by a cursor, and nothing was handed out.
async fn by_copy(
    pool: &PgPool,
    schema: &Schema,
    mut copying: Copying,
    outlet: &Outlet,
) -> Result<Option<ExportSummary>, Error> {
    let mut leased = Leased::begin(pool).await?;
    let sql = match plan(&mut leased, schema, &copying).await {
        Ok(Some(sql)) => sql,
        // The question was wrong and the connection is not.
        other => {
            let ended = leased.end().await;
            return other.and_then(|_| Ok(ended.map(|()| None)?));
        }
    };
    let failed = |error| Error::from_own_statement(error, schema);
    let mut sent = leased.copy(&sql).await.map_err(failed)?;
    while let Some(piece) = sent.try_next().await.map_err(failed)? {
        outlet.hand_out(copying.chunk(piece.as_ref())?).await;
    }
    drop(sent);
    leased.end().await?;
    let (end, summary) = copying.finish()?;
    outlet.hand_out(end).await;
    Ok(Some(summary))
}

/// The COPY to send; `None` when there is none, or one statement for all of it would take too long.
async fn plan(leased: &mut Leased, schema: &Schema, copying: &Copying) -> Result<Option<String>, Error> {
    if leased.has_time_limit() {
        return Ok(None);
    }
    if let Some(probe) = copying.probe(schema)? {
        let found = leased.fetch(&probe).await.map_err(|error| Error::from_own_statement(error, schema))?;
        copying.check(found)?;
    }
    Ok(copying.statement(schema)?.with_literals())
}

/// Writes every piece.
pub(crate) async fn write<W: Write + Send>(
    pieces: impl Stream<Item = Result<ExportPiece, Error>> + Send,
    writer: W,
) -> Result<ExportSummary, Error> {
    write_pieces!(pieces, writer)
}

/// As [`write`], where writing is awaited.
pub(crate) async fn write_async<W: AsyncWrite + Send + Unpin>(
    pieces: impl Stream<Item = Result<ExportPiece, Error>> + Send,
    writer: W,
) -> Result<ExportSummary, Error> {
    write_pieces!(pieces, writer, await)
}
