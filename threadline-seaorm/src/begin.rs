//! Beginning a transaction or a savepoint so that a cancelled attempt leaves nothing behind.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, TransactionTrait};

/// Fails the open transaction, so that PostgreSQL accepts nothing but a rollback.
const FAIL: &str = "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '25P02', MESSAGE = 'threadline: this transaction can \
    only be rolled back, because a savepoint in it was cancelled while it opened'; END $$";

type Answer = Result<DatabaseTransaction, DbErr>;

/// What is known about an open transaction and all scopes inside it.
#[derive(Debug, Default)]
pub(crate) struct Condition {
    /// A statement may have failed, so that a savepoint would be refused.
    doubt: AtomicBool,
    /// sqlx has rolled back; what follows would run without a transaction.
    lost: AtomicBool,
}

impl Condition {
    pub(crate) fn is_doubted(&self) -> bool {
        self.doubt.load(Ordering::SeqCst)
    }

    pub(crate) fn doubt(&self) {
        self.doubt.store(true, Ordering::SeqCst);
    }

    pub(crate) fn trust(&self) {
        self.doubt.store(false, Ordering::SeqCst);
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::SeqCst)
    }

    pub(crate) fn lose(&self) {
        self.lost.store(true, Ordering::SeqCst);
    }
}

/// SeaORM's transaction or savepoint, which keeps what it is inside of: SeaORM would release a savepoint instead of
/// committing if the outer one ended first.
pub(crate) struct Node {
    // First, because it has to be dropped first.
    pub(crate) tx: DatabaseTransaction,
    pub(crate) outer: Option<Arc<Node>>,
}

/// BEGIN or SAVEPOINT on its way.
///
/// sqlx 0.9.0 lets go of a connection whose BEGIN was cancelled as if nothing had been sent, and rolls back the
/// transaction *outside* a savepoint that was cancelled. So an attempt that was begun is always brought to its end: here
/// when it is waited for, in the background when it is not any more.
#[must_use = "nothing begins unless it is awaited"]
pub(crate) struct Beginning {
    future: Option<Pin<Box<dyn Future<Output = Answer> + Send>>>,
    polled: bool,
    outer: Option<(Arc<Node>, Arc<Condition>)>,
}

impl Beginning {
    /// On a connection from the pool.
    pub(crate) fn on(connection: &DatabaseConnection) -> Self {
        let connection = connection.clone();
        Self { future: Some(Box::pin(async move { connection.begin().await })), polled: false, outer: None }
    }

    /// A savepoint in `outer`.
    pub(crate) fn inside(outer: &Arc<Node>, condition: &Arc<Condition>) -> Self {
        let node = Arc::clone(outer);
        let future = Box::pin(async move { node.tx.begin().await });
        Self { future: Some(future), polled: false, outer: Some((Arc::clone(outer), Arc::clone(condition))) }
    }
}

impl Future for Beginning {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        self.polled = true;
        let Some(future) = &mut self.future else {
            return Poll::Pending;
        };
        let answer = future.as_mut().poll(context);
        if answer.is_ready() {
            self.future = None;
        }
        answer
    }
}

impl Drop for Beginning {
    fn drop(&mut self) {
        if let (Some(future), true) = (self.future.take(), self.polled) {
            drop(sqlx_core::rt::spawn(clear_away(future, self.outer.take())));
        }
    }
}

/// Ends what nobody waits for any more. Errors have nobody to go to: whoever uses the transaction next meets them.
async fn clear_away(
    beginning: Pin<Box<dyn Future<Output = Answer> + Send>>,
    outer: Option<(Arc<Node>, Arc<Condition>)>,
) {
    let answer = beginning.await;
    let Some((mut node, condition)) = outer else {
        // Its destructor rolls back before the connection is anybody else's.
        drop(answer);
        return;
    };
    condition.doubt();
    let Ok(savepoint) = answer else {
        condition.lose();
        return;
    };
    if savepoint.rollback().await.is_err() {
        condition.lose();
    }
    // What ran on the outer one in the meantime may have been in the savepoint and is gone with it. It must not be
    // committed as if it were complete.
    loop {
        let _ = node.tx.execute_unprepared(FAIL).await;
        // Given up by its owner since, it ends here, and what is outside it is in the same position.
        let Some(Node { tx, outer }) = Arc::into_inner(node) else { break };
        let _ = tx.rollback().await;
        let Some(outer) = outer else { break };
        node = outer;
    }
}
