//! What an audited transaction, a savepoint in one and an attached one have in common.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, TransactionTrait};
use threadline_core::{
    Action, ActionId, AuditContext, CurrentTransactionId, EnterContext, LeaveContext, Operation, PreviousContext,
    RecordAction, Schema, TransactionId, TransactionOptions,
};

use crate::begin::{Beginning, Condition, Node};
use crate::{AuditedDatabase, Error, wire};

/// A transaction or savepoint with a context.
pub(crate) struct Guarded<'t> {
    held: Held<'t>,
    level: Level,
    condition: Arc<Condition>,
    context: Arc<AuditContext>,
    schema: Arc<Schema>,
    /// What brings the outer context back where the savepoint is kept: settings survive its release.
    previous: Option<PreviousContext>,
    /// Where it was begun, for a record of its failure.
    database: Option<AuditedDatabase>,
    /// SeaORM's mock, which shall see the user's statements alone.
    is_mock: bool,
}

/// SeaORM's transaction, and who owns it.
enum Held<'t> {
    /// Shared with the scopes inside it, so that it does not end before they do.
    Owned(Arc<Node>),
    Borrowed(&'t DatabaseTransaction),
}

enum Level {
    Transaction,
    /// In somebody else's transaction.
    Attached,
    Savepoint,
}

impl Guarded<'static> {
    /// Begins, and gives the context and perhaps an action in the next message.
    pub(crate) async fn open(
        database: &AuditedDatabase,
        context: Arc<AuditContext>,
        options: &TransactionOptions,
        action: Option<&Action>,
    ) -> Result<Self, Error> {
        let schema = Arc::clone(database.shared_schema());
        let opening = wire::opening(&context, action, &schema)?;
        let connection = database.unaudited();
        wire::ensure_postgres(connection)?;
        let is_mock = connection.is_mock_connection();
        let tx = Beginning::on(connection).await?;
        if !is_mock {
            if let Some(sql) = wire::set_transaction(options) {
                tx.execute_unprepared(&sql).await?;
            }
            wire::fetch(&tx, &opening).await.map_err(|error| Error::from_own_statement(error, &schema))?;
        }
        Ok(Self {
            held: Held::Owned(Arc::new(Node { tx, outer: None })),
            level: Level::Transaction,
            condition: Arc::default(),
            context,
            schema,
            previous: None,
            database: Some(database.clone()),
            is_mock,
        })
    }
}

impl<'t> Guarded<'t> {
    /// Puts a context on a transaction of somebody else, and answers what brings the one before back.
    pub(crate) async fn attach(
        transaction: &'t DatabaseTransaction,
        context: &AuditContext,
        schema: &Schema,
    ) -> Result<(Self, PreviousContext), Error> {
        context.validate()?;
        wire::ensure_backend(ConnectionTrait::get_database_backend(transaction))?;
        let scope = Self {
            held: Held::Borrowed(transaction),
            level: Level::Attached,
            condition: Arc::default(),
            context: Arc::new(context.clone()),
            schema: Arc::new(schema.clone()),
            previous: None,
            database: None,
            is_mock: false,
        };
        let previous = scope.perform(&EnterContext(context)).await?;
        Ok((scope, previous))
    }

    pub(crate) fn context(&self) -> &AuditContext {
        &self.context
    }

    pub(crate) fn shared_context(&self) -> Arc<AuditContext> {
        Arc::clone(&self.context)
    }

    pub(crate) fn schema(&self) -> &Schema {
        &self.schema
    }

    pub(crate) fn condition(&self) -> &Condition {
        &self.condition
    }

    pub(crate) fn is_mock(&self) -> bool {
        self.is_mock
    }

    pub(crate) fn is_savepoint(&self) -> bool {
        matches!(self.level, Level::Savepoint)
    }

    /// The database it was begun on; `None` for a scope in another.
    pub(crate) fn database(&self) -> Option<&AuditedDatabase> {
        self.database.as_ref().filter(|_| matches!(self.level, Level::Transaction))
    }

    /// SeaORM's transaction, for what is watched.
    pub(crate) fn plain(&self) -> &DatabaseTransaction {
        match &self.held {
            Held::Owned(node) => &node.tx,
            Held::Borrowed(tx) => tx,
        }
    }

    pub(crate) async fn record_action(&self, action: &Action) -> Result<ActionId, Error> {
        if self.is_mock {
            RecordAction(action).statement(&self.schema)?;
            return Ok(ActionId(0));
        }
        self.perform(&RecordAction(action)).await
    }

    /// The audit transaction so far, and whether there is one to commit at all.
    pub(crate) async fn current_id(&self) -> Result<Option<TransactionId>, Error> {
        self.ensure_alive()?;
        if self.is_mock {
            return Ok(None);
        }
        let mut statement = CurrentTransactionId.statement(&self.schema)?;
        if matches!(self.level, Level::Transaction) {
            statement = wire::alive(&statement);
        }
        // Fails in a failed transaction, where COMMIT itself would not.
        let rows = self.watch(wire::fetch(self.plain(), &statement)).await;
        let rows = rows.map_err(|error| Error::from_own_statement(error, &self.schema).in_closing())?;
        if rows.iter().any(|row| row == wire::GONE) {
            self.condition.lose();
            return Err(Error::lost());
        }
        Ok(CurrentTransactionId.decode(rows)?)
    }

    /// Refuses to end while a scope inside is open, or one that was cancelled is not cleared away. To be asked before
    /// anything else: what is cleared away afterwards could fail the transaction unnoticed.
    pub(crate) fn ensure_alone(&mut self) -> Result<(), Error> {
        self.ensure_alive()?;
        if let Held::Owned(node) = &mut self.held
            && Arc::get_mut(node).is_none()
        {
            return Err(Error::open_scope());
        }
        Ok(())
    }

