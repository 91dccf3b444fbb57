//! How transactions end: committed whole or not at all, and never silently.

use std::fmt;

use sea_orm::sqlx::postgres::PgPoolOptions;
use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DatabaseConnection, DbErr, SqlErr, TransactionSession, TransactionTrait,
};
use threadline_core::Action;
use threadline_seaorm::{AuditedDatabase, Error};
use threadline_testkit::until;

use crate::support::{Target, insert_post, is_clean, text, user};

#[tokio::test]
async fn a_dropped_transaction_is_rolled_back() {
    let target = Target::new();
    let db = target.audited(1);
    let tx = db.begin(&user("42")).await.unwrap();
    insert_post(&tx, 1).await.unwrap();
    drop(tx);
    assert!(is_clean(db.unaudited()).await);
    assert_eq!((target.count("posts"), target.trail().len()), (0, 0));
}

#[tokio::test]
async fn a_rolled_back_transaction_leaves_nothing() {
    let target = Target::new();
    let db = target.audited(1);
    let tx = db.begin(&user("42")).await.unwrap();
    insert_post(&tx, 1).await.unwrap();
    tx.record_action(&Action::new("post.published")).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!((target.count("posts"), target.trail().len(), target.actions().len()), (0, 0, 0));
}

#[tokio::test]
async fn an_error_in_the_closure_rolls_back_and_stays_what_it_is() {
    #[derive(Debug)]
    enum MyError {
        Audit(Error),
        OutOfStock,
    }
    impl fmt::Display for MyError {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("mine")
        }
    }
    impl From<Error> for MyError {
        fn from(error: Error) -> Self {
            Self::Audit(error)
        }
    }
    let target = Target::new();
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_the_closure_rolls_back_and_spares_the_connection() {
    let target = Target::new();
    let db = target.audited(1);
    let task = tokio::spawn({
        let db = db.clone();
        async move {
            db.transaction(&user("42"), async |tx| {
                insert_post(tx, 1).await?;
                if tx.context().actor().is_some() {
                    panic!("on purpose");
                }
                Ok::<_, DbErr>(())
            })
            .await
        }
    });
    assert!(task.await.unwrap_err().is_panic());
    db.transaction(&user("43"), async |tx| insert_post(tx, 2).await).await.unwrap();
    assert_eq!(target.trail(), ["posts insert 2 43 -"]);
    assert_eq!(db.unaudited().get_postgres_connection_pool().size(), 1);
}

#[tokio::test]
async fn commit_of_a_failed_transaction_is_an_error() {
    let target = Target::new();
    let db = target.audited(1);
    let tx = db.begin(&user("42")).await.unwrap();
    insert_post(&tx, 1).await.unwrap();
    assert!(tx.execute_unprepared("SELECT 1 / 0").await.is_err());
    let error = tx.commit().await.unwrap_err();
    assert!(error.is_rolled_back() && !error.is_unknown_commit(), "{error}");
    assert_eq!(error.sqlstate().as_deref(), Some("25P02"));

    db.transaction(&user("43"), async |tx| insert_post(tx, 2).await).await.unwrap();
    assert_eq!(target.trail(), ["posts insert 2 43 -"]);
}

#[tokio::test]
async fn every_closure_form_reports_a_swallowed_error() {
    let target = Target::new();
    let db = target.audited(1);
    let error: Error = db
        .transaction(&user("42"), async |tx| {
            insert_post(tx, 1).await?;
            let _ = tx.execute_unprepared("SELECT 1 / 0").await;
            Ok(())
        })
        .await
        .unwrap_err();
    assert!(error.is_rolled_back(), "{error}");
    let session = db.with(&user("42"));
    let seaorms = TransactionTrait::transaction::<_, (), DbErr>(&session, |tx| {
        Box::pin(async move {
            insert_post(tx, 1).await?;
            let _ = tx.execute_unprepared("SELECT 1 / 0").await;
            Ok(())
        })
    });
    let sea_orm::TransactionError::Connection(error) = seaorms.await.unwrap_err() else { panic!("of COMMIT") };
    assert!(Error::from(error).is_rolled_back());
    assert_eq!(target.count("posts"), 0);
}

/// What the two tests above protect from. When this one fails, SeaORM has become strict.
#[tokio::test]
async fn the_same_without_threadline_reports_success() {
    let target = Target::new();
    let tx = target.connection(1).begin().await.unwrap();
    insert_post(&tx, 1).await.unwrap();
    assert!(tx.execute_unprepared("SELECT 1 / 0").await.is_err());
    tx.commit().await.unwrap();
    assert_eq!(target.count("posts"), 0);
}

