//! What auditing costs in round trips, counted on the wire.

use sqlx::Connection;
use threadline::sqlx::{AuditedPool, BeginAudited, Error, Trail, attach, audited};
use threadline::{Action, InstalledVersion};
use threadline_testkit::Proxy;

use crate::support::{Target, insert_post, on_both, run, user};

on_both! {
    an_audited_transaction_costs_one_more_than_a_plain_one,
    a_nested_scope_costs_two_or_four,
    attaching_costs_two,
    the_action_of_the_macro_costs_none,
    a_read_costs_four_with_a_transaction_of_its_own_and_two_inside_one,
}

async fn warm(target: &Target) -> (Proxy, AuditedPool) {
    let proxy = Proxy::before(&target.url).await.unwrap();
    let db = AuditedPool::new(target.pool_at(proxy.url(), 1));
    run(&mut db.unaudited().acquire().await.unwrap(), "SELECT 1").await.unwrap();
    settle(&proxy, &db).await;
    (proxy, db)
}

/// Waits until the connection is back in the pool, and counts what sqlx does there (a ping) too.
async fn settle(proxy: &Proxy, db: &AuditedPool) -> usize {
    while db.unaudited().num_idle() == 0 {
        tokio::task::yield_now().await;
    }
    proxy.round_trips()
}

async fn an_audited_transaction_costs_one_more_than_a_plain_one(target: Target) {
    let (proxy, db) = warm(&target).await;
    let mut connection = db.unaudited().acquire().await.unwrap();
    proxy.round_trips();

    let mut tx = connection.begin().await.unwrap();
    run(&mut tx, "INSERT INTO posts VALUES (1, '')").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(proxy.round_trips(), 3, "BEGIN, INSERT, COMMIT");

    let mut tx = connection.begin_audited(&user("42")).await.unwrap();
    assert_eq!(proxy.round_trips(), 1, "BEGIN with the context");
    run(&mut tx, "INSERT INTO posts VALUES (2, '')").await.unwrap();
    assert_eq!(proxy.round_trips(), 1);
    tx.record_action(&Action::new("post.published").comment("it's done")).await.unwrap();
    assert_eq!(proxy.round_trips(), 1, "the action");
    tx.commit().await.unwrap();
    assert_eq!(proxy.round_trips(), 2, "the audit transaction's id, and COMMIT");

    let tx = connection.begin_audited(&user("42")).await.unwrap();
    proxy.round_trips();
    tx.rollback().await.unwrap();
    assert_eq!(proxy.round_trips(), 1);
}

async fn a_nested_scope_costs_two_or_four(target: Target) {
    let (proxy, db) = warm(&target).await;
    let mut tx = db.begin(&user("42")).await.unwrap();
    proxy.round_trips();
    tx.nested(None, async |_| Ok::<_, sqlx::Error>(())).await.unwrap();
    assert_eq!(proxy.round_trips(), 2, "SAVEPOINT, RELEASE");
    tx.nested(Some(&user("43")), async |_| Ok::<_, sqlx::Error>(())).await.unwrap();
    assert_eq!(proxy.round_trips(), 4, "SAVEPOINT, context, context, RELEASE");
    tx.rollback().await.unwrap();
}

async fn attaching_costs_two(target: Target) {
    let (proxy, db) = warm(&target).await;
    let mut tx = db.unaudited().begin().await.unwrap();
    proxy.round_trips();
    let mut audited = attach(&user("42"), &mut tx).await.unwrap();
    assert_eq!(proxy.round_trips(), 1);
    insert_post(&mut audited, 1).await.unwrap();
    proxy.round_trips();
    audited.detach().await.unwrap();
    assert_eq!(proxy.round_trips(), 1);
    tx.commit().await.unwrap();
}

async fn the_action_of_the_macro_costs_none(target: Target) {
    let (proxy, db) = warm(&target).await;
    audited!(db, user("42"), action = "post.published", comment = "it's done", |tx| insert_post(tx, 1).await)
        .await
        .unwrap();
    assert_eq!(
        settle(&proxy, &db).await,
        1 + 5 + 1,
        "BEGIN with context and action, two for the statement, the id, COMMIT"
    );
    assert_eq!(target.trail(), ["posts insert 1 42 post.published"]);

    let mut tx = db.begin(&user("42")).await.unwrap();
    proxy.round_trips();
    audited!(tx, user("43"), action = "post.seen", |_tx| Ok::<_, Error>(())).await.unwrap();
    assert_eq!(proxy.round_trips(), 6, "SAVEPOINT, context, the action, the id, context, RELEASE");
    tx.rollback().await.unwrap();
}

async fn a_read_costs_four_with_a_transaction_of_its_own_and_two_inside_one(target: Target) {
    let (proxy, db) = warm(&target).await;
    let mut connection = db.unaudited().acquire().await.unwrap();
    let mut tx = connection.begin().await.unwrap();
    proxy.round_trips();
    tx.run(&InstalledVersion).await.unwrap();
    assert_eq!(proxy.round_trips(), 2, "an unnamed statement is parsed, then run");
    tx.rollback().await.unwrap();
    drop(connection);
    settle(&proxy, &db).await;

    db.run(&InstalledVersion).await.unwrap();
    // The pool pings the connection before it lends it out, and when it comes back.
    assert_eq!(settle(&proxy, &db).await, 1 + 4 + 1, "BEGIN READ ONLY, two for the statement, COMMIT");
}
