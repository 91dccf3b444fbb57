//! With blocking Diesel.

use diesel::prelude::*;
use threadline::diesel::prelude::*;
use time::OffsetDateTime;

use crate::{AnyError, Told, context, tell};

mod schema {
    diesel::table! {
        /// Other names in Rust than in SQL.
        #[sql_name = "posts"]
        blog.articles (id) {
            id -> BigInt,
            title -> Text,
            #[sql_name = "mail"]
            author_mail -> Nullable<Text>,
        }
    }
}

use schema::articles;

#[derive(Queryable, Selectable, QueryableByName, Audited)]
#[diesel(table_name = articles, check_for_backend(diesel::pg::Pg))]
#[audited(mask(mail))]
pub(crate) struct Post {
    pub(crate) id: i64,
    pub(crate) title: String,
    #[diesel(column_name = author_mail)]
    pub(crate) mail: Option<String>,
}

pub(crate) fn run(url: &str, before: OffsetDateTime) -> Result<Told, AnyError> {
    let mut conn = PgConnection::establish(url)?;
    let ctx = context("diesel");

    let outcome = audited!(conn, ctx, action = "post.titled", |conn| {
        let id: i64 = "7".parse()?;
        diesel::update(articles::table.find(id)).set(articles::title.eq("by diesel")).execute(conn)?;
        Ok(())
    })?;
    let title_before = retitle(&mut conn, &ctx, "7")?;

    let then = conn.as_of::<Post>(7, before)?.row;
    assert_eq!(then.id, 7);
    let page = conn.timeline(&Timeline::new().schema("blog").table("posts"))?;
    Ok(Told {
        transaction_id: outcome.transaction_id.ok_or("nothing was recorded")?,
        title_before,
        row_of_the_past: (then.title, then.mail),
        trail: page.entries.into_iter().map(tell).collect(),
    })
}

#[threadline::audited(action = "post.retitled", reason = format!("post {id}"))]
fn retitle(conn: &mut PgConnection, ctx: &AuditContext, id: &str) -> Result<String, AnyError> {
    let id: i64 = id.parse()?;
    let post = articles::table.find(id).select(Post::as_select()).first(conn)?;
    diesel::update(articles::table.find(post.id)).set(articles::title.eq("next")).execute(conn)?;
    Ok(post.title)
}
