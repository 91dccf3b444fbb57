//! Diesel, blocking: each form runs on a thread that may wait, as in an asynchronous service.

use std::num::NonZeroU32;
use std::panic::resume_unwind;
use std::time::Duration;

use diesel::connection::{CacheSize, Connection, LoadConnection, SimpleConnection};
use diesel::r2d2::{self, ConnectionManager, CustomizeConnection, Pool, PoolError, PooledConnection};
use diesel::result::Error as DieselError;
use diesel::sql_types::{Nullable, Text};
use diesel::{ExpressionMethods, PgConnection, QueryResult, QueryableByName, RunQueryDsl};
use threadline_core::{
    Action, AuditContext, LinkedChange, Operation, Outcome, Page, RetryPolicy, Schema, Statement, Timeline,
    TransactionId,
};
use threadline_diesel::{AuditDsl, Error, Session, Trail, attach, audited};

use crate::blocking::{Foreign, Scope, play, play_parts};
use crate::questions::{Answers, Questions, ask_elsewhere, ask_everything, note_struct};
use crate::{Adapter, Call, Ending, Failure, Kind, Part, PoolOptions, Step, failure_of, kind_of};

mod schema {
    diesel::table! {
        posts (id) {
            id -> BigInt,
            title -> Text,
        }
    }

    diesel::table! {
        notes (id) {
            id -> BigInt,
            tenant -> Text,
            body -> Text,
        }
    }
}

use schema::{notes, posts};

type Pooled = PooledConnection<ConnectionManager<PgConnection>>;

note_struct! {
    #[derive(QueryableByName)]
    #[diesel(table_name = notes)]
}

/// Diesel's pool.
#[derive(Clone, Debug)]
pub struct Diesel(Pool<ConnectionManager<PgConnection>>);

failure_of!(Error);

impl From<DieselError> for Failure {
    fn from(error: DieselError) -> Self {
        Error::from(error).into()
    }
}

impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Self {
        Self::new(Kind::Driver, None, error)
    }
}

/// As users tell Diesel that names of statements do not work.
#[derive(Debug)]
struct WithoutNames;

impl CustomizeConnection<PgConnection, r2d2::Error> for WithoutNames {
    fn on_acquire(&self, connection: &mut PgConnection) -> Result<(), r2d2::Error> {
        connection.set_prepared_statement_cache_size(CacheSize::Disabled);
        Ok(())
    }
}

impl Diesel {
    /// Runs `body` with a connection on a thread that may block.
    async fn with<T, F>(&self, body: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce(&mut Pooled) -> Result<T, Failure> + Send + 'static,
    {
        let pool = self.0.clone();
        // As a service awaits something first. Dropped here, nothing has begun; dropped later, the thread finishes.
        tokio::task::yield_now().await;
        let work = tokio::task::spawn_blocking(move || body(&mut pool.get()?));
        work.await.unwrap_or_else(|stopped| resume_unwind(stopped.into_panic()))
    }
}

fn session<'c>(connection: &'c mut Pooled, call: &'c Call) -> Session<'c, Pooled> {
    let session = connection.with(&call.context).options(call.options);
    match &call.on_error {
        Some(action) => session.on_error_record(action.clone()),
        None => session,
    }
}

fn policy(attempts: u32) -> RetryPolicy {
    RetryPolicy::new().attempts(NonZeroU32::new(attempts).unwrap()).pause(Duration::from_millis(1))
}

impl Adapter for Diesel {
    const NAME: &'static str = "diesel";

    async fn open(options: PoolOptions) -> Self {
        let builder =
            Pool::builder().max_size(options.connections).min_idle(Some(0)).connection_timeout(options.acquire_timeout);
        let builder =
            if options.prepared_statements { builder } else { builder.connection_customizer(Box::new(WithoutNames)) };
        Self(builder.build_unchecked(ConnectionManager::new(options.url)))
    }

    async fn transaction(&self, call: &Call) -> Result<Option<TransactionId>, Failure> {
        let call = call.clone();
        self.with(move |connection| {
            let outcome = session(connection, &call).transaction(|connection| play(connection, &call.script))?;
            Ok(outcome.transaction_id)
        })
        .await
    }

