//! What a service on diesel-async looks like with Threadline: application state with a pool, handlers whose `?` meets four
//! kinds of errors, an action, a nested scope under another actor, a row as it was. It compiles as it stands, without an
//! annotation, runs in a spawned task, and does what it says.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::fmt;
use std::num::ParseIntError;

use diesel::prelude::*;
use diesel_async::pooled_connection::AsyncDieselConnectionManager;
use diesel_async::pooled_connection::deadpool::{Pool, PoolError};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use threadline::diesel_async::prelude::*;
use threadline::{TransactionId, manifest};
use threadline_testkit::{Database, require_server};
use time::OffsetDateTime;

// ---- the service

mod schema {
    diesel::table! {
        posts (id) {
            id -> BigInt,
            title -> Text,
            published -> Bool,
            author_email -> Nullable<Text>,
        }
    }

    diesel::table! {
        invoices (id) {
            id -> BigInt,
            post_id -> BigInt,
            cents -> Integer,
        }
    }
}

use schema::{invoices, posts};

#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, QueryableByName, Audited)]
#[diesel(table_name = posts)]
#[audited(mask(author_email), require_actor)]
struct Post {
    id: i64,
    title: String,
    published: bool,
    author_email: Option<String>,
}

#[derive(Debug, Queryable, Selectable, Audited)]
#[diesel(table_name = invoices)]
#[allow(dead_code, reason = "nothing here reads invoices")]
struct Invoice {
    id: i64,
    post_id: i64,
    cents: i32,
}

/// What every handler is given.
#[derive(Clone)]
struct AppState {
    pool: Pool<AsyncPgConnection>,
    billing: AuditContext,
}

/// Who called, as a layer in front has found out.
struct Caller {
    user: String,
    request_id: String,
}

impl Caller {
    fn context(&self) -> Result<AuditContext, AppError> {
        Ok(AuditContext::new(ActorRef::user(&self.user)?).request_id(&self.request_id))
    }
}

#[derive(Debug)]
enum AppError {
    NoSuchPost,
    BadNumber(ParseIntError),
    NoConnection(PoolError),
    Database(diesel::result::Error),
    Audit(threadline::diesel_async::Error),
}

#[derive(Debug, PartialEq, Eq)]
struct Published {
    title: String,
    audit_transaction: Option<TransactionId>,
}

/// `POST /posts/{id}/publish`
async fn publish(state: &AppState, caller: &Caller, id: &str) -> Result<Published, AppError> {
    let conn = &mut state.pool.get().await?;
    let context = caller.context()?;
    let reason = format!("asked for by {}", caller.user);

    let outcome = audited!(conn, context, action = "post.published", reason = reason, |conn| {
        let id: i64 = id.parse()?;
        let post: Post = diesel::update(posts::table.find(id))
            .set(posts::published.eq(true))
            .returning(Post::as_returning())
            .get_result(conn)
            .await
            .optional()?
            .ok_or(AppError::NoSuchPost)?;
        raise_invoice(conn, &state.billing, id).await?;
        Ok(post)
    })
    .await?;

    Ok(Published { title: outcome.value.title, audit_transaction: outcome.transaction_id })
}

/// A service function, inside a transaction or not: it brings its own context, and the outer one is back afterwards.
async fn raise_invoice(conn: &mut AsyncPgConnection, billing: &AuditContext, post: i64) -> Result<(), AppError> {
    audited!(conn, billing, action = "invoice.raised", category = "billing", |conn| {
        diesel::insert_into(invoices::table)
            .values((invoices::post_id.eq(post), invoices::cents.eq(500)))
            .execute(conn)
            .await?;
        Ok(())
    })
    .await?;
    Ok(())
}

/// `PUT /posts/{id}/title`, without the macro: as Diesel's `transaction`, with a context.
async fn rename(state: &AppState, caller: &Caller, id: i64, title: &str) -> Result<Outcome<usize>, AppError> {
    let conn = &mut state.pool.get().await?;
    conn.audited(&caller.context()?, async |conn| {
        conn.record_action(&Action::new("post.renamed")).await?;
        Ok(diesel::update(posts::table.find(id)).set(posts::title.eq(title)).execute(conn).await?)
    })
    .await
}

