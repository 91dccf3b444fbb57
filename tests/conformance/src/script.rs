//! What happens in a transaction, as a value: the same for each adapter, whether it waits with `await` or blocks.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use threadline_core::{Action, AuditContext, FinishProbe, Probed, StartProbe};

use crate::{Failure, Foreign, Scope};

/// One thing that a script does inside an audited transaction.
#[derive(Clone, Debug)]
pub enum Step {
    /// Inserts a post through the ORM's own insert, with bound values.
    Insert(i64, String),
    /// Runs a statement without parameters; its error ends the scope.
    Sql(String),
    /// Runs a statement and drops its error.
    Careless(String),
    /// Reads one text value.
    Read(String, Slot<Option<String>>),
    /// Records an action.
    Act(Action),
    /// Runs a script in a nested scope, under another context when there is one.
    Nested(Option<AuditContext>, Vec<Step>),
    /// The same, and drops the error that the scope ends with.
    CarelessNested(Option<AuditContext>, Vec<Step>),
    /// Runs a script the first time that this very step comes by.
    Once(Arc<AtomicBool>, Vec<Step>),
    /// Does something outside the transaction, and waits for it.
    Do(Hook),
    /// Runs a script and tells what it wrote, as a user's test would.
    Probe(Vec<Step>, Slot<Probed>),
    /// Ends the scope with an error of the script's own.
    Fail,
    /// Panics with [`Expected`].
    Panic,
}

/// One thing that happens in a transaction that the ORM's user opened without us.
#[derive(Clone, Debug)]
pub enum Part {
    /// Runs a statement without parameters.
    Sql(String),
    /// Attaches a context, runs a script under it and detaches.
    Attach(AuditContext, Vec<Step>),
    /// Attaches a context, runs a script under it and never detaches.
    AttachForGood(AuditContext, Vec<Step>),
    /// Does all of this and tells what it wrote.
    Probe(Vec<Part>, Slot<Probed>),
}

/// Where a step leaves what it found.
#[derive(Debug)]
pub struct Slot<T>(Arc<Mutex<Option<T>>>);

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Slot<T> {
    pub(crate) fn put(&self, value: T) {
        *self.0.lock().unwrap() = Some(value);
    }

    /// What was found, once.
    ///
    /// # Panics
    /// When nothing was.
    #[must_use]
    pub fn take(&self) -> T {
        self.0.lock().unwrap().take().expect("the step was reached")
    }
}

/// Something to do outside the transaction.
#[derive(Clone)]
pub struct Hook(Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>);

impl Hook {
    /// Calls `make` each time and waits for its future.
    pub fn new<F: Future<Output = ()> + Send + 'static>(make: impl Fn() -> F + Send + Sync + 'static) -> Self {
        Self(Arc::new(move || Box::pin(make())))
    }

    pub(crate) fn call(&self) -> BoxFuture<'static, ()> {
        (self.0)()
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}

/// The panic of [`Step::Panic`].
#[derive(Debug)]
pub struct Expected;

/// A statement.
pub fn sql(text: impl Into<String>) -> Step {
    Step::Sql(text.into())
}

/// A post with a title that says nothing.
#[must_use]
pub fn insert(id: i64) -> Step {
    Step::Insert(id, "title".to_owned())
}

/// An action with nothing but a name.
#[must_use]
pub fn act(name: &str) -> Step {
    Step::Act(Action::new(name))
}

/// Something to do outside the transaction.
pub fn meanwhile<F: Future<Output = ()> + Send + 'static>(make: impl Fn() -> F + Send + Sync + 'static) -> Step {
    Step::Do(Hook::new(make))
}

/// A script that runs the first time only.
#[must_use]
pub fn once(script: Vec<Step>) -> Step {
    Step::Once(Arc::default(), script)
}

/// Runs a script in a scope.
pub fn play<'a, S: Scope>(scope: &'a mut S, script: &'a [Step]) -> BoxFuture<'a, Result<(), Failure>> {
    Box::pin(async move {
        for step in script {
            match step {
                Step::Insert(id, title) => scope.insert(*id, title).await?,
                Step::Sql(sql) => scope.execute(sql).await?,
                Step::Careless(sql) => drop(scope.execute(sql).await),
                Step::Read(sql, slot) => slot.put(scope.read(sql).await?),
                Step::Act(action) => scope.record_action(action).await?,
                Step::Nested(context, script) => scope.nested(context.as_ref(), script).await?,
                Step::CarelessNested(context, script) => drop(scope.nested(context.as_ref(), script).await),
                Step::Once(done, script) => {
                    if !done.swap(true, Ordering::SeqCst) {
                        play(scope, script).await?;
                    }
                }
                Step::Do(hook) => hook.call().await,
                Step::Probe(script, slot) => {
                    let probe = scope.run(&StartProbe).await?;
                    play(scope, script).await?;
                    slot.put(scope.run(&FinishProbe(&probe)).await?);
                }
                Step::Fail => return Err(Failure::own()),
                Step::Panic => std::panic::panic_any(Expected),
            }
        }
        Ok(())
    })
}

/// Runs parts in somebody else's transaction.
pub fn play_parts<'a, F: Foreign>(transaction: &'a mut F, parts: &'a [Part]) -> BoxFuture<'a, Result<(), Failure>> {
    Box::pin(async move {
        for part in parts {
            match part {
                Part::Sql(sql) => transaction.execute(sql).await?,
                Part::Attach(context, script) => transaction.attach(context, script, true).await?,
                Part::AttachForGood(context, script) => transaction.attach(context, script, false).await?,
                Part::Probe(parts, slot) => {
                    let probe = transaction.run(&StartProbe).await?;
                    play_parts(transaction, parts).await?;
                    slot.put(transaction.run(&FinishProbe(&probe)).await?);
                }
            }
        }
        Ok(())
    })
}
