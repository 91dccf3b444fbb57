//! Scopes inside a transaction: their own context, and the outer one back whichever way they end.

use std::future::pending;
use std::panic::AssertUnwindSafe;

use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel_async::AsyncConnection;
use futures_util::FutureExt;
use threadline_core::{Action, AuditContext};
use threadline_diesel::Error;
use threadline_diesel::asynchronous::AuditDsl;

use crate::support::{Target, actor, has_transaction, insert_post, run, user};

#[tokio::test]
async fn a_scope_inherits_the_context() {
    let target = Target::new();
    let mut conn = target.connect().await;
    conn.audited(&user("42"), async |conn| {
        insert_post(conn, 1).await?;
        conn.nested(None, async |conn| insert_post(conn, 2).await).await?;
        insert_post(conn, 3).await
    })
    .await
    .unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 -", "posts insert 2 42 -", "posts insert 3 42 -"]);
    assert_eq!(target.count("threadline.audit_transactions"), 1);
}

#[tokio::test]
async fn a_scope_with_another_context_restores_the_outer_one() {
    let target = Target::new();
    let mut conn = target.connect().await;
    conn.audited(&user("outer"), async |conn| {
        insert_post(conn, 1).await?;
        let inner = user("inner").correlation_id("c");
        let value = conn
            .nested(Some(&inner), async |conn| {
                insert_post(conn, 2).await?;
                Ok::<_, DieselError>("value")
            })
            .await?;
        assert_eq!(value, "value");
        insert_post(conn, 3).await
    })
    .await
    .unwrap();
    assert_eq!(target.trail(), ["posts insert 1 outer -", "posts insert 2 inner -", "posts insert 3 outer -"]);
    let correlated = "SELECT actor_ref ->> 'id' FROM threadline.audit_transactions WHERE correlation_id = 'c'";
    assert_eq!(target.value(correlated).as_deref(), Some("inner"));
}

#[tokio::test]
async fn scopes_nest_to_any_depth() {
    let target = Target::new();
    let mut conn = target.connect().await;
    conn.audited(&user("1"), async |conn| {
        conn.nested(Some(&user("2")), async |conn| {
            insert_post(conn, 2).await?;
            let failed = conn
                .nested(Some(&user("3")), async |conn| {
                    insert_post(conn, 3).await?;
                    conn.nested(Some(&user("4")), async |conn| insert_post(conn, 4).await).await?;
                    Err::<(), _>(DieselError::NotFound)
                })
                .await;
            assert!(failed.is_err());
            insert_post(conn, 5).await
        })
        .await?;
        insert_post(conn, 6).await
    })
    .await
    .unwrap();
    assert_eq!(target.trail(), ["posts insert 2 2 -", "posts insert 5 2 -", "posts insert 6 1 -"]);
}

#[tokio::test]
async fn an_inner_outcome_tells_the_inner_audit_transaction() {
    let target = Target::new();
    let mut conn = target.connect().await;
    let outer = conn
        .audited(&user("outer"), async |conn| {
            insert_post(conn, 1).await?;
            let inner = conn.audited(&user("inner"), async |conn| insert_post(conn, 2).await).await?;
            Ok::<_, DieselError>(inner.transaction_id.unwrap())
        })
        .await
        .unwrap();
    let ids = target.rows("SELECT actor_ref ->> 'id', id::text FROM threadline.audit_transactions ORDER BY 1");
    let expected = [("inner", outer.value), ("outer", outer.transaction_id.unwrap())];
    assert_eq!(ids, expected.map(|(actor, id)| vec![Some(actor.to_owned()), Some(id.to_string())]));
}

#[tokio::test]
async fn an_error_rolls_back_the_scope_alone() {
    let target = Target::new();
    let mut conn = target.connect().await;
    conn.audited(&user("outer"), async |conn| {
        insert_post(conn, 1).await?;
        for context in [None, Some(&user("inner"))] {
            let duplicate = conn.nested(context, async |conn| {
                insert_post(conn, 2).await?;
                insert_post(conn, 1).await
            });
            let error = duplicate.await.unwrap_err();
            assert!(matches!(error, DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _)), "{error}");
        }
        insert_post(conn, 3).await
    })
    .await
    .unwrap();
    assert_eq!(target.trail(), ["posts insert 1 outer -", "posts insert 3 outer -"]);
}

#[tokio::test]
async fn a_panic_rolls_back_the_scope_alone() {
    let target = Target::new();
    let mut conn = target.connect().await;
    conn.audited(&user("outer"), async |conn| {
        let inner = user("inner");
        let panicking = conn.nested(Some(&inner), async |conn| {
            insert_post(conn, 1).await?;
            assert_eq!(actor(conn).await?, "somebody else");
            Ok::<_, DieselError>(())
        });
        assert!(AssertUnwindSafe(panicking).catch_unwind().await.is_err());
        insert_post(conn, 2).await
    })
    .await
    .unwrap();
    assert_eq!(target.trail(), ["posts insert 2 outer -"]);
}

#[tokio::test]
async fn a_cancelled_scope_is_rolled_back_alone() {
    let target = Target::new();
    let pool = target.pool(1);
    let mut conn = pool.get().await.unwrap();
    conn.audited(&user("outer"), async |conn| {
        for context in [None, Some(&user("inner"))] {
            let (entered, was_entered) = tokio::sync::oneshot::channel();
            let scope = conn.nested(context, async |conn| {
                insert_post(conn, 1).await?;
                entered.send(()).unwrap();
                pending::<Result<(), DieselError>>().await
            });
            tokio::select! {
                _ = scope => unreachable!(),
                _ = was_entered => {}
            }
            assert_eq!(actor(conn).await?, "outer");
        }
        insert_post(conn, 2).await
    })
    .await
    .unwrap();
    assert_eq!(target.trail(), ["posts insert 2 outer -"]);
}

