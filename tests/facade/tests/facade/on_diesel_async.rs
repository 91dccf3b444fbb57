//! With diesel-async.

use diesel::prelude::*;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use threadline::diesel_async::prelude::*;
use time::OffsetDateTime;

use crate::{AnyError, Told, context, tell};

diesel::table! {
    blog.posts (id) {
        id -> BigInt,
        title -> Text,
        mail -> Nullable<Text>,
    }
}

#[derive(Queryable, Selectable, QueryableByName, Audited)]
#[diesel(table_name = posts, check_for_backend(diesel::pg::Pg))]
#[audited(mask(mail))]
pub(crate) struct Post {
    pub(crate) id: i64,
    pub(crate) title: String,
    pub(crate) mail: Option<String>,
}

pub(crate) async fn run(url: &str, before: OffsetDateTime) -> Result<Told, AnyError> {
    let mut conn = AsyncPgConnection::establish(url).await?;
    let ctx = context("diesel-async");

    let outcome = audited!(conn, ctx, action = "post.titled", |conn| {
        let id: i64 = "7".parse()?;
        diesel::update(posts::table.find(id)).set(posts::title.eq("by diesel-async")).execute(conn).await?;
        Ok(())
    })
    .await?;
    let title_before = retitle(&mut conn, &ctx, "7").await?;

    let then = conn.as_of::<Post>(7, before).await?.row;
    assert_eq!(then.id, 7);
    let page = conn.timeline(&Timeline::new().schema("blog").table("posts")).await?;
    Ok(Told {
        transaction_id: outcome.transaction_id.ok_or("nothing was recorded")?,
        title_before,
        row_of_the_past: (then.title, then.mail),
        trail: page.entries.into_iter().map(tell).collect(),
    })
}

#[threadline::audited(action = "post.retitled", reason = format!("post {id}"))]
async fn retitle(conn: &mut AsyncPgConnection, ctx: &AuditContext, id: &str) -> Result<String, AnyError> {
    let id: i64 = id.parse()?;
    let post = posts::table.find(id).select(Post::as_select()).first(conn).await?;
    diesel::update(posts::table.find(post.id)).set(posts::title.eq("next")).execute(conn).await?;
    Ok(post.title)
}
