//! Scopes inside a transaction: their own context, and the outer one back whichever way they end.

use std::future::pending;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, TransactionTrait};
use threadline_core::{Action, AuditContext};
use threadline_seaorm::Error;

use crate::support::{Target, actor, insert_post, is_clean, user};

#[tokio::test]
async fn a_scope_inherits_the_context() {
    let target = Target::new();
    let outcome = target
        .audited(1)
        .transaction(&user("42"), async |tx| {
            insert_post(tx, 1).await?;
            tx.nested(None, async |tx| {
                assert_eq!(tx.context(), &user("42"));
                insert_post(tx, 2).await
            })
            .await?;
            insert_post(tx, 3).await
        })
        .await
        .unwrap();
    assert!(outcome.transaction_id.is_some());
    assert_eq!(target.trail(), ["posts insert 1 42 -", "posts insert 2 42 -", "posts insert 3 42 -"]);
    assert_eq!(target.count("threadline.audit_transactions"), 1);
}

#[tokio::test]
async fn a_scope_with_another_context_restores_the_outer_one() {
    let target = Target::new();
    target
        .audited(1)
        .transaction(&user("outer"), async |tx| {
            insert_post(tx, 1).await?;
            let value = tx
                .nested(Some(&user("inner").correlation_id("c")), async |tx| {
                    assert_eq!(tx.context().get_correlation_id(), Some("c"));
                    insert_post(tx, 2).await?;
                    Ok::<_, DbErr>("value")
                })
                .await?;
            assert_eq!((value, tx.context()), ("value", &user("outer")));
            insert_post(tx, 3).await
        })
        .await
        .unwrap();
    assert_eq!(target.trail(), ["posts insert 1 outer -", "posts insert 2 inner -", "posts insert 3 outer -"]);
}

#[tokio::test]
async fn scopes_nest_to_any_depth() {
    let target = Target::new();
    target
        .audited(1)
        .transaction(&user("1"), async |tx| {
            tx.nested(Some(&user("2")), async |tx| {
                tx.nested(Some(&user("3")), async |tx| {
                    tx.nested(None, async |tx| insert_post(tx, 3).await).await?;
                    Ok::<_, Error>(())
                })
                .await?;
                insert_post(tx, 2).await.map_err(Error::from)
            })
            .await?;
            insert_post(tx, 1).await.map_err(Error::from)
        })
        .await
        .unwrap();
    assert_eq!(target.trail(), ["posts insert 3 3 -", "posts insert 2 2 -", "posts insert 1 1 -"]);
}

#[tokio::test]
async fn an_error_rolls_back_the_scope_alone() {
    let target = Target::new();
    target
        .audited(1)
        .transaction(&user("outer"), async |tx| {
            insert_post(tx, 1).await?;
            for inner in [None, Some(&user("inner"))] {
                let failed = tx
                    .nested(inner, async |tx| {
                        insert_post(tx, 2).await?;
                        Err::<(), _>(DbErr::RecordNotUpdated)
                    })
                    .await;
                assert!(matches!(failed, Err(DbErr::RecordNotUpdated)));
            }
            assert_eq!(actor(tx).await?, "outer");
            insert_post(tx, 3).await
        })
        .await
        .unwrap();
    assert_eq!(target.trail(), ["posts insert 1 outer -", "posts insert 3 outer -"]);
}

#[tokio::test]
async fn a_panic_rolls_back_the_scope_alone() {
    let target = Target::new();
    let tx = target.audited(1).begin(&user("outer")).await.unwrap();
    let inner = user("inner");
    let scope = tx.nested(Some(&inner), async |tx| {
        insert_post(tx, 1).await?;
        if tx.context().actor().is_some() {
            panic!("on purpose");
        }
        Ok::<_, DbErr>(())
    });
    assert!(AssertUnwindSafe(scope).catch_unwind().await.is_err());
    insert_post(&tx, 2).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(target.trail(), ["posts insert 2 outer -"]);
}