    /// Commits, or releases the savepoint.
    pub(crate) async fn close(mut self) -> Result<(), Error> {
        self.ensure_alone()?;
        // Before the release, so that there is no instant at which the outer scope runs with the inner context.
        if let Some(previous) = self.previous.take() {
            self.perform(&LeaveContext(&previous)).await.map_err(Error::in_closing)?;
        }
        let Held::Owned(node) = self.held else {
            return Err(threadline_core::Error::nested("ending an attached transaction").into());
        };
        let Node { tx, outer: _outer } = Arc::into_inner(node).ok_or_else(Error::open_scope)?;
        let answer = tx.commit().await;
        match self.level {
            Level::Transaction => answer.map_err(Error::from_commit),
            Level::Savepoint | Level::Attached => answer.map_err(|error| Error::from(error).in_closing()),
        }
    }

    pub(crate) async fn rollback(self) -> Result<(), Error> {
        let Held::Owned(node) = self.held else {
            return Err(threadline_core::Error::nested("ending an attached transaction").into());
        };
        let Some(Node { tx, outer: _outer }) = Arc::into_inner(node) else { return Ok(()) };
        match tx.rollback().await.map_err(Error::from) {
            // ROLLBACK itself is not refused: this is the error of an earlier statement that was cancelled before its
            // answer, and SeaORM's destructor has sent another one.
            Err(error) if error.is_answer() => Ok(()),
            answer => answer,
        }
    }

    /// Runs one of our own statements.
    pub(crate) async fn perform<O: Operation + Sync>(&self, operation: &O) -> Result<O::Output, Error> {
        self.ensure_alive()?;
        self.watch(wire::run(self.plain(), &self.schema, operation)).await
    }

    pub(crate) fn ensure_alive(&self) -> Result<(), Error> {
        if self.condition.is_lost() { Err(Error::lost()) } else { Ok(()) }
    }

    /// Runs `work` and remembers when it may have failed the transaction: cancelled, it may have too.
    pub(crate) async fn watch<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        struct Doubting<'c>(Option<&'c Condition>);

        impl Drop for Doubting<'_> {
            fn drop(&mut self) {
                if let Some(condition) = self.0 {
                    condition.doubt();
                }
            }
        }

        let mut doubting = Doubting(Some(&self.condition));
        let answer = work.await;
        if answer.is_ok() {
            doubting.0 = None;
        }
        answer
    }

    /// Runs a statement of the user.
    pub(crate) async fn forward<T>(&self, work: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        self.ensure_alive()?;
        self.watch(work).await
    }

    /// A savepoint, perhaps with a context of its own. Dropped, it rolls back to the savepoint, which brings the outer
    /// context back too: settings obey savepoints.
    pub(crate) async fn enter(&self, context: Option<&AuditContext>) -> Result<Guarded<'static>, Error> {
        if let Some(context) = context {
            context.validate()?;
        }
        self.ensure_alive()?;
        self.ensure_not_failed().await?;
        let (begun, outer) = match &self.held {
            Held::Owned(node) => (Beginning::inside(node, &self.condition).await, Some(Arc::clone(node))),
            Held::Borrowed(tx) => {
                let unanswered = Unanswered(Some(&self.condition));
                let begun = tx.begin().await;
                unanswered.answered();
                (begun, None)
            }
        };
        let savepoint = begun.map_err(|error| {
            // A savepoint that is refused makes sqlx roll back the transaction around it.
            self.condition.lose();
            Error::from(error).in_closing()
        })?;
        let mut scope = Guarded {
            held: Held::Owned(Arc::new(Node { tx: savepoint, outer })),
            level: Level::Savepoint,
            condition: Arc::clone(&self.condition),
            context: Arc::clone(&self.context),
            schema: Arc::clone(&self.schema),
            previous: None,
            database: self.database.clone(),
            is_mock: self.is_mock,
        };
        if let Some(context) = context {
            if !self.is_mock {
                scope.previous = Some(scope.perform(&EnterContext(context)).await?);
            }
            scope.context = Arc::new(context.clone());
        }
        Ok(scope)
    }

    pub(crate) async fn enter_with(&self, options: &TransactionOptions) -> Result<Guarded<'static>, Error> {
        let scope = self.enter(None).await?;
        if let Some(sql) = wire::set_transaction(options) {
            scope.watch(scope.plain().execute_unprepared(&sql)).await?;
        }
        Ok(scope)
    }

    /// Refuses a savepoint that the server would refuse. sqlx rolls back the whole transaction then, and what follows
    /// would run without any.
    async fn ensure_not_failed(&self) -> Result<(), Error> {
        let foreign = matches!(self.level, Level::Attached);
        if self.is_mock || !(foreign || self.condition.is_doubted()) {
            return Ok(());
        }
        self.condition.trust();
        let probe = self.watch(self.plain().execute_unprepared("SELECT 1")).await;
        probe.map(drop).map_err(|error| Error::from(error).in_closing())
    }
}

/// A savepoint in somebody else's transaction, which cannot be brought to its end in the background.
struct Unanswered<'c>(Option<&'c Condition>);

impl Unanswered<'_> {
    fn answered(mut self) {
        self.0 = None;
    }
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if let Some(condition) = self.0 {
            condition.lose();
        }
    }
}

/// Shows no part of the context: it may hold personal data.
impl fmt::Debug for Guarded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded").field("condition", &self.condition).finish_non_exhaustive()
    }
}
