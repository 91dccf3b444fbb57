//! Futures dropped after 0, 1, 2 .. polls: whatever was on its way, the next borrower of the connection finds no open
//! transaction and nobody else's actor, and the trail holds all of a transaction or none of it.

use futures_util::TryStreamExt;
use sqlx::{Connection, PgPool};
use threadline::sqlx::{BeginAudited, Error, RetryPolicy, Trail, attach, record_failure, retry};
use threadline::{Action, CountChanges, Export, ExportPiece, InstalledVersion, Timeline};
use threadline_testkit::{Sweep, dropped_after};

use crate::support::{Target, actor, has_transaction, insert_post, on_both, run, user};

on_both! {
    begin,
    begin_on_a_plain_connection,
    the_closure_form,
    the_retried_form,
    record_action,
    commit,
    rollback,
    rollback_and_record,
    a_nested_scope,
    a_nested_scope_in_an_attached_transaction,
    recording_a_failure,
    a_read,
    an_export,
    the_same_check_finds_the_leak_of_sqlx,
}

/// At least.
const ROUNDS: usize = 100;

async fn is_clean(pool: &PgPool) -> bool {
    let mut connection = pool.acquire().await.unwrap();
    actor(&mut connection).await.unwrap().is_empty() && !has_transaction(&mut connection).await
}

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

fn me(round: usize) -> threadline::AuditContext {
    user(&round.to_string())
}

async fn begin(target: Target) {
    let pool = target.pool(1);
    let mut sweep = Sweep::new(ROUNDS, 1);
    while let Some(round) = sweep.next_round() {
        let context = me(round);
        drop(sweep.cancel(pool.begin_audited(&context)).await);
        assert!(is_clean(&pool).await, "{sweep}");
    }
    target.until_quiet().await;
}

async fn begin_on_a_plain_connection(target: Target) {
    let mut connection = target.pool(1).acquire().await.unwrap();
    let mut sweep = Sweep::new(ROUNDS, 1);
    while let Some(round) = sweep.next_round() {
        let context = me(round);
        drop(sweep.cancel(connection.begin_audited(&context)).await);
        assert_eq!(actor(&mut connection).await.unwrap(), "");
        assert!(!has_transaction(&mut connection).await);
        let mut tx = connection.begin().await.unwrap();
        insert_post(&mut tx, id(round)).await.unwrap();
        tx.commit().await.unwrap();
    }
    assert!(target.trail().iter().all(|change| change.ends_with(" - -")));
}

async fn the_closure_form(target: Target) {
    let db = target.audited(1);
    let mut sweep = Sweep::new(ROUNDS, 4);
    while let Some(round) = sweep.next_round() {
        let context = me(round);
        let work = db.transaction(&context, async |tx| {
            tx.record_action(&Action::new("post.published")).await?;
            insert_post(tx, id(round)).await?;
            Ok::<_, Error>(())
        });
        sweep.cancel(work).await.map(Result::unwrap);
        assert!(is_clean(db.unaudited()).await, "{sweep}");
    }
    target.until_quiet().await;
    assert_all_or_nothing(&target);
    assert_eq!(target.count("threadline.audit_actions"), target.count("posts"));
}

async fn the_retried_form(target: Target) {
    let pool = target.pool(1);
    let mut sweep = Sweep::new(ROUNDS, 5);
    while let Some(round) = sweep.next_round() {
        let context = me(round);
        let policy = RetryPolicy::new().pause(std::time::Duration::from_micros(10));
        let mut connection = pool.acquire().await.unwrap();
        let first = std::sync::atomic::AtomicBool::new(true);
        let work = retry(&mut connection, &context, &policy, async |tx| {
            insert_post(tx, id(round)).await?;
            if first.swap(false, std::sync::atomic::Ordering::SeqCst) {
                run(tx, "DO $$ BEGIN RAISE EXCEPTION 'on purpose' USING ERRCODE = '40001'; END $$").await?;
            }
            Ok::<_, sqlx::Error>(())
        });
        sweep.cancel(work).await.map(Result::unwrap);
        drop(connection);
        assert!(is_clean(&pool).await, "{sweep}");
    }
    target.until_quiet().await;
    assert_all_or_nothing(&target);
}

async fn record_action(target: Target) {
    let pool = target.pool(1);
    let mut sweep = Sweep::new(ROUNDS, 1);
    while let Some(round) = sweep.next_round() {
        let mut tx = pool.begin_audited(&me(round)).await.unwrap();
        insert_post(&mut tx, id(round)).await.unwrap();
        let action = Action::new("post.published");
        let recorded = sweep.cancel(tx.record_action(&action)).await;
        if recorded.is_some() || sweep.is_odd() {
            // A statement that was cancelled is not undone: the transaction goes on.
            tx.commit().await.unwrap();
        } else {
            drop(tx);
        }
        assert!(is_clean(&pool).await);
    }
    target.until_quiet().await;
    assert_all_or_nothing(&target);
}

