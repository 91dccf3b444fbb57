//! diesel-async.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use diesel::result::Error as DieselError;
use diesel::sql_types::{Nullable, Text};
use diesel::{ExpressionMethods, QueryResult, QueryableByName};
use diesel_async::pooled_connection::AsyncDieselConnectionManager;
use diesel_async::pooled_connection::deadpool::{Object, Pool, PoolError};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use threadline_core::{
    Action, AuditContext, LinkedChange, Operation, Outcome, Page, RetryPolicy, Schema, Timeline, TransactionId,
};
use threadline_diesel::Error;
use threadline_diesel::asynchronous::{AuditDsl, Session, Trail, attach, audited};

#[cfg(not(feature = "diesel"))]
use crate::failure_of;
use crate::questions::{Answers, Questions, ask_elsewhere, ask_everything, note_struct};
use crate::script::{play, play_parts};
use crate::{Adapter, Call, Ending, Failure, Foreign, Kind, Part, PoolOptions, Scope, Step, kind_of};

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

type Pooled = Object<AsyncPgConnection>;

note_struct! {
    #[derive(QueryableByName)]
    #[diesel(table_name = notes)]
}

/// deadpool's pool, as diesel-async's users have it.
#[derive(Clone)]
pub struct DieselAsync {
    pool: Pool<AsyncPgConnection>,
    acquire_timeout: Duration,
}

// The blocking half has the same errors.
#[cfg(not(feature = "diesel"))]
failure_of!(Error);

#[cfg(not(feature = "diesel"))]
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

impl fmt::Debug for DieselAsync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DieselAsync").finish_non_exhaustive()
    }
}

impl DieselAsync {
    async fn connection(&self) -> Result<Pooled, Failure> {
        match tokio::time::timeout(self.acquire_timeout, self.pool.get()).await {
            Ok(connection) => Ok(connection?),
            Err(elapsed) => Err(Failure::new(Kind::Driver, None, elapsed)),
        }
    }
}

fn session<'c>(connection: &'c mut Pooled, call: &Call) -> Session<'c, Pooled> {
    let session = connection.with(&call.context).options(call.options);
    match &call.on_error {
        Some(action) => session.on_error_record(action.clone()),
        None => session,
    }
}

fn policy(attempts: u32) -> RetryPolicy {
    RetryPolicy::new().attempts(NonZeroU32::new(attempts).unwrap()).pause(Duration::from_millis(1))
}

impl Adapter for DieselAsync {
    const NAME: &'static str = "diesel-async";

    async fn open(options: PoolOptions) -> Self {
        let manager = AsyncDieselConnectionManager::new(options.url);
        let connections = usize::try_from(options.connections).unwrap();
        let pool = Pool::builder(manager).max_size(connections).build().unwrap();
        Self { pool, acquire_timeout: options.acquire_timeout }
    }

    async fn transaction(&self, call: &Call) -> Result<Option<TransactionId>, Failure> {
        let mut connection = self.connection().await?;
        let session = session(&mut connection, call);
        let outcome = session.transaction(async |connection| play(connection, &call.script).await).await?;
        Ok(outcome.transaction_id)
    }

    async fn guard(&self, call: &Call, ending: Ending) -> Result<Option<TransactionId>, Failure> {
        let mut connection = self.connection().await?;
        let mut tx = session(&mut connection, call).begin().await?;
        play(&mut **tx, &call.script).await?;
        match ending {
            Ending::Commit => Ok(tx.commit().await?),
            Ending::Rollback => Ok(tx.rollback().await.map(|()| None)?),
            Ending::Drop => Ok(None),
        }
    }

    async fn retry(&self, attempts: u32, call: &Call) -> Result<Option<TransactionId>, Failure> {
        let mut connection = self.connection().await?;
        let (session, policy) = (session(&mut connection, call), policy(attempts));
        let outcome = session.retry(&policy, async |connection| play(connection, &call.script).await).await?;
        Ok(outcome.transaction_id)
    }

    async fn retry_inside(&self, call: &Call) -> Result<Option<TransactionId>, Failure> {
        let mut connection = self.connection().await?;
        let mut tx = session(&mut connection, call).begin().await?;
        let inside = tx.with(&call.context);
        let answer = inside.retry(&policy(3), async |tx| play(&mut ***tx, &call.script).await).await;
        tx.commit().await?;
        answer.map(|outcome| outcome.transaction_id)
    }

    async fn foreign(&self, parts: &[Part], commit: bool) -> Result<(), Failure> {
        let mut connection = self.connection().await?;
        let ended: Result<(), Foreigner> = connection
            .transaction(async |connection| {
                play_parts(connection, parts).await.map_err(Foreigner::Script)?;
                if commit { Ok(()) } else { Err(Foreigner::Diesel(DieselError::RollbackTransaction)) }
            })
            .await;
        match ended {
            Ok(()) => Ok(()),
            Err(Foreigner::Diesel(DieselError::RollbackTransaction)) if !commit => Ok(()),
            Err(Foreigner::Diesel(error)) => Err(error.into()),
            Err(Foreigner::Script(failure)) => Err(failure),
        }
    }

