//! `#[threadline::audited]` on functions and methods: signatures as written, values as declared.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use threadline::diesel_async::prelude::*;

#[derive(Debug)]
enum AppError {
    Number(std::num::ParseIntError),
    Database(diesel::result::Error),
    Audit(threadline::diesel_async::Error),
    NotFound,
}

impl From<std::num::ParseIntError> for AppError {
    fn from(error: std::num::ParseIntError) -> Self {
        Self::Number(error)
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

diesel::table! {
    posts (id) {
        id -> BigInt,
        title -> Text,
        published -> Bool,
    }
}

diesel::table! {
    invoices (id) {
        id -> BigInt,
        post_id -> BigInt,
    }
}

const RENAMED: &str = "post.renamed";

/// Renames a post.
#[threadline::audited(action = RENAMED, reason = format!("asked for by {who}"))]
pub async fn rename(conn: &mut AsyncPgConnection, ctx: &AuditContext, id: &str, title: String, who: &str) -> Result<usize, AppError> {
    let id: i64 = id.parse()?;
    if title.is_empty() {
        return Err(AppError::NotFound);
    }
    Ok(diesel::update(posts::table.find(id)).set(posts::title.eq(title)).execute(conn).await?)
}

/// The caller is given the whole outcome.
#[threadline::audited(action = "post.deleted")]
async fn delete(conn: &mut AsyncPgConnection, context: AuditContext, id: i64) -> Result<Outcome<bool>, AppError> {
    let done = diesel::delete(posts::table.find(id)).execute(conn).await?;
    Ok(done == 1)
}

struct Posts {
    context: AuditContext,
    names: Vec<String>,
}

impl Posts {
    #[threadline::audited(context = self.context, action = "post.touched", tx = tx)]
    async fn touch<'a>(&'a self, conn: &mut AsyncPgConnection, ids: &[i64]) -> Result<&'a str, AppError>
    where
        Self: Send,
    {
        for id in ids {
            diesel::update(posts::table.find(*id)).set(posts::published.eq(true)).execute(tx).await?;
        }
        self.names.iter().map(String::as_str).next().ok_or(AppError::NotFound)
    }

    #[threadline::audited(context = self.context)]
    async fn newest(&self, conn: &mut AsyncPgConnection) -> Result<Box<dyn std::fmt::Display + Send>, AppError> {
        let title: String = posts::table.select(posts::title).first(conn).await?;
        Ok(Box::new(title))
    }
}

/// A function with a scope of its own inside the caller's transaction.
#[threadline::audited(db = conn, context = billing, action = "invoice.raised")]
async fn bill(conn: &mut AsyncPgConnection, billing: &AuditContext, post: i64) -> Result<(), AppError> {
    diesel::insert_into(invoices::table).values(invoices::post_id.eq(post)).execute(conn).await?;
    Ok(())
}

fn is_send<F: Future + Send>(_: F) {}

pub(crate) fn main() {
    let _ = |conn: &mut AsyncPgConnection, context: AuditContext| {
        let posts = Posts { context: context.clone(), names: vec![] };
        is_send(rename(conn, &context, "7", String::new(), "42"));
        is_send(delete(conn, context.clone(), 7));
        is_send(posts.touch(conn, &[7]));
        is_send(posts.newest(conn));
        is_send(bill(conn, &context, 7));
    };
}
