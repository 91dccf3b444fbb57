//! Adopting a transaction that somebody else opened.

use sea_orm::{ConnectionTrait, DatabaseExecutor, DatabaseTransaction, DbErr, TransactionTrait};
use threadline_core::{Action, AuditContext};
use threadline_seaorm::{Error, attach, audited};
use threadline_testkit::Sweep;

use crate::entity::{articles, authors};
use crate::support::{Target, insert_post, is_clean, user};

#[tokio::test]
async fn changes_are_attributed_from_attaching_to_detaching() {
    let target = Target::new();
    let tx = target.connection(1).begin().await.unwrap();
    insert_post(&tx, 1).await.unwrap();
    let audited = attach(&user("42"), &tx).await.unwrap();
    assert_eq!(audited.context(), &user("42"));
    insert_post(&audited, 2).await.unwrap();
    audited.detach().await.unwrap();
    insert_post(&tx, 3).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(target.trail(), ["posts insert 1 - -", "posts insert 2 42 -", "posts insert 3 - -"]);
}

#[tokio::test]
async fn an_attached_transaction_records_actions_and_nests() {
    let target = Target::new();
    let tx = target.connection(1).begin().await.unwrap();
    let audited = attach(&user("outer"), &tx).await.unwrap();
    audited.record_action(&Action::new("imported")).await.unwrap();
    audited.nested(Some(&user("inner")), async |tx| insert_post(tx, 1).await).await.unwrap();
    let failed = audited
        .nested(Some(&user("inner")), async |tx| {
            insert_post(tx, 2).await?;
            Err::<(), _>(DbErr::RecordNotUpdated)
        })
        .await;
    assert!(failed.is_err());
    let author = authors::ActiveModel::builder()
        .set_name("Ursula")
        .add_article(articles::ActiveModel::builder().set_title("first"));
    author.save(&audited).await.unwrap();
    insert_post(&audited, 3).await.unwrap();
    audited.detach().await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(
        target.trail(),
        [
            "posts insert 1 inner -",
            "authors insert 1 outer imported",
            "articles insert 1 outer imported",
            "posts insert 3 outer imported"
        ]
    );
}

#[tokio::test]
async fn the_macro_takes_an_attached_transaction() {
    let target = Target::new();
    let tx = target.connection(1).begin().await.unwrap();
    let audited = attach(&user("outer"), &tx).await.unwrap();
    let (inner, kept) = (user("inner"), "posted");
    let outcome = audited!(audited, inner, action = kept, |tx| insert_post(tx, 1).await).await.unwrap();
    assert!(outcome.transaction_id.is_some());
    let refused = audited!(audited, inner, action = "lost", |tx| {
        insert_post(tx, 2).await?;
        Err::<(), _>(DbErr::RecordNotUpdated)
    });
    assert!(refused.await.is_err());
    insert_post(&audited, 3).await.unwrap();
    audited.detach().await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(target.trail(), ["posts insert 1 inner posted", "posts insert 3 outer -"]);
    assert_eq!(target.actions(), ["posted ok inner"]);
}

#[tokio::test]
async fn the_context_of_an_audited_transaction_comes_back() {
    let target = Target::new();
    let tx = target.audited(1).begin(&user("outer")).await.unwrap();
    tx.record_action(&Action::new("a")).await.unwrap();
    let audited = attach(&user("inner"), &tx).await.unwrap();
    insert_post(&audited, 1).await.unwrap();
    audited.detach().await.unwrap();
    insert_post(&tx, 2).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(target.trail(), ["posts insert 1 inner -", "posts insert 2 outer a"]);
}

#[tokio::test]
async fn functions_of_seaorm_take_it() {
    async fn plain(tx: &DatabaseTransaction, id: i64) -> Result<(), DbErr> {
        insert_post(tx, id).await
    }
    let target = Target::new();
    let tx = target.connection(1).begin().await.unwrap();
    let executor = DatabaseExecutor::from(&tx);
    let audited = attach(&user("42"), &executor).await.unwrap();
    plain(&audited, 1).await.unwrap();
    audited.detach().await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 -"]);
}