#[tokio::test]
async fn a_cancelled_statement_that_failed_is_found_out_at_the_end() {
    let target = Target::new();
    let (db, proxy) = target.held().await;
    for ending in ["commit", "SeaORM's commit", "rollback", "drop"] {
        let tx = db.begin(&user("42")).await.unwrap();
        insert_post(&tx, 1).await.unwrap();
        proxy.cancel(tx.execute_unprepared("SELECT 1 / 0")).await;
        match ending {
            "commit" => assert_eq!(tx.commit().await.unwrap_err().sqlstate().as_deref(), Some("22012")),
            "SeaORM's commit" => assert!(TransactionSession::commit(tx).await.is_err()),
            "rollback" => tx.rollback().await.unwrap(),
            _ => drop(tx),
        }
        assert!(is_clean(db.unaudited()).await, "{ending}");
    }
    assert_eq!((target.count("posts"), target.trail().len()), (0, 0));
}

#[tokio::test]
async fn a_deferred_constraint_fails_the_commit() {
    let target = Target::new();
    let db = target.audited(1);
    let error: DbErr = db
        .transaction(&user("42"), async |tx| tx.execute_unprepared("INSERT INTO comments VALUES (1, 99)").await)
        .await
        .unwrap_err();
    assert!(matches!(error.sql_err(), Some(SqlErr::ForeignKeyConstraintViolation(_))), "{error}");
    assert!(!Error::from(error).is_unknown_commit());
    assert_eq!((target.count("comments"), target.trail().len()), (0, 0));
    assert!(is_clean(db.unaudited()).await);
}

#[tokio::test]
async fn a_lost_answer_to_commit_is_unknown() {
    let target = Target::new();
    let (db, proxy) = target.held().await;
    let tx = db.begin(&user("42")).await.unwrap();
    insert_post(&tx, 1).await.unwrap();
    proxy.break_at_commit();
    let error = tx.commit().await.unwrap_err();
    assert!(error.is_unknown_commit(), "{error}");
    assert!(matches!(error.as_db_err(), Some(DbErr::Exec(_) | DbErr::Query(_))), "the cause is kept: {error:?}");
    // As it happens it was committed: the caller cannot know.
    assert_eq!(target.trail(), ["posts insert 1 42 -"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminated_backend_is_a_clear_error() {
    let target = Target::new();
    let db = target.audited(2);
    let tx = db.begin(&user("42")).await.unwrap();
    insert_post(&tx, 1).await.unwrap();
    tx.record_action(&Action::new("post.published")).await.unwrap();
    let backend = text(&tx, "SELECT pg_backend_pid()::text").await.unwrap();
    target.rows(&format!("SELECT pg_terminate_backend({backend}, 5000)"));
    let error = tx.commit().await.unwrap_err();
    assert!(!error.is_unknown_commit(), "COMMIT was never sent: {error}");
    assert!(error.as_db_err().is_some(), "{error}");
    assert_eq!((target.count("posts"), target.trail().len(), target.actions().len()), (0, 0, 0));

    db.transaction(&user("43"), async |tx| insert_post(tx, 2).await).await.unwrap();
    assert_eq!(target.trail(), ["posts insert 2 43 -"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_terminated_during_commit_is_unknown() {
    let target = Target::new();
    target
        .database
        .execute(
            "CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$;
            CREATE CONSTRAINT TRIGGER linger AFTER INSERT ON plain DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW EXECUTE FUNCTION linger()",
        )
        .unwrap();
    let tx = target.audited(1).begin(&user("42")).await.unwrap();
    tx.execute_unprepared("INSERT INTO plain VALUES (1)").await.unwrap();
    let backend = text(&tx, "SELECT pg_backend_pid()::text").await.unwrap();
    let commit = tokio::spawn(tx.commit());
    let waiting = format!("SELECT wait_event FROM pg_stat_activity WHERE pid = {backend}");
    until("COMMIT to linger", || target.value(&waiting).as_deref() == Some("PgSleep")).await;
    target.rows(&format!("SELECT pg_terminate_backend({backend}, 5000)"));
    let error = commit.await.unwrap().unwrap_err();
    assert!(error.is_unknown_commit(), "{error:?}");
}

#[tokio::test]
async fn an_exhausted_pool_leaves_nothing() {
    let target = Target::new();
    let options = PgPoolOptions::new().max_connections(1).acquire_timeout(std::time::Duration::from_secs(1));
    let connection: DatabaseConnection = options.connect_lazy(target.database.url()).unwrap().into();
    let db = AuditedDatabase::new(connection);
    let holder = db.unaudited().begin().await.unwrap();
    let error = db.begin(&user("42")).await.unwrap_err();
    let timed_out = matches!(error.as_db_err(), Some(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)));
    assert!(timed_out, "{error}");
    drop(holder);
    assert!(is_clean(db.unaudited()).await);
}
