//! The closure returns no `Result`, nothing tells its error type, or that is one that ours does not convert into.

use diesel::prelude::*;
use threadline::diesel::prelude::*;

#[derive(Debug)]
struct AppError;

impl From<diesel::result::Error> for AppError {
    fn from(_: diesel::result::Error) -> Self {
        Self
    }
}

fn no_result(conn: &mut PgConnection, context: AuditContext) -> Result<(), AppError> {
    audited!(conn, context, action = "drafts.swept", |conn| {
        diesel::sql_query("DELETE FROM drafts").execute(conn).is_ok()
    })?;
    Ok(())
}

fn no_error_type(conn: &mut PgConnection, context: AuditContext) {
    audited!(conn, context, |conn| {
        diesel::sql_query("DELETE FROM drafts").execute(conn)?;
        Ok(())
    })
    .unwrap();
}

fn no_conversion(conn: &mut PgConnection, context: AuditContext) -> Result<(), AppError> {
    audited!(conn, context, action = "drafts.swept", |conn| {
        diesel::sql_query("DELETE FROM drafts").execute(conn)?;
        Ok(())
    })?;
    Ok(())
}

fn main() {}
