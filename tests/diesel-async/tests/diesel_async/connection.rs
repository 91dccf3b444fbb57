//! Code that knows nothing of Threadline, on a connection that does.

use diesel::prelude::*;
use diesel_async::{AsyncConnection, RunQueryDsl, SaveChangesDsl};
use threadline_core::AuditContext;
use threadline_diesel::Error;
use threadline_diesel::asynchronous::{AuditDsl, AuditedConnection};
use threadline_testkit::Sweep;

use crate::support::{Target, actor, has_transaction, insert_post, run, user};

diesel::table! {
    posts (id) {
        id -> BigInt,
        title -> Text,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, AsChangeset, Identifiable)]
#[diesel(table_name = posts)]
struct Titled<'a> {
    id: i64,
    title: &'a str,
}

/// Somebody else's code.
async fn write<C>(conn: &mut C, id: i64) -> QueryResult<()>
where
    C: AsyncConnection<Backend = diesel::pg::Pg>,
{
    conn.transaction(async |conn| {
        insert(conn, id).await?;
        conn.transaction(async |conn| insert(conn, id + 1).await).await?;
        let failed = conn.transaction(async |conn| {
            insert(conn, id + 2).await?;
            Err::<(), _>(diesel::result::Error::RollbackTransaction)
        });
        assert!(failed.await.is_err());
        Ok(())
    })
    .await
}

async fn insert<C>(conn: &mut C, id: i64) -> QueryResult<()>
where
    C: AsyncConnection<Backend = diesel::pg::Pg>,
{
    diesel::insert_into(posts::table).values((posts::id.eq(id), posts::title.eq("title"))).execute(conn).await.map(drop)
}

#[tokio::test]
async fn plain_transactions_are_attributed() {
    let target = Target::new();
    let mut conn = AuditedConnection::new(target.connect().await, &user("42")).unwrap();
    write(&mut conn, 1).await.unwrap();
    write(&mut conn, 4).await.unwrap();
    let expected = ["posts insert 1 42 -", "posts insert 2 42 -", "posts insert 4 42 -", "posts insert 5 42 -"];
    assert_eq!(target.trail(), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooled_connection_carries_nothing_to_the_next_borrower() {
    let target = Target::new();
    let pool = target.pool(1);
    let task = tokio::spawn({
        let pool = pool.clone();
        async move {
            let mut conn = AuditedConnection::new(pool.get().await.unwrap(), &user("42")).unwrap();
            conn.transaction(async |conn| {
                insert(conn, 1).await?;
                conn.transaction(async |conn| insert(conn, 2).await).await
            })
            .await
        }
    });
    task.await.unwrap().unwrap();
    write(&mut pool.get().await.unwrap(), 4).await.unwrap();
    assert_eq!(actor(&mut pool.get().await.unwrap()).await.unwrap(), "");
    let expected = ["posts insert 1 42 -", "posts insert 2 42 -", "posts insert 4 - -", "posts insert 5 - -"];
    assert_eq!(target.trail(), expected);
}

#[tokio::test]
async fn an_audited_transaction_names_its_own_context() {
    let target = Target::new();
    let mut conn = AuditedConnection::new(target.connect().await, &user("42")).unwrap();
    conn.audited(&user("43"), async |conn| insert_post(conn, 1).await).await.unwrap();
    conn.transaction(async |conn| {
        insert_post(conn, 2).await?;
        conn.audited(&user("44"), async |conn| insert_post(conn, 3).await).await?;
        insert_post(conn, 4).await
    })
    .await
    .unwrap();
    let expected = ["posts insert 1 43 -", "posts insert 2 42 -", "posts insert 3 44 -", "posts insert 4 42 -"];
    assert_eq!(target.trail(), expected);
}

#[tokio::test]
async fn outside_a_transaction_nobody_is_named() {
    let target = Target::new();
    let mut conn = AuditedConnection::new(target.connect().await, &user("42")).unwrap();
    insert_post(&mut conn, 1).await.unwrap();
    insert_post(&mut conn.into_inner(), 2).await.unwrap();
    assert_eq!(target.trail(), ["posts insert 1 - -", "posts insert 2 - -"]);
}

#[tokio::test]
async fn a_missing_actor_is_refused() {
    let target = Target::new();
    let error = AuditedConnection::new(target.connect().await, &AuditContext::without_actor()).unwrap_err();
    assert!(error.is_missing_actor(), "{error}");
    assert!(AuditedConnection::<diesel_async::AsyncPgConnection>::establish(&target.url).await.is_err());
}

#[tokio::test]
async fn what_diesel_does_with_a_connection_it_does_with_this_one() {
    let target = Target::new();
    let mut conn = AuditedConnection::new(target.connect().await, &user("42")).unwrap();
    conn.transaction(async |conn| {
        insert(conn, 1).await?;
        let saved: (i64, String) = Titled { id: 1, title: "saved" }.save_changes(conn).await?;
        assert_eq!(saved, (1, "saved".to_owned()));
        QueryResult::Ok(())
    })
    .await
    .unwrap();
    conn.test_transaction::<_, diesel::result::Error, _>(async |conn| insert(conn, 2).await).await;
    conn.begin_test_transaction().await.unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 -", "posts update 1 42 -"]);
}

#[tokio::test]
async fn a_transaction_costs_no_round_trip_more() {
    let target = Target::new();
    let (conn, proxy) = target.watched().await;
    let mut conn = AuditedConnection::new(conn, &user("42")).unwrap();
    run(&mut conn, "SELECT 1").await.unwrap();
    proxy.round_trips();
    conn.transaction(async |conn| run(conn, "INSERT INTO posts VALUES (1, '')").await).await.unwrap();
    assert_eq!(proxy.round_trips(), 3, "BEGIN with the context, INSERT, COMMIT");
}

#[tokio::test]
async fn a_cancelled_transaction_of_diesel_reaches_no_later_borrower_of_a_pool() {
    let target = Target::new();
    let pool = target.pool(1);
    let mut sweep = Sweep::new(60, 2);
    while let Some(round) = sweep.next_round() {
        let mut conn = AuditedConnection::new(pool.get().await.unwrap(), &user("42")).unwrap();
        drop(sweep.cancel(write(&mut conn, 10 * i64::try_from(round).unwrap())).await);
        drop(conn);
        let mut conn = pool.get().await.unwrap();
        assert_eq!(actor(&mut conn).await.unwrap(), "");
        assert!(!has_transaction(&mut conn).await);
    }
    target.until_quiet().await;
    assert!(target.trail().iter().all(|change| change.ends_with(" 42 -")));
}

#[tokio::test]
async fn a_swallowed_error_is_told_by_audited_as_on_any_connection() {
    let target = Target::new();
    let mut conn = AuditedConnection::new(target.connect().await, &user("42")).unwrap();
    let error: Error = conn
        .audited(&user("42"), async |conn| {
            let _ = run(conn, "SELECT 1 / 0").await;
            Ok(())
        })
        .await
        .unwrap_err();
    assert!(error.is_rolled_back(), "{error}");
}
