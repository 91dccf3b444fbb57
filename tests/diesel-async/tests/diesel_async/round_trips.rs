//! What auditing costs in round trips, counted on the wire, on a connection that has done the same before: the first time
//! each statement is prepared, as Diesel prepares its own.
//!
//! A statement that is not kept prepared is closed when it is dropped. The server answers that too, but nobody waits for it.

use diesel::QueryResult;
use diesel::connection::CacheSize;
use diesel_async::AsyncConnection;
use diesel_async::AsyncPgConnection;
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod, deadpool};
use threadline_core::{Action, InstalledVersion};
use threadline_diesel::asynchronous::{AuditDsl, Trail, attach};
use threadline_testkit::Proxy;

use crate::support::{Target, run, user};

/// Does everything once that is counted below.
async fn warm_up<C: AuditDsl>(conn: &mut C) {
    conn.audited(&user("1"), async |conn| {
        conn.record_action(&Action::new("warming up")).await?;
        conn.nested(Some(&user("2")), async |_| QueryResult::Ok(())).await?;
        let attached = attach(&user("2"), conn).await?;
        attached.detach().await
    })
    .await
    .unwrap();
    conn.run(&InstalledVersion).await.unwrap();
}

#[tokio::test]
async fn an_audited_transaction_costs_one_more_than_a_plain_one() {
    let target = Target::new();
    let (mut conn, proxy) = target.watched().await;
    warm_up(&mut conn).await;
    proxy.round_trips();

    conn.transaction(async |conn| run(conn, "INSERT INTO posts VALUES (1, '')").await).await.unwrap();
    assert_eq!(proxy.round_trips(), 3, "BEGIN, INSERT, COMMIT");

    conn.audited(&user("42"), async |conn| {
        assert_eq!(proxy.round_trips(), 1, "BEGIN with the context");
        run(conn, "INSERT INTO posts VALUES (2, '')").await?;
        assert_eq!(proxy.round_trips(), 1);
        conn.record_action(&Action::new("post.published").comment("it's done")).await?;
        assert_eq!(proxy.round_trips(), 1, "the action");
        QueryResult::Ok(())
    })
    .await
    .unwrap();
    assert_eq!(proxy.round_trips(), 2, "the audit transaction's id, and COMMIT");

    let tx = conn.begin_audited(&user("42")).await.unwrap();
    proxy.round_trips();
    tx.rollback().await.unwrap();
    assert_eq!(proxy.round_trips(), 1);
}

#[tokio::test]
async fn a_pooled_connection_costs_no_more() {
    let target = Target::new();
    let proxy = Proxy::before(&target.url).await.unwrap();
    let mut config = ManagerConfig::<AsyncPgConnection>::default();
    // Without the query that tells whether the connection still works.
    config.recycling_method = RecyclingMethod::Fast;
    let manager = AsyncDieselConnectionManager::new_with_config(proxy.url(), config);
    let pool = deadpool::Pool::builder(manager).max_size(1).build().unwrap();
    warm_up(&mut pool.get().await.unwrap()).await;
    proxy.round_trips();
    let mut conn = pool.get().await.unwrap();
    conn.audited(&user("42"), async |conn| run(conn, "INSERT INTO posts VALUES (1, '')").await).await.unwrap();
    assert_eq!(proxy.round_trips(), 4, "BEGIN with the context, INSERT, the id, COMMIT");
}

#[tokio::test]
async fn a_nested_scope_costs_two_or_four() {
    let target = Target::new();
    let (mut conn, proxy) = target.watched().await;
    warm_up(&mut conn).await;
    conn.audited(&user("42"), async |conn| {
        proxy.round_trips();
        conn.nested(None, async |_| QueryResult::Ok(())).await?;
        assert_eq!(proxy.round_trips(), 2, "SAVEPOINT, RELEASE");
        conn.audited(&user("43"), async |_| QueryResult::Ok(())).await?;
        assert_eq!(proxy.round_trips(), 4, "SAVEPOINT, context, context with the id, RELEASE");
        QueryResult::Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn attaching_costs_two() {
    let target = Target::new();
    let (mut conn, proxy) = target.watched().await;
    warm_up(&mut conn).await;
    conn.transaction(async |conn| {
        proxy.round_trips();
        let mut attached = attach(&user("42"), conn).await?;
        assert_eq!(proxy.round_trips(), 1);
        run(&mut attached, "INSERT INTO posts VALUES (1, '')").await?;
        proxy.round_trips();
        attached.detach().await?;
        assert_eq!(proxy.round_trips(), 1);
        QueryResult::Ok(())
    })
    .await
    .unwrap();
}

const CLOSE: usize = 1;

#[tokio::test]
async fn a_read_costs_two_inside_a_transaction_and_six_with_one_of_its_own() {
    let target = Target::new();
    let (mut conn, proxy) = target.watched().await;
    warm_up(&mut conn).await;
    conn.transaction(async |conn| {
        run(conn, "SELECT 1").await?;
        proxy.round_trips();
        conn.run(&InstalledVersion).await?;
        run(conn, "SELECT 1").await?;
        assert_eq!(proxy.round_trips(), 2 + CLOSE + 1, "prepared and run; SELECT 1");
        QueryResult::Ok(())
    })
    .await
    .unwrap();
    proxy.round_trips();
    conn.run(&InstalledVersion).await.unwrap();
    let all = "two for whether a transaction is open; BEGIN READ ONLY, two for the read, COMMIT";
    assert_eq!(proxy.round_trips(), 6 + CLOSE, "{all}");
}

#[tokio::test]
async fn without_a_cache_each_of_our_statements_costs_one_more() {
    let target = Target::new();
    let (mut conn, proxy) = target.watched().await;
    conn.set_prepared_statement_cache_size(CacheSize::Disabled);
    run(&mut conn, "SELECT 1").await.unwrap();
    for _ in 0..2 {
        proxy.round_trips();
        conn.audited(&user("42"), async |conn| run(conn, "SELECT 1").await).await.unwrap();
        assert_eq!(proxy.round_trips(), 5 + CLOSE, "BEGIN with the context, SELECT, two for the id, COMMIT");
    }
}

#[tokio::test]
async fn the_first_time_each_of_our_statements_costs_one_more() {
    let target = Target::new();
    let (mut conn, proxy) = target.watched().await;
    run(&mut conn, "SELECT 1").await.unwrap();
    for expected in [5, 4] {
        proxy.round_trips();
        conn.audited(&user("42"), async |conn| run(conn, "SELECT 1").await).await.unwrap();
        assert_eq!(proxy.round_trips(), expected);
    }
}
