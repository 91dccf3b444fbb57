//! Futures dropped after 0, 1, 2 .. polls: whatever was on its way, the next borrower of the connection finds no open
//! transaction and nobody else's actor, and the trail holds all of a transaction or none of it.

use futures_util::TryStreamExt;
use sqlx::{Connection, PgPool};
use threadline::sqlx::{BeginAudited, Error, RetryPolicy, Trail, attach, record_failure, retry};
use threadline::{Action, CountChanges, Export, ExportPiece, InstalledVersion, Timeline};

use crate::support::{Target, actor, cancelled, dropped_after, has_transaction, insert_post, on_both, run, user};

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

/// More polls than any of these futures takes.
const POLLS: usize = 24;
const ROUNDS: usize = 3 * POLLS;

/// How often a future was dropped, and how often it was faster.
#[derive(Default)]
struct Tally {
    dropped: usize,
    finished: usize,
}

impl Tally {
    fn count<T>(&mut self, answer: Option<T>) -> Option<T> {
        *if answer.is_some() { &mut self.finished } else { &mut self.dropped } += 1;
        answer
    }

    /// Both happened, so the drops went all the way to the end.
    fn check(&self) {
        assert!(self.dropped >= ROUNDS / POLLS && self.finished > 0, "{} {}", self.dropped, self.finished);
    }
}

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
    let mut tally = Tally::default();
    for round in 0..ROUNDS {
        let context = me(round);
        drop(tally.count(dropped_after(round % POLLS, pool.begin_audited(&context)).await));
        assert!(is_clean(&pool).await, "after {} polls", round % POLLS);
    }
    tally.check();
    target.until_quiet().await;
}

async fn begin_on_a_plain_connection(target: Target) {
    let mut connection = target.pool(1).acquire().await.unwrap();
    let mut tally = Tally::default();
    for round in 0..ROUNDS {
        let context = me(round);
        drop(tally.count(dropped_after(round % 4, connection.begin_audited(&context)).await));
        assert_eq!(actor(&mut connection).await.unwrap(), "");
        assert!(!has_transaction(&mut connection).await);
        let mut tx = connection.begin().await.unwrap();
        insert_post(&mut tx, id(round)).await.unwrap();
        tx.commit().await.unwrap();
    }
    tally.check();
    assert!(target.trail().iter().all(|change| change.ends_with(" - -")));
}

async fn the_closure_form(target: Target) {
    let db = target.audited(1);
    let mut tally = Tally::default();
    for round in 0..ROUNDS {
        let context = me(round);
        let work = db.transaction(&context, async |tx| {
            tx.record_action(&Action::new("post.published")).await?;
            insert_post(tx, id(round)).await?;
            Ok::<_, Error>(())
        });
        tally.count(dropped_after(round % POLLS, work).await).map(Result::unwrap);
        assert!(is_clean(db.unaudited()).await, "after {} polls", round % POLLS);
    }
    tally.check();
    target.until_quiet().await;
    assert_all_or_nothing(&target);
    assert_eq!(target.count("threadline.audit_actions"), target.count("posts"));
}

async fn the_retried_form(target: Target) {
    let pool = target.pool(1);
    let mut tally = Tally::default();
    for round in 0..ROUNDS {
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
        tally.count(dropped_after(round % (2 * POLLS), work).await).map(Result::unwrap);
        drop(connection);
        assert!(is_clean(&pool).await, "after {} polls", round % (2 * POLLS));
    }
    tally.check();
    target.until_quiet().await;
    assert_all_or_nothing(&target);
}

async fn record_action(target: Target) {
    let pool = target.pool(1);
    let mut tally = Tally::default();
    for round in 0..ROUNDS {
        let mut tx = pool.begin_audited(&me(round)).await.unwrap();
        insert_post(&mut tx, id(round)).await.unwrap();
        let action = Action::new("post.published");
        let recorded = tally.count(dropped_after(round % 4, tx.record_action(&action)).await);
        if recorded.is_some() || round % 2 == 0 {
            // A statement that was cancelled is not undone: the transaction goes on.
            tx.commit().await.unwrap();
        } else {
            drop(tx);
        }
        assert!(is_clean(&pool).await);
    }
    tally.check();
    target.until_quiet().await;
    assert_all_or_nothing(&target);
}

