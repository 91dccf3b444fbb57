//! Reading the trail on every handle.

use std::pin::pin;

use futures_util::TryStreamExt;
use sea_orm::{ConnectionTrait, DatabaseExecutor, DatabaseTransaction, TransactionTrait};
use threadline_core::{
    Action, ActorHistory, ActorRef, AsOf, AuditedTable, Correlation, CountChanges, EnableCapture, Export, ExportFormat,
    ExportPiece, Incident, InstalledVersion, RowHistory, Schema, Timeline, kernel,
};
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

#[tokio::test]
async fn every_read_has_its_name() {
    let target = Target::new();
    let db = target.audited(1);
    let context = user("42").correlation_id("c-1");
    let outcome = db
        .transaction(&context, async |tx| {
            tx.record_action(&Action::new("post.published")).await?;
            insert_post(tx, 1).await?;
            insert_post(tx, 2).await
        })
        .await
        .unwrap();
    let id = outcome.transaction_id.unwrap();
    let posts = Timeline::new().table("posts");
    assert_eq!(db.count_changes(&CountChanges::of(posts.clone())).await.unwrap().count, 2);
    assert_eq!(db.find_transaction(id).await.unwrap().transaction.id, id);
    assert_eq!(db.incident(&Incident::of(id)).await.unwrap().changes.len(), 2);
    assert_eq!(db.correlation(&Correlation::of("c-1")).await.unwrap().changes.entries.len(), 2);
    let of_actor = ActorHistory::of(&ActorRef::user("42").unwrap());
    assert_eq!(db.actor_history(&of_actor).await.unwrap().entries.len(), 1);
}

#[tokio::test]
async fn a_stream_reads_everything_and_leaves_nothing_when_dropped() {
    let target = Target::new();
    let db = target.audited(1);
    db.transaction(&user("42"), async |tx| {
        tx.execute_unprepared("INSERT INTO posts SELECT i, 'title' FROM generate_series(1, 1200) AS i").await
    })
    .await
    .unwrap();
    let everything = Timeline::new().table("posts");
    let all: Vec<_> = db.stream(everything.clone()).try_collect().await.unwrap();
    assert_eq!(all.len(), 1200);
    {
        let mut stream = pin!(db.stream(everything.clone()));
        assert!(stream.try_next().await.unwrap().is_some());
    }
    assert!(crate::support::is_clean(db.unaudited()).await);
    let tx = db.begin(&user("43")).await.unwrap();
    insert_post(&tx, 1201).await.unwrap();
    let within: Vec<_> = Trail::stream(&tx, everything).try_collect().await.unwrap();
    assert_eq!(within.len(), 1201);
}

#[tokio::test]
async fn an_export_writes_every_change() {
    let target = Target::new();
    let db = target.audited(1);
    db.transaction(&user("42"), async |tx| insert_post(tx, 1).await).await.unwrap();
    let mut csv = Vec::new();
    let export = Export::new(Timeline::new().table("posts")).format(ExportFormat::Csv);
    let summary = db.export_to(export.clone(), &mut csv).await.unwrap();
    assert_eq!((summary.returned_count, String::from_utf8(csv.clone()).unwrap().lines().count()), (1, 2));
    let mut awaited = Vec::new();
    assert_eq!(db.export_to_async(export.clone(), &mut awaited).await.unwrap(), summary);
    assert_eq!(awaited, csv);
    let pieces: Vec<_> = tokio::spawn(async move { db.export(export).try_collect().await }).await.unwrap().unwrap();
    assert!(matches!(pieces.last(), Some(ExportPiece::Done(_))), "{pieces:?}");
}
