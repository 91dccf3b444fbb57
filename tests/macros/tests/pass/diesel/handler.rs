//! A handler: three kinds of errors, an action, a scope under another actor. No annotation anywhere.

use diesel::connection::LoadConnection;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, Pool};
use threadline::diesel::prelude::*;

#[derive(Debug)]
enum AppError {
    Number(std::num::ParseIntError),
    Database(diesel::result::Error),
    Audit(threadline::diesel::Error),
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

impl From<threadline::diesel::Error> for AppError {
    fn from(error: threadline::diesel::Error) -> Self {
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

fn write(conn: &mut PgConnection, id: i64) -> QueryResult<usize> {
    diesel::update(posts::table.find(id)).set(posts::published.eq(true)).execute(conn)
}

fn handler(conn: &mut PgConnection, context: AuditContext, billing: AuditContext, id: String) -> Result<i64, AppError> {
    let reason = String::from("editor approved");
    let outcome = audited!(conn, context, action = "post.published", reason = reason, verb = "publish", |conn| {
        let id = id.parse()?;
        if write(conn, id)? == 0 {
            return Err(AppError::NotFound);
        }
        let invoice = audited!(conn, &billing, action = "invoice.raised", |conn| {
            diesel::insert_into(invoices::table).values(invoices::post_id.eq(id)).execute(conn)?;
            Ok(7)
        })?;
        Ok(id + invoice.value)
    })?;
    let _: Option<threadline::TransactionId> = outcome.transaction_id;
    Ok(outcome.value)
}

/// The closure's error is another one than the function's where the closure says so.
fn errors_of_the_closure(conn: &mut PgConnection, context: &AuditContext) -> Result<(), AppError> {
    // By what it calls.
    audited!(conn, context, |conn| write(conn, 1))?;
    // In words.
    audited!(conn, context, |conn| {
        write(conn, 1)?;
        Ok::<_, diesel::result::Error>(())
    })?;
    // By an early return.
    audited!(conn, context, |conn| {
        if write(conn, 1)? == 0 {
            return Err(diesel::result::Error::NotFound);
        }
        Ok(())
    })?;
    // In its own return type.
    audited!(conn, context, |conn| -> Result<(), threadline::diesel::Error> {
        write(conn, 1)?;
        Ok(())
    })?;
    Ok(())
}

/// Everything that can stand in front, and contexts that nobody else holds.
fn handles(pool: &Pool<ConnectionManager<PgConnection>>, context: AuditContext) -> Result<(), AppError> {
    let user = || AuditContext::without_actor();
    let mut conn = pool.get().map_err(|_| AppError::NotFound)?;
    audited!(conn, context, |_conn| Ok(()))?;
    audited!(&mut conn, user(), |_conn| Ok(()))?;
    audited!(pool.get().map_err(|_| AppError::NotFound)?, user(), move |_conn| Ok(()))?;
    let session = conn.with(&context).options(IsolationLevel::Serializable);
    audited!(session, &&user(), |_conn| Ok(()),)?;
    let mut tx = conn.begin_audited(&context)?;
    audited!(tx, std::sync::Arc::new(user()), |conn| {
        diesel::delete(posts::table).execute(conn)?;
        Ok(())
    })?;
    tx.commit()?;
    conn.transaction(|conn| {
        let mut attached = attach(&context, conn)?;
        audited!(attached, user(), |_conn| Ok(()))?;
        Ok::<_, AppError>(())
    })
}

fn generic<C: LoadConnection<Backend = Pg>>(conn: &mut C, context: &AuditContext) -> Result<(), AppError> {
    audited!(conn, context, |_conn| Ok(()))?;
    Ok(())
}

fn with_any_error(conn: &mut PgConnection, context: AuditContext) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    audited!(conn, context, |conn| {
        let id = "7".parse()?;
        write(conn, id)?;
        Ok(())
    })?;
    Ok(())
}

pub(crate) fn main() {
    let _ = (handler, errors_of_the_closure, handles, generic::<PgConnection>, with_any_error);
}
