//! What our traits say to what does not have them.

use sea_orm::DatabaseConnection;
use threadline::seaorm::prelude::*;
use threadline::seaorm::{IntoTransactionOptions, OpenTransaction};

fn reads(_: &impl Trail) {}
fn open(_: &impl OpenTransaction) {}
fn options(_: impl IntoTransactionOptions) {}

async fn plain_handles(db: DatabaseConnection, session: Session, context: AuditContext) {
    reads(&session);
    open(&db);
    let _ = attach(&context, &db).await;
    options("serializable");
    let _ = session.options("serializable");
}

fn main() {}
