//! What our traits say to what does not have them.

use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, Pool};
use threadline::diesel::prelude::*;

fn begins(_: &mut impl AuditDsl) {}
fn reads(_: &mut impl Trail) {}

fn pool(mut pool: Pool<ConnectionManager<PgConnection>>, context: AuditContext) {
    begins(&mut pool);
    reads(&mut pool);
    let _ = pool.begin_audited(&context);
    let _ = pool.timeline(&Timeline::new());
}

fn generic<C: diesel::Connection>(conn: &mut C) {
    begins(conn);
}

fn main() {}
