//! sqlx.

use std::num::NonZeroU32;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgRow};
use sqlx::{AssertSqlSafe, FromRow, PgConnection, Postgres, Row, Transaction};
use threadline_core::{Action, AuditContext, LinkedChange, Operation, Page, Schema, Timeline, TransactionId};
use threadline_sqlx::{AuditedPool, AuditedTransaction, Error, RetryPolicy, Session, Trail, attach, audited, retry};

use crate::questions::{Answers, Questions, ask_elsewhere, ask_everything, note_struct};
use crate::script::{play, play_parts};
use crate::{Adapter, Call, Ending, Failure, Foreign, Kind, Part, PoolOptions, Scope, Step, failure_of, kind_of};

note_struct! {}

// By hand: the derive would build sqlx once more, as a part of its macros.
impl<'r> FromRow<'r, PgRow> for Note {
    fn from_row(row: &'r PgRow) -> sqlx::Result<Self> {
        Ok(Self { id: row.try_get("id")?, tenant: row.try_get("tenant")?, body: row.try_get("body")? })
    }
}

/// sqlx's pool.
#[derive(Clone, Debug)]
pub struct Sqlx(AuditedPool);

failure_of!(Error);

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Error::from(error).into()
    }
}

impl Sqlx {
    fn session(&self, call: &Call) -> Session {
        let session = self.0.with(&call.context).options(call.options);
        match &call.on_error {
            Some(action) => session.on_error_record(action.clone()),
            None => session,
        }
    }
}

fn policy(attempts: u32) -> RetryPolicy {
    RetryPolicy::new().attempts(NonZeroU32::new(attempts).unwrap()).pause(Duration::from_millis(1))
}

impl Adapter for Sqlx {
    const NAME: &'static str = "sqlx";

    async fn open(options: PoolOptions) -> Self {
        // Where names of statements do not work, every statement says so for itself: see `execute`.
        let pool = PgPoolOptions::new()
            .max_connections(options.connections)
            .acquire_timeout(options.acquire_timeout)
            .connect_lazy_with(options.url.parse::<PgConnectOptions>().unwrap());
        Self(AuditedPool::new(pool))
    }

    async fn transaction(&self, call: &Call) -> Result<Option<TransactionId>, Failure> {
        let outcome = self.session(call).transaction(async |tx| play(tx, &call.script).await).await?;
        Ok(outcome.transaction_id)
    }

    async fn guard(&self, call: &Call, ending: Ending) -> Result<Option<TransactionId>, Failure> {
        let mut tx = self.session(call).begin().await?;
        play(&mut tx, &call.script).await?;
        match ending {
            Ending::Commit => Ok(tx.commit().await?),
            Ending::Rollback => Ok(tx.rollback().await.map(|()| None)?),
            Ending::Drop => Ok(None),
        }
    }

    async fn retry(&self, attempts: u32, call: &Call) -> Result<Option<TransactionId>, Failure> {
        let outcome = self.session(call).retry(&policy(attempts), async |tx| play(tx, &call.script).await).await?;
        Ok(outcome.transaction_id)
    }

    async fn retry_inside(&self, call: &Call) -> Result<Option<TransactionId>, Failure> {
        let mut tx = self.session(call).begin().await?;
        let answer = retry(&mut tx, &call.context, &policy(3), async |tx| play(tx, &call.script).await).await;
        tx.commit().await?;
        answer.map(|outcome| outcome.transaction_id)
    }

    async fn foreign(&self, parts: &[Part], commit: bool) -> Result<(), Failure> {
        let mut tx = self.0.unaudited().begin().await?;
        play_parts(&mut tx, parts).await?;
        let ended = if commit { tx.commit().await } else { tx.rollback().await };
        Ok(ended?)
    }

    async fn attach_outside(&self, context: &AuditContext) -> Result<(), Failure> {
        let mut connection = self.0.unaudited().acquire().await?;
        attach(context, &mut connection).await.map(drop).map_err(Failure::from)
    }

    async fn record_failure(&self, context: &AuditContext, action: &Action) -> Result<(), Failure> {
        self.0.record_failure(context, action).await?;
        Ok(())
    }

    async fn run<O: Operation + Send + Sync>(&self, operation: &O) -> Result<O::Output, Failure>
    where
        O::Output: Send,
    {
        Ok(self.0.run(operation).await?)
    }

    async fn timeline(&self, query: &Timeline) -> Result<Page<LinkedChange>, Failure> {
        Ok(self.0.timeline(query).await?)
    }

    async fn ask(&self, scope: Option<&threadline_core::Scope>, questions: &Questions) -> Result<Answers, Failure> {
        let db = self.0.clone().scoped();
        Ok(match scope {
            Some(scope) => ask_everything!(async, db.scope(scope.clone()), questions, Note),
            None => ask_everything!(async, db.unscoped(), questions, Note),
        })
    }

    async fn ask_in(&self, schema: &Schema, questions: &Questions) -> Result<Answers, Failure> {
        Ok(ask_elsewhere!(async, self.0.unaudited(), schema, questions, Note))
    }

    async fn scoped_transaction(&self, call: &Call) -> Result<Option<TransactionId>, Failure> {
        let db = self.0.clone().scoped();
        let outcome = audited!(db, &call.context, |tx| { play(tx, &call.script).await }).await?;
        Ok(outcome.transaction_id)
    }

    async fn through_orm_error(&self, context: &AuditContext, sql: &str) -> Result<(), Option<Kind>> {
        let work = self.0.transaction(context, async |tx| execute(tx, sql).await).await;
        work.map(drop).map_err(|error| Error::from_sqlx(&error).map(|error| kind_of!(error)))
    }

    async fn unaudited(&self, sql: &str) -> Result<Option<String>, Failure> {
        // One message: right behind every pooler.
        let row = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_optional(self.0.unaudited()).await?;
        Ok(row.and_then(|row| row.try_get(0).ok()))
    }
}

async fn execute(connection: &mut PgConnection, sql: &str) -> Result<(), sqlx::Error> {
    sqlx::query(AssertSqlSafe(sql.to_owned())).persistent(false).execute(connection).await.map(drop)
}

impl Scope for AuditedTransaction<'_> {
    async fn insert(&mut self, id: i64, title: &str) -> Result<(), Failure> {
        sqlx::query("INSERT INTO posts (id, title) VALUES ($1, $2)")
            .bind(id)
            .bind(title)
            .persistent(false)
            .execute(&mut **self)
            .await?;
        Ok(())
    }

    async fn execute(&mut self, sql: &str) -> Result<(), Failure> {
        Ok(execute(self, sql).await?)
    }

    async fn read(&mut self, sql: &str) -> Result<Option<String>, Failure> {
        let query = sqlx::query(AssertSqlSafe(sql.to_owned())).persistent(false);
        Ok(query.fetch_one(&mut **self).await?.try_get(0)?)
    }

    async fn record_action(&mut self, action: &Action) -> Result<(), Failure> {
        AuditedTransaction::record_action(self, action).await?;
        Ok(())
    }

    async fn nested(&mut self, context: Option<&AuditContext>, script: &[Step]) -> Result<(), Failure> {
        AuditedTransaction::nested(self, context, async |tx| play(tx, script).await).await
    }

    async fn run<O: Operation + Send + Sync>(&mut self, operation: &O) -> Result<O::Output, Failure>
    where
        O::Output: Send,
    {
        Ok(Trail::run(self, operation).await?)
    }
}

impl Foreign for Transaction<'static, Postgres> {
    async fn execute(&mut self, sql: &str) -> Result<(), Failure> {
        Ok(execute(self, sql).await?)
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