    async fn attach_outside(&self, context: &AuditContext) -> Result<(), Failure> {
        let mut connection = self.connection().await?;
        attach(context, &mut connection).await.map(drop)?;
        Ok(())
    }

    async fn record_failure(&self, context: &AuditContext, action: &Action) -> Result<(), Failure> {
        let mut connection = self.connection().await?;
        AuditDsl::record_failure(&mut connection, context, action).await?;
        Ok(())
    }

    async fn run<O: Operation + Send + Sync>(&self, operation: &O) -> Result<O::Output, Failure>
    where
        O::Output: Send,
    {
        Ok(Trail::run(&mut self.connection().await?, operation).await?)
    }

    async fn timeline(&self, query: &Timeline) -> Result<Page<LinkedChange>, Failure> {
        Ok(Trail::timeline(&mut self.connection().await?, query).await?)
    }

    async fn ask(&self, scope: Option<&threadline_core::Scope>, questions: &Questions) -> Result<Answers, Failure> {
        let mut db = self.connection().await?.scoped();
        Ok(match scope {
            Some(scope) => ask_everything!(async, db.scope(scope.clone()), questions, Note),
            None => ask_everything!(async, db.unscoped(), questions, Note),
        })
    }

    async fn ask_in(&self, schema: &Schema, questions: &Questions) -> Result<Answers, Failure> {
        let mut connection = self.connection().await?;
        Ok(ask_elsewhere!(async, connection, schema, questions, Note))
    }

    async fn scoped_transaction(&self, call: &Call) -> Result<Option<TransactionId>, Failure> {
        let mut db = self.connection().await?.scoped();
        let outcome = audited!(db, &call.context, |connection| { play(connection, &call.script).await }).await?;
        Ok(outcome.transaction_id)
    }

    async fn through_orm_error(&self, context: &AuditContext, sql: &str) -> Result<(), Option<Kind>> {
        let mut connection = self.connection().await.map_err(|_| None)?;
        let work: QueryResult<Outcome<()>> =
            connection.audited(context, async |connection| connection.batch_execute(sql).await).await;
        work.map(drop).map_err(|error| Error::from_orm(&error).map(|error| kind_of!(error)))
    }

    async fn unaudited(&self, sql: &str) -> Result<Option<String>, Failure> {
        let rows: Vec<OneText> = diesel::sql_query(sql).load(&mut self.connection().await?).await?;
        Ok(rows.into_iter().next().and_then(|OneText(text)| text))
    }
}

/// What comes out of a transaction that was begun without us.
enum Foreigner {
    Diesel(DieselError),
    Script(Failure),
}

impl From<DieselError> for Foreigner {
    fn from(error: DieselError) -> Self {
        Self::Diesel(error)
    }
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

impl Scope for Pooled {
    async fn insert(&mut self, id: i64, title: &str) -> Result<(), Failure> {
        diesel::insert_into(posts::table).values((posts::id.eq(id), posts::title.eq(title))).execute(self).await?;
        Ok(())
    }

    async fn execute(&mut self, sql: &str) -> Result<(), Failure> {
        Ok(self.batch_execute(sql).await?)
    }

    async fn read(&mut self, sql: &str) -> Result<Option<String>, Failure> {
        let OneText(text) = diesel::sql_query(sql).get_result(self).await?;
        Ok(text)
    }

    async fn record_action(&mut self, action: &Action) -> Result<(), Failure> {
        AuditDsl::record_action(self, action).await?;
        Ok(())
    }

    async fn nested(&mut self, context: Option<&AuditContext>, script: &[Step]) -> Result<(), Failure> {
        AuditDsl::nested(self, context, async |connection| play(connection, script).await).await
    }

    async fn run<O: Operation + Send + Sync>(&mut self, operation: &O) -> Result<O::Output, Failure>
    where
        O::Output: Send,
    {
        Ok(Trail::run(self, operation).await?)
    }
}

impl Foreign for Pooled {
    async fn execute(&mut self, sql: &str) -> Result<(), Failure> {
        Ok(self.batch_execute(sql).await?)
    }

    async fn attach(&mut self, context: &AuditContext, script: &[Step], detach: bool) -> Result<(), Failure> {
        let mut attached = attach(context, self).await?;
        play(&mut *attached, script).await?;
        if detach {
            attached.detach().await?;
        }
        Ok(())
    }

    async fn run<O: Operation + Send + Sync>(&mut self, operation: &O) -> Result<O::Output, Failure>
    where
        O::Output: Send,
    {
        Ok(Trail::run(self, operation).await?)
    }
}
