//! Blocking Diesel inside an asynchronous service: the context is a value and goes into the closure that blocks.

use std::thread;

use deadpool_diesel::postgres::{Hook, HookError, Manager, Pool, Runtime};
use diesel::connection::CacheSize;
use diesel::prelude::*;
use threadline_diesel::Error;
use threadline_diesel::prelude::*;

use crate::support::{Target, actor, has_transaction, insert_post, user};

/// As `on_both!`, in a runtime.
macro_rules! on_both_async {
    ($($name:ident),* $(,)?) => {
        mod direct {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(crate::support::Target::direct()).await;
                }
            )*
        }
        mod pgbouncer {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(crate::support::Target::pgbouncer()).await;
                }
            )*
        }
    };
}

on_both_async! {
    a_context_goes_into_spawn_blocking,
    a_context_goes_into_a_deadpool_interaction,
    many_tasks_over_few_connections_never_swap_actors,
    a_dropped_future_finishes_its_transaction_under_its_own_actor,
    a_panic_in_an_interaction_leaks_nothing,
}

/// A pool of blocking connections for asynchronous code.
fn deadpool(target: &Target, connections: usize) -> Pool {
    let behind_pooler = target.behind_pooler;
    let manager = Manager::new(&target.url, Runtime::Tokio1);
    Pool::builder(manager)
        .max_size(connections)
        .post_create(Hook::async_fn(move |conn, _| {
            Box::pin(async move {
                if behind_pooler {
                    let set = |conn: &mut PgConnection| conn.set_prepared_statement_cache_size(CacheSize::Disabled);
                    conn.interact(set).await.map_err(|error| HookError::message(error.to_string()))?;
                }
                Ok(())
            })
        }))
        .build()
        .unwrap()
}

async fn a_context_goes_into_spawn_blocking(target: Target) {
    let (pool, context) = (target.pool(1), user("42"));
    let outcome = tokio::task::spawn_blocking(move || {
        pool.get().unwrap().audited(&context, |conn| {
            conn.record_action(&Action::new("post.published"))?;
            insert_post(conn, 1)
        })
    })
    .await
    .unwrap()
    .unwrap();
    assert!(outcome.transaction_id.is_some());
    assert_eq!(target.trail(), ["posts insert 1 42 post.published"]);
}

async fn a_context_goes_into_a_deadpool_interaction(target: Target) {
    let pool = deadpool(&target, 1);
    let context = user("42");
    let conn = pool.get().await.unwrap();
    let outcome = conn
        .interact(move |conn| {
            conn.audited(&context, |conn| {
                conn.record_action(&Action::new("post.published"))?;
                insert_post(conn, 1)
            })
        })
        .await
        .unwrap()
        .unwrap();
    assert!(outcome.transaction_id.is_some());
    let page = conn.interact(|conn| conn.timeline(&Timeline::new())).await.unwrap().unwrap();
    assert_eq!(page.entries.len(), 1);
    assert_eq!(target.trail(), ["posts insert 1 42 post.published"]);
}

async fn many_tasks_over_few_connections_never_swap_actors(target: Target) {
    let pool = deadpool(&target, 4);
    let tasks: Vec<_> = (0..64_i64)
        .map(|task| {
            let pool = pool.clone();
            tokio::spawn(async move {
                for round in 0..3 {
                    let conn = pool.get().await.unwrap();
                    let id = task * 100 + round;
                    let context = user(&format!("actor-{task}"));
                    conn.interact(move |conn| conn.audited(&context, |conn| insert_post(conn, id)))
                        .await
                        .unwrap()
                        .unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let wrong = "threadline.audit_changes c JOIN threadline.audit_transactions t ON t.id = c.transaction_id
        WHERE t.actor_ref ->> 'id' IS DISTINCT FROM 'actor-' || (c.table_pk ->> 'id')::int / 100";
    assert_eq!((target.count("threadline.audit_changes"), target.count(wrong)), (64 * 3, 0));
}

/// A thread that blocks cannot be cancelled: whoever stops waiting for it changes nothing.
async fn a_dropped_future_finishes_its_transaction_under_its_own_actor(target: Target) {
    let pool = deadpool(&target, 1);
    let conn = pool.get().await.unwrap();
    let (began, has_begun) = std::sync::mpsc::channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    let work = conn.interact(move |conn| {
        conn.audited(&user("42"), |conn| {
            began.send(()).unwrap();
            may_go_on.recv().unwrap();
            insert_post(conn, 1)
        })
    });
    let mut work = Box::pin(work);
    tokio::select! {
        _ = &mut work => unreachable!("it waits"),
        () = async { tokio::task::spawn_blocking(move || has_begun.recv().unwrap()).await.unwrap() } => {}
    }
    drop(work);
    drop(conn);
    go_on.send(()).unwrap();

    // The connection is lent again when the thread is done with it.
    let conn = pool.get().await.unwrap();
    let (who, open) = conn.interact(|conn| (actor(conn), has_transaction(conn))).await.unwrap();
    assert_eq!((who.as_str(), open), ("", false));
    assert_eq!(target.trail(), ["posts insert 1 42 -"]);
}

async fn a_panic_in_an_interaction_leaks_nothing(target: Target) {
    let pool = deadpool(&target, 1);
    let conn = pool.get().await.unwrap();
    let panicked = conn
        .interact(|conn| {
            conn.audited(&user("42"), |conn| {
                insert_post(conn, 1)?;
                if !thread::panicking() {
                    panic!("on purpose");
                }
                Ok::<_, Error>(())
            })
        })
        .await;
    assert!(panicked.is_err());
    drop(conn);
    let conn = pool.get().await.unwrap();
    let (who, open) = conn.interact(|conn| (actor(conn), has_transaction(conn))).await.unwrap();
    assert_eq!((who.as_str(), open), ("", false));
    assert_eq!(target.trail().len(), 0);
}
