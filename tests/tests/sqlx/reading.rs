//! Reading the trail on every handle of sqlx.

use threadline::sqlx::{AuditedPool, BeginAudited, Error, Trail, attach};
use threadline::{Action, AsOf, ChangeOp, CreatePartitions, InstalledVersion, RowHistory, Schema, Timeline, kernel};
use threadline_testkit::Sweep;
use time::OffsetDateTime;

use crate::support::{Target, actor, has_transaction, insert_post, on_both, run, text, user};

on_both! {
    every_handle_reads,
    the_trail_is_read_with_the_same_methods_everywhere,
    a_row_is_read_as_it_was,
    a_read_outside_a_transaction_does_not_write,
    a_read_inside_a_transaction_leaves_it_open,
    a_transaction_begun_with_sql_text_is_not_committed_by_a_read,
    an_operation_without_a_kernel_says_so,
    the_kernel_is_looked_for_in_the_schema_of_the_pool,
    cancelled_reads_leave_nothing_behind,
}

async fn every_handle_reads(target: Target) {
    let latest = Some(kernel::LATEST);
    let db = target.audited(2);
    let pool = db.unaudited().clone();
    assert_eq!(db.run(&InstalledVersion).await.unwrap(), latest);
    assert_eq!(pool.run(&InstalledVersion).await.unwrap(), latest);
    let mut connection = pool.acquire().await.unwrap();
    assert_eq!(connection.run(&InstalledVersion).await.unwrap(), latest);
    assert_eq!((&mut *connection).run(&InstalledVersion).await.unwrap(), latest);
    let mut tx = pool.begin().await.unwrap();
    assert_eq!(tx.run(&InstalledVersion).await.unwrap(), latest);
    let mut attached = attach(&user("42"), &mut tx).await.unwrap();
    assert_eq!(attached.run(&InstalledVersion).await.unwrap(), latest);
    drop(attached);
    drop(tx);
    let mut tx = db.begin(&user("42")).await.unwrap();
    assert_eq!(tx.run(&InstalledVersion).await.unwrap(), latest);
    tx.nested(None, async |tx| tx.run(&InstalledVersion).await).await.unwrap();
    tx.commit().await.unwrap();
}

async fn the_trail_is_read_with_the_same_methods_everywhere(target: Target) {
    let db = target.audited(2);
    let context = user("42").correlation_id("c'1");
    db.transaction(&context, async |tx| {
        tx.record_action(&Action::new("post.published")).await?;
        insert_post(tx, 1).await?;
        assert_eq!(tx.timeline(&Timeline::new().table("posts")).await?.entries.len(), 1, "sees its own changes");
        run(tx, "UPDATE posts SET title = 'new' WHERE id = 1").await?;
        Ok::<_, Error>(())
    })
    .await
    .unwrap();

    let page = db.timeline(&Timeline::new().table("posts").actor(context.actor()).correlation_id("c'1")).await.unwrap();
    let told: Vec<_> =
        page.entries.iter().map(|entry| (entry.change.op, entry.action.as_ref().unwrap().name.as_str())).collect();
    assert_eq!(told, [(ChangeOp::Update, "post.published"), (ChangeOp::Insert, "post.published")]);
    let history = db.unaudited().row_history(&RowHistory::by_id("public", "posts", 1)).await.unwrap();
    assert_eq!(history.entries.len(), 2);
}

async fn a_row_is_read_as_it_was(target: Target) {
    let db = target.audited(2);
    let before = text(&mut db.unaudited().acquire().await.unwrap(), NOW).await.unwrap().unwrap();
    db.transaction(&user("42"), async |tx| insert_post(tx, 1).await).await.unwrap();
    let mut tx = db.unaudited().begin().await.unwrap();
    let now = text(&mut tx, NOW).await.unwrap().unwrap();
    let row = tx.as_of_json(&AsOf::by_id("public", "posts", 1, instant(&now))).await.unwrap();
    assert_eq!(row.to_string(), r#"{"id": 1, "title": "title"}"#);
    let error = tx.as_of_json(&AsOf::by_id("public", "posts", 1, instant(&before))).await.unwrap_err();
    let error = error.as_core().unwrap();
    assert!(error.is_never_existed() || error.is_before_horizon(), "{error}");
}

pub(crate) const NOW: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint::text";

pub(crate) fn instant(microseconds: &str) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(microseconds.parse::<i128>().unwrap() * 1000).unwrap()
}

