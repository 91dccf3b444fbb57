//! The database that application state holds.

use std::fmt;
use std::sync::Arc;

use sea_orm::DatabaseConnection;
use threadline_core::{Action, ActionId, AuditContext, Outcome, RetryPolicy, Schema};

use crate::{AuditedTransaction, Error, Session};

/// A [`DatabaseConnection`] through which every write is audited: it begins audited transactions and reads the trail, and
/// nothing else. It knows no context, and cloning it is cheap.
///
/// Of SeaORM's traits it implements `TransactionTrait` alone, so a write that forgets its transaction does not compile.
/// The plain connection is there under a name that says what it is, [`unaudited`](Self::unaudited). (Tables are captured
/// either way; without a context nobody is named, and tables whose policy requires an actor refuse the write.)
///
/// SeaORM's `TransactionTrait` has no place for a context. Where SeaORM begins a transaction by itself, as the nested saves
/// of `ActiveModelEx` do, give it a [`Session`]: `post.save(&db.with(&context))`. Given the database itself, it gets the
/// context that the code runs under ([`AuditContext::scope`]), and without one it is refused for want of an actor.
///
/// # Examples
/// ```no_run
/// use sea_orm::{ConnectionTrait, DatabaseConnection};
/// use threadline_core::{Action, ActorRef, AuditContext};
/// use threadline_seaorm::{AuditedDatabase, Error};
///
/// # async fn example(connection: DatabaseConnection) -> Result<(), Error> {
/// let db = AuditedDatabase::new(connection);
/// let context = AuditContext::new(ActorRef::user("42")?).correlation_id("req-7f3");
/// let outcome = db
///     .transaction(&context, async |tx| {
///         tx.record_action(&Action::new("post.published").reason("editor approved")).await?;
///         tx.execute_unprepared("UPDATE posts SET published = true WHERE id = 7").await?;
///         Ok::<_, Error>(())
///     })
///     .await?;
/// println!("recorded as {:?}", outcome.transaction_id);
/// # Ok(())
/// # }
/// ```
///
/// ```compile_fail,E0277
/// # async fn example(db: threadline_seaorm::AuditedDatabase) {
/// # use sea_orm::{ActiveValue::Set, entity::prelude::*};
/// # mod posts {
/// #     use sea_orm::entity::prelude::*;
/// #     #[derive(Clone, Debug, DeriveEntityModel)]
/// #     #[sea_orm(table_name = "posts")]
/// #     pub struct Model { #[sea_orm(primary_key)] pub id: i64, pub title: String }
/// #     #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
/// #     pub enum Relation {}
/// #     impl ActiveModelBehavior for ActiveModel {}
/// # }
/// // No transaction, no context: the trait bound `AuditedDatabase: ConnectionTrait` is not satisfied.
/// posts::ActiveModel { title: Set("Ship it".to_owned()), ..Default::default() }.insert(&db).await;
/// # }
/// ```
#[derive(Clone)]
pub struct AuditedDatabase {
    connection: DatabaseConnection,
    schema: Arc<Schema>,
}

impl AuditedDatabase {
    /// Audits through `connection`, with the kernel in the schema `threadline`.
    ///
    /// A connection to anything but PostgreSQL is refused when it is used, with
    /// [`is_unsupported_backend`](Error::is_unsupported_backend).
    #[must_use]
    pub fn new(connection: DatabaseConnection) -> Self {
        Self { connection, schema: Arc::new(Schema::default()) }
    }

    /// The same connection with the kernel in another schema.
    #[must_use]
    pub fn with_schema(mut self, schema: Schema) -> Self {
        self.schema = Arc::new(schema);
        self
    }

    /// The schema that holds the kernel and the trail.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The plain connection, for reading your tables and for what shall not name anybody.
    #[must_use]
    pub fn unaudited(&self) -> &DatabaseConnection {
        &self.connection
    }

    /// A session under `context`, which can only begin audited transactions. Nothing is sent.
    pub fn with(&self, context: &AuditContext) -> Session {
        Session::new(self.clone(), context)
    }

    /// [`Session::begin`] under `context`.
    ///
    /// # Errors
    /// As for [`Session::begin`].
    pub async fn begin(&self, context: &AuditContext) -> Result<AuditedTransaction, Error> {
        self.with(context).begin().await
    }

    /// [`Session::transaction`] under `context`.
    ///
    /// # Errors
    /// As for [`Session::transaction`].
    pub async fn transaction<F, T, E>(&self, context: &AuditContext, body: F) -> Result<Outcome<T>, E>
    where
        F: AsyncFnOnce(&AuditedTransaction) -> Result<T, E>,
        E: From<Error>,
    {
        self.with(context).transaction(body).await
    }

    /// [`Session::retry`] under `context`.
    ///
    /// # Errors
    /// As for [`Session::retry`].
    pub async fn retry<F, T, E>(&self, context: &AuditContext, policy: &RetryPolicy, body: F) -> Result<Outcome<T>, E>
    where
        F: AsyncFnOnce(&AuditedTransaction) -> Result<T, E> + Clone,
        E: From<Error> + std::error::Error + 'static,
    {
        self.with(context).retry(policy, body).await
    }

    /// [`Session::record_failure`] under `context`.
    ///
    /// # Errors
    /// As for [`Session::record_failure`].
    pub async fn record_failure(&self, context: &AuditContext, action: &Action) -> Result<ActionId, Error> {
        self.with(context).record_failure(action).await
    }

    pub(crate) fn shared_schema(&self) -> &Arc<Schema> {
        &self.schema
    }
}

impl From<DatabaseConnection> for AuditedDatabase {
    fn from(connection: DatabaseConnection) -> Self {
        Self::new(connection)
    }
}

impl fmt::Debug for AuditedDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditedDatabase").field("schema", &self.schema).finish_non_exhaustive()
    }
}
