//! A scope narrows every read, and nothing widens it.

use futures_util::TryStreamExt;
use threadline::sqlx::{Error, Trail};
use threadline::{
    ActorHistory, ActorRef, AuditContext, Correlation, CountChanges, Export, ExportPiece, Incident, RowHistory, Scope,
    Timeline,
};

use crate::world::{database, pool};

#[tokio::test]
async fn what_is_out_of_scope_is_not_there() {
    let database = database();
    let db = pool(database.url()).scoped();
    let mut ids = Vec::new();
    for (id, tenant) in [(1, "acme"), (2, "umbrella")] {
        let context = AuditContext::new(ActorRef::user("1").unwrap()).correlation_id("c-1").meta("tenant", tenant);
        let outcome = db
            .transaction(&context, async |tx| {
                let sql = format!("INSERT INTO posts VALUES ({id}, 'x', 1, '{tenant}')");
                sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut **tx).await?;
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
        ids.push(outcome.transaction_id.unwrap());
    }
    let everything = Timeline::new().table("posts");
    assert_eq!(db.unscoped().timeline(&everything).await.unwrap().entries.len(), 2);
    for scope in [Scope::meta("tenant", "acme"), Scope::field("tenant", "acme")] {
        let acme = db.scope(scope);
        let mine = |table_pk: &Option<threadline::Json>| table_pk.as_ref().unwrap().get() == r#"{"id": 1}"#;
        let page = acme.timeline(&everything).await.unwrap();
        assert!(page.entries.len() == 1 && mine(&page.entries[0].change.table_pk));
        assert_eq!(acme.count_changes(&CountChanges::of(everything.clone())).await.unwrap().count, 1);
        assert!(acme.row_history(&RowHistory::by_id("public", "posts", 2)).await.unwrap().is_empty());
        let bundle = acme.correlation(&Correlation::of("c-1")).await.unwrap();
        assert_eq!(bundle.changes.entries.len(), 1);
        let history = acme.actor_history(&ActorHistory::of(&ActorRef::user("1").unwrap())).await.unwrap();
        assert_eq!(history.entries.iter().map(|entry| entry.transaction.id).collect::<Vec<_>>(), ids[..1]);
        assert!(acme.find_transaction(ids[0]).await.is_ok() && acme.incident(&Incident::of(ids[0])).await.is_ok());
        for error in
            [acme.find_transaction(ids[1]).await.unwrap_err(), acme.incident(&Incident::of(ids[1])).await.unwrap_err()]
        {
            assert!(error.as_core().unwrap().is_not_found(), "{error}");
        }
        assert_eq!(acme.stream(&everything).try_collect::<Vec<_>>().await.unwrap().len(), 1);
        let pieces: Vec<ExportPiece> = acme.export(&Export::new(everything.clone())).try_collect().await.unwrap();
        assert!(matches!(pieces.last(), Some(ExportPiece::Done(summary)) if summary.returned_count == 1));
        // A scope that a filter brings along narrows further.
        let other = everything.clone().scope(&Scope::meta("tenant", "umbrella"));
        assert!(acme.timeline(&other).await.unwrap().is_empty());
    }
    let error = db.scope(Scope::field("", 1)).timeline(&everything).await.unwrap_err();
    assert_eq!(error.as_core().unwrap().setting(), Some("scope"));
}
