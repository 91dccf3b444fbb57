//! What is no handle: SeaORM's own, and the arguments in the wrong order.

use sea_orm::{DatabaseConnection, DatabaseExecutor, DatabaseTransaction};
use threadline::seaorm::prelude::*;

type Result = std::result::Result<(), threadline::seaorm::Error>;

async fn plain_connection(db: DatabaseConnection, context: AuditContext) -> Result {
    audited!(db, context, |_tx| Ok(())).await?;
    Ok(())
}

async fn borrowed_connection(db: &DatabaseConnection, context: &AuditContext) -> Result {
    audited!(db, context, |_tx| Ok(())).await?;
    Ok(())
}

async fn plain_transaction(tx: &DatabaseTransaction, context: AuditContext) -> Result {
    audited!(tx, context, |_tx| Ok(())).await?;
    Ok(())
}

async fn migration(executor: DatabaseExecutor<'_>, context: AuditContext) -> Result {
    audited!(executor, context, |_tx| Ok(())).await?;
    Ok(())
}

async fn wrong_order(db: &AuditedDatabase, context: &AuditContext) -> Result {
    audited!(context, db, |_tx| Ok(())).await?;
    Ok(())
}

async fn something_else(url: String, context: AuditContext) -> Result {
    audited!(url, context, |_tx| Ok(())).await?;
    Ok(())
}

fn main() {}
