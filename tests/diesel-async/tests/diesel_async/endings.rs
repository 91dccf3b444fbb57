//! How transactions end: committed whole or not at all, and never silently.

use std::time::Duration;

use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, bb8};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use threadline_core::Action;
use threadline_diesel::Error;
use threadline_diesel::asynchronous::{AuditDsl, begin};
use threadline_testkit::until;

use crate::support::{Target, actor, has_transaction, insert_post, run, text, user};

#[tokio::test]
async fn a_dropped_transaction_is_rolled_back_and_spares_the_connection() {
    let target = Target::new();
    let pool = target.pool(1);
    let mut tx = begin(pool.get().await.unwrap(), &user("42")).await.unwrap();
    insert_post(&mut tx, 1).await.unwrap();
    let backend = text(&mut tx, "pg_backend_pid()").await.unwrap();
    drop(tx);
    let mut conn = pool.get().await.unwrap();
    assert!(!has_transaction(&mut conn).await);
    assert_eq!(actor(&mut conn).await.unwrap(), "");
    assert_eq!(text(&mut conn, "pg_backend_pid()").await.unwrap(), backend);
    assert_eq!((target.count("posts"), target.trail().len()), (0, 0));
}

#[tokio::test]
async fn a_rolled_back_transaction_leaves_nothing() {
    let target = Target::new();
    let mut conn = target.connect().await;
    let mut tx = conn.begin_audited(&user("42")).await.unwrap();
    insert_post(&mut tx, 1).await.unwrap();
    tx.record_action(&Action::new("post.published")).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!((target.count("posts"), target.trail().len(), target.actions().len()), (0, 0, 0));
    assert!(!has_transaction(&mut conn).await);
}

#[tokio::test]
async fn an_error_in_the_closure_rolls_back_and_is_the_callers() {
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
    let target = Target::new();
    let mut conn = target.connect().await;
    let result = conn
        .audited(&user("42"), async |conn| {
            insert_post(conn, 1).await.map_err(Error::from)?;
            Err::<(), _>(MyError::OutOfStock)
        })
        .await;
    match result.unwrap_err() {
        MyError::OutOfStock => {}
        MyError::Audit(error) => panic!("{error}"),
    }
    assert_eq!((target.count("posts"), target.trail().len()), (0, 0));
    assert!(!has_transaction(&mut conn).await);
}

#[tokio::test]
async fn a_panic_in_the_closure_rolls_back() {
    let target = Target::new();
    let pool = target.pool(1);
    let task = tokio::spawn({
        let pool = pool.clone();
        async move {
            let mut conn = pool.get().await.unwrap();
            conn.audited(&user("42"), async |conn| {
                insert_post(conn, 1).await?;
                assert_eq!(actor(conn).await?, "somebody else");
                Ok::<_, Error>(())
            })
            .await
        }
    });
    assert!(task.await.unwrap_err().is_panic());
    let mut conn = pool.get().await.unwrap();
    conn.audited(&user("43"), async |conn| insert_post(conn, 2).await).await.unwrap();
    assert_eq!(target.trail(), ["posts insert 2 43 -"]);
}

#[tokio::test]
async fn commit_of_a_failed_transaction_is_an_error() {
    let target = Target::new();
    let mut conn = target.connect().await;
    let mut tx = conn.begin_audited(&user("42")).await.unwrap();
    insert_post(&mut tx, 1).await.unwrap();
    assert!(run(&mut tx, "SELECT 1 / 0").await.is_err());
    let error = tx.commit().await.unwrap_err();
    assert!(error.is_rolled_back() && !error.is_unknown_commit(), "{error}");
    assert!(matches!(error.as_diesel(), Some(DieselError::DatabaseError(..))), "the cause is kept: {error:?}");

    let error: Error = conn
        .audited(&user("42"), async |conn| {
            insert_post(conn, 1).await?;
            let _ = run(conn, "SELECT 1 / 0").await;
            Ok(())
        })
        .await
        .unwrap_err();
    assert!(error.is_rolled_back(), "{error}");

    conn.audited(&user("43"), async |conn| insert_post(conn, 2).await).await.unwrap();
    assert_eq!(target.trail(), ["posts insert 2 43 -"]);
}

#[tokio::test]
async fn a_cancelled_statement_that_failed_is_found_out_at_the_end() {
    let target = Target::new();
    let (mut conn, proxy) = target.watched().await;
    for ending in ["commit", "rollback", "drop"] {
        let mut tx = conn.begin_audited(&user("42")).await.unwrap();
        insert_post(&mut tx, 1).await.unwrap();
        proxy.cancel(run(&mut tx, "SELECT 1 / 0")).await;
        match ending {
            "commit" => assert!(tx.commit().await.unwrap_err().is_rolled_back()),
            "rollback" => tx.rollback().await.unwrap(),
            _ => drop(tx),
        }
        assert!(!has_transaction(&mut conn).await, "{ending}");
    }
    assert_eq!((target.count("posts"), target.trail().len()), (0, 0));
}

