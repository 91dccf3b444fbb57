//! Scopes inside a transaction: their own context, and the outer one back whichever way they end.

use std::future::pending;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use sqlx::Connection;
use threadline::sqlx::{BeginAudited, Error};
use threadline::{Action, AuditContext};

use crate::support::{Target, actor, has_transaction, insert_post, on_both, run, user};

on_both! {
    a_scope_inherits_the_context,
    a_scope_with_another_context_restores_the_outer_one,
    scopes_nest_to_any_depth,
    an_error_rolls_back_the_scope_alone,
    a_panic_rolls_back_the_scope_alone,
    a_cancelled_scope_is_rolled_back_alone,
    a_swallowed_error_fails_the_scope_and_spares_the_transaction,
    the_current_action_stays_with_its_context,
    an_action_of_a_rolled_back_scope_is_gone,
    a_scope_without_an_actor_is_refused_before_it_opens,
    a_savepoint_of_sqlx_inherits_the_context,
    a_scope_cancelled_while_it_opens_spares_the_transaction,
    a_savepoint_of_sqlx_cancelled_while_it_opens_never_turns_into_autocommit,
    a_scope_in_a_failed_transaction_never_turns_into_autocommit,
    the_same_without_threadline_does_turn_into_autocommit,
}

async fn a_scope_inherits_the_context(target: Target) {
    let outcome = target
        .audited(1)
        .transaction(&user("42"), async |tx| {
            insert_post(tx, 1).await?;
            tx.nested(None, async |tx| {
                assert_eq!(tx.context(), &user("42"));
                insert_post(tx, 2).await.map_err(Error::from)
            })
            .await?;
            insert_post(tx, 3).await?;
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
    assert!(outcome.transaction_id.is_some());
    assert_eq!(target.trail(), ["posts insert 1 42 -", "posts insert 2 42 -", "posts insert 3 42 -"]);
    assert_eq!(target.count("threadline.audit_transactions"), 1);
}

async fn a_scope_with_another_context_restores_the_outer_one(target: Target) {
    target
        .audited(1)
        .transaction(&user("outer"), async |tx| {
            insert_post(tx, 1).await?;
            let value = tx
                .nested(Some(&user("inner").correlation_id("c")), async |tx| {
                    assert_eq!(tx.context().get_correlation_id(), Some("c"));
                    insert_post(tx, 2).await?;
                    Ok::<_, Error>("value")
                })
                .await?;
            assert_eq!((value, tx.context()), ("value", &user("outer")));
            insert_post(tx, 3).await?;
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
    assert_eq!(target.trail(), ["posts insert 1 outer -", "posts insert 2 inner -", "posts insert 3 outer -"]);
    let correlated = "SELECT actor_ref ->> 'id' FROM threadline.audit_transactions WHERE correlation_id = 'c'";
    assert_eq!(target.value(correlated).as_deref(), Some("inner"));
}

async fn scopes_nest_to_any_depth(target: Target) {
    target
        .audited(1)
        .transaction(&user("1"), async |tx| {
            tx.nested(Some(&user("2")), async |tx| {
                insert_post(tx, 2).await?;
                let failed = tx
                    .nested(Some(&user("3")), async |tx| {
                        insert_post(tx, 3).await?;
                        tx.nested(Some(&user("4")), async |tx| insert_post(tx, 4).await).await?;
                        Err::<(), _>(sqlx::Error::RowNotFound)
                    })
                    .await;
                assert!(failed.is_err());
                insert_post(tx, 5).await?;
                Ok::<_, sqlx::Error>(())
            })
            .await?;
            insert_post(tx, 6).await
        })
        .await
        .unwrap();
    assert_eq!(target.trail(), ["posts insert 2 2 -", "posts insert 5 2 -", "posts insert 6 1 -"]);
}

async fn an_error_rolls_back_the_scope_alone(target: Target) {
    target
        .audited(1)
        .transaction(&user("outer"), async |tx| {
            insert_post(tx, 1).await?;
            let inner = user("inner");
            let duplicate = tx.nested(Some(&inner), async |tx| {
                insert_post(tx, 2).await?;
                insert_post(tx, 1).await
            });
            assert!(duplicate.await.unwrap_err().as_database_error().unwrap().is_unique_violation());
            assert_eq!(tx.context(), &user("outer"));
            insert_post(tx, 3).await
        })
        .await
        .unwrap();
    assert_eq!(target.trail(), ["posts insert 1 outer -", "posts insert 3 outer -"]);
}

async fn a_panic_rolls_back_the_scope_alone(target: Target) {
    target
        .audited(1)
        .transaction(&user("outer"), async |tx| {
            let inner = user("inner");
            let panicking = tx.nested(Some(&inner), async |tx| {
                insert_post(tx, 1).await?;
                if tx.context().actor().is_some() {
                    panic!("on purpose");
                }
                Ok::<_, sqlx::Error>(())
            });
            assert!(AssertUnwindSafe(panicking).catch_unwind().await.is_err());
            assert_eq!(tx.context(), &user("outer"));
            insert_post(tx, 2).await
        })
        .await
        .unwrap();
    assert_eq!(target.trail(), ["posts insert 2 outer -"]);
}

async fn a_cancelled_scope_is_rolled_back_alone(target: Target) {
    target
        .audited(1)
        .transaction(&user("outer"), async |tx| {
            let (entered, was_entered) = tokio::sync::oneshot::channel();
            let inner = user("inner");
            let scope = tx.nested(Some(&inner), async |tx| {
                insert_post(tx, 1).await?;
                entered.send(()).unwrap();
                pending::<Result<(), sqlx::Error>>().await
            });
            tokio::select! {
                _ = scope => unreachable!(),
                _ = was_entered => {}
            }
            assert_eq!(tx.context(), &user("outer"));
            assert_eq!(actor(tx).await?, "outer");
            insert_post(tx, 2).await
        })
        .await
        .unwrap();
    assert_eq!(target.trail(), ["posts insert 2 outer -"]);
}

async fn a_swallowed_error_fails_the_scope_and_spares_the_transaction(target: Target) {
    target
        .audited(1)
        .transaction(&user("outer"), async |tx| {
            let inner = user("inner");
            for context in [None, Some(&inner)] {
                let scope = tx.nested(context, async |tx| {
                    insert_post(tx, 1).await?;
                    let _ = run(tx, "SELECT 1 / 0").await;
                    Ok::<_, Error>(())
                });
                assert!(scope.await.unwrap_err().is_rolled_back());
            }
            insert_post(tx, 2).await?;
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
    assert_eq!(target.trail(), ["posts insert 2 outer -"]);
}

async fn the_current_action_stays_with_its_context(target: Target) {
    target
        .audited(1)
        .transaction(&user("outer"), async |tx| {
            tx.record_action(&Action::new("a")).await?;
            tx.nested(Some(&user("inner")), async |tx| {
                insert_post(tx, 1).await?;
                Ok::<_, Error>(())
            })
            .await?;
            insert_post(tx, 2).await?;
            tx.nested(None, async |tx| tx.record_action(&Action::new("b")).await).await?;
            insert_post(tx, 3).await?;
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
    assert_eq!(target.trail(), ["posts insert 1 inner -", "posts insert 2 outer a", "posts insert 3 outer b"]);
}

async fn an_action_of_a_rolled_back_scope_is_gone(target: Target) {
    target
        .audited(1)
        .transaction(&user("outer"), async |tx| {
            tx.record_action(&Action::new("a")).await?;
            let scope = tx.nested(None, async |tx| {
                tx.record_action(&Action::new("b")).await?;
                Err::<(), Error>(sqlx::Error::RowNotFound.into())
            });
            assert!(scope.await.is_err());
            insert_post(tx, 1).await?;
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
    assert_eq!(target.trail(), ["posts insert 1 outer a"]);
    assert_eq!(target.actions(), ["a ok outer"]);
}

async fn a_scope_without_an_actor_is_refused_before_it_opens(target: Target) {
    target
        .audited(1)
        .transaction(&user("outer"), async |tx| {
            let nobody = AuditContext::without_actor();
            let error = tx.nested(Some(&nobody), async |_| Ok::<_, Error>(())).await.unwrap_err();
            assert!(error.is_missing_actor(), "{error}");
            insert_post(tx, 1).await?;
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
    assert_eq!(target.trail(), ["posts insert 1 outer -"]);
}

async fn a_savepoint_of_sqlx_inherits_the_context(target: Target) {
    target
        .audited(1)
        .transaction(&user("42"), async |tx| {
            let mut kept = tx.begin().await?;
            insert_post(&mut kept, 1).await?;
            kept.commit().await?;
            let mut dropped = tx.begin().await?;
            insert_post(&mut dropped, 2).await?;
            drop(dropped);
            insert_post(tx, 3).await
        })
        .await
        .unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 -", "posts insert 3 42 -"]);
}

async fn a_scope_cancelled_while_it_opens_spares_the_transaction(target: Target) {
    let (pool, proxy) = target.held().await;
    let mut tx = pool.begin_audited(&user("outer")).await.unwrap();
    insert_post(&mut tx, 1).await.unwrap();
    for _ in 0..3 {
        let inner = user("inner");
        proxy.cancel(tx.nested(Some(&inner), async |tx| insert_post(tx, 2).await)).await;
    }
    assert_eq!(actor(&mut tx).await.unwrap(), "outer");
    insert_post(&mut tx, 3).await.unwrap();
    tx.nested(Some(&user("inner")), async |tx| insert_post(tx, 4).await).await.unwrap();
    assert!(tx.commit().await.unwrap().is_some());
    assert_eq!(target.trail(), ["posts insert 1 outer -", "posts insert 3 outer -", "posts insert 4 inner -"]);
}

async fn a_savepoint_of_sqlx_cancelled_while_it_opens_never_turns_into_autocommit(target: Target) {
    let (pool, proxy) = target.held().await;
    for depth in [1, 2] {
        let mut tx = pool.begin_audited(&user("outer")).await.unwrap();
        insert_post(&mut tx, 1).await.unwrap();
        if depth == 1 {
            proxy.cancel(tx.begin()).await;
        } else {
            let scope = tx.nested(None, async |tx| {
                proxy.cancel(tx.begin()).await;
                insert_post(tx, 2).await
            });
            assert!(scope.await.is_err());
        }
        for id in [3, 4] {
            let error = Error::from(insert_post(&mut tx, id).await.unwrap_err());
            assert_eq!(error.sqlstate().as_deref(), Some("25P02"), "{error}");
        }
        let error = tx.record_action(&Action::new("a")).await.unwrap_err();
        assert!(error.is_rolled_back(), "{error}");
        let error = tx.nested(None, async |_| Ok::<_, Error>(())).await.unwrap_err();
        assert!(error.is_rolled_back(), "{error}");
        let error = tx.commit().await.unwrap_err();
        assert!(error.is_rolled_back(), "{error}");
        assert!(!has_transaction(&mut pool.acquire().await.unwrap()).await);
    }
    assert_eq!((target.count("posts"), target.trail().len()), (0, 0));
}

async fn a_scope_in_a_failed_transaction_never_turns_into_autocommit(target: Target) {
    let pool = target.pool(1);
    let mut tx = pool.begin_audited(&user("outer")).await.unwrap();
    insert_post(&mut tx, 1).await.unwrap();
    assert!(run(&mut tx, "SELECT 1 / 0").await.is_err());
    let error = tx.nested(None, async |_| Ok::<_, Error>(())).await.unwrap_err();
    assert!(error.is_rolled_back(), "{error}");
    assert!(insert_post(&mut tx, 2).await.is_err());
    assert!(tx.commit().await.unwrap_err().is_rolled_back());
    assert_eq!((target.count("posts"), target.trail().len()), (0, 0));
    assert!(!has_transaction(&mut pool.acquire().await.unwrap()).await);
}

/// What the three tests above protect from. When this one fails, sqlx has become safe and the protection can go.
async fn the_same_without_threadline_does_turn_into_autocommit(target: Target) {
    let (pool, proxy) = target.held().await;
    let mut tx = pool.begin().await.unwrap();
    insert_post(&mut tx, 1).await.unwrap();
    proxy.cancel(tx.begin()).await;
    insert_post(&mut tx, 2).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(target.trail(), ["posts insert 2 - -"]);
}
