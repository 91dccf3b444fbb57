//! Futures dropped after 0, 1, 2 .. polls: whatever was on its way, the next borrower of the connection finds no open
//! transaction and nobody else's actor, and the trail holds all of a transaction or none of it.
//!
//! Each on a connection that is used again at once, from a pool of deadpool's, and from one of bb8's.

use std::sync::atomic::{AtomicBool, Ordering};

use diesel_async::pooled_connection::{bb8, deadpool};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use threadline_core::{Action, AuditContext, InstalledVersion, RetryPolicy};
use threadline_diesel::Error;
use threadline_diesel::asynchronous::{AuditDsl, Trail, attach, begin};
use threadline_testkit::Sweep;

use crate::support::{Target, actor, has_transaction, insert_post, run, user};

/// At least, from each source; the conformance suite has 400 of each form.
const ROUNDS: usize = 160;

/// Where a connection comes from.
enum Source {
    /// In no pool, and used again at once.
    Plain(Box<AsyncPgConnection>),
    Deadpool(deadpool::Pool<AsyncPgConnection>),
    Bb8(bb8::Pool<AsyncPgConnection>),
}

/// Runs a block with a connection of the source, whatever its type.
macro_rules! borrowed {
    ($source:expr, $conn:ident => $block:expr) => {
        match $source {
            Source::Plain(conn) => {
                let $conn = &mut **conn;
                $block
            }
            Source::Deadpool(pool) => {
                let $conn = &mut pool.get().await.unwrap();
                $block
            }
            Source::Bb8(pool) => {
                let $conn = &mut pool.get().await.unwrap();
                $block
            }
        }
    };
}

impl Source {
    /// A connection that is in no pool is used up by a cancelled closure.
    async fn renew(&mut self, target: &Target) {
        if let Self::Plain(conn) = self {
            let refused = conn.begin_audited(&user("42")).await.map(drop);
            if let Err(error) = refused {
                assert!(matches!(error.as_diesel(), Some(diesel::result::Error::BrokenTransactionManager)), "{error}");
                **conn = target.connect().await;
            }
        }
    }

    async fn is_clean(&mut self) -> bool {
        borrowed!(self, conn => actor(&mut *conn).await.unwrap().is_empty() && !has_transaction(&mut *conn).await)
    }
}

/// Makes of each `async fn name(target: Target, source: Source)` three tests.
macro_rules! on_each_source {
    ($($name:ident),* $(,)?) => {
        mod alone {
            $(
                #[tokio::test]
                async fn $name() {
                    let target = crate::support::Target::new();
                    let source = super::Source::Plain(Box::new(target.connect().await));
                    super::$name(target, source).await;
                }
            )*
        }
        mod pooled_by_deadpool {
            $(
                #[tokio::test]
                async fn $name() {
                    let target = crate::support::Target::new();
                    let source = super::Source::Deadpool(target.pool(1));
                    super::$name(target, source).await;
                }
            )*
        }
        mod pooled_by_bb8 {
            $(
                #[tokio::test]
                async fn $name() {
                    let target = crate::support::Target::new();
                    let source = super::Source::Bb8(target.bb8(1).await);
                    super::$name(target, source).await;
                }
            )*
        }
    };
}