#[tokio::test]
async fn a_deferred_constraint_fails_the_commit() {
    let target = Target::new();
    let mut conn = target.connect().await;
    let orphan = "INSERT INTO comments VALUES (1, 99)";
    let error = conn.audited(&user("42"), async |conn| run(conn, orphan).await).await.unwrap_err();
    assert!(matches!(error, DieselError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _)), "{error}");
    assert!(!Error::from(error).is_unknown_commit());
    assert_eq!((target.count("comments"), target.trail().len()), (0, 0));
    assert!(!has_transaction(&mut conn).await);
    conn.audited(&user("43"), async |conn| insert_post(conn, 2).await).await.unwrap();
}

#[tokio::test]
async fn a_commit_refused_by_a_trigger_is_not_unknown() {
    let target = Target::new();
    target.set_up(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
        CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON plain DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION refuse()",
    );
    let mut conn = target.connect().await;
    let mut tx = conn.begin_audited(&user("42")).await.unwrap();
    run(&mut tx, "INSERT INTO plain VALUES (1)").await.unwrap();
    let error = tx.commit().await.unwrap_err();
    assert!(!error.is_unknown_commit() && error.to_string().contains("no"), "{error}");
    assert!(!has_transaction(&mut conn).await);
}

#[tokio::test]
async fn a_lost_answer_to_commit_is_unknown() {
    let target = Target::new();
    let (mut conn, proxy) = target.watched().await;
    let mut tx = conn.begin_audited(&user("42")).await.unwrap();
    insert_post(&mut tx, 1).await.unwrap();
    proxy.break_at_commit();
    let error = tx.commit().await.unwrap_err();
    assert!(error.is_unknown_commit(), "{error}");
    assert!(matches!(error.as_diesel(), Some(DieselError::DatabaseError(..))), "the cause is kept: {error:?}");
    // As it happens it was committed: the caller cannot know.
    assert_eq!(target.trail(), ["posts insert 1 42 -"]);
}

#[tokio::test]
async fn a_backend_terminated_during_commit_is_unknown() {
    let target = Target::new();
    target.set_up(
        "CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER linger AFTER INSERT ON plain DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION linger()",
    );
    let mut tx = begin(target.connect().await, &user("42")).await.unwrap();
    run(&mut tx, "INSERT INTO plain VALUES (1)").await.unwrap();
    let backend = text(&mut tx, "pg_backend_pid()").await.unwrap();
    let commit = tokio::spawn(tx.commit());
    let waiting = format!("SELECT wait_event FROM pg_stat_activity WHERE pid = {backend}");
    until("COMMIT to linger", || target.value(&waiting).as_deref() == Some("PgSleep")).await;
    target.rows(&format!("SELECT pg_terminate_backend({backend}, 5000)"));
    let error = commit.await.unwrap().unwrap_err();
    assert!(error.is_unknown_commit(), "{error:?}");
}

/// What a server sends to each session when it is shut down.
#[tokio::test]
async fn a_session_ended_by_the_server_in_mid_transaction_is_a_clear_error_and_records_nothing() {
    let target = Target::new();
    let pool = target.pool(1);
    for swallowed in [false, true] {
        let mut conn = pool.get().await.unwrap();
        let error = conn
            .audited(&user("42"), async |conn| {
                insert_post(conn, 1).await?;
                conn.record_action(&Action::new("post.published")).await?;
                let backend = text(conn, "pg_backend_pid()").await?;
                target.rows(&format!("SELECT pg_terminate_backend({backend}, 5000)"));
                let second = insert_post(conn, 2).await;
                assert!(second.is_err());
                if !swallowed {
                    second?;
                }
                Ok::<_, Error>(())
            })
            .await
            .unwrap_err();
        assert!(!error.is_unknown_commit(), "COMMIT was never sent: {error}");
        assert!(!error.is_rolled_back() && !error.is_nested(), "{error}");
        let said = error.to_string();
        assert!(said.contains("connection") || said.contains("terminating"), "{said}");
        drop(conn);
        assert_eq!((target.count("posts"), target.trail().len(), target.actions().len()), (0, 0, 0));
    }
    let mut conn = pool.get().await.unwrap();
    conn.audited(&user("43"), async |conn| insert_post(conn, 3).await).await.unwrap();
    assert_eq!(target.trail(), ["posts insert 3 43 -"]);
}

