//! Reading the trail on every handle.

use sea_orm::{ConnectionTrait, DatabaseExecutor, DatabaseTransaction, TransactionTrait};
use threadline_core::{AsOf, AuditedTable, EnableCapture, InstalledVersion, RowHistory, Schema, Timeline, kernel};
use threadline_seaorm::{AuditedDatabase, Trail};
use time::OffsetDateTime;

use crate::support::{Target, insert_post, user};

async fn timeline<T: Trail>(handle: &T) -> usize {
    handle.timeline(&Timeline::new().table("posts")).await.unwrap().entries.len()
}

#[tokio::test]
async fn every_handle_reads() {
    let target = Target::new();
    let db = target.audited(2);
    db.transaction(&user("42"), async |tx| insert_post(tx, 7).await).await.unwrap();
    assert_eq!(timeline(&db).await, 1);
    assert_eq!(timeline(db.unaudited()).await, 1);
    assert_eq!(timeline(&DatabaseExecutor::from(db.unaudited())).await, 1);
    let plain = db.unaudited().begin().await.unwrap();
    assert_eq!(timeline(&plain).await, 1);
    assert_eq!(timeline(&DatabaseExecutor::from(&plain)).await, 1);
    let attached = threadline_seaorm::attach(&user("43"), &plain).await.unwrap();
    assert_eq!(timeline(&attached).await, 1);
    attached.detach().await.unwrap();
    plain.rollback().await.unwrap();
    let history = db.row_history(&RowHistory::by_id("public", "posts", 7)).await.unwrap();
    assert_eq!(history.entries.len(), 1);
    let at = OffsetDateTime::now_utc();
    let json = db.as_of_json(&AsOf::by_id("public", "posts", 7, at)).await.unwrap();
    assert!(json.get().contains("title"), "{json:?}");
}

#[tokio::test]
async fn an_open_transaction_reads_its_own_changes() {
    let target = Target::new();
    let db = target.audited(2);
    let tx = db.begin(&user("42")).await.unwrap();
    insert_post(&tx, 1).await.unwrap();
    assert_eq!(timeline(&tx).await, 1);
    let plain: &DatabaseTransaction = &tx;
    assert_eq!(timeline(plain).await, 1);
    assert_eq!(timeline(&db).await, 0);
}

#[tokio::test]
async fn without_a_transaction_writing_is_refused() {
    let target = Target::new();
    let db = target.audited(1);
    let error = db.run(&EnableCapture::new(AuditedTable::new("public", "plain"))).await.unwrap_err();
    assert_eq!(error.sqlstate().as_deref(), Some("25006"), "{error}");
}

#[tokio::test]
async fn a_kernel_in_another_schema_is_known_to_its_handles() {
    let target = Target::new();
    let schema = Schema::new("Audit trail").unwrap();
    let db = AuditedDatabase::new(target.connection(1)).with_schema(schema.clone());
    assert_eq!(db.run(&InstalledVersion).await.unwrap(), None);
    db.install().await.unwrap();
    assert_eq!(db.run(&InstalledVersion).await.unwrap(), Some(kernel::LATEST));
    assert_eq!(db.unaudited().run_in(&schema, &InstalledVersion).await.unwrap(), Some(kernel::LATEST));
    db.apply(&EnableCapture::new(AuditedTable::new("public", "plain"))).await.unwrap();
    let outcome = db
        .transaction(&user("42"), async |tx| {
            tx.execute_unprepared("INSERT INTO plain VALUES (1)").await?;
            tx.record_action(&threadline_core::Action::new("a")).await?;
            tx.nested(Some(&user("inner")), async |tx| tx.execute_unprepared("INSERT INTO plain VALUES (2)").await)
                .await
        })
        .await
        .unwrap();
    assert!(outcome.transaction_id.is_some());
    let page = db.timeline(&Timeline::new()).await.unwrap();
    assert_eq!(page.entries.len(), 2);
    assert_eq!(target.trail(), [""; 0]);
}
