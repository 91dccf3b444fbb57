//! The same for an adapter that blocks. Its [`Adapter`](crate::Adapter) runs all of this on a thread that may.

use std::sync::atomic::Ordering;

use threadline_core::{Action, AuditContext, FinishProbe, Operation, StartProbe};
use tokio::runtime::Handle;

use crate::Failure;
use crate::script::{Expected, Part, Step};

/// [`crate::Scope`], blocking.
pub trait Scope {
    /// Inserts a row into `posts` through the ORM's own insert.
    ///
    /// # Errors
    /// The adapter's.
    fn insert(&mut self, id: i64, title: &str) -> Result<(), Failure>;

    /// Runs one statement without parameters, whatever it returns.
    ///
    /// # Errors
    /// The adapter's.
    fn execute(&mut self, sql: &str) -> Result<(), Failure>;

    /// Runs a statement that returns one text, perhaps NULL.
    ///
    /// # Errors
    /// The adapter's.
    fn read(&mut self, sql: &str) -> Result<Option<String>, Failure>;

    /// Records an action.
    ///
    /// # Errors
    /// The adapter's.
    fn record_action(&mut self, action: &Action) -> Result<(), Failure>;

    /// Runs [`play`] in a nested scope.
    ///
    /// # Errors
    /// The script's or the adapter's.
    fn nested(&mut self, context: Option<&AuditContext>, script: &[Step]) -> Result<(), Failure>;

    /// Runs an operation inside the transaction.
    ///
    /// # Errors
    /// The adapter's.
    fn run<O: Operation>(&mut self, operation: &O) -> Result<O::Output, Failure>;
}

/// [`crate::Foreign`], blocking.
pub trait Foreign {
    /// Runs one statement without parameters.
    ///
    /// # Errors
    /// The ORM's.
    fn execute(&mut self, sql: &str) -> Result<(), Failure>;

    /// Attaches a context, runs [`play`] under it, and detaches if told to.
    ///
    /// # Errors
    /// The script's or the adapter's.
    fn attach(&mut self, context: &AuditContext, script: &[Step], detach: bool) -> Result<(), Failure>;

    /// Runs an operation inside the transaction.
    ///
    /// # Errors
    /// The adapter's.
    fn run<O: Operation>(&mut self, operation: &O) -> Result<O::Output, Failure>;
}

/// Runs a script in a scope.
///
/// # Errors
/// That of the first step that fails.
pub fn play<S: Scope>(scope: &mut S, script: &[Step]) -> Result<(), Failure> {
    for step in script {
        match step {
            Step::Insert(id, title) => scope.insert(*id, title)?,
            Step::Sql(sql) => scope.execute(sql)?,
            Step::Careless(sql) => drop(scope.execute(sql)),
            Step::Read(sql, slot) => slot.put(scope.read(sql)?),
            Step::Act(action) => scope.record_action(action)?,
            Step::Nested(context, script) => scope.nested(context.as_ref(), script)?,
            Step::CarelessNested(context, script) => drop(scope.nested(context.as_ref(), script)),
            Step::Once(done, script) => {
                if !done.swap(true, Ordering::SeqCst) {
                    play(scope, script)?;
                }
            }
            Step::Do(hook) => Handle::current().block_on(hook.call()),
            Step::Probe(script, slot) => {
                let probe = scope.run(&StartProbe)?;
                play(scope, script)?;
                slot.put(scope.run(&FinishProbe(&probe))?);
            }
            Step::Fail => return Err(Failure::own()),
            Step::Panic => std::panic::panic_any(Expected),
        }
    }
    Ok(())
}

/// Runs parts in somebody else's transaction.
///
/// # Errors
/// That of the first part that fails.
pub fn play_parts<F: Foreign>(transaction: &mut F, parts: &[Part]) -> Result<(), Failure> {
    for part in parts {
        match part {
            Part::Sql(sql) => transaction.execute(sql)?,
            Part::Attach(context, script) => transaction.attach(context, script, true)?,
            Part::AttachForGood(context, script) => transaction.attach(context, script, false)?,
            Part::Probe(parts, slot) => {
                let probe = transaction.run(&StartProbe)?;
                play_parts(transaction, parts)?;
                slot.put(transaction.run(&FinishProbe(&probe))?);
            }
        }
    }
    Ok(())
}
