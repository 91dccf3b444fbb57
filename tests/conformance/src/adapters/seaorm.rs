//! SeaORM.

use std::num::NonZeroU32;
use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ConnectionTrait, DatabaseConnection, DatabaseExecutor, DatabaseTransaction,
    DbBackend, DbErr, FromQueryResult, Statement, TransactionTrait,
};
use threadline_core::{Action, AuditContext, LinkedChange, Operation, Page, Schema, Timeline, TransactionId};
use threadline_seaorm::{
    Attached, AuditedDatabase, AuditedTransaction, Error, RetryPolicy, Session, Trail, attach, audited,
};

use crate::questions::{Answers, Questions, ask_elsewhere, ask_everything, note_struct};
use crate::script::{play, play_parts};
use crate::{Adapter, Call, Ending, Failure, Foreign, Kind, Part, PoolOptions, Scope, Step, failure_of, kind_of};

mod posts {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, DeriveEntityModel)]
    #[sea_orm(table_name = "posts")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(super) id: i64,
        pub(super) title: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

note_struct! {
    #[derive(FromQueryResult)]
}

/// SeaORM's pool.
#[derive(Clone, Debug)]
pub struct SeaOrm(AuditedDatabase);

failure_of!(Error);

impl From<DbErr> for Failure {
    fn from(error: DbErr) -> Self {
        Error::from(error).into()
    }
}

impl SeaOrm {
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

impl Adapter for SeaOrm {
    const NAME: &'static str = "seaorm";

    async fn open(options: PoolOptions) -> Self {
        let pool = PgPoolOptions::new()
            .max_connections(options.connections)
            .acquire_timeout(options.acquire_timeout)
            .connect_lazy_with(options.url.parse::<PgConnectOptions>().unwrap());
        Self(AuditedDatabase::new(DatabaseConnection::from(pool)))
    }

    async fn transaction(&self, call: &Call) -> Result<Option<TransactionId>, Failure> {
        let outcome = self.session(call).transaction(async |mut tx| play(&mut tx, &call.script).await).await?;
        Ok(outcome.transaction_id)
    }

    async fn guard(&self, call: &Call, ending: Ending) -> Result<Option<TransactionId>, Failure> {
        let tx = self.session(call).begin().await?;
        play(&mut &tx, &call.script).await?;
        match ending {
            Ending::Commit => Ok(tx.commit().await?),
            Ending::Rollback => Ok(tx.rollback().await.map(|()| None)?),
            Ending::Drop => Ok(None),
        }
    }

    async fn retry(&self, attempts: u32, call: &Call) -> Result<Option<TransactionId>, Failure> {
        let body = async |mut tx: &AuditedTransaction| play(&mut tx, &call.script).await;
        Ok(self.session(call).retry(&policy(attempts), body).await?.transaction_id)
    }

    async fn foreign(&self, parts: &[Part], commit: bool) -> Result<(), Failure> {
        let mut tx = self.0.unaudited().begin().await?;
        play_parts(&mut tx, parts).await?;
        let ended = if commit { tx.commit().await } else { tx.rollback().await };
        Ok(ended?)
    }

    async fn attach_outside(&self, context: &AuditContext) -> Result<(), Failure> {
        let executor = DatabaseExecutor::from(self.0.unaudited());
        attach(context, &executor).await.map(drop).map_err(Failure::from)
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
        let outcome = audited!(db, &call.context, |tx| { play(&mut &*tx, &call.script).await }).await?;
        Ok(outcome.transaction_id)
    }

    async fn through_orm_error(&self, context: &AuditContext, sql: &str) -> Result<(), Option<Kind>> {
        let work = self.0.transaction(context, async |tx| execute(tx, sql).await).await;
        work.map(drop).map_err(|error: DbErr| Error::from_orm(&error).map(|error| kind_of!(error)))
    }

    async fn unaudited(&self, sql: &str) -> Result<Option<String>, Failure> {
        let row = self.0.unaudited().query_one_raw(statement(sql)).await?;
        Ok(row.and_then(|row| row.try_get_by_index(0).ok()))
    }
}

fn statement(sql: &str) -> Statement {
    Statement::from_string(DbBackend::Postgres, sql)
}

async fn execute<C: ConnectionTrait>(connection: &C, sql: &str) -> Result<(), DbErr> {
    connection.execute_raw(statement(sql)).await.map(drop)
}

macro_rules! scope {
    ($type:ty) => {
        impl Scope for &$type {
            async fn insert(&mut self, id: i64, title: &str) -> Result<(), Failure> {
                posts::ActiveModel { id: Set(id), title: Set(title.to_owned()) }.insert(*self).await?;
                Ok(())
            }

            async fn execute(&mut self, sql: &str) -> Result<(), Failure> {
                Ok(execute(*self, sql).await?)
            }

            async fn read(&mut self, sql: &str) -> Result<Option<String>, Failure> {
                let row = self.query_one_raw(statement(sql)).await?.expect("one row");
                Ok(row.try_get_by_index(0)?)
            }

            async fn record_action(&mut self, action: &Action) -> Result<(), Failure> {
                <$type>::record_action(self, action).await?;
                Ok(())
            }

            async fn nested(&mut self, context: Option<&AuditContext>, script: &[Step]) -> Result<(), Failure> {
                <$type>::nested(self, context, async |mut tx| play(&mut tx, script).await).await
            }

            async fn run<O: Operation + Send + Sync>(&mut self, operation: &O) -> Result<O::Output, Failure>
            where
                O::Output: Send,
            {
                Ok(Trail::run(*self, operation).await?)
            }
        }
    };
}

scope!(AuditedTransaction);
scope!(Attached<'_>);

impl Foreign for DatabaseTransaction {
    async fn execute(&mut self, sql: &str) -> Result<(), Failure> {
        Ok(execute(self, sql).await?)
    }

    async fn attach(&mut self, context: &AuditContext, script: &[Step], detach: bool) -> Result<(), Failure> {
        let attached = attach(context, self).await?;
        play(&mut &attached, script).await?;
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