    async fn guard(&self, call: &Call, ending: Ending) -> Result<Option<TransactionId>, Failure> {
        let call = call.clone();
        self.with(move |connection| {
            let mut tx = session(connection, &call).begin()?;
            play(&mut *tx, &call.script)?;
            match ending {
                Ending::Commit => Ok(tx.commit()?),
                Ending::Rollback => {
                    tx.rollback();
                    Ok(None)
                }
                Ending::Drop => Ok(None),
            }
        })
        .await
    }

    async fn retry(&self, attempts: u32, call: &Call) -> Result<Option<TransactionId>, Failure> {
        let call = call.clone();
        self.with(move |connection| {
            let session = session(connection, &call);
            let outcome = session.retry(&policy(attempts), |connection| play(connection, &call.script))?;
            Ok(outcome.transaction_id)
        })
        .await
    }

    async fn retry_inside(&self, call: &Call) -> Result<Option<TransactionId>, Failure> {
        let call = call.clone();
        self.with(move |connection| {
            let mut tx = session(connection, &call).begin()?;
            let inside = tx.with(&call.context);
            let answer = inside.retry(&policy(3), |connection| play(connection, &call.script));
            tx.commit()?;
            answer.map(|outcome| outcome.transaction_id)
        })
        .await
    }

    async fn foreign(&self, parts: &[Part], commit: bool) -> Result<(), Failure> {
        let parts = parts.to_vec();
        self.with(move |connection| {
            let ended = connection.transaction(|connection| {
                play_parts(connection, &parts)?;
                if commit { Ok(()) } else { Err(DieselError::RollbackTransaction.into()) }
            });
            match ended {
                Err(error) if commit || !is_rollback(&error) => Err(error),
                _ => Ok(()),
            }
        })
        .await
    }

    async fn attach_outside(&self, context: &AuditContext) -> Result<(), Failure> {
        let context = context.clone();
        self.with(move |connection| Ok(attach(&context, connection).map(drop)?)).await
    }

    async fn record_failure(&self, context: &AuditContext, action: &Action) -> Result<(), Failure> {
        let (context, action) = (context.clone(), action.clone());
        self.with(move |connection| Ok(AuditDsl::record_failure(connection, &context, &action).map(drop)?)).await
    }

    async fn run<O: Operation + Send + Sync>(&self, operation: &O) -> Result<O::Output, Failure>
    where
        O::Output: Send,
    {
        // An operation may be borrowed; its statement goes to the thread.
        let rows = Rows(operation.statement(&Schema::default()).map_err(Error::from)?);
        let rows = self.with(move |connection| Ok(Trail::run(connection, &rows)?)).await?;
        Ok(operation.decode(rows).map_err(Error::from)?)
    }

    async fn timeline(&self, query: &Timeline) -> Result<Page<LinkedChange>, Failure> {
        let query = query.clone();
        self.with(move |connection| Ok(Trail::timeline(connection, &query)?)).await
    }

    async fn ask(&self, scope: Option<&threadline_core::Scope>, questions: &Questions) -> Result<Answers, Failure> {
        let (pool, scope, questions) = (self.0.clone(), scope.cloned(), questions.clone());
        let work = tokio::task::spawn_blocking(move || {
            let mut db = pool.get()?.scoped();
            Ok(match &scope {
                Some(scope) => ask_everything!(blocking, db.scope(scope.clone()), &questions, Note),
                None => ask_everything!(blocking, db.unscoped(), &questions, Note),
            })
        });
        work.await.unwrap()
    }

    async fn ask_in(&self, schema: &Schema, questions: &Questions) -> Result<Answers, Failure> {
        let (pool, schema, questions) = (self.0.clone(), schema.clone(), questions.clone());
        let work = tokio::task::spawn_blocking(move || {
            let mut connection = pool.get()?;
            Ok(ask_elsewhere!(blocking, connection, &schema, &questions, Note))
        });
        work.await.unwrap()
    }

    async fn scoped_transaction(&self, call: &Call) -> Result<Option<TransactionId>, Failure> {
        let (pool, call) = (self.0.clone(), call.clone());
        let work = tokio::task::spawn_blocking(move || {
            let mut db = pool.get()?.scoped();
            let outcome = audited!(db, &call.context, |connection| { play(connection, &call.script) })?;
            Ok(outcome.transaction_id)
        });
        work.await.unwrap()
    }