async fn commit(target: Target) {
    let pool = target.pool(1);
    let mut sweep = Sweep::new(ROUNDS, 1);
    while let Some(round) = sweep.next_round() {
        let mut tx = pool.begin_audited(&me(round)).await.unwrap();
        insert_post(&mut tx, id(round)).await.unwrap();
        sweep.cancel(tx.commit()).await.map(Result::unwrap);
        assert!(is_clean(&pool).await, "{sweep}");
    }
    target.until_quiet().await;
    assert_all_or_nothing(&target);
}

async fn rollback(target: Target) {
    let pool = target.pool(1);
    let mut sweep = Sweep::new(ROUNDS, 1);
    while let Some(round) = sweep.next_round() {
        let mut tx = pool.begin_audited(&me(round)).await.unwrap();
        insert_post(&mut tx, id(round)).await.unwrap();
        sweep.cancel(tx.rollback()).await.map(Result::unwrap);
        assert!(is_clean(&pool).await);
    }
    assert_eq!((target.count("posts"), target.trail().len()), (0, 0));
}

async fn rollback_and_record(target: Target) {
    let pool = target.pool(1);
    let mut sweep = Sweep::new(ROUNDS, 3);
    while let Some(round) = sweep.next_round() {
        let mut tx = pool.begin_audited(&me(round)).await.unwrap();
        insert_post(&mut tx, id(round)).await.unwrap();
        let action = Action::new("post.publish");
        let recording = tx.rollback_and_record(&action);
        sweep.cancel(recording).await.map(Result::unwrap);
        assert!(is_clean(&pool).await);
    }
    target.until_quiet().await;
    assert_eq!(target.count("posts"), 0);
    let recorded = usize::try_from(target.count("threadline.audit_actions")).unwrap();
    assert!(recorded >= sweep.finished() && recorded <= sweep.rounds());
}

async fn a_nested_scope(target: Target) {
    let pool = target.pool(1);
    let mut sweep = Sweep::new(ROUNDS, 3);
    let mut refused = 0;
    let inner = user("inner");
    while let Some(round) = sweep.next_round() {
        let mut tx = pool.begin_audited(&me(round)).await.unwrap();
        insert_post(&mut tx, id(round)).await.unwrap();
        // Both kinds take turns by pass: by round, each would be dropped after every other number of polls only.
        let context = sweep.is_odd().then_some(&inner);
        let nested = id(round) + if context.is_some() { 2_000_000 } else { 3_000_000 };
        let scope = tx.nested(context, async |tx| {
            insert_post(tx, nested).await?;
            tx.record_action(&Action::new("nested")).await?;
            Ok::<_, Error>(())
        });
        let kept = sweep.cancel(scope).await.map(Result::unwrap).is_some();
        // The outer context is back, or the server refuses everything.
        let went_on = match actor(&mut tx).await {
            Ok(actor) => {
                assert_eq!(actor, round.to_string());
                insert_post(&mut tx, 1_000_000 + id(round)).await.unwrap();
                tx.commit().await.unwrap();
                true
            }
            Err(_) => {
                assert!(insert_post(&mut tx, 1_000_000 + id(round)).await.is_err());
                assert!(tx.commit().await.is_err());
                refused += 1;
                false
            }
        };
        assert!(went_on || !kept);
        let expected = [went_on, kept, went_on].map(|there| if there { "1" } else { "0" }).concat();
        let sql = format!(
            "SELECT (SELECT count(*) FROM posts WHERE id = {round})::text
            || (SELECT count(*) FROM posts WHERE id IN (2000000 + {round}, 3000000 + {round})) || (SELECT count(*) FROM posts WHERE id = 1000000 + {round})"
        );
        assert_eq!(target.value(&sql), Some(expected));
        assert!(is_clean(&pool).await);
    }
    assert!(
        refused < sweep.rounds() / 2,
        "only a cancelled release of the savepoint may cost the transaction: {refused}"
    );
    let wrong = "threadline.audit_changes c JOIN threadline.audit_transactions t ON t.id = c.transaction_id
        WHERE t.actor_ref ->> 'id' <> CASE
            WHEN (c.table_pk ->> 'id')::int BETWEEN 2000000 AND 2999999 THEN 'inner'
            ELSE ((c.table_pk ->> 'id')::int % 1000000)::text END";
    assert_eq!(target.count(wrong), 0);
    assert_eq!(target.count("threadline.audit_changes"), target.count("posts"));
}

