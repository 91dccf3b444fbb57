//! What our traits say to what does not have them.

use diesel_async::AsyncPgConnection;
use diesel_async::pooled_connection::deadpool::Pool;
use threadline::diesel_async::prelude::*;
use threadline::diesel_async::{AsyncBody, AuditDsl, Trail};

fn begins(_: &mut impl AuditDsl) {}
fn reads(_: &mut impl Trail) {}
fn body<F, R>(_: F)
where
    F: for<'r> AsyncBody<&'r mut AsyncPgConnection, R>,
{
}

async fn pool(mut pool: Pool<AsyncPgConnection>, context: AuditContext) {
    begins(&mut pool);
    reads(&mut String::new());
    let _ = pool.begin_audited(&context).await;
    let _ = pool.timeline(&Timeline::new()).await;
}

async fn blocking_closure(mut conn: AsyncPgConnection, context: AuditContext) {
    body::<_, ()>(|_conn: &mut AsyncPgConnection| ());
    let _ = conn.audited(&context, |_conn| Ok::<_, threadline::diesel_async::Error>(())).await;
}

fn main() {}
