//! `#[threadline::audited]` on functions and methods: signatures as written, values as declared.

use sea_orm::{ConnectionTrait, DbErr, FromQueryResult, Statement};
use threadline::seaorm::prelude::*;

type Result<T, E = AppError> = std::result::Result<T, E>;

#[derive(Debug)]
struct AppError;

impl From<DbErr> for AppError {
    fn from(_: DbErr) -> Self {
        Self
    }
}

impl From<threadline::seaorm::Error> for AppError {
    fn from(_: threadline::seaorm::Error) -> Self {
        Self
    }
}

impl From<std::num::ParseIntError> for AppError {
    fn from(_: std::num::ParseIntError) -> Self {
        Self
    }
}

const RENAMED: &str = "post.renamed";

fn statement(sql: &str, id: i64) -> Statement {
    Statement::from_sql_and_values(sea_orm::DbBackend::Postgres, sql, [id.into()])
}

#[derive(FromQueryResult)]
struct Title {
    title: String,
}

/// Renames a post.
#[threadline::audited(action = RENAMED, reason = format!("asked for by {who}"))]
pub async fn rename(db: &AuditedDatabase, ctx: &AuditContext, id: &str, title: String, who: &str) -> Result<u64> {
    let id: i64 = id.parse()?;
    if title.is_empty() {
        return Err(AppError);
    }
    let done = db.execute_raw(statement("UPDATE posts SET title = 'new' WHERE id = $1", id)).await?;
    Ok(done.rows_affected())
}

/// The caller is given the whole outcome.
#[threadline::audited(action = "post.deleted")]
async fn delete(db: &AuditedDatabase, context: AuditContext, id: i64) -> Result<Outcome<bool>> {
    let done = db.execute_raw(statement("DELETE FROM posts WHERE id = $1", id)).await?;
    Ok(done.rows_affected() == 1)
}

struct Posts {
    db: AuditedDatabase,
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
            tx.execute_raw(statement("UPDATE posts SET touched = now() WHERE id = $1", *id)).await?;
        }
        self.name()
    }

    #[threadline::audited(db = self.db, context = self.context)]
    async fn first(&self) -> Result<Box<dyn std::fmt::Display + Send>> {
        let title = Title::find_by_statement(statement("SELECT title FROM posts WHERE id = $1", 7)).one(db).await?;
        Ok(Box::new(title.ok_or(AppError)?.title))
    }

    fn name(&self) -> Result<&str> {
        self.names.first().map(String::as_str).ok_or(AppError)
    }
}

/// A function with a scope of its own inside the caller's transaction.
#[threadline::audited(db = tx, context = billing, action = "invoice.raised")]
async fn bill(tx: &AuditedTransaction, billing: &AuditContext, post: i64) -> Result<()> {
    tx.execute_raw(statement("INSERT INTO invoices (post_id) VALUES ($1)", post)).await?;
    Ok(())
}

fn is_send<F: Future + Send>(_: F) {}

pub(crate) fn main() {
    let _ = |db: AuditedDatabase, context: AuditContext| {
        let posts = Posts { db: db.clone(), context: context.clone(), names: vec![] };
        is_send(rename(&db, &context, "7", String::new(), "42"));
        is_send(delete(&db, context.clone(), 7));
        is_send(posts.touch(&[7]));
        is_send(posts.first());
    };
    let _ = bill;
}
