//! What a service on sqlx looks like with Threadline: application state, a handler whose `?` meets three kinds of errors, an
//! action, a nested scope under another actor, a row as it was. It compiles as it stands, without an annotation, and does
//! what it says.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::fmt;
use std::num::ParseIntError;

use sqlx::PgPool;
use threadline::sqlx::prelude::*;
use threadline_testkit::require_server;
use time::OffsetDateTime;

// ---- the service

#[derive(Debug, PartialEq, Eq, sqlx::FromRow, Audited)]
#[audited(table = "posts", mask(author_email), require_actor)]
struct Post {
    id: i64,
    title: String,
    published: bool,
    author_email: Option<String>,
}

/// What every handler is given.
#[derive(Clone)]
struct AppState {
    db: AuditedPool,
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
    Database(sqlx::Error),
    Audit(threadline::sqlx::Error),
}

#[derive(Debug, PartialEq, Eq)]
struct Published {
    title: String,
    audit_transaction: Option<threadline::TransactionId>,
}

/// `POST /posts/{id}/publish`
async fn publish(state: AppState, caller: Caller, id: &str) -> Result<Published, AppError> {
    let AppState { db, billing } = &state;
    let context = caller.context()?;
    let reason = format!("asked for by {}", caller.user);

    let outcome = audited!(db, context, action = "post.published", reason = reason, |tx| {
        let id: i64 = id.parse()?;
        let title: Option<String> =
            sqlx::query_scalar("UPDATE posts SET published = true WHERE id = $1 RETURNING title")
                .bind(id)
                .fetch_optional(&mut **tx)
                .await?;
        let title = title.ok_or(AppError::NoSuchPost)?;
        audited!(tx, billing, action = "invoice.raised", category = "billing", |tx| {
            sqlx::query("INSERT INTO invoices (post_id, cents) VALUES ($1, 500)").bind(id).execute(&mut **tx).await?;
            Ok(())
        })
        .await?;
        Ok(title)
    })
    .await?;

    Ok(Published { title: outcome.value, audit_transaction: outcome.transaction_id })
}

/// `GET /posts/{id}?at=..`
async fn post_as_of(state: AppState, id: &str, at: OffsetDateTime) -> Result<Post, AppError> {
    Ok(state.db.as_of::<Post>(id.parse::<i64>()?, at).await?.row)
}

impl From<ParseIntError> for AppError {
    fn from(error: ParseIntError) -> Self {
        Self::BadNumber(error)
    }
}

impl From<sqlx::Error> for AppError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<threadline::sqlx::Error> for AppError {
    fn from(error: threadline::sqlx::Error) -> Self {
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

async fn service(pool: PgPool) -> AppState {
    sqlx::raw_sql(TABLES).execute(&pool).await.unwrap();
    let manifest = manifest![Post].table(AuditedTable::new("public", "invoices"));
    threadline::sqlx::install_manifest(&pool, &manifest).await.unwrap();
    let billing = AuditContext::new(ActorRef::service_account("billing").unwrap());
    AppState { db: AuditedPool::new(pool), billing }
}

fn caller() -> Caller {
    Caller { user: "42".to_owned(), request_id: "req-1".to_owned() }
}

/// The trail, oldest first, as "table op actor action reason".
async fn trail(state: &AppState) -> Vec<String> {
    let mut told = Vec::new();
    for entry in state.db.timeline(&Timeline::new()).await.unwrap().entries {
        let action = entry.action.unwrap();
        let actor = entry.transaction.unwrap().actor.unwrap();
        let reason = action.reason.unwrap_or_else(|| "-".to_owned());
        told.push(format!("{} {} {actor} {} {reason}", entry.change.table_name, entry.change.op, action.name));
    }
    told.reverse();
    told
}

/// The server's clock.
async fn now(state: &AppState) -> OffsetDateTime {
    sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(state.db.unaudited()).await.unwrap()
}

#[tokio::test]
async fn the_handler_does_what_it_says() {
    let database = require_server().database().unwrap();
    let state = service(PgPool::connect(database.url()).await.unwrap()).await;

    let before = now(&state).await;
    let published = tokio::spawn(publish(state.clone(), caller(), "7")).await.unwrap().unwrap();

    assert_eq!(published.title, "Ship it");
    assert!(published.audit_transaction.is_some());
    assert_eq!(
        trail(&state).await,
        [
            "posts update user:42 post.published asked for by 42",
            "invoices insert service_account:billing invoice.raised -"
        ]
    );

    let expected = Post { id: 7, title: "Ship it".to_owned(), published: false, author_email: None };
    assert_eq!(post_as_of(state.clone(), "7", before).await.unwrap(), expected, "the masked column is empty");
    assert!(post_as_of(state.clone(), "7", now(&state).await).await.unwrap().published);

    let error = publish(state.clone(), caller(), "seven").await.unwrap_err();
    assert!(matches!(error, AppError::BadNumber(_)), "{error}");
    let error = publish(state.clone(), caller(), "8").await.unwrap_err();
    assert!(matches!(error, AppError::NoSuchPost), "{error}");
    assert_eq!(trail(&state).await.len(), 2, "what failed left nothing");
}
