//! A complete handler as a user of SeaORM writes it: application state, `?` on mixed errors without annotations, an
//! action, a nested scope with another actor, and the row as it was before. Everything else follows what this needs.

use std::fmt;

use sea_orm::{ActiveModelTrait, ActiveValue::Set, DbErr, EntityTrait, IntoActiveModel};
use threadline_seaorm::prelude::*;
use time::OffsetDateTime;

use crate::entity::{authors, posts};
use crate::support::Target;

/// What an application shares between its requests.
#[derive(Clone)]
struct AppState {
    db: AuditedDatabase,
}

/// The error of every handler.
#[derive(Debug)]
enum AppError {
    NotFound,
    Database(DbErr),
    Audit(threadline_seaorm::Error),
    BadRequest(std::num::ParseIntError),
}

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("there is no such post"),
            Self::Database(error) => error.fmt(f),
            Self::Audit(error) => error.fmt(f),
            Self::BadRequest(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for AppError {}

impl From<DbErr> for AppError {
    fn from(error: DbErr) -> Self {
        Self::Database(error)
    }
}

impl From<threadline_seaorm::Error> for AppError {
    fn from(error: threadline_seaorm::Error) -> Self {
        Self::Audit(error)
    }
}

impl From<threadline_core::Error> for AppError {
    fn from(error: threadline_core::Error) -> Self {
        Self::Audit(error.into())
    }
}

impl From<std::num::ParseIntError> for AppError {
    fn from(error: std::num::ParseIntError) -> Self {
        Self::BadRequest(error)
    }
}

/// Publishes a post and lets the billing service's account open an author page for it.
async fn publish(state: AppState, context: AuditContext, id: String) -> Result<Outcome<posts::Model>, AppError> {
    let billing = AuditContext::new(ActorRef::service_account("billing")?);
    audited!(state.db, context, action = "post.published", reason = "editor approved", |tx| {
        let post = posts::Entity::find_by_id(id.parse::<i64>()?).one(tx).await?.ok_or(AppError::NotFound)?;
        let mut post = post.into_active_model();
        post.published = Set(true);
        let post = post.update(tx).await?;
        audited!(tx, billing, |tx| {
            authors::ActiveModel { name: Set(post.title.clone()), ..Default::default() }.insert(tx).await?;
            Ok(())
        })
        .await?;
        Ok(post)
    })
    .await
}

/// Whether a post was published at an instant.
async fn was_published(state: &AppState, id: i64, at: OffsetDateTime) -> Result<bool, AppError> {
    let post = state.db.as_of::<posts::Model>(id, at).await?;
    Ok(post.published)
}

fn in_a_spawned_task<F: Future + Send + 'static>(future: F) -> tokio::task::JoinHandle<F::Output>
where
    F::Output: Send,
{
    tokio::spawn(future)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_reads_as_seaorm() {
    let target = Target::new();
    target.rows("INSERT INTO posts VALUES (7, 'Ship it')");
    let state = AppState { db: target.audited(2) };
    let context = AuditContext::new(ActorRef::user("42").unwrap()).correlation_id("req-7f3");

    let before = OffsetDateTime::now_utc();
    let outcome = in_a_spawned_task(publish(state.clone(), context.clone(), "7".to_owned())).await.unwrap().unwrap();
    assert!(outcome.value.published);
    assert!(outcome.transaction_id.is_some());
    assert_eq!(
        target.trail(),
        ["posts insert 7 - -", "posts update 7 42 post.published", "authors insert 1 billing -",]
    );

    assert!(!was_published(&state, 7, before).await.unwrap());
    assert!(was_published(&state, 7, OffsetDateTime::now_utc()).await.unwrap());

    let error = publish(state.clone(), context.clone(), "seven".to_owned()).await.unwrap_err();
    assert!(matches!(error, AppError::BadRequest(_)), "{error}");
    let error = publish(state, context, "8".to_owned()).await.unwrap_err();
    assert!(matches!(error, AppError::NotFound), "{error}");
    assert_eq!(target.actions().len(), 1, "what failed was rolled back");
}
