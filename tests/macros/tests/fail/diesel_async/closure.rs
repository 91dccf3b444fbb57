//! The closure returns no `Result`, nothing tells its error type, or that is one that ours does not convert into.

use diesel_async::{AsyncPgConnection, RunQueryDsl};
use threadline::diesel_async::prelude::*;

#[derive(Debug)]
struct AppError;

impl From<diesel::result::Error> for AppError {
    fn from(_: diesel::result::Error) -> Self {
        Self
    }
}

async fn no_result(conn: &mut AsyncPgConnection, context: AuditContext) -> Result<(), AppError> {
    audited!(conn, context, action = "drafts.swept", |conn| {
        diesel::sql_query("DELETE FROM drafts").execute(conn).await.is_ok()
    })
    .await?;
    Ok(())
}

async fn no_error_type(conn: &mut AsyncPgConnection, context: AuditContext) {
    audited!(conn, context, |conn| {
        diesel::sql_query("DELETE FROM drafts").execute(conn).await?;
        Ok(())
    })
    .await
    .unwrap();
}

async fn no_conversion(conn: &mut AsyncPgConnection, context: AuditContext) -> Result<(), AppError> {
    audited!(conn, context, action = "drafts.swept", |conn| {
        diesel::sql_query("DELETE FROM drafts").execute(conn).await?;
        Ok(())
    })
    .await?;
    Ok(())
}

fn main() {}
