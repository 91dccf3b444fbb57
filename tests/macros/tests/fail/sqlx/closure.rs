//! The closure returns no `Result`, nothing tells its error type, or that is one that ours does not convert into.

use threadline::sqlx::prelude::*;

#[derive(Debug)]
struct AppError;

impl From<sqlx::Error> for AppError {
    fn from(_: sqlx::Error) -> Self {
        Self
    }
}

async fn no_result(db: AuditedPool, context: AuditContext) -> Result<(), AppError> {
    audited!(db, context, action = "drafts.swept", |tx| {
        sqlx::query("DELETE FROM drafts").execute(&mut **tx).await.is_ok()
    })
    .await?;
    Ok(())
}

async fn no_error_type(db: AuditedPool, context: AuditContext) {
    audited!(db, context, |tx| {
        sqlx::query("DELETE FROM drafts").execute(&mut **tx).await?;
        Ok(())
    })
    .await
    .unwrap();
}

async fn no_conversion(db: AuditedPool, context: AuditContext) -> Result<(), AppError> {
    audited!(db, context, action = "drafts.swept", |tx| {
        sqlx::query("DELETE FROM drafts").execute(&mut **tx).await?;
        Ok(())
    })
    .await?;
    Ok(())
}

fn main() {}
