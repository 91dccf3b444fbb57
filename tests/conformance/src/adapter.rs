//! What an adapter implements to take part.

use std::future::Future;
use std::time::Duration;

use threadline_core::{
    Action, AuditContext, LinkedChange, Operation, Page, Timeline, TransactionId, TransactionOptions,
};

use crate::{Answers, Failure, Kind, Part, Questions, Step};

/// The pool to make.
#[derive(Clone, Debug)]
pub struct PoolOptions {
    /// Where the database is.
    pub url: String,
    /// At most so many connections, each made when it is needed.
    pub connections: u32,
    /// How long to wait for a connection.
    pub acquire_timeout: Duration,
    /// Whether named prepared statements work on the way to the server. Behind a PgBouncer before 1.21 they do not, and
    /// the ORM has to be told so as its users would tell it.
    pub prepared_statements: bool,
}

/// An audited transaction to run.
#[derive(Clone, Debug)]
pub struct Call {
    /// Who and why.
    pub context: AuditContext,
    /// The isolation level, when it is not the session's.
    pub options: TransactionOptions,
    /// What to record when it fails.
    pub on_error: Option<Action>,
    /// What happens in it.
    pub script: Vec<Step>,
}

impl Call {
    /// A plain one.
    #[must_use]
    pub fn new(context: AuditContext, script: Vec<Step>) -> Self {
        Self { context, options: TransactionOptions::new(), on_error: None, script }
    }

    /// With an isolation level.
    #[must_use]
    pub fn options(mut self, options: impl Into<TransactionOptions>) -> Self {
        self.options = options.into();
        self
    }

    /// With an action to record when it fails.
    #[must_use]
    pub fn on_error(mut self, action: Action) -> Self {
        self.on_error = Some(action);
        self
    }
}

/// How a transaction in the begin form ends.
#[derive(Clone, Copy, Debug)]
pub enum Ending {
    /// `commit()`.
    Commit,
    /// `rollback()`.
    Rollback,
    /// The guard is dropped.
    Drop,
}

/// An adapter with a pool of its own. A form that the adapter does not have is left out; the cases that need it then
/// stand in `exceptions.toml`.
#[allow(unused_variables, reason = "the names say what the arguments are")]
pub trait Adapter: Clone + Send + Sync + 'static {
    /// Its name, as in the facade's features: `sqlx`.
    const NAME: &'static str;

    /// A pool. Nothing is connected yet.
    fn open(options: PoolOptions) -> impl Future<Output = Self> + Send;

    /// The closure form, as [`Call`] says; the closure runs [`play`](crate::script::play) and returns a [`Failure`].
    fn transaction(&self, call: &Call) -> impl Future<Output = Result<Option<TransactionId>, Failure>> + Send;

    /// The begin form: begins, runs the script, and ends as told. The script's error drops the guard.
    fn guard(
        &self,
        call: &Call,
        ending: Ending,
    ) -> impl Future<Output = Result<Option<TransactionId>, Failure>> + Send {
        async { unavailable("the begin form") }
    }

    /// The retried form with so many attempts and pauses of a millisecond.
    fn retry(&self, attempts: u32, call: &Call) -> impl Future<Output = Result<Option<TransactionId>, Failure>> + Send {
        async { unavailable("the retried form") }
    }

    /// Tries the retried form inside an open audited transaction of the same context, on its connection; commits that
    /// one, and returns what the retried form said.
    fn retry_inside(&self, call: &Call) -> impl Future<Output = Result<Option<TransactionId>, Failure>> + Send {
        async { unavailable("the retried form inside a transaction") }
    }

    /// Begins a transaction as the ORM's users do without us, runs
    /// [`play_parts`](crate::script::play_parts), and commits or rolls back.
    fn foreign(&self, parts: &[Part], commit: bool) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Attaches to a connection that has no transaction open.
    fn attach_outside(&self, context: &AuditContext) -> impl Future<Output = Result<(), Failure>> + Send {
        async { unavailable("attaching outside a transaction") }
    }

    /// Records a failure in a transaction of its own.
    fn record_failure(
        &self,
        context: &AuditContext,
        action: &Action,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Runs an operation outside any transaction.
    fn run<O: Operation + Send + Sync>(&self, operation: &O) -> impl Future<Output = Result<O::Output, Failure>> + Send
    where
        O::Output: Send;

    /// Reads a page of the timeline outside any transaction.
    fn timeline(&self, query: &Timeline) -> impl Future<Output = Result<Page<LinkedChange>, Failure>> + Send;

    /// Asks every question with the method of its own, through the handle for applications with tenants: in a scope, or
    /// unscoped; outside any transaction.
    fn ask(
        &self,
        scope: Option<&threadline_core::Scope>,
        questions: &Questions,
    ) -> impl Future<Output = Result<Answers, Failure>> + Send;

    /// Asks what takes the schema of the kernel, on the plain handle; outside any transaction.
    fn ask_in(
        &self,
        schema: &threadline_core::Schema,
        questions: &Questions,
    ) -> impl Future<Output = Result<Answers, Failure>> + Send;

    /// The closure form, as `audited!` with the handle for applications with tenants.
    fn scoped_transaction(&self, call: &Call) -> impl Future<Output = Result<Option<TransactionId>, Failure>> + Send;

    /// The closure form whose closure returns the ORM's own error, with a script of one statement. What came out must be
    /// found with `Error::from_orm` again: its class, or none when it is the ORM's.
    fn through_orm_error(
        &self,
        context: &AuditContext,
        sql: &str,
    ) -> impl Future<Output = Result<(), Option<Kind>>> + Send;

    /// Runs one statement outside any transaction and without us, on a connection of the pool, and returns its one text.
    fn unaudited(&self, sql: &str) -> impl Future<Output = Result<Option<String>, Failure>> + Send;
}

/// An open audited transaction or a scope nested in it.
pub trait Scope: Send {
    /// Inserts a row into `posts` through the ORM's own insert.
    fn insert(&mut self, id: i64, title: &str) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Runs one statement without parameters, whatever it returns.
    fn execute(&mut self, sql: &str) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Runs a statement that returns one text, perhaps NULL.
    fn read(&mut self, sql: &str) -> impl Future<Output = Result<Option<String>, Failure>> + Send;

    /// Records an action.
    fn record_action(&mut self, action: &Action) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Runs [`play`](crate::script::play) in a nested scope.
    fn nested(
        &mut self,
        context: Option<&AuditContext>,
        script: &[Step],
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Runs an operation inside the transaction.
    fn run<O: Operation + Send + Sync>(
        &mut self,
        operation: &O,
    ) -> impl Future<Output = Result<O::Output, Failure>> + Send
    where
        O::Output: Send;
}

/// An open transaction that the ORM's user began without us.
pub trait Foreign: Send {
    /// Runs one statement without parameters.
    fn execute(&mut self, sql: &str) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Attaches a context, runs [`play`](crate::script::play) under it, and detaches if told to.
    fn attach(
        &mut self,
        context: &AuditContext,
        script: &[Step],
        detach: bool,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Runs an operation inside the transaction.
    fn run<O: Operation + Send + Sync>(
        &mut self,
        operation: &O,
    ) -> impl Future<Output = Result<O::Output, Failure>> + Send
    where
        O::Output: Send;
}

fn unavailable<T>(form: &str) -> T {
    panic!("the adapter does not have {form}: implement it, or list the case in exceptions.toml with the reason")
}
