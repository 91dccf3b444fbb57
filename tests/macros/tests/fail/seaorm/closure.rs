//! The closure returns no `Result`, nothing tells its error type, or that is one that ours does not convert into.

use sea_orm::{ConnectionTrait, DbErr};
use threadline::seaorm::prelude::*;

#[derive(Debug)]
struct AppError;

impl From<DbErr> for AppError {
    fn from(_: DbErr) -> Self {
        Self
    }
}

async fn no_result(db: AuditedDatabase, context: AuditContext) -> Result<(), AppError> {
    audited!(db, context, action = "drafts.swept", |tx| {
        tx.execute_unprepared("DELETE FROM drafts").await.is_ok()
    })
    .await?;
    Ok(())
}

async fn no_error_type(db: AuditedDatabase, context: AuditContext) {
    audited!(db, context, |tx| {
        tx.execute_unprepared("DELETE FROM drafts").await?;
        Ok(())
    })
    .await
    .unwrap();
}

async fn no_conversion(db: AuditedDatabase, context: AuditContext) -> Result<(), AppError> {
    audited!(db, context, action = "drafts.swept", |tx| {
        tx.execute_unprepared("DELETE FROM drafts").await?;
        Ok(())
    })
    .await?;
    Ok(())
}

fn main() {}