async fn a_read_outside_a_transaction_does_not_write(target: Target) {
    let error = target.pool(1).run(&CreatePartitions::months_ahead(60)).await.unwrap_err();
    assert_eq!(error.sqlstate().as_deref(), Some("25006"), "{error}");
}

async fn a_read_inside_a_transaction_leaves_it_open(target: Target) {
    let pool = target.pool(1);
    let mut tx = pool.begin_audited(&user("42")).await.unwrap();
    insert_post(&mut tx, 1).await.unwrap();
    tx.run(&InstalledVersion).await.unwrap();
    insert_post(&mut tx, 2).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 -", "posts insert 2 42 -"]);
}

async fn a_transaction_begun_with_sql_text_is_not_committed_by_a_read(target: Target) {
    let mut connection = target.pool(1).acquire().await.unwrap();
    run(&mut connection, "BEGIN").await.unwrap();
    insert_post(&mut connection, 1).await.unwrap();
    connection.run(&InstalledVersion).await.unwrap();
    assert!(has_transaction(&mut connection).await);
    run(&mut connection, "ROLLBACK").await.unwrap();
    assert_eq!(target.count("posts"), 0);
}

async fn an_operation_without_a_kernel_says_so(target: Target) {
    let elsewhere = Schema::new("elsewhere").unwrap();
    let pool = target.pool(1);
    assert_eq!(pool.run_in(&elsewhere, &InstalledVersion).await.unwrap(), None);
    let error = pool.run_in(&elsewhere, &CreatePartitions::months_ahead(1)).await.unwrap_err();
    assert!(error.is_not_installed(), "{error}");
    assert!(error.to_string().contains("elsewhere"), "{error}");
    assert!(!has_transaction(&mut pool.acquire().await.unwrap()).await);

    let db = AuditedPool::new(pool).with_schema(elsewhere);
    let error = db.transaction(&user("42"), async |tx| insert_post(tx, 1).await).await.unwrap_err();
    assert!(Error::from(error).is_not_installed());
    assert_eq!(target.count("posts"), 0, "what cannot be told is not committed");
}

async fn the_kernel_is_looked_for_in_the_schema_of_the_pool(target: Target) {
    let schema = Schema::new("Audit trail").unwrap();
    let db = target.audited(2).with_schema(schema.clone());
    threadline::sqlx::install(db.unaudited(), &schema).await.unwrap();
    assert_eq!(db.run(&InstalledVersion).await.unwrap(), Some(kernel::LATEST));
    let mut tx = db.begin(&user("42")).await.unwrap();
    tx.record_action(&Action::new("a")).await.unwrap();
    assert_eq!(tx.run(&InstalledVersion).await.unwrap(), Some(kernel::LATEST));
    tx.commit().await.unwrap();
    let recorded = r#"SELECT name FROM "Audit trail".audit_actions"#;
    assert_eq!(target.value(recorded).as_deref(), Some("a"));
}

async fn cancelled_reads_leave_nothing_behind(target: Target) {
    let pool = target.pool(1);
    let (mut pooled, mut alone) = (Sweep::new(60, 2), Sweep::new(60, 1));
    while pooled.next_round().is_some() {
        drop(pooled.cancel(pool.run(&InstalledVersion)).await);
        let mut connection = pool.acquire().await.unwrap();
        assert!(!has_transaction(&mut connection).await, "{pooled}");
        assert_eq!(actor(&mut connection).await.unwrap(), "");
    }
    let mut connection = pool.acquire().await.unwrap();
    while alone.next_round().is_some() {
        drop(alone.cancel(connection.run(&InstalledVersion)).await);
        assert!(!has_transaction(&mut connection).await, "{alone}");
        assert_eq!(actor(&mut connection).await.unwrap(), "");
    }
    drop(connection);
    target.until_quiet().await;
}
