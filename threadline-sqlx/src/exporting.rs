//! Exports: through COPY where a cancelled one harms nobody, else through a cursor.

use std::future::{Future, poll_fn};
use std::io::Write;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_util::stream::{Stream, TryStreamExt};
use threadline_core::{Copying, Export, ExportPiece, ExportSummary, Exporting, Schema, Statement};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::reach::{Opened, Reach};
use crate::trail::fetch;
use crate::{Error, wire};

/// The pieces of an export.
pub(crate) fn pieces<H: Reach>(
    handle: H,
    schema: Schema,
    export: Export,
) -> impl Stream<Item = Result<ExportPiece, Error>> + Send {
    let outlet = Outlet::default();
    let inside = outlet.clone();
    Pieces { work: Some(Box::pin(async move { run(handle, &schema, export, &inside).await })), outlet }
}

async fn run<H: Reach>(handle: H, schema: &Schema, export: Export, outlet: &Outlet) -> Result<ExportSummary, Error> {
    let mut opened = handle.open().await?;
    if opened.can_copy() {
        let copying = Copying::new(export.clone());
        // COPY knows no parameters.
        let sql = wire::with_literals(&copying.statement(schema)?);
        if let Some(sql) = sql
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

/// Where work in progress hands out what there is so far.
#[derive(Clone, Default)]
struct Outlet(Arc<Mutex<Option<Vec<u8>>>>);

impl Outlet {
    /// Waits until the piece was taken; an empty one is none.
    async fn hand_out(&self, piece: Vec<u8>) {
        if piece.is_empty() {
            return;
        }
        self.with(|slot| *slot = Some(piece));
        // Whoever takes it polls again.
        poll_fn(|_| if self.with(|slot| slot.is_none()) { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    fn with<T>(&self, use_slot: impl FnOnce(&mut Option<Vec<u8>>) -> T) -> T {
        use_slot(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What the work hands out, and at last what came of it.
struct Pieces<F> {
    work: Option<Pin<Box<F>>>,
    outlet: Outlet,
}

impl<F: Future<Output = Result<ExportSummary, Error>>> Stream for Pieces<F> {
    type Item = Result<ExportPiece, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(work) = &mut self.work else { return Poll::Ready(None) };
        match work.as_mut().poll(context) {
            Poll::Ready(summary) => {
                self.work = None;
                Poll::Ready(Some(summary.map(ExportPiece::Done)))
            }
            Poll::Pending => match self.outlet.with(Option::take) {
                Some(piece) => Poll::Ready(Some(Ok(ExportPiece::Bytes(piece)))),
                None => Poll::Pending,
            },
        }
    }
}