/// `GET /posts/{id}?at=..`
async fn post_as_of(state: &AppState, id: &str, at: OffsetDateTime) -> Result<Post, AppError> {
    let conn = &mut state.pool.get().await?;
    let id: i64 = id.parse()?;
    Ok(conn.as_of::<Post>(id, at).await?.row)
}

impl From<ParseIntError> for AppError {
    fn from(error: ParseIntError) -> Self {
        Self::BadNumber(error)
    }
}

impl From<PoolError> for AppError {
    fn from(error: PoolError) -> Self {
        Self::NoConnection(error)
    }
}

impl From<diesel::result::Error> for AppError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Database(error)
    }
}

impl From<threadline::diesel_async::Error> for AppError {
    fn from(error: threadline::diesel_async::Error) -> Self {
        Self::Audit(error)
    }
}

impl From<threadline::Error> for AppError {
    fn from(error: threadline::Error) -> Self {
        Self::Audit(error.into())
    }
}

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchPost => f.write_str("there is no such post"),
            Self::BadNumber(error) => error.fmt(f),
            Self::NoConnection(error) => error.fmt(f),
            Self::Database(error) => error.fmt(f),
            Self::Audit(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for AppError {}

// ---- its test

const TABLES: &str = "
    CREATE TABLE posts (id bigint PRIMARY KEY, title text NOT NULL, published boolean NOT NULL DEFAULT false,
        author_email text);
    CREATE TABLE invoices (id bigserial PRIMARY KEY, post_id bigint NOT NULL REFERENCES posts, cents int NOT NULL);
    INSERT INTO posts VALUES (7, 'Ship it', false, 'author@example.org');
";

async fn service(database: &Database) -> AppState {
    // Diesel's `execute` is there for every type.
    Database::execute(database, TABLES).unwrap();
    let pool = Pool::builder(AsyncDieselConnectionManager::new(database.url())).max_size(2).build().unwrap();
    let manifest = manifest![Post, Invoice];
    threadline::diesel_async::install_manifest(&mut pool.get().await.unwrap(), &manifest).await.unwrap();
    let billing = AuditContext::new(ActorRef::service_account("billing").unwrap());
    AppState { pool, billing }
}

fn caller() -> Caller {
    Caller { user: "42".to_owned(), request_id: "req-1".to_owned() }
}

/// Calls the handler as a framework does: in a task of its own.
async fn publish_in_a_task(state: &AppState, id: &'static str) -> Result<Published, AppError> {
    let state = state.clone();
    tokio::spawn(async move { publish(&state, &caller(), id).await }).await.unwrap()
}

/// The trail, oldest first, as "table op actor action reason".
async fn trail(state: &AppState) -> Vec<String> {
    let page = state.pool.get().await.unwrap().timeline(&Timeline::new()).await.unwrap();
    let mut told = Vec::new();
    for entry in page.entries {
        let action = entry.action.map_or_else(|| "-".to_owned(), |action| action.name);
        let actor = entry.transaction.unwrap().actor.unwrap();
        told.push(format!("{} {} {actor} {action}", entry.change.table_name, entry.change.op));
    }
    told.reverse();
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_handlers_do_what_they_say() {
    let database = require_server().database().unwrap();
    let state = service(&database).await;

    let published = publish_in_a_task(&state, "7").await.unwrap();
    assert_eq!(published.title, "Ship it");
    assert!(published.audit_transaction.is_some());
    let told = ["posts update user:42 post.published", "invoices insert service_account:billing invoice.raised"];
    assert_eq!(trail(&state).await, told);

    let error = publish_in_a_task(&state, "seven").await.unwrap_err();
    assert!(matches!(error, AppError::BadNumber(_)), "{error}");
    let error = publish_in_a_task(&state, "8").await.unwrap_err();
    assert!(matches!(error, AppError::NoSuchPost), "{error}");
    assert_eq!(trail(&state).await, told, "what failed left nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_is_read_as_it_was() {
    let database = require_server().database().unwrap();
    let state = service(&database).await;
    publish(&state, &caller(), "7").await.unwrap();
    let conn = &mut state.pool.get().await.unwrap();
    let then = conn.timeline(&Timeline::new()).await.unwrap().entries[0].change.captured_at;
    assert_eq!(rename(&state, &caller(), 7, "Shipped").await.unwrap().value, 1);

    let post = post_as_of(&state, "7", then).await.unwrap();
    assert_eq!(post, Post { id: 7, title: "Ship it".to_owned(), published: true, author_email: None });
}
