//! How transactions end: committed whole or not at all, and never silently.

use std::time::Duration;

use sqlx::Connection;
use threadline::Action;
use threadline::sqlx::{BeginAudited, Error};
use threadline_testkit::{Proxy, until};

use crate::support::{Target, actor, has_transaction, insert_post, on_both, run, text, user};

on_both! {
    a_dropped_transaction_is_rolled_back,
    a_rolled_back_transaction_leaves_nothing,
    an_error_in_the_closure_rolls_back,
    a_panic_in_the_closure_rolls_back_and_spares_the_connection,
    commit_of_a_failed_transaction_is_an_error,
    the_closure_form_reports_a_swallowed_error,
    a_cancelled_statement_that_failed_is_found_out_at_the_end,
    a_deferred_constraint_fails_the_commit,
    a_lost_answer_to_commit_is_unknown,
    a_terminated_backend_is_a_clear_error,
    a_backend_terminated_during_commit_is_unknown,
    an_exhausted_pool_leaves_nothing,
    a_plain_connection_begins_audited_transactions,
    an_audited_transaction_does_not_begin_inside_another,
    a_leaked_savepoint_is_not_committed,
}

async fn a_dropped_transaction_is_rolled_back(target: Target) {
    let db = target.audited(1);
    let mut tx = db.begin(&user("42")).await.unwrap();
    insert_post(&mut tx, 1).await.unwrap();
    drop(tx);
    let mut connection = db.unaudited().acquire().await.unwrap();
    assert!(!has_transaction(&mut connection).await);
    assert_eq!(actor(&mut connection).await.unwrap(), "");
    assert_eq!((target.count("posts"), target.trail().len()), (0, 0));
}

async fn a_rolled_back_transaction_leaves_nothing(target: Target) {
    let db = target.audited(1);
    let mut tx = db.begin(&user("42")).await.unwrap();
    insert_post(&mut tx, 1).await.unwrap();
    tx.record_action(&Action::new("post.published")).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!((target.count("posts"), target.trail().len(), target.actions().len()), (0, 0, 0));
}

async fn an_error_in_the_closure_rolls_back(target: Target) {
    #[derive(Debug)]
    enum MyError {
        Audit(Error),
        OutOfStock,
    }
    impl From<Error> for MyError {
        fn from(error: Error) -> Self {
            Self::Audit(error)
        }
    }
    let result = target
        .audited(1)
        .transaction(&user("42"), async |tx| {
            insert_post(tx, 1).await.map_err(Error::from)?;
            Err::<(), _>(MyError::OutOfStock)
        })
        .await;
    match result.unwrap_err() {
        MyError::OutOfStock => {}
        MyError::Audit(error) => panic!("{error}"),
    }
    assert_eq!((target.count("posts"), target.trail().len()), (0, 0));
}

async fn a_panic_in_the_closure_rolls_back_and_spares_the_connection(target: Target) {
    let db = target.audited(1);
    let task = tokio::spawn({
        let db = db.clone();
        async move {
            db.transaction(&user("42"), async |tx| {
                insert_post(tx, 1).await?;
                if tx.context().actor().is_some() {
                    panic!("on purpose");
                }
                Ok::<_, Error>(())
            })
            .await
        }
    });
    assert!(task.await.unwrap_err().is_panic());
    db.transaction(&user("43"), async |tx| insert_post(tx, 2).await).await.unwrap();
    assert_eq!(target.trail(), ["posts insert 2 43 -"]);
    assert_eq!(db.unaudited().size(), 1);
}

async fn commit_of_a_failed_transaction_is_an_error(target: Target) {
    let db = target.audited(1);
    let mut tx = db.begin(&user("42")).await.unwrap();
    insert_post(&mut tx, 1).await.unwrap();
    let swallowed = run(&mut tx, "SELECT 1 / 0").await;
    assert!(swallowed.is_err());
    let error = tx.commit().await.unwrap_err();
    assert!(error.is_rolled_back() && !error.is_unknown_commit(), "{error}");
    assert_eq!(error.sqlstate().as_deref(), Some("25P02"));

    db.transaction(&user("43"), async |tx| insert_post(tx, 2).await).await.unwrap();
    assert_eq!(target.trail(), ["posts insert 2 43 -"]);
}

async fn the_closure_form_reports_a_swallowed_error(target: Target) {
    let error: Error = target
        .audited(1)
        .transaction(&user("42"), async |tx| {
            insert_post(tx, 1).await?;
            let _ = run(tx, "SELECT 1 / 0").await;
            Ok(())
        })
        .await
        .unwrap_err();
    assert!(error.is_rolled_back(), "{error}");
    assert_eq!(target.count("posts"), 0);
}

async fn a_cancelled_statement_that_failed_is_found_out_at_the_end(target: Target) {
    let (pool, proxy) = target.held().await;
    for ending in ["commit", "rollback", "drop"] {
        let mut tx = pool.begin_audited(&user("42")).await.unwrap();
        insert_post(&mut tx, 1).await.unwrap();
        proxy.cancel(run(&mut tx, "SELECT 1 / 0")).await;
        match ending {
            "commit" => assert_eq!(tx.commit().await.unwrap_err().sqlstate().as_deref(), Some("22012")),
            "rollback" => tx.rollback().await.unwrap(),
            _ => drop(tx),
        }
        assert!(!has_transaction(&mut pool.acquire().await.unwrap()).await, "{ending}");
    }
    assert_eq!((target.count("posts"), target.trail().len()), (0, 0));
}

