//! With sqlx.

use threadline::sqlx::prelude::*;
use time::OffsetDateTime;

use crate::{AnyError, Told, context, tell};

#[derive(sqlx::FromRow, Audited)]
#[audited(table = "posts", schema = "blog", mask(author_mail))]
pub(crate) struct Post {
    pub(crate) id: i64,
    pub(crate) title: String,
    #[sqlx(rename = "mail")]
    pub(crate) author_mail: Option<String>,
}

pub(crate) async fn run(url: &str, before: OffsetDateTime) -> Result<Told, AnyError> {
    let db = AuditedPool::new(sqlx::PgPool::connect(url).await?);
    let ctx = context("sqlx");

    let outcome = audited!(db, ctx, action = "post.titled", |tx| {
        let id: i64 = "7".parse()?;
        sqlx::query("UPDATE blog.posts SET title = 'by sqlx' WHERE id = $1").bind(id).execute(&mut **tx).await?;
        Ok(())
    })
    .await?;
    let title_before = retitle(&db, &ctx, "7").await?;

    let then = db.as_of::<Post>(7, before).await?.row;
    assert_eq!(then.id, 7);
    let page = db.timeline(&Timeline::new().schema("blog").table("posts")).await?;
    Ok(Told {
        transaction_id: outcome.transaction_id.ok_or("nothing was recorded")?,
        title_before,
        row_of_the_past: (then.title, then.author_mail),
        trail: page.entries.into_iter().map(tell).collect(),
    })
}

#[threadline::audited(action = "post.retitled", reason = format!("post {id}"))]
async fn retitle(db: &AuditedPool, ctx: &AuditContext, id: &str) -> Result<String, AnyError> {
    let id: i64 = id.parse()?;
    let post: Post =
        sqlx::query_as("SELECT * FROM blog.posts WHERE id = $1 FOR UPDATE").bind(id).fetch_one(&mut **db).await?;
    sqlx::query("UPDATE blog.posts SET title = 'next' WHERE id = $1").bind(id).execute(&mut **db).await?;
    Ok(post.title)
}
