//! What auditing costs in round trips, counted on the wire. Statements that are prepared are warm: sqlx prepares each once
//! per connection, which is one more round trip the first time.

use sea_orm::sqlx::Connection;
use sea_orm::{ConnectionTrait, DbErr, IsolationLevel, TransactionTrait};
use threadline_core::{Action, InstalledVersion};
use threadline_seaorm::{AuditedDatabase, Trail, attach};
use threadline_testkit::Proxy;

use crate::support::{Target, insert_post, user};

/// Waits until the connection is back in the pool, and counts what sqlx does there (a ping) too.
async fn settle(proxy: &Proxy, db: &AuditedDatabase) -> usize {
    let mut connection = db.unaudited().get_postgres_connection_pool().acquire().await.unwrap();
    let trips = proxy.round_trips();
    connection.ping().await.unwrap();
    drop(connection);
    drop(db.unaudited().get_postgres_connection_pool().acquire().await.unwrap());
    proxy.round_trips();
    trips
}

/// The round trips of `work` when it runs for the third time: everything is prepared.
async fn trips(proxy: &Proxy, db: &AuditedDatabase, mut work: impl AsyncFnMut(i64) -> Result<(), DbErr>) -> usize {
    for round in [1, 2] {
        work(round).await.unwrap();
        settle(proxy, db).await;
    }
    work(3).await.unwrap();
    settle(proxy, db).await
}

#[tokio::test]
async fn an_audited_transaction_costs_two_more_than_a_plain_one() {
    let target = Target::new();
    let (db, proxy) = target.held().await;
    let plain = trips(&proxy, &db, async |id| {
        let tx = db.unaudited().begin().await?;
        insert_post(&tx, 100 + id).await?;
        tx.commit().await
    })
    .await;
    let context = user("42");
    let audited = trips(&proxy, &db, async |id| {
        db.transaction(&context, async |tx| insert_post(tx, 200 + id).await).await.map(drop)
    })
    .await;
    let with_action = trips(&proxy, &db, async |id| {
        let body = async |tx: &threadline_seaorm::AuditedTransaction| {
            tx.record_action(&Action::new("a")).await?;
            insert_post(tx, 300 + id).await
        };
        db.transaction(&context, body).await.map(drop)
    })
    .await;
    let with_action_first = trips(&proxy, &db, async |id| {
        db.__audited(&context, Some(Action::new("a")), async |tx| insert_post(tx, 400 + id).await).await.map(drop)
    })
    .await;
    assert_eq!([plain, audited, with_action, with_action_first].map(|trips| trips - plain), [0, 2, 3, 2]);
    assert_eq!(target.count("posts"), 12);
}

#[tokio::test]
async fn options_cost_one_as_seaorms_do() {
    let target = Target::new();
    let (db, proxy) = target.held().await;
    let plain = trips(&proxy, &db, async |id| {
        let tx = db.unaudited().begin_with_config(Some(IsolationLevel::Serializable), None).await?;
        insert_post(&tx, 100 + id).await?;
        tx.commit().await
    })
    .await;
    let session = db.with(&user("42")).options(IsolationLevel::Serializable);
    let audited =
        trips(&proxy, &db, async |id| session.transaction(async |tx| insert_post(tx, 200 + id).await).await.map(drop))
            .await;
    assert_eq!(audited, plain + 2);
}

#[tokio::test]
async fn a_nested_scope_costs_two_or_four_or_one_more_after_an_error() {
    let target = Target::new();
    let (db, proxy) = target.held().await;
    let inner = user("inner");
    let context = user("42");
    let outer = trips(&proxy, &db, async |_| db.transaction(&context, async |_| Ok(())).await.map(drop)).await;
    let scope = trips(&proxy, &db, async |_| {
        db.transaction(&context, async |tx| tx.nested(None, async |_| Ok(())).await).await.map(drop)
    })
    .await;
    let with_context = trips(&proxy, &db, async |_| {
        db.transaction(&context, async |tx| tx.nested(Some(&inner), async |_| Ok(())).await).await.map(drop)
    })
    .await;
    let seaorms = trips(&proxy, &db, async |_| {
        db.transaction(&context, async |tx| sea_orm::TransactionSession::commit(tx.begin().await?).await)
            .await
            .map(drop)
    })
    .await;
    let after_an_error = trips(&proxy, &db, async |_| {
        db.transaction(&context, async |tx| {
            let failed = tx.nested(None, async |tx| tx.execute_unprepared("SELECT 1 / 0").await.map(drop)).await;
            assert!(failed.is_err());
            tx.nested(None, async |_| Ok(())).await
        })
        .await
        .map(drop)
    })
    .await;
    // The failed scope: SAVEPOINT, its statement, ROLLBACK TO.
    assert_eq!([scope, with_context, seaorms, after_an_error].map(|trips| trips - outer), [2, 4, 2, 3 + 1 + 2]);
}

#[tokio::test]
async fn attaching_costs_two() {
    let target = Target::new();
    let (db, proxy) = target.held().await;
    let context = user("42");
    let plain = trips(&proxy, &db, async |_| db.unaudited().begin().await?.commit().await).await;
    let attached = trips(&proxy, &db, async |_| {
        let tx = db.unaudited().begin().await?;
        attach(&context, &tx).await?.detach().await?;
        tx.commit().await
    })
    .await;
    assert_eq!(attached, plain + 2);
}

#[tokio::test]
async fn a_read_costs_four_with_a_transaction_of_its_own_and_one_inside_one() {
    let target = Target::new();
    let (db, proxy) = target.held().await;
    let context = user("42");
    let alone = trips(&proxy, &db, async |_| Ok(db.run(&InstalledVersion).await.map(drop)?)).await;
    let outer = trips(&proxy, &db, async |_| db.transaction(&context, async |_| Ok(())).await.map(drop)).await;
    let within = trips(&proxy, &db, async |_| {
        db.transaction(&context, async |tx| Ok::<_, DbErr>(tx.run(&InstalledVersion).await.map(drop)?)).await.map(drop)
    })
    .await;
    // BEGIN and COMMIT, as every transaction has them.
    let empty = trips(&proxy, &db, async |_| db.unaudited().begin().await?.commit().await).await;
    assert_eq!((alone - empty + 2, within - outer), (4, 1));
}
