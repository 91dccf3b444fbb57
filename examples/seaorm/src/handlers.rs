//! The handlers: two that write, two that look back.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait, IntoActiveModel};
use serde::{Deserialize, Serialize};
use threadline::seaorm::prelude::*;
use threadline::{LinkedChange, Page, TransactionId};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::AppState;
use crate::caller::Caller;
use crate::entity::{posts, tags};
use crate::error::AppError;

/// A post as the API shows it.
#[derive(Debug, Serialize)]
pub(crate) struct Post {
    id: i64,
    title: String,
    published: bool,
}

impl From<posts::Model> for Post {
    fn from(post: posts::Model) -> Self {
        Self { id: post.id, title: post.title, published: post.published }
    }
}

/// What a request wrote, and where it is found in the trail.
#[derive(Debug, Serialize)]
pub(crate) struct Written {
    #[serde(flatten)]
    post: Post,
    audit_transaction: Option<TransactionId>,
}

impl From<Outcome<Post>> for Written {
    fn from(outcome: Outcome<Post>) -> Self {
        Self { post: outcome.value, audit_transaction: outcome.transaction_id }
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Draft {
    title: String,
    author_email: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
}

/// A post with its tags, saved together.
pub(crate) async fn draft(
    State(app): State<AppState>,
    Caller(context): Caller,
    Json(draft): Json<Draft>,
) -> Result<(StatusCode, Json<Written>), AppError> {
    let outcome = audited!(app.db, context, action = "post.drafted", |tx| {
        let mut post = posts::ActiveModel::builder()
            .set_title(draft.title)
            .set_published(false)
            .set_author_email(draft.author_email);
        for name in draft.tags {
            post = post.add_tag(tags::ActiveModel::builder().set_name(name));
        }
        let post = post.insert(tx).await?;
        Ok(Post { id: post.id, title: post.title, published: post.published })
    })
    .await?;
    Ok((StatusCode::CREATED, Json(outcome.into())))
}

#[derive(Debug, Deserialize)]
pub(crate) struct Publish {
    reason: String,
}

/// Publishes a post, for a reason.
pub(crate) async fn publish(
    State(app): State<AppState>,
    Caller(context): Caller,
    Path(id): Path<i64>,
    Json(publish): Json<Publish>,
) -> Result<Json<Written>, AppError> {
    let outcome = audited!(app.db, context, action = "post.published", reason = publish.reason, |tx| {
        let post = posts::Entity::find_by_id(id).one(tx).await?.ok_or(AppError::NotFound)?;
        let mut post = post.into_active_model();
        post.published = Set(true);
        Ok(post.update(tx).await?.into())
    })
    .await?;
    Ok(Json(outcome.into()))
}

/// Every change of a post, newest first, with who made it and why.
pub(crate) async fn history(
    State(app): State<AppState>,
    Path(id): Path<i64>,
) -> Result<Json<Page<LinkedChange>>, AppError> {
    Ok(Json(app.db.row_history(&RowHistory::by_id("public", "posts", id)).await?))
}

#[derive(Debug, Deserialize)]
pub(crate) struct At {
    at: String,
}

/// The post as it was.
pub(crate) async fn as_of(
    State(app): State<AppState>,
    Path(id): Path<i64>,
    Query(At { at }): Query<At>,
) -> Result<Json<Post>, AppError> {
    let at = OffsetDateTime::parse(&at, &Rfc3339).map_err(|_| AppError::NotAnInstant)?;
    let post = app.db.as_of::<posts::Model>(id, at).await?;
    Ok(Json(post.row.into()))
}