#[tokio::test]
async fn an_exhausted_pool_leaves_nothing() {
    let target = Target::new();
    let pool = target.pool(1);
    let holder = begin(pool.get().await.unwrap(), &user("42")).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(50), pool.get()).await.is_err());
    drop(holder);
    let mut conn = pool.get().await.unwrap();
    assert!(!has_transaction(&mut conn).await);
    assert_eq!(actor(&mut conn).await.unwrap(), "");

    let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new(&target.url);
    let pool =
        bb8::Pool::builder().max_size(1).connection_timeout(Duration::from_millis(50)).build(manager).await.unwrap();
    let holder = begin(pool.get_owned().await.unwrap(), &user("42")).await.unwrap();
    assert!(matches!(pool.get().await, Err(bb8::RunError::TimedOut)));
    drop(holder);
    let mut conn = pool.get().await.unwrap();
    assert!(!has_transaction(&mut conn).await);
    assert_eq!(actor(&mut conn).await.unwrap(), "");
}

#[tokio::test]
async fn inside_a_transaction_of_diesel_it_is_a_savepoint() {
    let target = Target::new();
    let mut conn = target.connect().await;
    conn.transaction(async |conn| {
        insert_post(conn, 1).await?;
        let outcome = conn.audited(&user("42"), async |conn| insert_post(conn, 2).await).await?;
        assert!(outcome.transaction_id.is_some());
        let failed = conn
            .audited(&user("42"), async |conn| {
                insert_post(conn, 3).await?;
                Err::<(), _>(DieselError::NotFound)
            })
            .await;
        assert!(matches!(failed, Err(DieselError::NotFound)));
        insert_post(conn, 4).await
    })
    .await
    .unwrap();
    assert_eq!(target.trail(), ["posts insert 1 - -", "posts insert 2 42 -", "posts insert 4 - -"]);
}

#[tokio::test]
async fn inside_a_transaction_options_are_refused() {
    let target = Target::new();
    let mut tx = begin(target.connect().await, &user("42")).await.unwrap();
    let options = threadline_core::IsolationLevel::Serializable;
    let error = tx.with(&user("43")).options(options).begin().await.map(drop).unwrap_err();
    assert!(error.is_nested(), "{error}");
    insert_post(&mut tx, 1).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 -"]);
}

#[tokio::test]
async fn a_test_transaction_of_diesel_holds_audited_ones_and_goes_away() {
    let target = Target::new();
    let pool = target.pool(1);
    let mut conn = pool.get().await.unwrap();
    conn.begin_test_transaction().await.unwrap();
    drop(conn);
    for id in [1, 2] {
        // The pool keeps the connection: its one transaction is a test's.
        let mut conn = pool.get().await.unwrap();
        conn.audited(&user("42"), async |conn| insert_post(conn, id).await).await.unwrap();
        assert_eq!(text(&mut conn, "SELECT count(*) FROM posts").await.unwrap(), id.to_string());
    }
    assert_eq!((target.count("posts"), target.trail().len()), (0, 0));
}

#[tokio::test]
async fn a_savepoint_of_diesel_that_was_cancelled_is_not_committed() {
    let target = Target::new();
    let (mut conn, proxy) = target.watched().await;
    for cancelled_in in ["its beginning", "its body"] {
        let mut tx = conn.begin_audited(&user("42")).await.unwrap();
        insert_post(&mut tx, 1).await.unwrap();
        let (entered, was_entered) = tokio::sync::oneshot::channel();
        let scope = AsyncConnection::transaction(&mut tx, async |conn| {
            insert_post(conn, 2).await?;
            entered.send(()).unwrap();
            std::future::pending::<Result<(), DieselError>>().await
        });
        match cancelled_in {
            "its beginning" => proxy.cancel(scope).await,
            _ => tokio::select! {
                _ = was_entered => {}
                _ = scope => unreachable!(),
            },
        }
        tx.commit().await.unwrap();
        assert!(!has_transaction(&mut conn).await);
        assert_eq!(target.value("SELECT string_agg(id::text, ' ') FROM posts").as_deref(), Some("1"), "{cancelled_in}");
        target.set_up("DELETE FROM posts");
    }
}

#[tokio::test]
async fn a_savepoint_of_diesel_cancelled_in_its_release_fails_the_commit() {
    let target = Target::new();
    let mut conn = target.connect().await;
    let mut tx = conn.begin_audited(&user("42")).await.unwrap();
    insert_post(&mut tx, 1).await.unwrap();
    let (body, is_done) = tokio::sync::oneshot::channel();
    let scope = AsyncConnection::transaction(&mut tx, async |conn| {
        insert_post(conn, 2).await?;
        body.send(()).unwrap();
        Ok::<_, DieselError>(())
    });
    tokio::select! {
        biased;
        // The body was polled to its end, and the release sent, before this is looked at again.
        _ = is_done => {}
        _ = scope => unreachable!(),
    }
    // Whether the server has released it is not known, so nothing can be told apart any more.
    tx.commit().await.unwrap_err();
    assert!(!has_transaction(&mut conn).await);
    assert_eq!((target.count("posts"), target.trail().len()), (0, 0));
}
