//! What our traits say to what does not have them.

use threadline::sqlx::prelude::*;

fn reads(_: impl Trail) {}

fn begins<'c>(_: impl BeginAudited<'c>) {}

fn no_handles(actor: ActorRef, tx: AuditedTransaction<'static>) {
    reads(&actor);
    begins(tx);
}

fn main() {}
