//! The service: what it does, and who did it and why.

use std::error::Error as StdError;
use std::fmt;

use diesel::prelude::*;
use diesel_async::pooled_connection::AsyncDieselConnectionManager;
use diesel_async::pooled_connection::deadpool::{Pool, PoolError};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use threadline::diesel_async::prelude::*;
use threadline::{LinkedChange, TransactionId};
use time::OffsetDateTime;

use crate::schema::{books, messages};

/// A book, and who has it.
#[derive(Clone, Debug, PartialEq, Audited, Queryable, QueryableByName, Selectable, Serialize)]
#[diesel(table_name = books)]
pub(crate) struct Book {
    id: i64,
    title: String,
    borrower: Option<String>,
}

/// What the mailer sends. What is in it is nobody's business.
#[derive(Audited, Insertable)]
#[diesel(table_name = messages)]
#[audited(exclude(body))]
struct Message<'a> {
    recipient: &'a str,
    body: Option<&'a str>,
}

/// What the framework hands to every handler: the plain pool, and whom the library itself acts as.
#[derive(Clone)]
pub(crate) struct Library {
    pool: Pool<AsyncPgConnection>,
    mailer: ActorRef,
}

/// A book, and the audit transaction of what was done with it.
pub(crate) struct Done {
    pub(crate) book: Book,
    pub(crate) audit_transaction: Option<TransactionId>,
}

impl Library {
    /// Opens the library: captures its tables from now on.
    pub(crate) async fn open(url: &str) -> Result<Self, Error> {
        let pool = Pool::builder(AsyncDieselConnectionManager::new(url)).max_size(4).build()?;
        let mut conn = pool.get().await?;
        threadline::diesel_async::install_manifest(&mut conn, &manifest![Book, Message<'_>]).await?;
        drop(conn);
        Ok(Self { pool, mailer: ActorRef::service_account("mailer")? })
    }

    /// Lends a book to whoever asks. A book that is lent out is refused, and the refusal is on record.
    pub(crate) async fn borrow(&self, reader: &str, context: &AuditContext, id: i64) -> Result<Done, Error> {
        let mut conn = self.pool.get().await?;
        let session = conn.with(context).on_error_record(Action::new("book.borrow").reason(format!("book {id}")));
        let outcome = audited!(session, context, action = "book.borrowed", |conn| {
            if find(conn, id).await?.borrower.is_some() {
                return Err(Error::LentOut);
            }
            let book = hand_over(conn, id, Some(reader)).await?;
            self.notify(conn, context, reader, "Enjoy your book.").await?;
            Ok(book)
        })
        .await?;
        Ok(done(outcome))
    }

    /// Takes a book back.
    pub(crate) async fn give_back(&self, context: &AuditContext, id: i64) -> Result<Done, Error> {
        let mut conn = self.pool.get().await?;
        let outcome = audited!(conn, context, action = "book.returned", |conn| {
            let reader = find(conn, id).await?.borrower.ok_or(Error::NotLentOut)?;
            let book = hand_over(conn, id, None).await?;
            self.notify(conn, context, &reader, "Thank you.").await?;
            Ok(book)
        })
        .await?;
        Ok(done(outcome))
    }

    /// Leaves a message. It is the mailer's doing, in the same transaction and about the same request.
    async fn notify(
        &self,
        conn: &mut AsyncPgConnection,
        context: &AuditContext,
        reader: &str,
        body: &str,
    ) -> Result<(), Error> {
        let mailer = context.clone().with_actor(self.mailer.clone());
        conn.nested(Some(&mailer), async |conn| {
            let message = Message { recipient: reader, body: Some(body) };
            diesel::insert_into(messages::table).values(message).execute(conn).await
        })
        .await?;
        Ok(())
    }

    /// What happened to a book, newest first.
    pub(crate) async fn history(&self, id: i64) -> Result<Vec<LinkedChange>, Error> {
        let mut conn = self.pool.get().await?;
        Ok(conn.row_history(&RowHistory::by_id("public", "books", id)).await?.entries)
    }

    /// A book as it is.
    pub(crate) async fn book(&self, id: i64) -> Result<Book, Error> {
        find(&mut *self.pool.get().await?, id).await
    }

    /// A book as it was.
    pub(crate) async fn book_at(&self, id: i64, at: OffsetDateTime) -> Result<Book, Error> {
        Ok(self.pool.get().await?.as_of::<Book>(id, at).await?.row)
    }
}

async fn find(conn: &mut AsyncPgConnection, id: i64) -> Result<Book, Error> {
    let book = books::table.find(id).select(Book::as_select()).for_update().get_result(conn).await;
    book.optional()?.ok_or(Error::NoSuchBook)
}

async fn hand_over(conn: &mut AsyncPgConnection, id: i64, to: Option<&str>) -> QueryResult<Book> {
    diesel::update(books::table.find(id))
        .set(books::borrower.eq(to))
        .returning(Book::as_returning())
        .get_result(conn)
        .await
}

fn done(outcome: Outcome<Book>) -> Done {
    Done { book: outcome.value, audit_transaction: outcome.transaction_id }
}

/// Why the library says no.
#[derive(Debug)]
pub(crate) enum Error {
    NoSuchBook,
    LentOut,
    NotLentOut,
    Audit(threadline::diesel_async::Error),
    Other(Box<dyn StdError + Send + Sync>),
}

impl From<threadline::diesel_async::Error> for Error {
    fn from(error: threadline::diesel_async::Error) -> Self {
        Self::Audit(error)
    }
}

impl From<threadline::Error> for Error {
    fn from(error: threadline::Error) -> Self {
        Self::Audit(error.into())
    }
}

impl From<diesel::result::Error> for Error {
    fn from(error: diesel::result::Error) -> Self {
        Self::Audit(error.into())
    }
}

impl From<PoolError> for Error {
    fn from(error: PoolError) -> Self {
        Self::Other(error.into())
    }
}

impl From<diesel_async::pooled_connection::deadpool::BuildError> for Error {
    fn from(error: diesel_async::pooled_connection::deadpool::BuildError) -> Self {
        Self::Other(error.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchBook => f.write_str("there is no such book"),
            Self::LentOut => f.write_str("the book is lent out"),
            Self::NotLentOut => f.write_str("the book is not lent out"),
            Self::Audit(error) => error.fmt(f),
            Self::Other(error) => error.fmt(f),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Audit(error) => error.source(),
            Self::Other(error) => error.source(),
            Self::NoSuchBook | Self::LentOut | Self::NotLentOut => None,
        }
    }
}
