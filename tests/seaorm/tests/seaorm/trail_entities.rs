//! The trail through SeaORM's own queries.

use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, DbErr, EntityTrait, ModelTrait, QueryFilter, QueryOrder,
};
use threadline_core::Action;
use threadline_seaorm::entities::{audit_actions, audit_changes, audit_transactions};

use crate::support::{Target, insert_post, user};

#[tokio::test]
async fn relations_lead_from_changes_to_transactions_and_actions_and_back() {
    let target = Target::new();
    let db = target.audited(1);
    let context = user("42").request_id("req-7f3").meta("tenant", "acme");
    let outcome = db
        .transaction(&context, async |tx| {
            tx.record_action(&Action::new("post.published").reason("why")).await?;
            insert_post(tx, 1).await?;
            insert_post(tx, 2).await
        })
        .await
        .unwrap();
    db.transaction(&user("43"), async |tx| insert_post(tx, 3).await).await.unwrap();
    let db = db.unaudited();

    let changes = audit_changes::Entity::find()
        .filter(audit_changes::Column::TableName.eq("posts"))
        .order_by_asc(audit_changes::Column::CapturedAt)
        .order_by_asc(audit_changes::Column::Id)
        .find_also_related(audit_transactions::Entity)
        .all(db)
        .await
        .unwrap();
    let actors: Vec<_> =
        changes.iter().map(|(_, tx)| tx.as_ref().unwrap().actor_ref.clone().unwrap()["id"].clone()).collect();
    assert_eq!(actors, ["42", "42", "43"]);
    let (first, transaction) = &changes[0];
    assert_eq!((first.op.as_str(), first.table_schema.as_str()), ("insert", "public"));
    assert_eq!(first.table_pk.as_ref().unwrap()["id"], 1);
    assert_eq!(first.data_after.as_ref().unwrap()["title"], "title");
    assert_eq!((&first.changed_fields, &first.withheld), (&None, &None));
    let transaction = transaction.as_ref().unwrap();
    assert_eq!(Some(transaction.id), outcome.transaction_id.map(|id| id.get()));
    assert_eq!(transaction.meta.as_ref().unwrap()["tenant"], "acme");

    let of_request = audit_transactions::Entity::find()
        .filter(audit_transactions::Column::RequestId.eq("req-7f3"))
        .find_with_related(audit_changes::Entity)
        .all(db)
        .await
        .unwrap();
    assert_eq!((of_request.len(), of_request[0].1.len()), (1, 2));

    let action = audit_actions::Entity::find().one(db).await.unwrap().unwrap();
    assert_eq!(
        (action.name.as_str(), action.status.as_str(), action.reason.as_deref()),
        ("post.published", "ok", Some("why"))
    );
    let through: Vec<audit_changes::Model> = action.find_related(audit_changes::Entity).all(db).await.unwrap();
    assert_eq!(through.len(), 2);
    let back = first.find_related(audit_actions::Entity).one(db).await.unwrap().unwrap();
    assert_eq!(back, action);
}

#[tokio::test]
async fn an_update_tells_what_changed() {
    let target = Target::new();
    let db = target.audited(1);
    db.transaction(&user("42"), async |tx| {
        insert_post(tx, 1).await?;
        let post =
            crate::entity::posts::ActiveModel { id: Set(1), title: Set("other".to_owned()), ..Default::default() };
        post.update(tx).await
    })
    .await
    .unwrap();
    let update = audit_changes::Entity::find()
        .filter(audit_changes::Column::Op.eq("update"))
        .one(db.unaudited())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(update.changed_fields, Some(vec!["title".to_owned()]));
    assert_eq!(update.changed_from.unwrap()["title"], "title");
}

#[tokio::test]
async fn the_database_refuses_to_change_it() {
    let target = Target::new();
    let db = target.audited(1);
    db.transaction(&user("42"), async |tx| insert_post(tx, 1).await).await.unwrap();
    let deleted = audit_changes::Entity::delete_many().exec(db.unaudited()).await;
    let error: threadline_seaorm::Error = deleted.map(drop).map_err(DbErr::into).unwrap_err();
    assert!(error.as_core().is_some_and(threadline_core::Error::is_append_only), "{error}");
}
