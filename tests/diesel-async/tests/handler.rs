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
use threadline_core::{Audited, ModelColumn, TransactionId};
use threadline_diesel::asynchronous::prelude::*;
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

#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, QueryableByName)]
struct Post {
    id: i64,
    title: String,
    published: bool,
    author_email: Option<String>,
}

impl Audited for Post {
    fn audited_table() -> AuditedTable {
        AuditedTable::new("public", "posts").policy(CapturePolicy::new().require_actor().mask(["author_email"]))
    }

    fn columns() -> &'static [ModelColumn] {
        &const {
            [
                ModelColumn::new("id").key(),
                ModelColumn::new("title"),
                ModelColumn::new("published"),
                ModelColumn::new("author_email").nullable(),
            ]
        }
    }
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
    Audit(threadline_diesel::Error),
}

#[derive(Debug, PartialEq, Eq)]
struct Published {
    title: String,
    audit_transaction: Option<TransactionId>,
}

/// `POST /posts/{id}/publish`
async fn publish(state: &AppState, caller: &Caller, id: &str) -> Result<Published, AppError> {
    let conn = &mut state.pool.get().await?;
    let outcome = publish_post(conn, &caller.context()?, &state.billing, id).await?;
    Ok(Published { title: outcome.value.title, audit_transaction: outcome.transaction_id })
}

/// What a service function looks like: it takes a connection, inside a transaction or not.
async fn publish_post(
    conn: &mut AsyncPgConnection,
    context: &AuditContext,
    billing: &AuditContext,
    id: &str,
) -> Result<Outcome<Post>, AppError> {
    conn.audited(context, async |conn| {
        let id: i64 = id.parse()?;
        conn.record_action(&Action::new("post.published").reason("editor approved")).await?;
        let post: Post = diesel::update(posts::table.find(id))
            .set(posts::published.eq(true))
            .returning(Post::as_returning())
            .get_result(conn)
            .await
            .optional()?
            .ok_or(AppError::NoSuchPost)?;
        conn.audited(billing, async |conn| {
            diesel::insert_into(invoices::table)
                .values((invoices::post_id.eq(id), invoices::cents.eq(500)))
                .execute(conn)
                .await
        })
        .await?;
        Ok(post)
    })
    .await
}

/// `GET /posts/{id}?at=..`
async fn post_as_of(state: &AppState, id: &str, at: OffsetDateTime) -> Result<Post, AppError> {
    let conn = &mut state.pool.get().await?;
    let id: i64 = id.parse()?;
    Ok(conn.as_of::<Post>(id, at).await?)
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

impl From<threadline_diesel::Error> for AppError {
    fn from(error: threadline_diesel::Error) -> Self {
        Self::Audit(error)
    }
}

impl From<threadline_core::Error> for AppError {
    fn from(error: threadline_core::Error) -> Self {
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
    let manifest = threadline_core::manifest![Post].table(AuditedTable::new("public", "invoices"));
    threadline_diesel::asynchronous::install_manifest(&mut pool.get().await.unwrap(), &manifest).await.unwrap();
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
    let told = ["posts update user:42 post.published", "invoices insert service_account:billing -"];
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
    conn.audited(&caller().context().unwrap(), async |conn| {
        diesel::update(posts::table.find(7)).set(posts::title.eq("Shipped")).execute(conn).await
    })
    .await
    .unwrap();

    let post = post_as_of(&state, "7", then).await.unwrap();
    assert_eq!(post, Post { id: 7, title: "Ship it".to_owned(), published: true, author_email: None });
}
