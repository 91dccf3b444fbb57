//! Reading the trail on every connection.

use std::io;

use diesel::prelude::*;
use threadline_core::{
    ActorHistory, ChangeOp, Correlation, CountChanges, CreatePartitions, Export, ExportFormat, Incident,
    InstalledVersion, Schema, kernel,
};
use threadline_diesel::Error;
use threadline_diesel::prelude::*;
use time::OffsetDateTime;

use crate::support::{Target, has_transaction, insert_post, on_both, run, text, user};

on_both! {
    every_handle_reads,
    every_question_has_a_method,
    a_stream_has_every_entry_in_the_order_of_the_pages,
    a_dropped_stream_leaves_the_transaction_as_it_was,
    a_stream_of_a_wrong_question_is_an_error,
    an_export_is_written_whole,
    an_export_that_cannot_be_written_leaves_the_connection_usable,
    the_trail_is_read_with_the_same_methods_everywhere,
    a_row_is_read_as_it_was,
    a_read_outside_a_transaction_does_not_write,
    a_read_inside_a_transaction_leaves_it_open,
    a_transaction_begun_with_sql_text_is_not_committed_by_a_read,
    an_operation_without_a_kernel_says_so,
    the_kernel_may_be_in_another_schema,
}

fn every_handle_reads(target: &Target) {
    let latest = Some(kernel::LATEST);
    let mut conn = target.connect();
    assert_eq!(conn.run(&InstalledVersion).unwrap(), latest);
    assert_eq!(target.pool(1).get().unwrap().run(&InstalledVersion).unwrap(), latest);
    assert_eq!(conn.begin_audited(&user("42")).unwrap().run(&InstalledVersion).unwrap(), latest);
    conn.transaction(|conn| {
        let mut attached = attach(&user("42"), conn)?;
        assert_eq!(attached.run(&InstalledVersion)?, latest);
        attached.detach()
    })
    .unwrap();
}

fn the_trail_is_read_with_the_same_methods_everywhere(target: &Target) {
    let mut conn = target.connect();
    let context = user("42").correlation_id("c'1");
    conn.audited(&context, |conn| {
        conn.record_action(&Action::new("post.published"))?;
        insert_post(conn, 1)?;
        assert_eq!(conn.timeline(&Timeline::new().table("posts"))?.entries.len(), 1, "sees its own changes");
        run(conn, "UPDATE posts SET title = 'new' WHERE id = 1")
    })
    .unwrap();

    let query = Timeline::new().table("posts").actor(context.actor()).correlation_id("c'1");
    let page = conn.timeline(&query).unwrap();
    let told: Vec<_> =
        page.entries.iter().map(|entry| (entry.change.op, entry.action.as_ref().unwrap().name.as_str())).collect();
    assert_eq!(told, [(ChangeOp::Update, "post.published"), (ChangeOp::Insert, "post.published")]);
    let history = conn.row_history(&RowHistory::by_id("public", "posts", 1)).unwrap();
    assert_eq!(history.entries.len(), 2);
}

