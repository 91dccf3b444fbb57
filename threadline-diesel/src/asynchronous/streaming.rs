//! Reading everything there is, piece by piece.

use std::io::Write;
use std::vec;

use futures_util::stream::{Stream, TryStreamExt, try_unfold};
use threadline_core::__write_pieces as write_pieces;
use threadline_core::{
    BEGIN_READ, Export, ExportPiece, ExportSummary, Exporting, Reading, Schema, Statement, Streamed,
};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::Error;
use crate::asynchronous::guarded::Guarded;
use crate::asynchronous::{AuditDsl, wire};

/// A connection with a transaction of the read's own, which is rolled back when it is dropped, or with somebody's.
pub(crate) enum Held<'c, C: AuditDsl> {
    Own(Guarded<&'c mut C>),
    Within(&'c mut C),
}

impl<'c, C: AuditDsl> Held<'c, C> {
    /// Makes sure of a transaction: behind a pooler, only inside one do two messages reach the same session.
    pub(crate) async fn open(conn: &'c mut C) -> Result<Self, Error> {
        // COMMIT of a transaction of ours must never be the COMMIT of one that was begun with SQL text.
        if wire::in_transaction(conn).await? {
            return Ok(Self::Within(conn));
        }
        Ok(Self::Own(Guarded::begin(conn, BEGIN_READ).await?))
    }

    pub(crate) fn connection(&mut self) -> &mut C {
        match self {
            Self::Own(guarded) => guarded.connection(),
            Self::Within(conn) => conn,
        }
    }

    /// Ends the transaction when it is the read's own.
    pub(crate) async fn close(self) -> Result<(), Error> {
        match self {
            Self::Own(mut guarded) => guarded.commit().await,
            Self::Within(_) => Ok(()),
        }
    }

    pub(crate) async fn fetch(&mut self, schema: &Schema, statement: &Statement) -> Result<Vec<String>, Error> {
        wire::fetch(self.connection(), statement).await.map_err(|error| Error::from_own_statement(error, schema))
    }
}

/// Every entry of a read, in the order of its pages.
pub(crate) fn entries<C, S>(conn: &mut C, schema: Schema, read: S) -> impl Stream<Item = Result<S::Item, Error>> + Send
where
    C: AuditDsl,
    S: Streamed + Send,
    S::Item: Send,
{
    try_unfold((Entries::NotYet(conn, Reading::new(read)), schema), |(state, schema)| async move {
        let next = state.next(&schema).await?;
        Ok(next.map(|(item, state)| (item, (state, schema))))
    })
}

enum Entries<'c, C: AuditDsl, S: Streamed> {
    NotYet(&'c mut C, Reading<S>),
    Open { held: Held<'c, C>, reading: Reading<S>, ready: vec::IntoIter<S::Item> },
}

impl<C: AuditDsl, S: Streamed> Entries<'_, C, S> {
    async fn next(mut self, schema: &Schema) -> Result<Option<(S::Item, Self)>, Error> {
        loop {
            self = match self {
                Self::NotYet(conn, reading) => {
                    Self::Open { held: Held::open(conn).await?, reading, ready: Vec::new().into_iter() }
                }
                Self::Open { mut held, mut reading, mut ready } => {
                    if let Some(item) = ready.next() {
                        return Ok(Some((item, Self::Open { held, reading, ready })));
                    }
                    let Some(statement) = reading.next_statement(schema)? else {
                        held.close().await?;
                        return Ok(None);
                    };
                    let rows = held.fetch(schema, &statement).await?;
                    ready = reading.items(rows)?.into_iter();
                    Self::Open { held, reading, ready }
                }
            };
        }
    }
}

/// The pieces of an export.
pub(crate) fn pieces<C: AuditDsl>(
    conn: &mut C,
    schema: Schema,
    export: Export,
) -> impl Stream<Item = Result<ExportPiece, Error>> + Send {
    let exporting = Box::new(Exporting::new(export));
    try_unfold((Pieces::NotYet(conn, exporting), schema), |(state, schema)| async move {
        let next = state.next(&schema).await?;
        Ok(next.map(|(piece, state)| (piece, (state, schema))))
    })
}

enum Pieces<'c, C: AuditDsl> {
    NotYet(&'c mut C, Box<Exporting>),
    Open(Held<'c, C>, Box<Exporting>),
    Done(ExportSummary),
    Over,
}

impl<C: AuditDsl> Pieces<'_, C> {
    async fn next(mut self, schema: &Schema) -> Result<Option<(ExportPiece, Self)>, Error> {
        loop {
            self = match self {
                Self::NotYet(conn, exporting) => Self::Open(Held::open(conn).await?, exporting),
                Self::Open(mut held, mut exporting) => {
                    let Some(statement) = exporting.next_statement(schema)? else {
                        held.close().await?;
                        let (end, summary) = exporting.finish()?;
                        return Ok(Some((ExportPiece::Bytes(end), Self::Done(summary))));
                    };
                    let chunk = exporting.chunk(held.fetch(schema, &statement).await?)?;
                    if !chunk.is_empty() {
                        return Ok(Some((ExportPiece::Bytes(chunk), Self::Open(held, exporting))));
                    }
                    Self::Open(held, exporting)
                }
                Self::Done(summary) => return Ok(Some((ExportPiece::Done(summary), Self::Over))),
                Self::Over => return Ok(None),
            };
        }
    }
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