#[tokio::test]
async fn a_cancelled_scope_is_rolled_back_alone() {
    let target = Target::new();
    let tx = target.audited(1).begin(&user("outer")).await.unwrap();
    let inner = user("inner");
    let (written, is_written) = tokio::sync::oneshot::channel();
    tokio::select! {
        _ = tx.nested(Some(&inner), async move |tx| {
            insert_post(tx, 1).await?;
            written.send(()).unwrap();
            pending::<Result<(), DbErr>>().await
        }) => panic!("it waits for ever"),
        answer = is_written => answer.unwrap(),
    }
    assert_eq!(actor(&tx).await.unwrap(), "outer");
    insert_post(&tx, 2).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(target.trail(), ["posts insert 2 outer -"]);
}

#[tokio::test]
async fn a_swallowed_error_fails_the_scope_and_spares_the_transaction() {
    let target = Target::new();
    target
        .audited(1)
        .transaction(&user("outer"), async |tx| {
            for inner in [None, Some(&user("inner"))] {
                let error = tx
                    .nested(inner, async |tx| {
                        let _ = tx.execute_unprepared("SELECT 1 / 0").await;
                        Ok::<_, Error>(())
                    })
                    .await
                    .unwrap_err();
                assert!(error.is_rolled_back(), "{error}");
            }
            insert_post(tx, 1).await.map_err(Error::from)
        })
        .await
        .unwrap();
    assert_eq!(target.trail(), ["posts insert 1 outer -"]);
}

#[tokio::test]
async fn the_current_action_stays_with_its_context() {
    let target = Target::new();
    target
        .audited(1)
        .transaction(&user("outer"), async |tx| {
            tx.record_action(&Action::new("outer.action")).await?;
            tx.nested(Some(&user("inner")), async |tx| {
                insert_post(tx, 1).await?;
                tx.record_action(&Action::new("inner.action")).await.map_err(DbErr::from)
            })
            .await?;
            insert_post(tx, 2).await?;
            Ok::<_, DbErr>(())
        })
        .await
        .unwrap();
    assert_eq!(target.trail(), ["posts insert 1 inner inner.action", "posts insert 2 outer outer.action"]);
}

#[tokio::test]
async fn a_scope_without_an_actor_is_refused_before_it_opens() {
    let target = Target::new();
    target
        .audited(1)
        .transaction(&user("outer"), async |tx| {
            let nobody = AuditContext::without_actor();
            let error = tx.nested(Some(&nobody), async |_| Ok::<_, Error>(())).await.unwrap_err();
            assert!(error.is_missing_actor(), "{error}");
            insert_post(tx, 1).await
        })
        .await
        .unwrap();
    assert_eq!(target.trail(), ["posts insert 1 outer -"]);
}

#[tokio::test]
async fn a_savepoint_of_seaorm_inherits_the_context() {
    let target = Target::new();
    let tx = target.audited(1).begin(&user("42")).await.unwrap();
    let kept = tx.begin().await.unwrap();
    insert_post(&kept, 1).await.unwrap();
    sea_orm::TransactionSession::commit(kept).await.unwrap();
    let dropped = tx.begin().await.unwrap();
    insert_post(&dropped, 2).await.unwrap();
    drop(dropped);
    let plain: &DatabaseTransaction = &tx;
    let kept = plain.begin().await.unwrap();
    insert_post(&kept, 3).await.unwrap();
    kept.commit().await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 -", "posts insert 3 42 -"]);
}

#[tokio::test]
async fn an_open_scope_keeps_its_transaction_from_being_committed() {
    let target = Target::new();
    let (db, proxy) = target.held().await;
    let tx = db.begin(&user("42")).await.unwrap();
    insert_post(&tx, 1).await.unwrap();
    let scope = tx.begin().await.unwrap();
    proxy.round_trips();
    let error = tx.commit().await.unwrap_err();
    assert!(error.is_rolled_back(), "{error}");
    // Not after a look at the transaction: what is still going on inside could fail it between the look and COMMIT.
    assert_eq!(proxy.round_trips(), 0);
    insert_post(&scope, 2).await.unwrap();
    scope.commit().await.unwrap();
    assert!(is_clean(db.unaudited()).await);
    assert_eq!((target.count("posts"), target.trail().len()), (0, 0));
}

