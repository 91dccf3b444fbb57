//! A handler: three kinds of errors, an action, a scope under another actor, a spawned task. No annotation anywhere.

use diesel::prelude::*;
use diesel_async::pooled_connection::deadpool::Pool;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
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

async fn write(conn: &mut AsyncPgConnection, id: i64) -> QueryResult<usize> {
    diesel::update(posts::table.find(id)).set(posts::published.eq(true)).execute(conn).await
}

async fn handler(
    pool: Pool<AsyncPgConnection>,
    context: AuditContext,
    billing: AuditContext,
    id: String,
) -> Result<i64, AppError> {
    let mut conn = pool.get().await.map_err(|_| AppError::NotFound)?;
    let reason = String::from("editor approved");
    let outcome = audited!(conn, context, action = "post.published", reason = reason, verb = "publish", |conn| {
        let id = id.parse()?;
        if write(conn, id).await? == 0 {
            return Err(AppError::NotFound);
        }
        let invoice = audited!(conn, &billing, action = "invoice.raised", |conn| {
            diesel::insert_into(invoices::table).values(invoices::post_id.eq(id)).execute(conn).await?;
            Ok(7)
        })
        .await?;
        Ok(id + invoice.value)
    })
    .await?;
    let _: Option<threadline::TransactionId> = outcome.transaction_id;
    Ok(outcome.value)
}

/// The closure's error is another one than the function's where the closure says so.
async fn errors_of_the_closure(conn: &mut AsyncPgConnection, context: &AuditContext) -> Result<(), AppError> {
    // By what it calls.
    audited!(conn, context, |conn| write(conn, 1).await).await?;
    // In words.
    audited!(conn, context, |conn| {
        write(conn, 1).await?;
        Ok::<_, diesel::result::Error>(())
    })
    .await?;
    // By an early return.
    audited!(conn, context, |conn| {
        if write(conn, 1).await? == 0 {
            return Err(diesel::result::Error::NotFound);
        }
        Ok(())
    })
    .await?;
    // In its own return type.
    audited!(conn, context, |conn| -> Result<(), threadline::diesel_async::Error> {
        write(conn, 1).await?;
        Ok(())
    })
    .await?;
    Ok(())
}

/// Everything that can stand in front, and contexts that nobody else holds.
async fn handles(mut conn: AsyncPgConnection, context: AuditContext) -> Result<(), AppError> {
    let user = || AuditContext::without_actor();
    audited!(conn, context, |_conn| Ok(())).await?;
    audited!(&mut conn, user(), move |_conn| Ok(())).await?;
    let session = conn.with(&context).options(IsolationLevel::Serializable);
    audited!(session, &&user(), async |_conn| Ok(()),).await?;
    let mut tx = conn.begin_audited(&context).await?;
    audited!(tx, std::sync::Arc::new(user()), |conn| {
        diesel::delete(posts::table).execute(conn).await?;
        Ok(())
    })
    .await?;
    tx.commit().await?;
    conn.transaction(async |conn| {
        let mut attached = attach(&context, conn).await?;
        audited!(attached, user(), |_conn| Ok(())).await?;
        Ok::<_, AppError>(())
    })
    .await
}

/// In a task, where the function around is the block.
async fn spawned(pool: Pool<AsyncPgConnection>, context: AuditContext) {
    let task = tokio::spawn(async move {
        let mut conn = pool.get().await.map_err(|_| AppError::NotFound)?;
        audited!(conn, context, action = "posts.swept", |conn| {
            write(conn, 1).await?;
            Ok(())
        })
        .await?;
        Ok::<_, AppError>(())
    });
    let _: Result<(), AppError> = task.await.unwrap();
}

async fn with_any_error(
    conn: &mut AsyncPgConnection,
    context: AuditContext,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    audited!(conn, context, |conn| {
        let id = "7".parse()?;
        write(conn, id).await?;
        Ok(())
    })
    .await?;
    Ok(())
}

fn is_send<F: Future + Send>(_: F) {}

pub(crate) fn main() {
    let _ = |pool: Pool<AsyncPgConnection>, conn: AsyncPgConnection, context: AuditContext| {
        is_send(handler(pool.clone(), context.clone(), context.clone(), String::new()));
        is_send(spawned(pool, context.clone()));
        is_send(handles(conn, context.clone()));
    };
    let _ = |conn: &mut AsyncPgConnection, context: AuditContext| {
        is_send(errors_of_the_closure(conn, &context));
        is_send(with_any_error(conn, context));
    };
}