async fn commit(target: Target) {
    let pool = target.pool(1);
    let mut tally = Tally::default();
    for round in 0..ROUNDS {
        let mut tx = pool.begin_audited(&me(round)).await.unwrap();
        insert_post(&mut tx, id(round)).await.unwrap();
        tally.count(dropped_after(round % 6, tx.commit()).await).map(Result::unwrap);
        assert!(is_clean(&pool).await, "after {} polls", round % 6);
    }
    tally.check();
    target.until_quiet().await;
    assert_all_or_nothing(&target);
}

async fn rollback(target: Target) {
    let pool = target.pool(1);
    let mut tally = Tally::default();
    for round in 0..ROUNDS {
        let mut tx = pool.begin_audited(&me(round)).await.unwrap();
        insert_post(&mut tx, id(round)).await.unwrap();
        tally.count(dropped_after(round % 3, tx.rollback()).await).map(Result::unwrap);
        assert!(is_clean(&pool).await);
    }
    tally.check();
    assert_eq!((target.count("posts"), target.trail().len()), (0, 0));
}

async fn rollback_and_record(target: Target) {
    let pool = target.pool(1);
    let mut tally = Tally::default();
    for round in 0..ROUNDS {
        let mut tx = pool.begin_audited(&me(round)).await.unwrap();
        insert_post(&mut tx, id(round)).await.unwrap();
        let action = Action::new("post.publish");
        let recording = tx.rollback_and_record(&action);
        tally.count(dropped_after(round % 10, recording).await).map(Result::unwrap);
        assert!(is_clean(&pool).await);
    }
    tally.check();
    target.until_quiet().await;
    assert_eq!(target.count("posts"), 0);
    let recorded = usize::try_from(target.count("threadline.audit_actions")).unwrap();
    assert!(recorded >= tally.finished && recorded <= ROUNDS);
}

async fn a_nested_scope(target: Target) {
    let pool = target.pool(1);
    let mut tally = Tally::default();
    let mut refused = 0;
    let inner = user("inner");
    for round in 0..2 * ROUNDS {
        let mut tx = pool.begin_audited(&me(round)).await.unwrap();
        insert_post(&mut tx, id(round)).await.unwrap();
        let context = round.is_multiple_of(2).then_some(&inner);
        let scope = tx.nested(context, async |tx| {
            insert_post(tx, 10_000 + id(round)).await?;
            tx.record_action(&Action::new("nested")).await?;
            Ok::<_, Error>(())
        });
        let kept = tally.count(dropped_after(round / 2 % 12, scope).await).map(Result::unwrap).is_some();
        // The outer context is back, or the server refuses everything.
        let went_on = match actor(&mut tx).await {
            Ok(actor) => {
                assert_eq!(actor, round.to_string());
                insert_post(&mut tx, 20_000 + id(round)).await.unwrap();
                tx.commit().await.unwrap();
                true
            }
            Err(_) => {
                assert!(insert_post(&mut tx, 20_000 + id(round)).await.is_err());
                assert!(tx.commit().await.is_err());
                refused += 1;
                false
            }
        };
        assert!(went_on || !kept);
        let expected = [went_on, kept, went_on].map(|there| if there { "1" } else { "0" }).concat();
        let sql = format!(
            "SELECT (SELECT count(*) FROM posts WHERE id = {round})::text
            || (SELECT count(*) FROM posts WHERE id = 10000 + {round}) || (SELECT count(*) FROM posts WHERE id = 20000 + {round})"
        );
        assert_eq!(target.value(&sql), Some(expected));
        assert!(is_clean(&pool).await);
    }
    tally.check();
    assert!(refused < ROUNDS / 2, "only a cancelled release of the savepoint may cost the transaction: {refused}");
    let wrong = "threadline.audit_changes c JOIN threadline.audit_transactions t ON t.id = c.transaction_id
        WHERE t.actor_ref ->> 'id' <> CASE
            WHEN (c.table_pk ->> 'id')::int BETWEEN 10000 AND 19999 AND (c.table_pk ->> 'id')::int % 2 = 0 THEN 'inner'
            ELSE ((c.table_pk ->> 'id')::int % 10000)::text END";
    assert_eq!(target.count(wrong), 0);
    assert_eq!(target.count("threadline.audit_changes"), target.count("posts"));
}

