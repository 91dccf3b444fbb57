//! Futures dropped after 0, 1, 2 .. polls: whatever was on its way, the next borrower of the connection finds no open
//! transaction and nobody else's actor, and the trail holds all of a transaction or none of it.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::TryStreamExt;
use sea_orm::{ActiveValue::Set, ConnectionTrait, DatabaseConnection, DbErr, TransactionTrait};
use threadline_core::{
    Action, AuditContext, CountChanges, Export, ExportPiece, InstalledVersion, RetryPolicy, Timeline,
};
use threadline_seaorm::{Error, Trail, attach};
use threadline_testkit::{Sweep, dropped_after};

use crate::entity::authors;
use crate::support::{Target, insert_post, is_clean, user};

/// At least.
const ROUNDS: usize = 400;

/// Each round writes post `round` as the user `round`: every post has one change, of that actor.
fn assert_all_or_nothing(target: &Target) {
    let posts = target.count("posts");
    let right = "threadline.audit_changes c JOIN threadline.audit_transactions t ON t.id = c.transaction_id
        JOIN posts p ON p.id = (c.table_pk ->> 'id')::int WHERE t.actor_ref ->> 'id' = p.id::text";
    assert_eq!((target.count("threadline.audit_changes"), target.count(right)), (posts, posts));
}

fn id(round: usize) -> i64 {
    i64::try_from(round).unwrap()
}

fn me(round: usize) -> AuditContext {
    user(&round.to_string())
}

#[tokio::test]
async fn begin() {
    let target = Target::new();
    let db = target.audited(1);
    let mut sweep = Sweep::new(ROUNDS, 1);
    while let Some(round) = sweep.next_round() {
        let context = me(round);
        drop(sweep.cancel(db.begin(&context)).await);
        assert!(is_clean(db.unaudited()).await, "{sweep}");
    }
    target.until_quiet().await;
}

#[tokio::test]
async fn the_closure_form() {
    let target = Target::new();
    let db = target.audited(1);
    let mut sweep = Sweep::new(ROUNDS, 2);
    while let Some(round) = sweep.next_round() {
        let context = me(round);
        let work = db.transaction(&context, async |tx| {
            tx.record_action(&Action::new("post.published")).await?;
            insert_post(tx, id(round)).await?;
            Ok::<_, DbErr>(())
        });
        sweep.cancel(work).await.map(Result::unwrap);
        assert!(is_clean(db.unaudited()).await, "{sweep}");
    }
    target.until_quiet().await;
    assert_all_or_nothing(&target);
    assert_eq!(target.count("threadline.audit_actions"), target.count("posts"));
}

#[tokio::test]
async fn the_macros_form() {
    let target = Target::new();
    let db = target.audited(1);
    let mut sweep = Sweep::new(ROUNDS, 2);
    while let Some(round) = sweep.next_round() {
        let context = me(round);
        let action = Some(Action::new("post.published"));
        let work = db.__audited(&context, action, async |tx| insert_post(tx, id(round)).await);
        sweep.cancel(work).await.map(Result::unwrap);
        assert!(is_clean(db.unaudited()).await, "{sweep}");
    }
    target.until_quiet().await;
    assert_all_or_nothing(&target);
    assert_eq!(target.count("threadline.audit_actions"), target.count("posts"));
}

#[tokio::test]
async fn a_transaction_that_seaorm_begins() {
    let target = Target::new();
    let db = target.audited(1);
    let mut sweep = Sweep::new(ROUNDS, 2);
    while let Some(round) = sweep.next_round() {
        let session = db.with(&me(round));
        let author = authors::ActiveModelEx { name: Set(round.to_string()), ..Default::default() };
        sweep.cancel(author.insert(&session)).await.map(Result::unwrap);
        assert!(is_clean(db.unaudited()).await, "{sweep}");
    }
    target.until_quiet().await;
    let right = "threadline.audit_changes c JOIN threadline.audit_transactions t ON t.id = c.transaction_id
        JOIN authors a ON a.id = (c.table_pk ->> 'id')::int WHERE t.actor_ref ->> 'id' = a.name";
    let authors = target.count("authors");
    assert_eq!((target.count("threadline.audit_changes"), target.count(right)), (authors, authors));
}

