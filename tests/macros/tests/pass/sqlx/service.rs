//! `#[threadline::audited]` on functions and methods: signatures as written, values as declared.

use threadline::sqlx::prelude::*;

type Result<T, E = AppError> = std::result::Result<T, E>;

#[derive(Debug)]
struct AppError;

impl From<sqlx::Error> for AppError {
    fn from(_: sqlx::Error) -> Self {
        Self
    }
}

impl From<threadline::sqlx::Error> for AppError {
    fn from(_: threadline::sqlx::Error) -> Self {
        Self
    }
}

impl From<std::num::ParseIntError> for AppError {
    fn from(_: std::num::ParseIntError) -> Self {
        Self
    }
}

const RENAMED: &str = "post.renamed";

/// Renames a post.
#[threadline::audited(action = RENAMED, reason = format!("asked for by {who}"))]
pub async fn rename(db: &AuditedPool, ctx: &AuditContext, id: &str, title: String, who: &str) -> Result<u64> {
    let id: i64 = id.parse()?;
    if title.is_empty() {
        return Err(AppError);
    }
    let done = sqlx::query("UPDATE posts SET title = $1 WHERE id = $2").bind(title).bind(id).execute(&mut **db).await?;
    Ok(done.rows_affected())
}

/// The caller is given the whole outcome.
#[threadline::audited(action = "post.deleted")]
async fn delete(db: &AuditedPool, context: AuditContext, id: i64) -> Result<Outcome<bool>> {
    let done = sqlx::query("DELETE FROM posts WHERE id = $1").bind(id).execute(&mut **db).await?;
    Ok(done.rows_affected() == 1)
}

struct Posts {
    db: AuditedPool,
    context: AuditContext,
    names: Vec<String>,
}

impl Posts {
    #[threadline::audited(db = self.db, context = self.context, action = "post.touched", tx = tx)]
    async fn touch<'a>(&'a self, ids: &[i64]) -> Result<&'a str, AppError>
    where
        Self: Send,
    {
        for id in ids {
            sqlx::query("UPDATE posts SET touched = now() WHERE id = $1").bind(id).execute(&mut **tx).await?;
        }
        self.name()
    }

    #[threadline::audited(db = self.db, context = self.context)]
    async fn first(&self) -> Result<Box<dyn std::fmt::Display + Send>> {
        let title: String = sqlx::query_scalar("SELECT title FROM posts").fetch_one(&mut **db).await?;
        Ok(Box::new(title))
    }

    #[threadline::audited(db = self.db, context = self.context)]
    async fn names(&self) -> Result<impl Iterator<Item = String> + Send> {
        let titles: Vec<String> = sqlx::query_scalar("SELECT title FROM posts").fetch_all(&mut **db).await?;
        Ok(titles.into_iter())
    }

    fn name(&self) -> Result<&str> {
        self.names.first().map(String::as_str).ok_or(AppError)
    }
}

/// A function with a scope of its own inside the caller's transaction.
#[threadline::audited(db = tx, context = billing, action = "invoice.raised")]
async fn bill(tx: &mut AuditedTransaction<'_>, billing: &AuditContext, post: i64) -> Result<()> {
    sqlx::query("INSERT INTO invoices (post_id) VALUES ($1)").bind(post).execute(&mut **tx).await?;
    Ok(())
}

struct State<T>(T);

#[threadline::audited()]
async fn extracted(State(db): State<AuditedPool>, State(ctx): State<AuditContext>) -> Result<Vec<i64>> {
    Ok(sqlx::query_scalar("SELECT id FROM posts").fetch_all(&mut **db).await?)
}

fn is_send<F: Future + Send>(_: F) {}

pub(crate) fn main() {
    let _ = |db: AuditedPool, context: AuditContext| {
        let posts = Posts { db: db.clone(), context: context.clone(), names: vec![] };
        is_send(rename(&db, &context, "7", String::new(), "42"));
        is_send(delete(&db, context.clone(), 7));
        is_send(posts.touch(&[7]));
        is_send(posts.first());
        is_send(posts.names());
        is_send(extracted(State(db.clone()), State(context.clone())));
    };
    let _: fn(&AuditedPool, AuditContext, i64) -> _ = |db, context, id| {
        let _deleted = delete(db, context, id);
    };
    let _ = bill;
}