async fn a_nested_scope_in_an_attached_transaction(target: Target) {
    let pool = target.pool(1);
    let mut tally = Tally::default();
    let inner = user("inner");
    for round in 0..ROUNDS {
        let mut tx = pool.begin().await.unwrap();
        let mut attached = attach(&me(round), &mut tx).await.unwrap();
        let scope = attached.nested(Some(&inner), async |tx| insert_post(tx, 10_000 + id(round)).await);
        tally.count(dropped_after(round % 10, scope).await).map(Result::unwrap);
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
    tally.check();
    let wrong = "threadline.audit_changes c JOIN threadline.audit_transactions t ON t.id = c.transaction_id
        WHERE t.actor_ref ->> 'id' <> CASE
            WHEN (c.table_pk ->> 'id')::int >= 10000 THEN 'inner' ELSE c.table_pk ->> 'id' END";
    assert_eq!(target.count(wrong), 0);
    assert_eq!(target.count("threadline.audit_changes"), target.count("posts"));
}

async fn recording_a_failure(target: Target) {
    let pool = target.pool(1);
    let mut tally = Tally::default();
    for round in 0..ROUNDS {
        let (context, action) = (me(round), Action::new("login"));
        let mut connection = pool.acquire().await.unwrap();
        let recording = record_failure(&mut connection, &context, &action);
        tally.count(dropped_after(round % 12, recording).await).map(Result::unwrap);
        assert_eq!(actor(&mut connection).await.unwrap(), "");
        assert!(!has_transaction(&mut connection).await);
    }
    tally.check();
    target.until_quiet().await;
}

async fn a_read(target: Target) {
    let pool = target.pool(1);
    let mut tally = Tally::default();
    for round in 0..ROUNDS {
        tally.count(dropped_after(round % POLLS, pool.run(&InstalledVersion)).await).map(Result::unwrap);
        assert!(is_clean(&pool).await, "after {} polls", round % POLLS);
    }
    tally.check();
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
    let mut tally = Tally::default();
    for round in 0..ROUNDS {
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
        let bytes = tally.count(dropped_after(round, all).await);
        assert!(bytes.is_none_or(|bytes| bytes > 1_000_000), "all of it");
        drop(pieces);
        assert!(is_clean(&pool).await, "after {round} polls");
        assert_eq!(pool.count_changes(&CountChanges::of(Timeline::new())).await.unwrap().to_string(), "2000");
    }
    tally.check();
    target.until_quiet().await;
}

/// The control: the check that passes everywhere above fails for sqlx 0.9.0 on its own. When this test fails, sqlx is
/// repaired.
async fn the_same_check_finds_the_leak_of_sqlx(target: Target) {
    let (pool, proxy) = target.held().await;
    let sql = r#"BEGIN; SELECT set_config('threadline.actor_ref', '{"type":"user","id":"foreign"}', true)"#;
    assert!(is_clean(&pool).await);

    let mut connection = pool.acquire().await.unwrap();
    cancelled(&proxy, connection.begin_with(sql)).await;
    drop(connection);
    let mut connection = pool.acquire().await.unwrap();
    assert_eq!(actor(&mut connection).await.unwrap(), "foreign");
    assert!(has_transaction(&mut connection).await);
    run(&mut connection, "ROLLBACK").await.unwrap();
    drop(connection);

    let mut leaks = 0;
    for round in 0..ROUNDS {
        drop(dropped_after(round % POLLS, pool.begin_with(sql)).await);
        if !is_clean(&pool).await {
            leaks += 1;
            run(&mut pool.acquire().await.unwrap(), "ROLLBACK").await.unwrap();
        }
    }
    assert!(leaks > 0, "the leak was not seen in {ROUNDS} rounds");
}
