//! A handler: three kinds of errors, an action, a scope under another actor, a spawned task. No annotation anywhere.

use sea_orm::{ConnectionTrait, DbErr, TransactionTrait};
use threadline::seaorm::prelude::*;

#[derive(Debug)]
enum AppError {
    Number(std::num::ParseIntError),
    Database(DbErr),
    Audit(threadline::seaorm::Error),
    NotFound,
}

impl From<std::num::ParseIntError> for AppError {
    fn from(error: std::num::ParseIntError) -> Self {
        Self::Number(error)
    }
}

impl From<DbErr> for AppError {
    fn from(error: DbErr) -> Self {
        Self::Database(error)
    }
}

impl From<threadline::seaorm::Error> for AppError {
    fn from(error: threadline::seaorm::Error) -> Self {
        Self::Audit(error)
    }
}

async fn write<C: ConnectionTrait>(db: &C, id: i64) -> Result<u64, DbErr> {
    let sql = format!("UPDATE posts SET published = true WHERE id = {id}");
    Ok(db.execute_unprepared(&sql).await?.rows_affected())
}

async fn handler(db: AuditedDatabase, context: AuditContext, billing: AuditContext, id: String) -> Result<u64, AppError> {
    let reason = String::from("editor approved");
    let outcome = audited!(db, context, action = "post.published", reason = reason, verb = "publish", |tx| {
        let id = id.parse()?;
        let written = write(tx, id).await?;
        if written == 0 {
            return Err(AppError::NotFound);
        }
        let invoice = audited!(tx, &billing, action = "invoice.raised", |tx| {
            tx.execute_unprepared(&format!("INSERT INTO invoices (post_id) VALUES ({id})")).await?;
            Ok(7)
        })
        .await?;
        Ok(written + invoice.value)
    })
    .await?;
    let _: Option<threadline::TransactionId> = outcome.transaction_id;
    Ok(outcome.value)
}

/// The closure's error is another one than the function's where the closure says so.
async fn errors_of_the_closure(db: &AuditedDatabase, context: &AuditContext) -> Result<(), AppError> {
    // By what it calls.
    audited!(db, context, |tx| write(tx, 1).await).await?;
    // In words.
    audited!(db, context, |tx| {
        write(tx, 1).await?;
        Ok::<_, DbErr>(())
    })
    .await?;
    // By an early return.
    audited!(db, context, |tx| {
        if write(tx, 1).await? == 0 {
            return Err(DbErr::RecordNotFound("post".to_owned()));
        }
        Ok(())
    })
    .await?;
    // In its own return type.
    audited!(db, context, |tx| -> Result<(), threadline::seaorm::Error> {
        write(tx, 1).await?;
        Ok(())
    })
    .await?;
    Ok(())
}

/// Everything that can stand in front, and contexts that nobody else holds.
async fn handles(state: (AuditedDatabase, AuditContext)) -> Result<(), AppError> {
    let user = || AuditContext::without_actor();
    audited!(state.0, state.1, |_tx| Ok(())).await?;
    audited!(state.0.clone(), user(), |_tx| Ok(())).await?;
    audited!(state.0.with(&state.1), user(), move |_tx| Ok(())).await?;
    let session = state.0.with(&state.1).options(sea_orm::IsolationLevel::Serializable);
    audited!(&session, &&user(), async |_tx| Ok(()),).await?;
    let shared = std::sync::Arc::new(state.0.clone());
    audited!(shared, std::sync::Arc::new(user()), |_tx| Ok(())).await?;
    let tx = state.0.begin(&state.1).await?;
    audited!(tx, user(), |tx| {
        write(tx, 1).await?;
        Ok(())
    })
    .await?;
    tx.commit().await?;
    let tx = state.0.unaudited().begin().await?;
    let attached = attach(&state.1, &tx).await?;
    audited!(attached, user(), |_tx| Ok(())).await?;
    Ok(())
}

/// In a task, where the function around is the block.
async fn spawned(db: AuditedDatabase, context: AuditContext) {
    let task = tokio::spawn(async move {
        audited!(db, context, action = "posts.swept", |tx| {
            write(tx, 1).await?;
            Ok(())
        })
        .await?;
        Ok::<_, AppError>(())
    });
    let _: Result<(), AppError> = task.await.unwrap();
}

async fn with_any_error(db: AuditedDatabase, context: AuditContext) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    audited!(db, context, |tx| {
        let id = "7".parse()?;
        write(tx, id).await?;
        Ok(())
    })
    .await?;
    Ok(())
}

fn is_send<F: Future + Send>(_: F) {}

pub(crate) fn main() {
    let _ = |db: AuditedDatabase, context: AuditContext| {
        is_send(handler(db.clone(), context.clone(), context.clone(), String::new()));
        is_send(handles((db.clone(), context.clone())));
        is_send(spawned(db.clone(), context.clone()));
        is_send(with_any_error(db, context));
    };
    let _ = errors_of_the_closure;
}
