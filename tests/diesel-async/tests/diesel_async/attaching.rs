//! Adopting a transaction that somebody else opened.

use diesel::result::Error as DieselError;
use diesel_async::AsyncConnection;
use threadline_core::{Action, AuditContext};
use threadline_diesel::Error;
use threadline_diesel::asynchronous::{AuditDsl, attach};

use crate::support::{Target, actor, has_transaction, insert_post, run, user};

#[tokio::test]
async fn changes_are_attributed_from_attaching_to_detaching() {
    let target = Target::new();
    let mut conn = target.connect().await;
    conn.transaction(async |conn| {
        insert_post(conn, 1).await?;
        let mut attached = attach(&user("42"), conn).await?;
        attached.record_action(&Action::new("imported")).await?;
        insert_post(&mut attached, 2).await?;
        attached.nested(Some(&user("inner")), async |conn| insert_post(conn, 3).await).await?;
        let failed = attached.nested(None, async |conn| {
            insert_post(conn, 4).await?;
            Err::<(), _>(DieselError::NotFound)
        });
        assert!(failed.await.is_err());
        insert_post(&mut attached, 5).await?;
        attached.detach().await?;
        insert_post(conn, 6).await
    })
    .await
    .unwrap();
    let expected = [
        "posts insert 1 - -",
        "posts insert 2 42 imported",
        "posts insert 3 inner -",
        "posts insert 5 42 imported",
        "posts insert 6 - -",
    ];
    assert_eq!(target.trail(), expected);
}

#[tokio::test]
async fn the_context_of_an_audited_transaction_comes_back() {
    let target = Target::new();
    let mut conn = target.connect().await;
    let mut tx = conn.begin_audited(&user("outer")).await.unwrap();
    tx.record_action(&Action::new("a")).await.unwrap();
    let mut attached = attach(&user("inner"), &mut tx).await.unwrap();
    insert_post(&mut attached, 1).await.unwrap();
    attached.detach().await.unwrap();
    insert_post(&mut tx, 2).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(target.trail(), ["posts insert 1 inner -", "posts insert 2 outer a"]);
}

#[tokio::test]
async fn a_transaction_begun_with_sql_text_can_be_attached_to() {
    let target = Target::new();
    let mut conn = target.connect().await;
    run(&mut conn, "BEGIN").await.unwrap();
    let mut attached = attach(&user("42"), &mut conn).await.unwrap();
    insert_post(&mut attached, 1).await.unwrap();
    // Diesel would take the savepoint's release for the end of the transaction.
    let error = attached.nested(None, async |_| Ok::<_, Error>(())).await.unwrap_err();
    assert!(error.is_not_in_transaction(), "{error}");
    attached.record_action(&Action::new("imported")).await.unwrap();
    insert_post(&mut attached, 2).await.unwrap();
    attached.detach().await.unwrap();
    assert!(has_transaction(&mut conn).await);
    run(&mut conn, "COMMIT").await.unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 imported", "posts insert 2 42 imported"]);
}

#[tokio::test]
async fn without_a_transaction_attaching_is_refused() {
    let target = Target::new();
    let mut conn = target.connect().await;
    let error = attach(&user("42"), &mut conn).await.map(drop).unwrap_err();
    assert!(error.is_not_in_transaction(), "{error}");
    assert_eq!(actor(&mut conn).await.unwrap(), "");
}

#[tokio::test]
async fn a_missing_actor_is_refused() {
    let target = Target::new();
    let mut conn = target.connect().await;
    conn.transaction(async |conn| {
        let error = attach(&AuditContext::without_actor(), conn).await.map(drop).unwrap_err();
        assert!(error.is_missing_actor(), "{error}");
        insert_post(conn, 1).await
    })
    .await
    .unwrap();
    assert_eq!(target.trail(), ["posts insert 1 - -"]);
}

#[tokio::test]
async fn a_failed_transaction_is_found_out_when_detaching() {
    let target = Target::new();
    let mut conn = target.connect().await;
    let mut tx = conn.begin_audited(&user("outer")).await.unwrap();
    let mut attached = attach(&user("42"), &mut tx).await.unwrap();
    assert!(run(&mut attached, "SELECT 1 / 0").await.is_err());
    let error = attached.detach().await.unwrap_err();
    assert!(error.is_rolled_back(), "{error:?}");
}

#[tokio::test]
async fn dropped_it_leaves_its_context_for_that_transaction_only() {
    let target = Target::new();
    let mut conn = target.connect().await;
    conn.transaction(async |conn| {
        drop(attach(&user("42"), conn).await?);
        insert_post(conn, 1).await?;
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
    insert_post(&mut conn, 2).await.unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 -", "posts insert 2 - -"]);
}