async fn a_deferred_constraint_fails_the_commit(target: Target) {
    let db = target.audited(1);
    let error: sqlx::Error =
        db.transaction(&user("42"), async |tx| run(tx, "INSERT INTO comments VALUES (1, 99)").await).await.unwrap_err();
    assert!(error.as_database_error().is_some_and(|error| error.is_foreign_key_violation()), "{error}");
    assert!(!Error::from(error).is_unknown_commit());
    assert_eq!((target.count("comments"), target.trail().len()), (0, 0));
    assert!(!has_transaction(&mut db.unaudited().acquire().await.unwrap()).await);
}

async fn a_lost_answer_to_commit_is_unknown(target: Target) {
    let proxy = Proxy::before(&target.url).await.unwrap();
    let pool = target.pool_at(proxy.url(), 1);
    let mut tx = pool.begin_audited(&user("42")).await.unwrap();
    insert_post(&mut tx, 1).await.unwrap();
    proxy.break_at_commit();
    let error = tx.commit().await.unwrap_err();
    assert!(error.is_unknown_commit(), "{error}");
    assert!(matches!(error.as_sqlx(), Some(sqlx::Error::Io(_))), "the cause is kept: {error:?}");
    // As it happens it was committed: the caller cannot know.
    assert_eq!(target.trail(), ["posts insert 1 42 -"]);
}

async fn a_terminated_backend_is_a_clear_error(target: Target) {
    let db = target.audited(2);
    let mut tx = db.begin(&user("42")).await.unwrap();
    insert_post(&mut tx, 1).await.unwrap();
    tx.record_action(&Action::new("post.published")).await.unwrap();
    let backend = text(&mut tx, "SELECT pg_backend_pid()::text").await.unwrap().unwrap();
    target.rows(&format!("SELECT pg_terminate_backend({backend}, 5000)"));
    let error = tx.commit().await.unwrap_err();
    assert!(!error.is_unknown_commit(), "COMMIT was never sent: {error}");
    assert!(error.as_sqlx().is_some(), "{error}");
    assert_eq!((target.count("posts"), target.trail().len(), target.actions().len()), (0, 0, 0));

    db.transaction(&user("43"), async |tx| insert_post(tx, 2).await).await.unwrap();
    assert_eq!(target.trail(), ["posts insert 2 43 -"]);
}

async fn a_backend_terminated_during_commit_is_unknown(target: Target) {
    target
        .database
        .execute(
            "CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$;
            CREATE CONSTRAINT TRIGGER linger AFTER INSERT ON plain DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW EXECUTE FUNCTION linger()",
        )
        .unwrap();
    let mut tx = target.pool(1).begin_audited(&user("42")).await.unwrap();
    run(&mut tx, "INSERT INTO plain VALUES (1)").await.unwrap();
    let backend = text(&mut tx, "SELECT pg_backend_pid()::text").await.unwrap().unwrap();
    let commit = tokio::spawn(tx.commit());
    let waiting = format!("SELECT wait_event FROM pg_stat_activity WHERE pid = {backend}");
    until("COMMIT to linger", || target.value(&waiting).as_deref() == Some("PgSleep")).await;
    target.rows(&format!("SELECT pg_terminate_backend({backend}, 5000)"));
    let error = commit.await.unwrap().unwrap_err();
    assert!(error.is_unknown_commit(), "{error:?}");
}

async fn an_exhausted_pool_leaves_nothing(target: Target) {
    let pool = sqlx::postgres::PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(Duration::from_secs(1))
        .connect_lazy(&target.url)
        .unwrap();
    let holder = pool.acquire().await.unwrap();
    let error = pool.begin_audited(&user("42")).await.unwrap_err();
    assert!(matches!(error.as_sqlx(), Some(sqlx::Error::PoolTimedOut)), "{error}");
    drop(holder);
    let mut connection = pool.acquire().await.unwrap();
    assert!(!has_transaction(&mut connection).await);
    assert_eq!(actor(&mut connection).await.unwrap(), "");
}

async fn a_plain_connection_begins_audited_transactions(target: Target) {
    let mut connection = target.pool(1).acquire().await.unwrap();
    let mut tx = connection.begin_audited(&user("42")).await.unwrap();
    insert_post(&mut tx, 1).await.unwrap();
    assert!(tx.commit().await.unwrap().is_some());
    let mut tx = connection.begin_audited(&user("43")).await.unwrap();
    insert_post(&mut tx, 2).await.unwrap();
    drop(tx);
    assert!(!has_transaction(&mut connection).await);
    assert_eq!(target.trail(), ["posts insert 1 42 -"]);
}

async fn an_audited_transaction_does_not_begin_inside_another(target: Target) {
    let pool = target.pool(1);
    let mut tx = pool.begin().await.unwrap();
    let error = tx.begin_audited(&user("42")).await.unwrap_err();
    assert!(error.is_nested(), "{error}");
    insert_post(&mut tx, 1).await.unwrap();
    tx.commit().await.unwrap();

    let mut tx = pool.begin_audited(&user("42")).await.unwrap();
    let error = tx.begin_audited(&user("43")).await.map(drop).unwrap_err();
    assert!(error.is_nested(), "{error}");
    insert_post(&mut tx, 2).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(target.trail(), ["posts insert 1 - -", "posts insert 2 42 -"]);
}

async fn a_leaked_savepoint_is_not_committed(target: Target) {
    let pool = target.pool(1);
    let mut tx = pool.begin_audited(&user("42")).await.unwrap();
    insert_post(&mut tx, 1).await.unwrap();
    let mut savepoint = tx.begin().await.unwrap();
    insert_post(&mut savepoint, 2).await.unwrap();
    std::mem::forget(savepoint);
    tx.commit().await.unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 -"]);
    assert!(!has_transaction(&mut pool.acquire().await.unwrap()).await);
}
