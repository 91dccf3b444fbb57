//! Adopting a transaction that somebody else opened.

use threadline::sqlx::{BeginAudited, Error, attach};
use threadline::{Action, AuditContext};
use threadline_testkit::Sweep;

use crate::support::{Target, actor, has_transaction, insert_post, on_both, run, user};

on_both! {
    changes_are_attributed_from_attaching_to_detaching,
    an_attached_transaction_records_actions_and_nests,
    the_context_of_an_audited_transaction_comes_back,
    a_transaction_begun_with_sql_text_can_be_attached_to,
    without_a_transaction_attaching_is_refused,
    a_missing_actor_is_refused,
    a_failed_transaction_is_refused,
    dropped_it_leaves_its_context_for_that_transaction_only,
    a_scope_in_a_failed_transaction_never_turns_into_autocommit,
    cancelled_while_attaching_it_leaves_the_transaction_to_its_owner,
}

async fn changes_are_attributed_from_attaching_to_detaching(target: Target) {
    let pool = target.pool(1);
    let mut tx = pool.begin().await.unwrap();
    insert_post(&mut tx, 1).await.unwrap();
    let mut audited = attach(&user("42"), &mut tx).await.unwrap();
    insert_post(&mut audited, 2).await.unwrap();
    audited.detach().await.unwrap();
    insert_post(&mut tx, 3).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(target.trail(), ["posts insert 1 - -", "posts insert 2 42 -", "posts insert 3 - -"]);
}

async fn an_attached_transaction_records_actions_and_nests(target: Target) {
    let pool = target.pool(1);
    let mut tx = pool.begin().await.unwrap();
    let mut audited = attach(&user("outer"), &mut tx).await.unwrap();
    audited.record_action(&Action::new("imported")).await.unwrap();
    audited.nested(Some(&user("inner")), async |tx| insert_post(tx, 1).await).await.unwrap();
    let failed = audited
        .nested(Some(&user("inner")), async |tx| {
            insert_post(tx, 2).await?;
            Err::<(), _>(sqlx::Error::RowNotFound)
        })
        .await;
    assert!(failed.is_err());
    insert_post(&mut audited, 3).await.unwrap();
    audited.detach().await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(target.trail(), ["posts insert 1 inner -", "posts insert 3 outer imported"]);
}

async fn the_context_of_an_audited_transaction_comes_back(target: Target) {
    let pool = target.pool(1);
    let mut tx = pool.begin_audited(&user("outer")).await.unwrap();
    tx.record_action(&Action::new("a")).await.unwrap();
    let mut audited = attach(&user("inner"), &mut tx).await.unwrap();
    insert_post(&mut audited, 1).await.unwrap();
    audited.detach().await.unwrap();
    insert_post(&mut tx, 2).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(target.trail(), ["posts insert 1 inner -", "posts insert 2 outer a"]);
}

async fn a_transaction_begun_with_sql_text_can_be_attached_to(target: Target) {
    let mut connection = target.pool(1).acquire().await.unwrap();
    run(&mut connection, "BEGIN").await.unwrap();
    let mut audited = attach(&user("42"), &mut connection).await.unwrap();
    insert_post(&mut audited, 1).await.unwrap();
    // sqlx would take the savepoint's release for the end of the transaction.
    let error = audited.nested(None, async |_| Ok::<_, Error>(())).await.unwrap_err();
    assert!(error.is_not_in_transaction(), "{error}");
    insert_post(&mut audited, 2).await.unwrap();
    audited.detach().await.unwrap();
    assert!(has_transaction(&mut connection).await);
    run(&mut connection, "COMMIT").await.unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 -", "posts insert 2 42 -"]);
}

async fn without_a_transaction_attaching_is_refused(target: Target) {
    let mut connection = target.pool(1).acquire().await.unwrap();
    let error = attach(&user("42"), &mut connection).await.unwrap_err();
    assert!(error.is_not_in_transaction(), "{error}");
    assert_eq!(actor(&mut connection).await.unwrap(), "");
    let mut tx = connection.begin_audited(&user("43")).await.unwrap();
    insert_post(&mut tx, 1).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(target.trail(), ["posts insert 1 43 -"]);
}

async fn a_missing_actor_is_refused(target: Target) {
    let mut tx = target.pool(1).begin().await.unwrap();
    let error = attach(&AuditContext::without_actor(), &mut tx).await.unwrap_err();
    assert!(error.is_missing_actor(), "{error}");
    insert_post(&mut tx, 1).await.unwrap();
    tx.commit().await.unwrap();
}

async fn a_failed_transaction_is_refused(target: Target) {
    let pool = target.pool(1);
    let mut tx = pool.begin().await.unwrap();
    assert!(run(&mut tx, "SELECT 1 / 0").await.is_err());
    let error = attach(&user("42"), &mut tx).await.unwrap_err();
    assert_eq!(error.sqlstate().as_deref(), Some("25P02"), "{error}");
    tx.rollback().await.unwrap();

    let mut tx = pool.begin().await.unwrap();
    let mut audited = attach(&user("42"), &mut tx).await.unwrap();
    assert!(run(&mut audited, "SELECT 1 / 0").await.is_err());
    assert!(audited.detach().await.unwrap_err().is_rolled_back());
}

async fn dropped_it_leaves_its_context_for_that_transaction_only(target: Target) {
    let pool = target.pool(1);
    let mut tx = pool.begin().await.unwrap();
    drop(attach(&user("42"), &mut tx).await.unwrap());
    insert_post(&mut tx, 1).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = pool.begin().await.unwrap();
    insert_post(&mut tx, 2).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 -", "posts insert 2 - -"]);
}

async fn a_scope_in_a_failed_transaction_never_turns_into_autocommit(target: Target) {
    let pool = target.pool(1);
    let mut tx = pool.begin().await.unwrap();
    let mut audited = attach(&user("42"), &mut tx).await.unwrap();
    assert!(run(&mut audited, "SELECT 1 / 0").await.is_err());
    let error = audited.nested(None, async |_| Ok::<_, Error>(())).await.unwrap_err();
    assert!(error.is_rolled_back(), "{error}");
    assert!(insert_post(&mut audited, 1).await.is_err());
    drop(audited);
    // Its owner can do nothing but roll back either.
    assert!(insert_post(&mut tx, 2).await.is_err());
    tx.rollback().await.unwrap();
    assert_eq!(target.count("posts"), 0);
    assert!(!has_transaction(&mut pool.acquire().await.unwrap()).await);
}

async fn cancelled_while_attaching_it_leaves_the_transaction_to_its_owner(target: Target) {
    let pool = target.pool(1);
    let mut sweep = Sweep::new(20, 1);
    while let Some(round) = sweep.next_round() {
        let mut tx = pool.begin().await.unwrap();
        insert_post(&mut tx, i64::try_from(round).unwrap()).await.unwrap();
        drop(sweep.cancel(attach(&user("42"), &mut tx)).await);
        tx.commit().await.unwrap();
        let mut connection = pool.acquire().await.unwrap();
        assert_eq!(actor(&mut connection).await.unwrap(), "");
        assert!(!has_transaction(&mut connection).await);
    }
    assert_eq!(usize::try_from(target.count("posts")).unwrap(), sweep.rounds());
}