on_each_source! {
    begin_form,
    the_closure_form,
    the_retried_form,
    record_action,
    commit,
    rollback,
    a_nested_scope,
    attaching,
    recording_a_failure,
    a_read,
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

fn me(round: usize) -> AuditContext {
    user(&round.to_string())
}

async fn begin_form(target: Target, mut source: Source) {
    let mut sweep = Sweep::new(ROUNDS, 1);
    while let Some(round) = sweep.next_round() {
        let context = me(round);
        borrowed!(&mut source, conn => drop(sweep.cancel(begin(&mut *conn, &context)).await));
        assert!(source.is_clean().await, "{sweep}");
    }
    assert_eq!(target.trail(), [""; 0]);
}

async fn the_closure_form(target: Target, mut source: Source) {
    let mut sweep = Sweep::new(ROUNDS, 4);
    while let Some(round) = sweep.next_round() {
        let context = me(round);
        borrowed!(&mut source, conn => {
            let work = conn.audited(&context, async |conn| {
                conn.record_action(&Action::new("post.published")).await?;
                insert_post(conn, id(round)).await?;
                Ok::<_, Error>(())
            });
            sweep.cancel(work).await.map(Result::unwrap);
        });
        assert!(source.is_clean().await, "{sweep}");
        source.renew(&target).await;
    }
    target.until_quiet().await;
    assert_all_or_nothing(&target);
    assert_eq!(target.count("threadline.audit_actions"), target.count("posts"));
}

async fn the_retried_form(target: Target, mut source: Source) {
    let mut sweep = Sweep::new(ROUNDS, 6);
    while let Some(round) = sweep.next_round() {
        let context = me(round);
        let policy = RetryPolicy::new().pause(std::time::Duration::from_micros(10));
        let first = AtomicBool::new(true);
        borrowed!(&mut source, conn => {
            let work = conn.with(&context).retry(&policy, async |conn| {
                insert_post(conn, id(round)).await?;
                if first.swap(false, Ordering::SeqCst) {
                    run(conn, "DO $$ BEGIN RAISE EXCEPTION 'on purpose' USING ERRCODE = '40001'; END $$").await?;
                }
                Ok::<_, diesel::result::Error>(())
            });
            sweep.cancel(work).await.map(Result::unwrap);
        });
        assert!(source.is_clean().await, "{sweep}");
        source.renew(&target).await;
    }
    target.until_quiet().await;
    assert_all_or_nothing(&target);
}

async fn record_action(target: Target, mut source: Source) {
    let mut sweep = Sweep::new(ROUNDS, 1);
    while let Some(round) = sweep.next_round() {
        borrowed!(&mut source, conn => {
            let mut tx = conn.begin_audited(&me(round)).await.unwrap();
            insert_post(&mut tx, id(round)).await.unwrap();
            let action = Action::new("post.published");
            let recorded = sweep.cancel(tx.record_action(&action)).await;
            if recorded.is_some() || sweep.is_odd() {
                // A statement that was cancelled is not undone: the transaction goes on.
                tx.commit().await.unwrap();
            } else {
                drop(tx);
            }
        });
        assert!(source.is_clean().await);
    }
    target.until_quiet().await;
    assert_all_or_nothing(&target);
}

async fn commit(target: Target, mut source: Source) {
    let mut sweep = Sweep::new(ROUNDS, 1);
    while let Some(round) = sweep.next_round() {
        borrowed!(&mut source, conn => {
            let mut tx = conn.begin_audited(&me(round)).await.unwrap();
            insert_post(&mut tx, id(round)).await.unwrap();
            sweep.cancel(tx.commit()).await.map(Result::unwrap);
        });
        assert!(source.is_clean().await, "{sweep}");
    }
    target.until_quiet().await;
    assert_all_or_nothing(&target);
}

async fn rollback(target: Target, mut source: Source) {
    let mut sweep = Sweep::new(ROUNDS, 1);
    while let Some(round) = sweep.next_round() {
        borrowed!(&mut source, conn => {
            let mut tx = conn.begin_audited(&me(round)).await.unwrap();
            insert_post(&mut tx, id(round)).await.unwrap();
            sweep.cancel(tx.rollback()).await.map(Result::unwrap);
        });
        assert!(source.is_clean().await);
    }
    assert_eq!((target.count("posts"), target.trail().len()), (0, 0));
}

async fn a_nested_scope(target: Target, mut source: Source) {
    let mut sweep = Sweep::new(ROUNDS, 3);
    let mut refused = 0;
    let inner = user("inner");
    while let Some(round) = sweep.next_round() {
        let (kept, went_on) = borrowed!(&mut source, conn => {
            let mut tx = conn.begin_audited(&me(round)).await.unwrap();
            insert_post(&mut tx, id(round)).await.unwrap();
            // Both kinds take turns by pass: by round, each would be dropped after every other number of polls only.
            let context = sweep.is_odd().then_some(&inner);
            let nested = id(round) + if context.is_some() { 2_000_000 } else { 3_000_000 };
            let scope = tx.nested(context, async |conn| {
                insert_post(conn, nested).await?;
                conn.record_action(&Action::new("nested")).await?;
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
            (kept, went_on)
        });
        assert!(went_on || !kept);
        let expected = [went_on, kept, went_on].map(|there| if there { "1" } else { "0" }).concat();
        let sql = format!(
            "SELECT (SELECT count(*) FROM posts WHERE id = {round})::text
            || (SELECT count(*) FROM posts WHERE id IN (2000000 + {round}, 3000000 + {round})) || (SELECT count(*) FROM posts WHERE id = 1000000 + {round})"
        );
        assert_eq!(target.value(&sql), Some(expected));
        assert!(source.is_clean().await);
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

async fn attaching(target: Target, mut source: Source) {
    let mut sweep = Sweep::new(ROUNDS, 1);
    while let Some(round) = sweep.next_round() {
        let context = me(round);
        borrowed!(&mut source, conn => {
            let work = AsyncConnection::transaction(&mut *conn, async |conn| {
                let is_attached = sweep.cancel(attach(&context, conn)).await.map(Result::unwrap).is_some();
                if is_attached {
                    insert_post(conn, id(round)).await?;
                }
                Ok::<_, diesel::result::Error>(())
            });
            work.await.unwrap();
        });
        assert!(source.is_clean().await);
    }
    assert_all_or_nothing(&target);
}

async fn recording_a_failure(target: Target, mut source: Source) {
    let mut sweep = Sweep::new(ROUNDS, 3);
    while let Some(round) = sweep.next_round() {
        let (context, action) = (me(round), Action::new("login"));
        borrowed!(&mut source, conn => {
            let recording = conn.record_failure(&context, &action);
            sweep.cancel(recording).await.map(Result::unwrap);
        });
        assert!(source.is_clean().await);
    }
    target.until_quiet().await;
    let recorded = usize::try_from(target.count("threadline.audit_actions")).unwrap();
    assert!(recorded >= sweep.finished() && recorded <= sweep.rounds());
}

async fn a_read(target: Target, mut source: Source) {
    let mut sweep = Sweep::new(ROUNDS, 3);
    while sweep.next_round().is_some() {
        borrowed!(&mut source, conn => {
            sweep.cancel(conn.run(&InstalledVersion)).await.map(Result::unwrap);
        });
        assert!(source.is_clean().await, "{sweep}");
    }
    target.until_quiet().await;
}

#[tokio::test]
async fn a_pool_replaces_the_connection_of_a_cancelled_closure_but_not_of_a_dropped_guard() {
    let target = Target::new();
    let pool = target.pool(1);
    let backend = async || crate::support::text(&mut pool.get().await.unwrap(), "pg_backend_pid()").await.unwrap();
    let first = backend().await;
    drop(begin(pool.get().await.unwrap(), &user("42")).await.unwrap());
    assert_eq!(backend().await, first);

    let mut conn = pool.get().await.unwrap();
    let context = user("42");
    let long = conn.audited(&context, async |conn| run(conn, "SELECT pg_sleep(30)").await);
    assert!(tokio::time::timeout(std::time::Duration::from_millis(100), long).await.is_err());
    drop(conn);
    // The next borrower does not wait for the end of the statement.
    let next = tokio::time::timeout(std::time::Duration::from_secs(10), backend()).await.unwrap();
    assert_ne!(next, first);
}

/// The control: the check that passes everywhere above fails for diesel-async on its own, on a connection that is used
/// again before a pool has seen it. When this test fails, diesel-async has become safe there too.
#[tokio::test]
async fn the_same_check_finds_what_diesel_async_leaves_on_a_connection() {
    let target = Target::new();
    let (mut conn, proxy) = target.watched().await;
    let actor_of_another = r#"SELECT set_config('threadline.actor_ref', '{"type":"user","id":"another"}', true)"#;
    let work = conn.transaction(async |conn| {
        run(conn, actor_of_another).await?;
        proxy.cancel(run(conn, "SELECT 1")).await;
        std::future::pending::<Result<(), diesel::result::Error>>().await
    });
    assert!(tokio::time::timeout(std::time::Duration::from_millis(200), work).await.is_err());
    assert_eq!(actor(&mut conn).await.unwrap(), "another");
    assert!(has_transaction(&mut conn).await);
}
