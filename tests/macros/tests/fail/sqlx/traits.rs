//! What our traits say to what does not have them.

use threadline::sqlx::prelude::*;

fn begins<'c>(_: impl BeginAudited<'c>) {}
fn reads(_: impl Trail) {}

fn no_handle(tx: AuditedTransaction<'static>, session: Session) {
    begins(tx);
    reads(session);
}

fn main() {}
