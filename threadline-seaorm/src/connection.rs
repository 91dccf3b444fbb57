//! SeaORM's traits for the audited types.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use async_trait::async_trait;
use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, ExecResult, IsolationLevel, QueryResult,
    Statement, StreamTrait, TransactionError, TransactionOptions, TransactionSession, TransactionTrait,
};
use threadline_core::AuditContext;

use crate::session::roll_back_or_trace;
use crate::{Attached, AuditedDatabase, AuditedTransaction, Error, IntoTransactionOptions, Session};

type Boxed<'c, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>>;

/// Implements what runs statements by a method that gives the scope.
macro_rules! connection_traits {
    ($type:ty) => {
        #[async_trait]
        impl ConnectionTrait for $type {
            fn get_database_backend(&self) -> DbBackend {
                ConnectionTrait::get_database_backend(self.guarded().plain())
            }

            async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
                self.guarded().forward(self.guarded().plain().execute_raw(statement)).await
            }

            async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
                self.guarded().forward(self.guarded().plain().execute_unprepared(sql)).await
            }

            async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
                self.guarded().forward(self.guarded().plain().query_one_raw(statement)).await
            }

            async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
                self.guarded().forward(self.guarded().plain().query_all_raw(statement)).await
            }

            fn support_returning(&self) -> bool {
                self.guarded().plain().support_returning()
            }

            fn is_mock_connection(&self) -> bool {
                self.guarded().is_mock()
            }
        }

        impl StreamTrait for $type {
            type Stream<'a>
                = <DatabaseTransaction as StreamTrait>::Stream<'a>
            where
                Self: 'a;

            fn get_database_backend(&self) -> DbBackend {
                StreamTrait::get_database_backend(self.guarded().plain())
            }

            fn stream_raw<'a>(
                &'a self,
                statement: Statement,
            ) -> Pin<Box<dyn Future<Output = Result<Self::Stream<'a>, DbErr>> + 'a + Send>> {
                Box::pin(async move {
                    self.guarded().ensure_alive()?;
                    // The stream's errors go past us.
                    self.guarded().condition().doubt();
                    self.guarded().plain().stream_raw(statement).await
                })
            }
        }
    };
}

connection_traits!(AuditedTransaction);
connection_traits!(Attached<'_>);

#[async_trait]
impl TransactionSession for AuditedTransaction {
    async fn commit(self) -> Result<(), DbErr> {
        // A savepoint needs no look at the audit transaction.
        if self.0.is_savepoint() {
            self.0.close().await?;
        } else {
            self.commit().await?;
        }
        Ok(())
    }

    async fn rollback(self) -> Result<(), DbErr> {
        Ok(self.rollback().await?)
    }
}

/// Implements `TransactionTrait` by what begins with options, and what follows a closure's error.
macro_rules! transaction_trait {
    ($type:ty, begin: |$this:ident, $options:ident| $begin:expr, failed: |$failed:ident| $after:expr) => {
        #[async_trait]
        impl TransactionTrait for $type {
            type Transaction = AuditedTransaction;

            async fn begin(&self) -> Result<AuditedTransaction, DbErr> {
                self.begin_with_options(TransactionOptions::default()).await
            }

            async fn begin_with_config(
                &self,
                isolation_level: Option<IsolationLevel>,
                access_mode: Option<AccessMode>,
            ) -> Result<AuditedTransaction, DbErr> {
                let options = TransactionOptions { isolation_level, access_mode, ..TransactionOptions::default() };
                self.begin_with_options(options).await
            }

            async fn begin_with_options(&self, options: TransactionOptions) -> Result<AuditedTransaction, DbErr> {
                let ($this, $options) = (self, options.into_transaction_options());
                Ok($begin?)
            }

            async fn transaction<F, T, E>(&self, callback: F) -> Result<T, TransactionError<E>>
            where
                F: for<'c> FnOnce(&'c AuditedTransaction) -> Boxed<'c, T, E> + Send,
                T: Send,
                E: fmt::Display + fmt::Debug + Send,
            {
                self.transaction_with_config(callback, None, None).await
            }

            async fn transaction_with_config<F, T, E>(
                &self,
                callback: F,
                isolation_level: Option<IsolationLevel>,
                access_mode: Option<AccessMode>,
            ) -> Result<T, TransactionError<E>>
            where
                F: for<'c> FnOnce(&'c AuditedTransaction) -> Boxed<'c, T, E> + Send,
                T: Send,
                E: fmt::Display + fmt::Debug + Send,
            {
                let tx = self.begin_with_config(isolation_level, access_mode).await?;
                match callback(&tx).await {
                    Ok(value) => {
                        TransactionSession::commit(tx).await?;
                        Ok(value)
                    }
                    Err(error) => {
                        roll_back_or_trace(tx).await;
                        let $failed = self;
                        $after;
                        Err(TransactionError::Transaction(error))
                    }
                }
            }
        }
    };
}

transaction_trait!(
    AuditedTransaction,
    begin: |tx, options| tx.guarded().enter_with(&options).await.map(AuditedTransaction),
    failed: |_tx| {}
);
transaction_trait!(
    Attached<'_>,
    begin: |attached, options| attached.guarded().enter_with(&options).await.map(AuditedTransaction),
    failed: |_attached| {}
);
transaction_trait!(
    Session,
    begin: |session, options| session.begin_with(options).await,
    failed: |session| session.record_if_asked().await
);
transaction_trait!(
    AuditedDatabase,
    begin: |database, options| current(database)?.begin_with(options).await,
    failed: |_database| {}
);

/// SeaORM's trait has no place for a context, so a transaction that it begins on the database itself has the one that the
/// code runs under.
fn current(database: &AuditedDatabase) -> Result<Session, Error> {
    Ok(database.with(&AuditContext::current().unwrap_or_else(AuditContext::without_actor)))
}