fn a_row_is_read_as_it_was(target: &Target) {
    let mut conn = target.connect();
    let before = now(&mut conn);
    conn.audited(&user("42"), |conn| insert_post(conn, 1)).unwrap();
    let row = conn.as_of_json(&AsOf::by_id("public", "posts", 1, now(&mut target.connect()))).unwrap();
    assert_eq!(row.to_string(), r#"{"id": 1, "title": "title"}"#);
    let error = conn.as_of_json(&AsOf::by_id("public", "posts", 1, before)).unwrap_err();
    let error = error.as_core().unwrap();
    assert!(error.is_never_existed() || error.is_before_horizon(), "{error}");
}

pub(crate) fn now(conn: &mut PgConnection) -> OffsetDateTime {
    let microseconds = text(conn, "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint").unwrap().unwrap();
    OffsetDateTime::from_unix_timestamp_nanos(microseconds.parse::<i128>().unwrap() * 1000).unwrap()
}

fn a_read_outside_a_transaction_does_not_write(target: &Target) {
    let mut conn = target.connect();
    let error = conn.run(&CreatePartitions::months_ahead(60)).unwrap_err();
    assert_eq!(error.sqlstate(), Some("25006"), "{error}");
    assert!(!has_transaction(&mut conn));
}

fn a_read_inside_a_transaction_leaves_it_open(target: &Target) {
    target
        .connect()
        .audited(&user("42"), |conn| {
            insert_post(conn, 1)?;
            conn.run(&InstalledVersion)?;
            insert_post(conn, 2)
        })
        .unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 -", "posts insert 2 42 -"]);
}

fn a_transaction_begun_with_sql_text_is_not_committed_by_a_read(target: &Target) {
    let mut conn = target.connect();
    run(&mut conn, "BEGIN").unwrap();
    insert_post(&mut conn, 1).unwrap();
    conn.run(&InstalledVersion).unwrap();
    assert!(has_transaction(&mut conn));
    run(&mut conn, "ROLLBACK").unwrap();
    assert_eq!(target.count("posts"), 0);
}

fn an_operation_without_a_kernel_says_so(target: &Target) {
    let elsewhere = Schema::new("elsewhere").unwrap();
    let mut conn = target.connect();
    assert_eq!(conn.run_in(&elsewhere, &InstalledVersion).unwrap(), None);
    let error = conn.run_in(&elsewhere, &CreatePartitions::months_ahead(1)).unwrap_err();
    assert!(error.is_not_installed(), "{error:?}");
    assert!(error.to_string().contains("elsewhere"), "{error}");
    assert!(!has_transaction(&mut conn));

    let context = user("42");
    let session = conn.with(&context).with_schema(elsewhere);
    let error = session.transaction(|conn| insert_post(conn, 1)).unwrap_err();
    assert!(Error::from(error).is_not_installed());
    assert_eq!(target.count("posts"), 0, "what cannot be told is not committed");
}

fn the_kernel_may_be_in_another_schema(target: &Target) {
    let schema = Schema::new("Audit trail").unwrap();
    let mut conn = target.connect();
    threadline_diesel::install(&mut conn, &schema).unwrap();
    assert_eq!(conn.run_in(&schema, &InstalledVersion).unwrap(), Some(kernel::LATEST));
    let context = user("42");
    let mut tx = conn.with(&context).with_schema(schema).begin().unwrap();
    tx.record_action(&Action::new("a")).unwrap();
    tx.commit().unwrap();
    let recorded = r#"SELECT name FROM "Audit trail".audit_actions"#;
    assert_eq!(target.value(recorded).as_deref(), Some("a"));
}

fn every_question_has_a_method(target: &Target) {
    let mut conn = target.connect();
    let context = user("42").correlation_id("c-1");
    let outcome = conn
        .audited(&context, |conn| {
            conn.record_action(&Action::new("post.published"))?;
            insert_post(conn, 1)
        })
        .unwrap();
    let id = outcome.transaction_id.unwrap();
    assert_eq!(conn.count_changes(&CountChanges::of(Timeline::new().table("posts"))).unwrap().count, 1);
    assert_eq!(conn.find_transaction(id).unwrap().transaction.id, id);
    assert_eq!(conn.incident(&Incident::of(id)).unwrap().changes.len(), 1);
    assert_eq!(conn.correlation(&Correlation::of("c-1")).unwrap().actions.len(), 1);
    let page = conn.actor_history(&ActorHistory::of(context.actor())).unwrap();
    assert_eq!(page.entries.len(), 1);
}

/// More than fit into two batches.
fn write_many(conn: &mut PgConnection) {
    let many = "INSERT INTO posts SELECT n, n::text FROM generate_series(1, 1100) AS n";
    conn.audited(&user("42"), |conn| run(conn, many)).unwrap();
}

fn a_stream_has_every_entry_in_the_order_of_the_pages(target: &Target) {
    let mut conn = target.connect();
    write_many(&mut conn);
    let first = conn.timeline(&Timeline::new().limit(3)).unwrap();
    let streamed: Vec<_> = conn.stream(Timeline::new()).unwrap().map(|entry| entry.unwrap().change.id).collect();
    assert_eq!(streamed.len(), 1100);
    assert_eq!(streamed[..3], first.entries.iter().map(|entry| entry.change.id).collect::<Vec<_>>());
    assert!(!has_transaction(&mut conn));
}

fn a_dropped_stream_leaves_the_transaction_as_it_was(target: &Target) {
    let mut conn = target.connect();
    write_many(&mut conn);
    let taken = conn.stream(Timeline::new()).unwrap().take(3).count();
    assert_eq!(taken, 3);
    assert!(!has_transaction(&mut conn), "its own is over");

    conn.audited(&user("42"), |conn| {
        assert_eq!(conn.stream(Timeline::new())?.take(3).count(), 3);
        drop(conn.stream(Timeline::new())?);
        assert_eq!(text(conn, "SELECT count(*) FROM pg_cursors WHERE name LIKE 'threadline%'")?.as_deref(), Some("0"));
        insert_post(conn, 2000)?;
        Ok::<_, Error>(())
    })
    .unwrap();
    assert_eq!(target.count("posts"), 1101);
}

fn a_stream_of_a_wrong_question_is_an_error(target: &Target) {
    let mut conn = target.connect();
    let mut entries = conn.stream(Timeline::new().schema("public").table("no_such_table")).unwrap();
    let error = entries.next().unwrap().unwrap_err();
    assert!(error.as_core().unwrap().is_not_captured(), "{error:?}");
    drop(entries);
    assert!(!has_transaction(&mut conn));

    let mut entries = conn.stream(Timeline::new().limit(3)).unwrap();
    let error = entries.next().unwrap().unwrap_err();
    assert!(error.as_core().unwrap().is_invalid_input(), "a stream has no pages: {error:?}");
    assert!(entries.next().is_none(), "it ends after the first error");
}

fn an_export_is_written_whole(target: &Target) {
    let mut conn = target.connect();
    write_many(&mut conn);
    let mut lines = Vec::new();
    let export = Export::new(Timeline::new()).format(ExportFormat::Ndjson).all_rows();
    let summary = conn.export_to(export, &mut lines).unwrap();
    assert_eq!((summary.returned_count, summary.truncated), (1100, false));
    assert_eq!(String::from_utf8(lines).unwrap().lines().count(), 1100);
    assert!(!has_transaction(&mut conn));
}

/// A disk that is full.
struct Full;

impl io::Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn an_export_that_cannot_be_written_leaves_the_connection_usable(target: &Target) {
    let mut conn = target.connect();
    write_many(&mut conn);
    let error = conn.export_to(Export::new(Timeline::new()), Full).unwrap_err();
    assert!(error.as_core().unwrap().is_output_failed(), "{error}");
    assert!(!has_transaction(&mut conn));
    conn.run(&InstalledVersion).unwrap();
}
