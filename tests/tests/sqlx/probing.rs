//! Probes: what users' own tests assert, on sqlx's handles.

use sqlx::Connection;
use threadline::sqlx::{AuditedPool, Error, Trail, attach};
use threadline::{Action, FinishProbe, Schema, StartProbe, kernel};

use crate::support::{Target, insert_post, on_both, run, user};

on_both! {
    savepoints_of_sqlx_are_seen_through,
    a_context_that_was_never_detached_does_not_cover_the_probe,
    many_changes_in_the_same_microsecond_are_told_apart,
    other_sessions_are_not_counted,
    a_reader_may_probe,
    the_kernel_may_be_in_another_schema,
}

async fn savepoints_of_sqlx_are_seen_through(target: Target) {
    let mut tx = target.pool(1).begin().await.unwrap();
    let probe = tx.run(&StartProbe).await.unwrap();
    let mut savepoint = tx.begin().await.unwrap();
    insert_post(&mut savepoint, 1).await.unwrap();
    savepoint.rollback().await.unwrap();
    let mut savepoint = tx.begin().await.unwrap();
    let mut audited = attach(&user("42"), &mut savepoint).await.unwrap();
    audited.record_action(&Action::new("posted")).await.unwrap();
    insert_post(&mut audited, 2).await.unwrap();
    audited.detach().await.unwrap();
    savepoint.commit().await.unwrap();
    let probed = tx.run(&FinishProbe(&probe)).await.unwrap();
    probed.verify().unwrap();
    assert_eq!(probed.changes().len(), 1);
    tx.rollback().await.unwrap();
    assert_eq!(target.count("posts"), 0);
}

async fn a_context_that_was_never_detached_does_not_cover_the_probe(target: Target) {
    let mut tx = target.pool(1).begin().await.unwrap();
    let mut audited = attach(&user("test"), &mut tx).await.unwrap();
    audited.record_action(&Action::new("set up")).await.unwrap();
    insert_post(&mut audited, 1).await.unwrap();
    drop(audited);
    let probe = tx.run(&StartProbe).await.unwrap();
    insert_post(&mut tx, 2).await.unwrap();
    let probed = tx.run(&FinishProbe(&probe)).await.unwrap();
    assert_eq!((probed.without_actor().count(), probed.without_action().count()), (1, 1));
    insert_post(&mut tx, 3).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(
        target.trail(),
        ["posts insert 1 test set up", "posts insert 2 - -", "posts insert 3 test set up"],
        "what was there before is back"
    );
}

/// The clock of a transaction runs ahead when it captures faster than once a microsecond.
async fn many_changes_in_the_same_microsecond_are_told_apart(target: Target) {
    let mut tx = target.pool(1).begin().await.unwrap();
    let many = "DO $$ BEGIN FOR i IN 1..200 LOOP UPDATE counters SET n = n + 1 WHERE id = 1; END LOOP; END $$";
    run(&mut tx, many).await.unwrap();
    let probe = tx.run(&StartProbe).await.unwrap();
    run(&mut tx, many).await.unwrap();
    assert_eq!(tx.run(&FinishProbe(&probe)).await.unwrap().changes().len(), 200);
}

async fn other_sessions_are_not_counted(target: Target) {
    let db = target.audited(2);
    let mut tx = db.unaudited().begin().await.unwrap();
    let probe = tx.run(&StartProbe).await.unwrap();
    db.transaction(&user("43"), async |tx| insert_post(tx, 1).await).await.unwrap();
    let probed = tx.run(&FinishProbe(&probe)).await.unwrap();
    assert!(probed.verify().unwrap_err().to_string().contains("nothing was captured"));
}

async fn a_reader_may_probe(target: Target) {
    let mut tx = target.pool(1).begin().await.unwrap();
    run(&mut tx, "CREATE ROLE prober").await.unwrap();
    run(&mut tx, "GRANT INSERT ON posts TO prober; SELECT threadline.grant_reader('prober')").await.unwrap();
    run(&mut tx, "SET LOCAL ROLE prober").await.unwrap();
    let probe = tx.run(&StartProbe).await.unwrap();
    insert_post(&mut tx, 1).await.unwrap();
    assert_eq!(tx.run(&FinishProbe(&probe)).await.unwrap().without_actor().count(), 1);
    // The role belongs to the server, and goes with the transaction.
    tx.rollback().await.unwrap();
}

async fn the_kernel_may_be_in_another_schema(target: Target) {
    let schema = Schema::new("Audit Trail").unwrap();
    target.database.execute(&format!("BEGIN; {} COMMIT", kernel::install_script(&schema))).unwrap();
    target
        .database
        .execute(r#"CREATE TABLE notes (id int PRIMARY KEY); SELECT "Audit Trail".enable_capture('notes', '{}')"#)
        .unwrap();
    let db = AuditedPool::new(target.pool(1)).with_schema(schema);
    let test = user("test");
    let insert = async |nested: bool| {
        let outcome = db.transaction(&test, async |tx| {
            let probe = tx.run(&StartProbe).await?;
            if nested {
                tx.nested(Some(&user("42")), async |tx| {
                    tx.record_action(&Action::new("noted")).await?;
                    run(tx, "INSERT INTO notes VALUES (1)").await.map_err(Error::from)
                })
                .await?;
            } else {
                run(tx, "INSERT INTO notes VALUES (2)").await?;
            }
            tx.run(&FinishProbe(&probe)).await
        });
        outcome.await.unwrap().value
    };
    insert(true).await.verify().unwrap();
    assert_eq!(insert(false).await.without_actor().count(), 1);
}