async fn a_nested_scope_in_an_attached_transaction(target: Target) {
    let pool = target.pool(1);
    let mut sweep = Sweep::new(ROUNDS, 3);
    let inner = user("inner");
    while let Some(round) = sweep.next_round() {
        let mut tx = pool.begin().await.unwrap();
        let mut attached = attach(&me(round), &mut tx).await.unwrap();
        let scope = attached.nested(Some(&inner), async |tx| insert_post(tx, 10_000 + id(round)).await);
        sweep.cancel(scope).await.map(Result::unwrap);
        let went_on = insert_post(&mut attached, id(round)).await.is_ok();
        drop(attached);
        if went_on {
            tx.commit().await.unwrap();
        } else {
            assert!(insert_post(&mut tx, id(round)).await.is_err());
            tx.rollback().await.unwrap();
        }
        assert!(is_clean(&pool).await);
    }
    let wrong = "threadline.audit_changes c JOIN threadline.audit_transactions t ON t.id = c.transaction_id
        WHERE t.actor_ref ->> 'id' <> CASE
            WHEN (c.table_pk ->> 'id')::int >= 10000 THEN 'inner' ELSE c.table_pk ->> 'id' END";
    assert_eq!(target.count(wrong), 0);
    assert_eq!(target.count("threadline.audit_changes"), target.count("posts"));
}

async fn recording_a_failure(target: Target) {
    let pool = target.pool(1);
    let mut sweep = Sweep::new(ROUNDS, 2);
    while let Some(round) = sweep.next_round() {
        let (context, action) = (me(round), Action::new("login"));
        let mut connection = pool.acquire().await.unwrap();
        let recording = record_failure(&mut connection, &context, &action);
        sweep.cancel(recording).await.map(Result::unwrap);
        assert_eq!(actor(&mut connection).await.unwrap(), "");
        assert!(!has_transaction(&mut connection).await);
    }
    target.until_quiet().await;
}

async fn a_read(target: Target) {
    let pool = target.pool(1);
    let mut sweep = Sweep::new(ROUNDS, 2);
    while sweep.next_round().is_some() {
        sweep.cancel(pool.run(&InstalledVersion)).await.map(Result::unwrap);
        assert!(is_clean(&pool).await, "{sweep}");
    }
    target.until_quiet().await;
}

/// A COPY that is dropped leaves rows on the wire, which sqlx would hand to the next statement.
async fn an_export(target: Target) {
    let pool = target.pool(1);
    let mut connection = pool.acquire().await.unwrap();
    run(&mut connection, "INSERT INTO posts SELECT g, repeat('x', 500) FROM generate_series(1, 2000) AS g")
        .await
        .unwrap();
    drop(connection);
    let mut sweep = Sweep::new(ROUNDS, 5);
    while sweep.next_round().is_some() {
        let mut pieces = Box::pin(pool.export(Export::new(Timeline::new())));
        let all = async {
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
        drop(pieces);
        assert!(is_clean(&pool).await, "{sweep}");
        assert_eq!(pool.count_changes(&CountChanges::of(Timeline::new())).await.unwrap().to_string(), "2000");
    }
    target.until_quiet().await;
}

/// The control: the check that passes everywhere above fails for sqlx 0.9.0 on its own. When this test fails, sqlx is
/// repaired.
async fn the_same_check_finds_the_leak_of_sqlx(target: Target) {
    let (pool, proxy) = target.held().await;
    let sql = r#"BEGIN; SELECT set_config('threadline.actor_ref', '{"type":"user","id":"foreign"}', true)"#;
    assert!(is_clean(&pool).await);

    let mut connection = pool.acquire().await.unwrap();
    proxy.cancel(connection.begin_with(sql)).await;
    drop(connection);
    let mut connection = pool.acquire().await.unwrap();
    assert_eq!(actor(&mut connection).await.unwrap(), "foreign");
    assert!(has_transaction(&mut connection).await);
    run(&mut connection, "ROLLBACK").await.unwrap();
    drop(connection);

    // One is enough. A server that answers at once leaves little to drop.
    let mut leaked = false;
    for round in 0..20 * ROUNDS {
        drop(dropped_after(round % 4, pool.begin_with(sql)).await);
        leaked = !is_clean(&pool).await;
        if leaked {
            run(&mut pool.acquire().await.unwrap(), "ROLLBACK").await.unwrap();
            break;
        }
    }
    assert!(leaked, "the leak was not seen in {} rounds", 20 * ROUNDS);
}
