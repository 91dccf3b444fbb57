//! Exports: through COPY where a cancelled one harms nobody, else through a cursor.

use std::io::Write;

use futures_util::stream::{Stream, TryStreamExt, poll_fn};
use threadline_core::__write_pieces as write_pieces;
use threadline_core::{
    Copying, Export, ExportPiece, ExportPieces, ExportSummary, Exporting, Outlet, Schema, Statement,
};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::Error;
use crate::reach::{Opened, Reach};
use crate::reading::fetch;

/// The pieces of an export.
pub(crate) fn pieces<H: Reach>(
    handle: H,
    schema: Schema,
    export: Export,
) -> impl Stream<Item = Result<ExportPiece, Error>> + Send {
    let mut pieces = ExportPieces::new(|outlet| async move { run(handle, &schema, export, &outlet).await });
    poll_fn(move |context| pieces.poll_next(context))
}

async fn run<H: Reach>(handle: H, schema: &Schema, export: Export, outlet: &Outlet) -> Result<ExportSummary, Error> {
    let mut opened = handle.open().await?;
    if opened.can_copy() {
        let copying = Copying::new(export.clone());
        if let Some(sql) = copying.statement(schema)?.with_literals()
            && !has_timeout(&mut opened, schema).await?
        {
            return by_copy(opened, schema, copying, &sql, outlet).await;
        }
    }
    by_cursor(opened, schema, Exporting::new(export), outlet).await
}

/// Whether a long statement is cut off. Fetching from a cursor is many short ones.
async fn has_timeout(opened: &mut impl Opened, schema: &Schema) -> Result<bool, Error> {
    let setting = Statement::new("SELECT pg_catalog.current_setting('statement_timeout')");
    Ok(fetch(opened.connection(), schema, &setting).await?.iter().any(|setting| setting != "0"))
}

async fn by_cursor(
    mut opened: impl Opened,
    schema: &Schema,
    mut exporting: Exporting,
    outlet: &Outlet,
) -> Result<ExportSummary, Error> {
    while let Some(statement) = exporting.next_statement(schema)? {
        let rows = fetch(opened.connection(), schema, &statement).await?;
        outlet.hand_out(exporting.chunk(rows)?).await;
    }
    opened.close().await?;
    let (end, summary) = exporting.finish()?;
    outlet.hand_out(end).await;
    Ok(summary)
}

async fn by_copy(
    mut opened: impl Opened,
    schema: &Schema,
    mut copying: Copying,
    sql: &str,
    outlet: &Outlet,
) -> Result<ExportSummary, Error> {
    if let Some(probe) = copying.probe(schema)? {
        let found = fetch(opened.connection(), schema, &probe).await?;
        copying.check(found)?;
    }
    // From here until its end, the connection is good for nothing else.
    opened.copying(true);
    let failed = |error| Error::from_own_statement(error, schema);
    let mut sent = opened.connection().copy_out_raw(sql).await.map_err(failed)?;
    while let Some(piece) = sent.try_next().await.map_err(failed)? {
        outlet.hand_out(copying.chunk(&piece)?).await;
    }
    drop(sent);
    opened.copying(false);
    opened.close().await?;
    let (end, summary) = copying.finish()?;
    outlet.hand_out(end).await;
    Ok(summary)
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