#[tokio::test]
async fn a_scope_cancelled_while_it_opens_spares_the_transaction() {
    let target = Target::new();
    let (mut conn, proxy) = target.watched().await;
    let mut tx = conn.begin_audited(&user("outer")).await.unwrap();
    insert_post(&mut tx, 1).await.unwrap();
    for _ in 0..3 {
        let inner = user("inner");
        proxy.cancel(tx.nested(Some(&inner), async |conn| insert_post(conn, 2).await)).await;
    }
    assert_eq!(actor(&mut tx).await.unwrap(), "outer");
    insert_post(&mut tx, 3).await.unwrap();
    tx.nested(Some(&user("inner")), async |conn| insert_post(conn, 4).await).await.unwrap();
    assert!(tx.commit().await.unwrap().is_some());
    assert_eq!(target.trail(), ["posts insert 1 outer -", "posts insert 3 outer -", "posts insert 4 inner -"]);
}

#[tokio::test]
async fn a_swallowed_error_fails_the_scope_and_spares_the_transaction() {
    let target = Target::new();
    let mut conn = target.connect().await;
    conn.audited(&user("outer"), async |conn| {
        for context in [None, Some(&user("inner"))] {
            let scope = conn.nested(context, async |conn| {
                insert_post(conn, 1).await?;
                let _ = run(conn, "SELECT 1 / 0").await;
                Ok::<_, Error>(())
            });
            let error = scope.await.unwrap_err();
            assert!(error.is_rolled_back(), "{error:?}");
        }
        insert_post(conn, 2).await?;
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
    assert_eq!(target.trail(), ["posts insert 2 outer -"]);
}

#[tokio::test]
async fn the_current_action_stays_with_its_context() {
    let target = Target::new();
    let mut conn = target.connect().await;
    conn.audited(&user("outer"), async |conn| {
        conn.record_action(&Action::new("a")).await?;
        conn.nested(Some(&user("inner")), async |conn| insert_post(conn, 1).await).await?;
        insert_post(conn, 2).await?;
        conn.nested(None, async |conn| conn.record_action(&Action::new("b")).await).await?;
        insert_post(conn, 3).await?;
        let undone = conn.nested(None, async |conn| {
            conn.record_action(&Action::new("c")).await?;
            Err::<(), _>(Error::from(DieselError::NotFound))
        });
        assert!(undone.await.is_err());
        insert_post(conn, 4).await?;
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
    let expected =
        ["posts insert 1 inner -", "posts insert 2 outer a", "posts insert 3 outer b", "posts insert 4 outer b"];
    assert_eq!(target.trail(), expected);
    assert_eq!(target.actions(), ["a ok outer", "b ok outer"]);
}

#[tokio::test]
async fn a_scope_is_refused_before_it_opens() {
    let target = Target::new();
    let mut conn = target.connect().await;
    let error: Error = conn.nested(None, async |_| Ok(())).await.unwrap_err();
    assert!(error.is_not_in_transaction(), "{error}");
    let error: Error = conn.nested(Some(&user("inner")), async |_| Ok(())).await.unwrap_err();
    assert!(error.is_not_in_transaction(), "{error}");
    conn.audited(&user("outer"), async |conn| {
        let nobody = AuditContext::without_actor();
        let error = conn.nested(Some(&nobody), async |_| Ok::<_, Error>(())).await.unwrap_err();
        assert!(error.is_missing_actor(), "{error}");
        insert_post(conn, 1).await
    })
    .await
    .unwrap();
    assert_eq!(target.trail(), ["posts insert 1 outer -"]);
}

#[tokio::test]
async fn a_transaction_of_diesel_inherits_the_context() {
    let target = Target::new();
    let mut conn = target.connect().await;
    conn.audited(&user("42"), async |conn| {
        conn.transaction(async |conn| insert_post(conn, 1).await).await?;
        let undone = conn.transaction(async |conn| {
            insert_post(conn, 2).await?;
            Err::<(), _>(DieselError::RollbackTransaction)
        });
        assert!(undone.await.is_err());
        insert_post(conn, 3).await
    })
    .await
    .unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 -", "posts insert 3 42 -"]);
}

#[tokio::test]
async fn a_scope_in_a_failed_transaction_never_turns_into_autocommit() {
    let target = Target::new();
    let mut conn = target.connect().await;
    let mut tx = conn.begin_audited(&user("outer")).await.unwrap();
    insert_post(&mut tx, 1).await.unwrap();
    assert!(run(&mut tx, "SELECT 1 / 0").await.is_err());
    for context in [None, Some(&user("inner"))] {
        let error = tx.nested(context, async |_| Ok::<_, Error>(())).await.unwrap_err();
        assert!(error.is_rolled_back(), "{error:?}");
        assert!(insert_post(&mut tx, 2).await.is_err());
    }
    assert!(tx.commit().await.unwrap_err().is_rolled_back());
    assert_eq!((target.count("posts"), target.trail().len()), (0, 0));
    assert!(!has_transaction(&mut conn).await);
}
