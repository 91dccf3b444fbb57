//! Exports: the same changes as the timeline, in every format.

use serde_json::{Map, Value};
use sqlx::AssertSqlSafe;
use threadline::sqlx::{AuditedPool, Trail};
use threadline::{Export, ExportFormat, ExportPiece, LinkedChange, Scope, Timeline};
use time::macros::datetime;

use crate::world::{database, pool};

/// Compares what an export writes with the changes it should have: from a pool, which copies, and from a transaction, which
/// has a cursor.
pub(crate) async fn export_agrees(db: &AuditedPool, export: Export, expected: &[LinkedChange], all: usize) {
    let mut tx = db.unaudited().begin().await.unwrap();
    for format in [ExportFormat::Csv, ExportFormat::Json, ExportFormat::Ndjson] {
        let (mut written, mut by_cursor) = (Vec::new(), Vec::new());
        let export = export.clone().format(format).generated_at(datetime!(2026-01-01 0:00 UTC));
        let summary = db.export_to(export.clone(), &mut written).await.unwrap();
        assert_eq!(tx.export_to(export, &mut by_cursor).await.unwrap(), summary);
        assert!(written == by_cursor, "COPY and the cursor give the same bytes");
        assert_eq!(summary.returned_count, expected.len() as u64);
        assert_eq!(summary.truncated, all > expected.len());
        let text = String::from_utf8(written).unwrap();
        let found: Vec<Map<String, Value>> = match format {
            ExportFormat::Csv => csv(&text).into_iter().map(json_cells).collect(),
            ExportFormat::Json => {
                let document: Value = serde_json::from_str(&text).unwrap();
                assert_eq!(document["format_version"], 1);
                assert_eq!(document["truncated"], summary.truncated);
                serde_json::from_value(document["changes"].clone()).unwrap()
            }
            _ => text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        };
        let expected: Vec<Map<String, Value>> = expected.iter().map(|entry| flat(entry, format)).collect();
        assert_eq!(found, expected, "{format}");
    }
}

/// A change as an export has it.
fn flat(entry: &LinkedChange, format: ExportFormat) -> Map<String, Value> {
    let Value::Object(mut change) = serde_json::to_value(&entry.change).unwrap() else {
        panic!("a change is an object")
    };
    change.remove("xid");
    let (transaction, action) =
        (serde_json::to_value(&entry.transaction).unwrap(), serde_json::to_value(&entry.action).unwrap());
    if format == ExportFormat::Csv {
        change.insert("correlation_id".to_owned(), transaction["correlation_id"].clone());
        change.insert("action_id".to_owned(), transaction["action_id"].clone());
        change.insert("transaction_json".to_owned(), transaction);
        change.insert("action_json".to_owned(), action);
    } else {
        change.insert("transaction".to_owned(), transaction);
        change.insert("action".to_owned(), action);
    }
    change
}

type Record = Vec<(String, Option<String>)>;

/// The records of a CSV file below its header, by column; NULL is `None`.
fn csv(text: &str) -> Vec<Record> {
    let mut records: Vec<Vec<Option<String>>> = vec![Vec::new()];
    let mut rest = text;
    while !rest.is_empty() {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted),
            None => {
                let end = rest.find([',', '\r']).unwrap();
                ((end > 0).then(|| rest[..end].to_owned()), &rest[end..])
            }
        };
        records.last_mut().unwrap().push(field);
        rest = match after.strip_prefix(',') {
            Some(next) => next,
            None => {
                records.push(Vec::new());
                after.strip_prefix("\r\n").expect("a record ends with CR LF")
            }
        };
    }
    assert!(records.pop().is_some_and(|last| last.is_empty()), "the last record ends with CR LF");
    let header: Vec<String> = records.remove(0).into_iter().map(Option::unwrap).collect();
    let named = |record: Vec<Option<String>>| {
        assert_eq!(record.len(), header.len());
        header.iter().cloned().zip(record).collect()
    };
    records.into_iter().map(named).collect()
}

