//! What our traits say to what does not have them.

use threadline::sqlx::prelude::*;

fn begins<'c>(_: impl BeginAudited<'c>) {}

fn no_handle(tx: AuditedTransaction<'static>) {
    begins(tx);
}

fn main() {}
