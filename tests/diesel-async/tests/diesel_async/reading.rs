//! Reading the trail on every connection.

use std::collections::BTreeSet;

use diesel::prelude::*;
use diesel_async::AsyncConnection;
use futures_util::TryStreamExt;
use threadline_core::{
    Action, ActorHistory, AsOf, Audited, AuditedTable, ChangeOp, CountChanges, CreatePartitions, Export,
    InstalledVersion, ModelColumn, Origin, RowAsOf, RowHistory, Schema, TableAsOf, Timeline, kernel,
};
use threadline_diesel::Error;
use threadline_diesel::asynchronous::{AuditDsl, Trail, attach, install};
use threadline_testkit::Sweep;
use time::OffsetDateTime;

use crate::support::{Target, has_transaction, insert_post, run, text, user};

#[tokio::test]
async fn every_handle_reads() {
    let target = Target::new();
    let latest = Some(kernel::LATEST);
    let mut conn = target.connect().await;
    assert_eq!(conn.run(&InstalledVersion).await.unwrap(), latest);
    assert_eq!(target.pool(1).get().await.unwrap().run(&InstalledVersion).await.unwrap(), latest);
    assert_eq!(target.bb8(1).await.get().await.unwrap().run(&InstalledVersion).await.unwrap(), latest);
    assert_eq!(conn.begin_audited(&user("42")).await.unwrap().run(&InstalledVersion).await.unwrap(), latest);
    conn.transaction(async |conn| {
        let mut attached = attach(&user("42"), conn).await?;
        assert_eq!(attached.run(&InstalledVersion).await?, latest);
        attached.detach().await
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn the_trail_is_read_with_the_same_methods_everywhere() {
    let target = Target::new();
    let mut conn = target.connect().await;
    let context = user("42").correlation_id("c'1");
    conn.audited(&context, async |conn| {
        conn.record_action(&Action::new("post.published")).await?;
        insert_post(conn, 1).await?;
        assert_eq!(conn.timeline(&Timeline::new().table("posts")).await?.entries.len(), 1, "sees its own changes");
        run(conn, "UPDATE posts SET title = 'new' WHERE id = 1").await
    })
    .await
    .unwrap();

    let query = Timeline::new().table("posts").actor(context.actor()).correlation_id("c'1");
    let page = conn.timeline(&query).await.unwrap();
    let told: Vec<_> =
        page.entries.iter().map(|entry| (entry.change.op, entry.action.as_ref().unwrap().name.as_str())).collect();
    assert_eq!(told, [(ChangeOp::Update, "post.published"), (ChangeOp::Insert, "post.published")]);
    let history = conn.row_history(&RowHistory::by_id("public", "posts", 1)).await.unwrap();
    assert_eq!(history.entries.len(), 2);
}

#[derive(Debug, PartialEq, QueryableByName)]
struct Post {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    id: i64,
    #[diesel(sql_type = diesel::sql_types::Text)]
    title: String,
}

impl Audited for Post {
    fn audited_table() -> AuditedTable {
        AuditedTable::new("public", "posts")
    }

    fn columns() -> &'static [ModelColumn] {
        &const { [ModelColumn::new("id").key(), ModelColumn::new("title")] }
    }
}

async fn now(target: &Target) -> OffsetDateTime {
    let now = text(&mut target.connect().await, "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint").await;
    OffsetDateTime::from_unix_timestamp_nanos(now.unwrap().parse::<i128>().unwrap() * 1000).unwrap()
}

#[tokio::test]
async fn a_row_is_read_as_it_was_as_json_and_typed() {
    let target = Target::new();
    let mut conn = target.connect().await;
    let before = now(&target).await;
    conn.audited(&user("42"), async |conn| insert_post(conn, 1).await).await.unwrap();
    let then = now(&target).await;
    conn.audited(&user("42"), async |conn| run(conn, "UPDATE posts SET title = 'new'").await).await.unwrap();

    let row = conn.as_of_json(&AsOf::by_id("public", "posts", 1, then)).await.unwrap();
    assert_eq!(row.to_string(), r#"{"id": 1, "title": "title"}"#);
    assert_eq!(conn.as_of::<Post>(1, then).await.unwrap().row, Post { id: 1, title: "title".to_owned() });
    conn.transaction(async |conn| {
        assert_eq!(conn.as_of::<Post>(1, now(&target).await).await?.title, "new");
        QueryResult::Ok(())
    })
    .await
    .unwrap();
    // As if it had been there before capture.
    target.database.execute("SET session_replication_role = replica; INSERT INTO posts VALUES (9, 'older'); RESET session_replication_role").unwrap();
    assert_eq!(conn.as_of::<Post>(1, then).await.unwrap().origin, Origin::Image);
    let older = conn.as_of::<Post>(9, then).await.unwrap();
    assert_eq!((older.title.as_str(), older.origin), ("older", Origin::Reconstructed));
    let error = conn.as_of::<Post>(1, before).await.unwrap_err();
    let error = error.as_core().unwrap();
    assert!(error.is_never_existed() || error.is_before_horizon(), "{error}");
    assert!(!has_transaction(&mut conn).await);
}

#[tokio::test]
async fn a_read_outside_a_transaction_does_not_write() {
    let target = Target::new();
    let error = target.connect().await.run(&CreatePartitions::months_ahead(60)).await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("25006"), "{error}");
}

#[tokio::test]
async fn a_transaction_begun_with_sql_text_is_not_committed_by_a_read() {
    let target = Target::new();
    let mut conn = target.connect().await;
    run(&mut conn, "BEGIN").await.unwrap();
    insert_post(&mut conn, 1).await.unwrap();
    conn.run(&InstalledVersion).await.unwrap();
    assert!(has_transaction(&mut conn).await);
    run(&mut conn, "ROLLBACK").await.unwrap();
    assert_eq!(target.count("posts"), 0);
}

#[tokio::test]
async fn an_operation_without_a_kernel_says_so() {
    let target = Target::new();
    let elsewhere = Schema::new("elsewhere").unwrap();
    let mut conn = target.connect().await;
    assert_eq!(conn.run_in(&elsewhere, &InstalledVersion).await.unwrap(), None);
    let error = conn.run_in(&elsewhere, &CreatePartitions::months_ahead(1)).await.unwrap_err();
    assert!(error.is_not_installed(), "{error}");
    assert!(error.to_string().contains("elsewhere"), "{error}");
    assert!(!has_transaction(&mut conn).await);

    let context = user("42");
    let session = conn.with(&context).with_schema(elsewhere);
    let error = session.transaction(async |conn| insert_post(conn, 1).await).await.unwrap_err();
    assert!(Error::from(error).is_not_installed());
    assert_eq!(target.count("posts"), 0, "what cannot be told is not committed");
}

#[tokio::test]
async fn the_kernel_may_be_in_another_schema() {
    let target = Target::new();
    let schema = Schema::new("Audit trail").unwrap();
    let mut conn = target.connect().await;
    install(&mut conn, &schema).await.unwrap();
    assert_eq!(conn.run_in(&schema, &InstalledVersion).await.unwrap(), Some(kernel::LATEST));
    let mut tx = conn.with(&user("42")).with_schema(schema.clone()).begin().await.unwrap();
    tx.record_action(&Action::new("by the guard")).await.unwrap();
    tx.commit().await.unwrap();
    let session = conn.with(&user("42")).with_schema(schema.clone());
    session
        .transaction(async |conn| conn.record_action_in(&schema, &Action::new("in the closure")).await)
        .await
        .map_err(|error: Error| error)
        .unwrap();
    let recorded = r#"SELECT string_agg(name, ', ' ORDER BY id) FROM "Audit trail".audit_actions"#;
    assert_eq!(target.value(recorded).as_deref(), Some("by the guard, in the closure"));
}

#[tokio::test]
async fn everything_is_streamed_and_exported_in_a_transaction_of_its_own_and_inside_one() {
    let target = Target::new();
    let mut conn = target.connect().await;
    let context = user("42").correlation_id("c-1");
    let outcome = conn
        .audited(&context, async |conn| {
            run(conn, "INSERT INTO posts SELECT g, 'title' FROM generate_series(1, 1200) g").await?;
            let all: Vec<_> = conn.stream(Timeline::new().table("posts")).try_collect().await?;
            assert_eq!(all.len(), 1200, "sees its own changes");
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
    let mut entries: Vec<_> = conn.stream(Timeline::new().table("posts")).try_collect().await.unwrap();
    entries.dedup_by_key(|entry| entry.change.id);
    assert_eq!(entries.len(), 1200);

    let mut file = Vec::new();
    let summary = conn.export_to(Export::new(Timeline::new().table("posts")).all_rows(), &mut file).await.unwrap();
    assert_eq!((summary.returned_count, summary.truncated), (1200, false));
    let mut awaited = Vec::new();
    let export = Export::new(Timeline::new().table("posts")).all_rows();
    assert_eq!(conn.export_to_async(export, &mut awaited).await.unwrap(), summary);
    assert_eq!(awaited, file);
    assert_eq!(String::from_utf8(file).unwrap().lines().count(), 1 + 1200);

    assert_eq!(conn.count_changes(&CountChanges::of(Timeline::new().table("posts"))).await.unwrap().count, 1200);
    let transaction = conn.find_transaction(outcome.transaction_id.unwrap()).await.unwrap();
    assert_eq!(transaction.transaction.correlation_id.as_deref(), Some("c-1"));
    let history = conn.actor_history(&ActorHistory::of(context.actor().unwrap())).await.unwrap();
    assert_eq!(history.entries.len(), 1);
    assert!(!has_transaction(&mut conn).await);
}

#[tokio::test]
async fn a_stream_dropped_half_way_leaves_nothing() {
    let target = Target::new();
    let mut conn = target.connect().await;
    conn.audited(&user("42"), async |conn| {
        run(conn, "INSERT INTO posts SELECT g, 'title' FROM generate_series(1, 1200) g").await
    })
    .await
    .unwrap();
    let mut sweep = Sweep::new(60, 2);
    while sweep.next_round().is_some() {
        let two = async {
            let mut changes = std::pin::pin!(conn.stream(Timeline::new().table("posts")));
            changes.try_next().await.unwrap();
            changes.try_next().await.unwrap();
        };
        sweep.cancel(two).await;
        assert!(!has_transaction(&mut conn).await, "{sweep}");
    }
    // Several at once in one transaction.
    conn.transaction(async |conn| {
        assert!(std::pin::pin!(conn.stream(Timeline::new())).try_next().await?.is_some());
        assert!(std::pin::pin!(conn.stream(Timeline::new())).try_next().await?.is_some());
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_table_is_read_as_it_was() {
    let target = Target::new();
    let pool = target.pool(1);
    target.database.execute("INSERT INTO posts SELECT n, 'a' FROM generate_series(1, 600) AS n").unwrap();
    let then = now(&target).await;
    target.database.execute("UPDATE posts SET id = id + 1000 WHERE id < 9; DELETE FROM posts WHERE id < 100").unwrap();
    let mut conn = pool.get().await.unwrap();
    let rows: Vec<RowAsOf<Post>> = conn.table_as_of::<Post>(then).try_collect().await.unwrap();
    let ids: BTreeSet<i64> = rows.iter().map(|row| row.id).collect();
    assert!(rows.len() == 600 && ids == (1..=600).collect() && rows.iter().all(|row| row.origin == Origin::Image));
    let images: Vec<_> = conn.stream(TableAsOf::new("public", "posts", then)).try_collect().await.unwrap();
    assert_eq!(images.len(), 600);
    drop(conn);
    // Dropped in the middle, it leaves no transaction on the pool's one connection.
    for wanted in [0, 1, 501] {
        let mut conn = pool.get().await.unwrap();
        {
            let mut rows = std::pin::pin!(conn.table_as_of::<Post>(then));
            for _ in 0..wanted {
                rows.try_next().await.unwrap().unwrap();
            }
        }
        drop(conn);
        let mut conn = pool.get().await.unwrap();
        assert!(!has_transaction(&mut conn).await, "after {wanted} rows");
        run(&mut *conn, "UPDATE posts SET title = title || 'b' WHERE id = 200").await.unwrap();
    }
}