#[tokio::test]
async fn the_retried_form() {
    let target = Target::new();
    let db = target.audited(1);
    let policy = RetryPolicy::new().pause(Duration::from_micros(10));
    let mut sweep = Sweep::new(ROUNDS, 3);
    while let Some(round) = sweep.next_round() {
        let context = me(round);
        let first = AtomicBool::new(true);
        let work = db.retry(&context, &policy, async |tx| {
            insert_post(tx, id(round)).await?;
            if first.swap(false, Ordering::SeqCst) {
                let conflict = "DO $$ BEGIN RAISE EXCEPTION 'on purpose' USING ERRCODE = '40001'; END $$";
                tx.execute_unprepared(conflict).await?;
            }
            Ok::<_, DbErr>(())
        });
        sweep.cancel(work).await.map(Result::unwrap);
        assert!(is_clean(db.unaudited()).await, "{sweep}");
    }
    assert_all_or_nothing(&target);
}

#[tokio::test]
async fn record_action() {
    let target = Target::new();
    let db = target.audited(1);
    let mut sweep = Sweep::new(ROUNDS, 1);
    while let Some(round) = sweep.next_round() {
        let tx = db.begin(&me(round)).await.unwrap();
        insert_post(&tx, id(round)).await.unwrap();
        let action = Action::new("post.published");
        sweep.cancel(tx.record_action(&action)).await.map(Result::unwrap);
        tx.commit().await.unwrap();
        assert!(is_clean(db.unaudited()).await);
    }
    assert_all_or_nothing(&target);
    assert_eq!(target.count("posts"), id(sweep.rounds()));
}

#[tokio::test]
async fn commit() {
    let target = Target::new();
    let db = target.audited(1);
    let mut sweep = Sweep::new(ROUNDS, 1);
    while let Some(round) = sweep.next_round() {
        let tx = db.begin(&me(round)).await.unwrap();
        insert_post(&tx, id(round)).await.unwrap();
        sweep.cancel(tx.commit()).await.map(Result::unwrap);
        assert!(is_clean(db.unaudited()).await, "{sweep}");
    }
    target.until_quiet().await;
    assert_all_or_nothing(&target);
}