#[tokio::test]
async fn without_a_transaction_attaching_is_refused() {
    let target = Target::new();
    let connection = target.connection(1);
    let error = attach(&user("42"), &DatabaseExecutor::from(&connection)).await.unwrap_err();
    assert!(error.is_not_in_transaction(), "{error}");
    assert!(is_clean(&connection).await);
}

#[tokio::test]
async fn a_missing_actor_is_refused() {
    let target = Target::new();
    let tx = target.connection(1).begin().await.unwrap();
    let error = attach(&AuditContext::without_actor(), &tx).await.unwrap_err();
    assert!(error.is_missing_actor(), "{error}");
    insert_post(&tx, 1).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_failed_transaction_is_refused() {
    let target = Target::new();
    let connection = target.connection(1);
    let tx = connection.begin().await.unwrap();
    assert!(tx.execute_unprepared("SELECT 1 / 0").await.is_err());
    let error = attach(&user("42"), &tx).await.unwrap_err();
    assert_eq!(error.sqlstate().as_deref(), Some("25P02"), "{error}");
    tx.rollback().await.unwrap();

    let tx = connection.begin().await.unwrap();
    let audited = attach(&user("42"), &tx).await.unwrap();
    assert!(audited.execute_unprepared("SELECT 1 / 0").await.is_err());
    assert!(audited.detach().await.unwrap_err().is_rolled_back());
}

#[tokio::test]
async fn dropped_it_leaves_its_context_for_that_transaction_only() {
    let target = Target::new();
    let connection = target.connection(1);
    let tx = connection.begin().await.unwrap();
    drop(attach(&user("42"), &tx).await.unwrap());
    insert_post(&tx, 1).await.unwrap();
    tx.commit().await.unwrap();
    insert_post(&connection, 2).await.unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 -", "posts insert 2 - -"]);
}

#[tokio::test]
async fn a_scope_in_a_failed_transaction_never_turns_into_autocommit() {
    let target = Target::new();
    let connection = target.connection(1);
    let tx = connection.begin().await.unwrap();
    let audited = attach(&user("42"), &tx).await.unwrap();
    // Its owner's statement, which we cannot see.
    assert!(tx.execute_unprepared("SELECT 1 / 0").await.is_err());
    let error = audited.nested(None, async |_| Ok::<_, Error>(())).await.unwrap_err();
    assert!(error.is_rolled_back(), "{error}");
    assert!(insert_post(&audited, 1).await.is_err());
    drop(audited);
    assert!(insert_post(&tx, 2).await.is_err());
    tx.rollback().await.unwrap();
    assert_eq!(target.count("posts"), 0);
    assert!(is_clean(&connection).await);
}

#[tokio::test]
async fn nothing_runs_through_it_after_seaorm_has_rolled_back() {
    let target = Target::new();
    let connection = target.connection(1);
    let mut refused = 0;
    let mut sweep = Sweep::new(80, 1);
    while let Some(round) = sweep.next_round() {
        let round = i64::try_from(round).unwrap();
        let tx = connection.begin().await.unwrap();
        let audited = attach(&user("42"), &tx).await.unwrap();
        let scope = audited.nested(None, async |tx| insert_post(tx, 1_000_000 + round).await);
        drop(sweep.cancel(scope).await);
        if let Err(error) = insert_post(&audited, round).await {
            let error = Error::from(error);
            assert!(error.is_rolled_back() || error.sqlstate().is_some(), "{error}");
            refused += 1;
        }
        drop(audited);
        tx.rollback().await.unwrap();
        assert!(is_clean(&connection).await);
    }
    assert!(refused > 0, "the savepoint was cancelled on its way at least once");
    assert_eq!((target.count("posts"), target.trail().len()), (0, 0));
}
