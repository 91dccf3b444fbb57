//! A blocking surface over an async driver.
//!
//! One background thread drives a runtime of its own, so that callers may be plain tests, tests inside any runtime, or
//! destructors.

use std::future::Future;
use std::sync::{OnceLock, mpsc};
use std::thread;

use tokio::runtime::{Builder, Handle};

use crate::Error;

/// Runs `work` on the background thread and blocks until it has finished.
pub(crate) fn wait<T, F>(work: F) -> Result<T, Error>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Error>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel();
    handle()?.spawn(async move {
        // The receiver is gone only when the waiting thread is: nobody is left to tell.
        let _ = sender.send(work.await);
    });
    receiver.recv().unwrap_or_else(|_| Err(Error::new("the test kit's background task panicked")))
}

/// Runs `work` on the background thread without waiting for it.
pub(crate) fn detach<F>(work: F)
where
    F: Future<Output = ()> + Send + 'static,
{
    if let Ok(handle) = handle() {
        handle.spawn(work);
    }
}

fn handle() -> Result<&'static Handle, Error> {
    static HANDLE: OnceLock<Result<Handle, String>> = OnceLock::new();
    HANDLE
        .get_or_init(|| start().map_err(|error| error.to_string()))
        .as_ref()
        .map_err(|error| Error::new(format!("cannot start the test kit's runtime: {error}")))
}

fn start() -> std::io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    thread::Builder::new()
        .name("threadline-testkit".into())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(handle)
}
