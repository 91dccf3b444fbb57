//! An export in pieces, made by a future at work.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use super::export::{ExportPiece, ExportSummary};

/// An export as the pieces that a future hands out while it works, for asynchronous adapters whose driver lends out what
/// it reads: a stream cannot hold a connection and the COPY that borrows it, a future can.
///
/// # Examples
/// ```
/// use std::task::{Context, Poll, Waker};
/// use threadline_core::{Copying, Error, Export, ExportPiece, ExportPieces, Schema, Statement, Timeline};
///
/// # async fn copy(_: Statement) -> Vec<Vec<u8>> { Vec::new() }
/// let mut pieces = ExportPieces::new(|outlet| async move {
///     let mut copying = Copying::new(Export::new(Timeline::new()));
///     for sent in copy(copying.statement(&Schema::default())?).await {
///         outlet.hand_out(copying.chunk(&sent)?).await;
///     }
///     let (end, summary) = copying.finish()?;
///     outlet.hand_out(end).await;
///     Ok::<_, Error>(summary)
/// });
/// // As a `poll_fn` of the futures crate, this is a stream.
/// let mut next = || pieces.poll_next(&mut Context::from_waker(Waker::noop()));
/// assert!(matches!(next(), Poll::Ready(Some(Ok(ExportPiece::Bytes(csv)))) if csv.starts_with(b"id,")));
/// assert!(matches!(next(), Poll::Ready(Some(Ok(ExportPiece::Done(_))))));
/// assert!(matches!(next(), Poll::Ready(None)));
/// ```
#[must_use = "nothing is exported unless it is polled"]
pub struct ExportPieces<F> {
    work: Option<Pin<Box<F>>>,
    outlet: Outlet,
}

/// Where the future of [`ExportPieces`] hands out what there is to write.
pub struct Outlet(Arc<Mutex<Option<Vec<u8>>>>);

impl<F, E> ExportPieces<F>
where
    F: Future<Output = Result<ExportSummary, E>>,
{
    /// The pieces that this work hands out.
    pub fn new(work: impl FnOnce(Outlet) -> F) -> Self {
        let outlet = Outlet(Arc::default());
        Self { work: Some(Box::pin(work(Outlet(Arc::clone(&outlet.0))))), outlet }
    }

    /// The next piece, at last what the work returned; then `None`.
    ///
    /// # Errors
    /// The work's own, which is the last item.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<ExportPiece, E>>> {
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

impl Outlet {
    /// Waits until the piece was taken; an empty one is none.
    pub async fn hand_out(&self, piece: Vec<u8>) {
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

/// Shows nothing of what is exported.
impl<F> fmt::Debug for ExportPieces<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportPieces").field("is_over", &self.work.is_none()).finish_non_exhaustive()
    }
}

/// Shows nothing of what is exported.
impl fmt::Debug for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlet").finish_non_exhaustive()
    }
}

/// Writes every piece of a stream and returns the summary; with `await` behind it, writing is awaited. A macro, because the
/// core knows no runtime, and so none of the traits that such a writer has.
#[doc(hidden)]
#[macro_export]
macro_rules! __write_pieces {
    ($pieces:expr, $writer:expr $(, $wait:tt)?) => {{
        let failed = |error: ::std::io::Error| $crate::Error::output_failed(error);
        let mut pieces = ::std::pin::pin!($pieces);
        let mut writer = $writer;
        let mut summary = None;
        while let Some(piece) = pieces.try_next().await? {
            match piece {
                $crate::ExportPiece::Bytes(bytes) => writer.write_all(&bytes)$(.$wait)?.map_err(failed)?,
                $crate::ExportPiece::Done(done) => summary = Some(done),
                _ => {}
            }
        }
        writer.flush()$(.$wait)?.map_err(failed)?;
        Ok(summary.ok_or_else(|| failed(::std::io::ErrorKind::UnexpectedEof.into()))?)
    }};
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::{Copying, Export, Timeline};

    /// What the pieces are, as text; `Pending` is "..".
    fn shown<F: Future<Output = Result<ExportSummary, &'static str>>>(mut pieces: ExportPieces<F>) -> Vec<String> {
        let mut shown = Vec::new();
        loop {
            shown.push(match pieces.poll_next(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Some(Ok(ExportPiece::Bytes(bytes)))) => String::from_utf8(bytes).unwrap(),
                Poll::Ready(Some(Ok(ExportPiece::Done(summary)))) => format!("{} changes", summary.returned_count),
                Poll::Ready(Some(Err(error))) => error.to_owned(),
                Poll::Ready(None) => return shown,
                Poll::Pending => "..".to_owned(),
            });
        }
    }

    /// Is pending once, as what waits for a server is.
    async fn wait() {
        let mut has_waited = false;
        poll_fn(|_| if std::mem::replace(&mut has_waited, true) { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    #[test]
    fn every_piece_arrives_once_and_in_order() {
        let pieces = ExportPieces::new(|outlet| async move {
            outlet.hand_out(b"a".to_vec()).await;
            wait().await;
            outlet.hand_out(Vec::new()).await;
            outlet.hand_out(b"b".to_vec()).await;
            outlet.hand_out(b"c".to_vec()).await;
            Ok(Copying::new(Export::new(Timeline::new())).finish().unwrap().1)
        });
        assert_eq!(shown(pieces), ["a", "..", "b", "c", "0 changes"]);
    }

    #[test]
    fn an_error_is_the_last_item() {
        let pieces = ExportPieces::new(|outlet| async move {
            outlet.hand_out(b"a".to_vec()).await;
            Err("broken")
        });
        assert_eq!(shown(pieces), ["a", "broken"]);
    }
}