/// Whatever is written after a savepoint was cancelled on its way: nothing is lost silently, nothing turns into autocommit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scope_cancelled_while_it_opens_never_turns_into_autocommit() {
    let target = Target::new();
    let (db, proxy) = target.held().await;
    for round in 0..30_i64 {
        let tx = db.begin(&user("outer")).await.unwrap();
        insert_post(&tx, 10 * round + 1).await.unwrap();
        match round % 3 {
            0 => {
                let inner = user("inner");
                let scope = tx.nested(Some(&inner), async |tx| insert_post(tx, 10 * round + 2).await);
                proxy.cancel(scope).await;
            }
            1 => proxy.cancel(tx.begin()).await,
            _ => {
                let scope = tx.nested(None, async |tx| {
                    proxy.cancel(tx.begin()).await;
                    insert_post(tx, 10 * round + 2).await
                });
                assert!(scope.await.is_err(), "what was around the cancelled savepoint fails");
            }
        }
        let written = insert_post(&tx, 10 * round + 3).await.is_ok();
        let committed = match tx.commit().await {
            // Only where a scope in between has failed instead of all of it.
            Ok(_) => {
                assert!(round % 3 == 2 && written);
                2
            }
            Err(error) => {
                assert!(error.is_rolled_back(), "{error}");
                0
            }
        };
        assert!(is_clean(db.unaudited()).await);
        let posts = format!("posts WHERE id BETWEEN {} AND {}", 10 * round, 10 * round + 9);
        assert_eq!(target.count(&posts), committed, "round {round}");
    }
    target.until_quiet().await;
    assert!(target.trail().iter().all(|change| change.ends_with(" outer -")));
    assert_eq!(target.count("posts"), i64::try_from(target.trail().len()).unwrap());
}

#[tokio::test]
async fn a_scope_in_a_failed_transaction_never_turns_into_autocommit() {
    let target = Target::new();
    let db = target.audited(1);
    for through_plain in [false, true] {
        let tx = db.begin(&user("outer")).await.unwrap();
        insert_post(&tx, 1).await.unwrap();
        let failed = if through_plain {
            let plain: &DatabaseTransaction = &tx;
            plain.execute_unprepared("SELECT 1 / 0").await
        } else {
            tx.execute_unprepared("SELECT 1 / 0").await
        };
        assert!(failed.is_err());
        let error = tx.nested(None, async |_| Ok::<_, Error>(())).await.unwrap_err();
        assert!(error.is_rolled_back(), "{error}");
        assert!(tx.begin().await.is_err());
        assert!(insert_post(&tx, 2).await.is_err());
        let plain: &DatabaseTransaction = &tx;
        assert!(insert_post(plain, 3).await.is_err());
        assert!(tx.commit().await.unwrap_err().is_rolled_back());
        assert!(is_clean(db.unaudited()).await);
    }
    assert_eq!((target.count("posts"), target.trail().len()), (0, 0));
}

/// What the tests above protect from. When this one fails, SeaORM or sqlx has become safe and the protection can go.
#[tokio::test]
async fn the_same_without_threadline_does_turn_into_autocommit() {
    let target = Target::new();
    let (db, proxy) = target.held().await;
    let tx = db.unaudited().begin().await.unwrap();
    insert_post(&tx, 1).await.unwrap();
    proxy.cancel(tx.begin()).await;
    insert_post(&tx, 2).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(target.trail(), ["posts insert 2 - -"]);
}

#[tokio::test]
async fn what_seaorm_lost_through_the_plain_transaction_is_found_out_at_the_end() {
    let target = Target::new();
    let (db, proxy) = target.held().await;
    let tx = db.begin(&user("outer")).await.unwrap();
    insert_post(&tx, 1).await.unwrap();
    let plain: &DatabaseTransaction = &tx;
    proxy.cancel(plain.begin()).await;
    let error = tx.commit().await.unwrap_err();
    assert!(error.is_rolled_back(), "{error}");
    assert_eq!(target.count("posts"), 0);
    assert!(is_clean(db.unaudited()).await);
}