#[tokio::test]
async fn rollback() {
    let target = Target::new();
    let db = target.audited(1);
    let mut sweep = Sweep::new(ROUNDS, 1);
    while let Some(round) = sweep.next_round() {
        let tx = db.begin(&me(round)).await.unwrap();
        insert_post(&tx, id(round)).await.unwrap();
        sweep.cancel(tx.rollback()).await.map(Result::unwrap);
        assert!(is_clean(db.unaudited()).await, "{sweep}");
    }
    assert_eq!((target.count("posts"), target.trail().len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nested_scope() {
    let target = Target::new();
    let db = target.audited(1);
    let mut sweep = Sweep::new(ROUNDS, 2);
    let mut kept = 0;
    while let Some(round) = sweep.next_round() {
        let tx = db.begin(&me(round)).await.unwrap();
        insert_post(&tx, id(round)).await.unwrap();
        let inner = user("inner");
        let scope = tx.nested(Some(&inner), async |tx| insert_post(tx, id(round) + 1_000_000).await);
        let finished = sweep.cancel(scope).await.is_some();
        // Refused or not: never under the inner actor, and never without a transaction.
        let written = insert_post(&tx, id(round) + 2_000_000).await.is_ok();
        if tx.commit().await.is_ok() {
            assert!(written);
            kept += 1 + i64::from(written) + i64::from(finished);
        }
        assert!(is_clean(db.unaudited()).await, "{sweep}");
    }
    target.until_quiet().await;
    assert_eq!((target.count("posts"), target.count("threadline.audit_changes")), (kept, kept));
    let inner = "threadline.audit_changes c JOIN threadline.audit_transactions t ON t.id = c.transaction_id
        WHERE (t.actor_ref ->> 'id' = 'inner') <> ((c.table_pk ->> 'id')::int BETWEEN 1000000 AND 1999999)";
    assert_eq!(target.count(inner), 0);
}

#[tokio::test]
async fn attaching() {
    let target = Target::new();
    let connection = target.connection(1);
    let mut sweep = Sweep::new(ROUNDS, 1);
    while let Some(round) = sweep.next_round() {
        let tx = connection.begin().await.unwrap();
        insert_post(&tx, id(round)).await.unwrap();
        let context = me(round);
        drop(sweep.cancel(attach(&context, &tx)).await);
        tx.commit().await.unwrap();
        assert!(is_clean(&connection).await, "{sweep}");
    }
    assert_eq!(target.count("posts"), id(sweep.rounds()));
}

#[tokio::test]
async fn recording_a_failure() {
    let target = Target::new();
    let db = target.audited(1);
    let mut sweep = Sweep::new(ROUNDS, 2);
    let action = Action::new("login");
    while let Some(round) = sweep.next_round() {
        let context = me(round);
        let work = db.record_failure(&context, &action);
        sweep.cancel(work).await.map(Result::unwrap);
        assert!(is_clean(db.unaudited()).await, "{sweep}");
    }
}

#[tokio::test]
async fn a_read() {
    let target = Target::new();
    let db = target.audited(1);
    let mut sweep = Sweep::new(ROUNDS, 2);
    while sweep.next_round().is_some() {
        sweep.cancel(db.run(&InstalledVersion)).await.map(Result::unwrap);
        assert!(is_clean(db.unaudited()).await, "{sweep}");
    }
    target.until_quiet().await;
}

/// A COPY that is dropped leaves rows on the wire, which sqlx would hand to the next statement.
#[tokio::test]
async fn an_export() {
    let target = Target::new();
    let db = target.audited(1);
    let posts = "INSERT INTO posts SELECT i, repeat('x', 500) FROM generate_series(1, 2000) AS i";
    db.unaudited().execute_unprepared(posts).await.unwrap();
    let mut sweep = Sweep::new(ROUNDS / 4, 5);
    while sweep.next_round().is_some() {
        let all = async {
            let mut pieces = pin!(db.export(Export::new(Timeline::new())));
            let mut bytes = 0;
            while let Some(piece) = pieces.try_next().await.unwrap() {
                if let ExportPiece::Bytes(piece) = piece {
                    bytes += piece.len();
                }
                // So that the drops come between the pieces too.
                tokio::task::yield_now().await;
            }
            bytes
        };
        let bytes = sweep.cancel(all).await;
        assert!(bytes.is_none_or(|bytes| bytes > 1_000_000), "all of it");
        assert!(is_clean(db.unaudited()).await, "{sweep}");
        assert_eq!(db.count_changes(&CountChanges::of(Timeline::new())).await.unwrap().to_string(), "2000");
    }
    target.until_quiet().await;
}

/// That the checks above can fail: SeaORM's own `begin` leaves a transaction to the next borrower.
#[tokio::test]
async fn the_same_check_finds_the_leak_of_seaorm() {
    let target = Target::new();
    let connection: DatabaseConnection = target.connection(1);
    let mut leaked = false;
    // One is enough. A server that answers at once leaves little to drop.
    for round in 0..20 * ROUNDS {
        drop(dropped_after(round % 4, connection.begin()).await);
        leaked = !is_clean(&connection).await;
        if leaked {
            connection.execute_unprepared("ROLLBACK").await.unwrap();
            break;
        }
    }
    assert!(leaked, "SeaORM has become safe, and the protection can go");
}

/// Nothing of a begin that was given up stays in the way of others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn given_up_while_waiting_for_a_connection_it_leaves_the_pool_usable() {
    let target = Target::new();
    let db = target.audited(1);
    let holder = db.begin(&user("holder")).await.unwrap();
    for round in 0..50 {
        let context = me(round);
        assert!(dropped_after(0, db.begin(&context)).await.is_none());
    }
    holder.rollback().await.unwrap();
    db.transaction(&user("42"), async |tx| insert_post(tx, 1).await.map_err(Error::from)).await.unwrap();
    assert!(is_clean(db.unaudited()).await);
    assert_eq!(target.trail(), ["posts insert 1 42 -"]);
}