    async fn through_orm_error(&self, context: &AuditContext, sql: &str) -> Result<(), Option<Kind>> {
        let (pool, context, sql) = (self.0.clone(), context.clone(), sql.to_owned());
        let work = tokio::task::spawn_blocking(move || {
            let mut connection = pool.get().map_err(|_| None)?;
            let work: QueryResult<Outcome<()>> =
                connection.audited(&context, |connection| connection.batch_execute(&sql));
            work.map(drop).map_err(|error| Error::from_orm(&error).map(|error| kind_of!(error)))
        });
        work.await.unwrap()
    }

    async fn unaudited(&self, sql: &str) -> Result<Option<String>, Failure> {
        let sql = sql.to_owned();
        self.with(move |connection| {
            let rows: Vec<OneText> = diesel::sql_query(sql).load(connection)?;
            Ok(rows.into_iter().next().and_then(|OneText(text)| text))
        })
        .await
    }
}

/// A statement, and its rows as they are.
struct Rows(Statement);

impl Operation for Rows {
    type Output = Vec<String>;

    fn statement(&self, _: &Schema) -> Result<Statement, threadline_core::Error> {
        Ok(self.0.clone())
    }

    fn decode(&self, rows: Vec<String>) -> Result<Vec<String>, threadline_core::Error> {
        Ok(rows)
    }
}

/// Our own rollback comes back as an error of Diesel's.
fn is_rollback(failure: &Failure) -> bool {
    let mut next = std::error::Error::source(failure);
    while let Some(error) = next {
        let ours = error.downcast_ref::<Error>().and_then(Error::as_diesel);
        if matches!(ours, Some(DieselError::RollbackTransaction)) {
            return true;
        }
        next = error.source();
    }
    false
}

/// A row's first column, whatever it is called.
struct OneText(Option<String>);

impl QueryableByName<diesel::pg::Pg> for OneText {
    fn build<'a>(row: &impl diesel::row::NamedRow<'a, diesel::pg::Pg>) -> diesel::deserialize::Result<Self> {
        if diesel::row::Row::field_count(row) == 0 {
            return Ok(Self(None));
        }
        diesel::row::Row::get_value::<Nullable<Text>, Option<String>, usize>(row, 0).map(Self)
    }
}

impl<C> Scope for C
where
    C: LoadConnection<Backend = diesel::pg::Pg>,
{
    fn insert(&mut self, id: i64, title: &str) -> Result<(), Failure> {
        diesel::insert_into(posts::table).values((posts::id.eq(id), posts::title.eq(title))).execute(self)?;
        Ok(())
    }

    fn execute(&mut self, sql: &str) -> Result<(), Failure> {
        Ok(self.batch_execute(sql)?)
    }

    fn read(&mut self, sql: &str) -> Result<Option<String>, Failure> {
        let OneText(text) = diesel::sql_query(sql).get_result(self)?;
        Ok(text)
    }

    fn record_action(&mut self, action: &Action) -> Result<(), Failure> {
        AuditDsl::record_action(self, action)?;
        Ok(())
    }

    fn nested(&mut self, context: Option<&AuditContext>, script: &[Step]) -> Result<(), Failure> {
        AuditDsl::nested(self, context, |connection| play(connection, script))
    }

    fn run<O: Operation>(&mut self, operation: &O) -> Result<O::Output, Failure> {
        Ok(Trail::run(self, operation)?)
    }
}

impl Foreign for Pooled {
    fn execute(&mut self, sql: &str) -> Result<(), Failure> {
        Ok(self.batch_execute(sql)?)
    }

    fn attach(&mut self, context: &AuditContext, script: &[Step], detach: bool) -> Result<(), Failure> {
        let mut attached = attach(context, self)?;
        play(&mut *attached, script)?;
        if detach {
            attached.detach()?;
        }
        Ok(())
    }

    fn run<O: Operation>(&mut self, operation: &O) -> Result<O::Output, Failure> {
        Ok(Trail::run(self, operation)?)
    }
}