fn quoted_field(mut rest: &str) -> (Option<String>, &str) {
    let mut field = String::new();
    loop {
        let end = rest.find('"').expect("a closing quote");
        field.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(next) => {
                field.push('"');
                rest = next;
            }
            None => return (Some(field), rest),
        }
    }
}

fn json_cells(record: Record) -> Map<String, Value> {
    const TEXT: [&str; 6] = ["table_schema", "table_name", "op", "captured_at", "withheld", "correlation_id"];
    let value = |(name, cell): (String, Option<String>)| {
        let value = match cell {
            None => Value::Null,
            Some(cell) if TEXT.contains(&name.as_str()) => cell.into(),
            Some(cell) => serde_json::from_str(&cell).unwrap_or_else(|_| panic!("{name}: {cell}")),
        };
        (name, value)
    };
    record.into_iter().map(value).collect()
}

#[tokio::test]
async fn null_and_empty_and_formulas_are_told_apart() {
    let database = database();
    let db = pool(database.url());
    let sql = r#"CREATE TABLE "=cmd|x" (id int PRIMARY KEY, v text);
        SELECT threadline.enable_capture('"=cmd|x"');
        INSERT INTO "=cmd|x" VALUES (1, E'a "b",\r\n'); DELETE FROM "=cmd|x""#;
    database.execute(sql).unwrap();
    let export = || Export::new(Timeline::new().table("=cmd|x"));
    let mut written = Vec::new();
    db.export_to(export(), &mut written).await.unwrap();
    let records = csv(&String::from_utf8(written).unwrap());
    let cell = |record: usize, name: &str| {
        records[record].iter().find(|(column, _)| column == name).and_then(|(_, cell)| cell.as_deref())
    };
    assert_eq!(cell(0, "op"), Some("delete"));
    assert_eq!((cell(0, "data_after"), cell(0, "correlation_id")), (None, None), "NULL is an empty field");
    assert_eq!(cell(0, "table_name"), Some("'=cmd|x"), "no spreadsheet runs it");
    assert_eq!(cell(1, "data_after"), Some(r#"{"v": "a \"b\",\r\n", "id": 1}"#));
    let (mut raw, mut by_cursor) = (Vec::new(), Vec::new());
    db.export_to(export().raw_cells(), &mut raw).await.unwrap();
    let mut tx = db.unaudited().begin().await.unwrap();
    tx.export_to(export().raw_cells(), &mut by_cursor).await.unwrap();
    assert_eq!(raw, by_cursor);
    assert!(String::from_utf8(raw).unwrap().contains(",\"=cmd|x\","));
}

#[tokio::test]
async fn an_export_is_one_snapshot() {
    let database = database();
    let db = pool(database.url());
    database.execute("INSERT INTO posts SELECT g, 'x', 1, 'acme' FROM generate_series(1, 5000) g").unwrap();
    let mut tx = db.unaudited().begin().await.unwrap();
    let export = Export::new(Timeline::new()).format(ExportFormat::Ndjson).all_rows();
    let mut pieces = Box::pin(Trail::export(&mut tx, export));
    let (mut lines, mut meanwhile) = (0, 0);
    while let Some(piece) = futures_util::TryStreamExt::try_next(&mut pieces).await.unwrap() {
        if let ExportPiece::Bytes(bytes) = piece {
            lines += String::from_utf8(bytes).unwrap().lines().count();
        }
        meanwhile += 1;
        let sql = format!("INSERT INTO posts VALUES (-{meanwhile}, 'x', 1, 'acme')");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(db.unaudited()).await.unwrap();
    }
    assert!(meanwhile > 3, "there were several pieces");
    assert_eq!(lines, 5000);
}

/// What is awaited takes its time: nothing is lost, whatever fits at once.
#[tokio::test]
async fn an_awaited_writer_gets_everything() {
    use tokio::io::AsyncReadExt;

    let database = database();
    let db = pool(database.url());
    database.execute("INSERT INTO posts SELECT g, 'x', 1, 'acme' FROM generate_series(1, 3000) g").unwrap();
    let export = || Export::new(Timeline::new()).format(ExportFormat::Ndjson);
    let mut expected = Vec::new();
    let summary = db.export_to(export(), &mut expected).await.unwrap();
    let (writer, mut reader) = tokio::io::duplex(100);
    let read = async {
        let mut read = Vec::new();
        reader.read_to_end(&mut read).await.unwrap();
        read
    };
    let (written, read) = tokio::join!(db.export_to_async(export(), writer), read);
    assert_eq!(written.unwrap(), summary);
    assert!(read == expected);
    let (writer, reader) = tokio::io::duplex(100);
    drop(reader);
    let error = db.export_to_async(export(), writer).await.unwrap_err();
    assert!(error.as_core().unwrap().is_output_failed(), "{error}");
    let theirs = db.scoped();
    let (mut all, mut awaited) = (Vec::new(), Vec::new());
    theirs.scope(Scope::field("tenant", "acme")).export_to(export(), &mut all).await.unwrap();
    theirs.scope(Scope::field("tenant", "acme")).export_to_async(export(), &mut awaited).await.unwrap();
    assert!(all == expected && awaited == expected);
    let mut none = Vec::new();
    theirs.scope(Scope::field("tenant", "umbrella")).export_to(export(), &mut none).await.unwrap();
    assert!(none.is_empty());
}

#[tokio::test]
async fn what_cannot_be_written_is_an_error() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let database = database();
    let db = pool(database.url());
    let error = db.export_to(Export::new(Timeline::new()), Full).await.unwrap_err();
    assert!(error.as_core().unwrap().is_output_failed(), "{error}");
    let error = db.export_to(Export::new(Timeline::new().table("postss")), Vec::new()).await.unwrap_err();
    assert!(error.as_core().unwrap().is_not_captured(), "{error}");
}

/// Everything that separates, escapes or ends something on one of the two ways.
#[tokio::test]
async fn whatever_text_is_in_the_trail_comes_out_the_same_by_copy_and_cursor() {
    let database = database();
    let db = pool(database.url());
    let nasty = r#"E'a\x1fb\tc\nd\r\\N \\. "q" ''s'' \x08\x0b\x0c\x01 \\x1f é🦀'"#;
    let sql = format!(
        "BEGIN; SELECT threadline.set_context('{{\"type\": \"user\", \"id\": \"a\\\\b\"}}', jsonb_build_object('meta', jsonb_build_object('m', {nasty})));
         SELECT threadline.record_action(jsonb_build_object('name', 'a', 'status', 'ok', 'reason', {nasty}, 'comment', ''));
         INSERT INTO posts VALUES (1, {nasty}, 1, 'acme'), (2, '', 1, 'acme'), (3, NULL, 1, 'acme'); COMMIT;
         DELETE FROM posts"
    );
    database.execute(&sql).unwrap();
    let expected = db.timeline(&Timeline::new().limit(1_000)).await.unwrap().entries;
    assert_eq!(expected.len(), 6);
    export_agrees(&db, Export::new(Timeline::new()), &expected, 6).await;
}

#[tokio::test]
async fn a_session_with_a_time_limit_for_statements_reads_a_cursor() {
    let database = database();
    let db = pool(database.url());
    database.execute("INSERT INTO posts SELECT g, 'x', 1, 'acme' FROM generate_series(1, 3000) g").unwrap();
    let name = database.query_text("SELECT current_database()").unwrap();
    let name = name[0][0].as_deref().unwrap();
    database.execute(&format!("ALTER DATABASE {name} SET statement_timeout = '300ms'")).unwrap();
    let db = {
        drop(db);
        pool(database.url())
    };
    let mut pieces = Box::pin(db.export(Export::new(Timeline::new()).format(ExportFormat::Ndjson)));
    let mut lines = 0;
    // A reader that is slower than the limit: one COPY would be cut off.
    let started = std::time::Instant::now();
    while let Some(piece) = futures_util::TryStreamExt::try_next(&mut pieces).await.unwrap() {
        if let ExportPiece::Bytes(bytes) = piece {
            lines += String::from_utf8(bytes).unwrap().lines().count();
        }
        while lines < 3_000 && started.elapsed().as_millis() < 400 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(lines, 3_000);
}
