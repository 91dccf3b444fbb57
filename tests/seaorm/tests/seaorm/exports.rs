//! Exports by COPY, where a connection of one's own can be had, beside the same by a cursor.

use std::io::{self, Read, Write};
use std::pin::pin;

use futures_util::{Stream, TryStreamExt};
use sea_orm::{
    ConnectionTrait, DatabaseExecutor, DatabaseTransaction, DbBackend, DbErr, MockDatabase, TransactionTrait,
};
use threadline_core::{
    Action, ActorRef, ChangeOp, CountChanges, Export, ExportFormat, ExportPiece, ExportSummary, Schema, Scope, Timeline,
};
use threadline_seaorm::{AuditedDatabase, Error, Trail, attach};
use time::macros::datetime;

use crate::support::{Target, insert_post, is_clean, text, user};

/// Everything that separates, escapes or ends something on one of the two ways.
const NASTY: &str = r#"E'a\x1fb\tc\nd\r\\N \\. "q" ''s'' \x08\x0b\x0c\x01 \\x1f é🦀'"#;

/// Many changes, by several actors, with an action and without, some of them large.
async fn trail(db: &AuditedDatabase) {
    db.transaction(&user("42").correlation_id("it's $1"), async |tx| {
        tx.record_action(&Action::new("post.published").reason("a\tb\\c").comment("")).await?;
        tx.execute_unprepared(&format!("INSERT INTO posts VALUES (1, {NASTY}), (2, ''), (3, 'NULL')")).await?;
        tx.execute_unprepared("INSERT INTO posts SELECT i, repeat('x', 60000) FROM generate_series(4, 30) AS i")
            .await?;
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
    db.transaction(&user("43"), async |tx| {
        tx.execute_unprepared("INSERT INTO posts SELECT i, 'title' FROM generate_series(31, 6000) AS i").await?;
        tx.execute_unprepared("UPDATE posts SET title = NULLIF(title, '') || '!' WHERE id IN (1, 3)").await?;
        tx.execute_unprepared("DELETE FROM posts WHERE id <= 20").await
    })
    .await
    .unwrap();
}

type Written = Result<(ExportSummary, Vec<u8>), Error>;

async fn written<H: Trail>(handle: &H, export: Export) -> Written {
    let mut bytes = Vec::new();
    handle.export_to(export, &mut bytes).await.map(|summary| (summary, bytes))
}

/// The same export from the database, which copies, and from a transaction, which has a cursor.
async fn both_ways(db: &AuditedDatabase, export: Export) -> [Written; 2] {
    let copied = written(db, export.clone()).await;
    let tx = db.unaudited().begin().await.unwrap();
    [copied, written(&tx, export).await]
}

#[tokio::test]
async fn both_ways_give_the_same_bytes() {
    let target = Target::new();
    let db = target.audited(2);
    trail(&db).await;
    let posts = || Timeline::new().table("posts");
    let exports = [
        (Export::new(posts()), 6_022, false),
        (Export::new(Timeline::new()).all_rows(), 6_022, false),
        (Export::new(posts()).max_rows(6_022), 6_022, false),
        (Export::new(posts()).max_rows(6_021), 6_021, true),
        (Export::new(posts()).max_rows(1), 1, true),
        (Export::new(posts()).raw_cells(), 6_022, false),
        (Export::new(posts().op(ChangeOp::Delete)), 20, false),
        (Export::new(posts().changed_field("title").op(ChangeOp::Update)), 2, false),
        (Export::new(Timeline::new().actor(&ActorRef::user("42").unwrap())), 30, false),
        (Export::new(Timeline::new().correlation_id("it's $1")), 30, false),
        (Export::new(Timeline::new().table_in("public", "posts").key(1)), 3, false),
        (Export::new(posts().scope(&Scope::field("title", "title"))), 5_970, false),
        // None.
        (Export::new(Timeline::new().correlation_id("it''s $1")), 0, false),
        (Export::new(Timeline::new().table("counters").until(datetime!(2020-01-01 0:00 UTC))), 0, false),
    ];
    for (export, count, truncated) in exports {
        for format in [ExportFormat::Csv, ExportFormat::Json, ExportFormat::Ndjson] {
            let export = export.clone().format(format).generated_at(datetime!(2026-01-01 0:00 UTC));
            let [copied, by_cursor] = both_ways(&db, export.clone()).await.map(Result::unwrap);
            assert!(copied == by_cursor, "{export:?}");
            assert_eq!((copied.0.returned_count, copied.0.truncated), (count, truncated), "{export:?}");
        }
    }
    target.until_quiet().await;
}

#[tokio::test]
async fn compressed_it_is_the_same_inside() {
    let target = Target::new();
    let db = target.audited(2);
    trail(&db).await;
    let (_, plain) = written(&db, Export::new(Timeline::new()).all_rows()).await.unwrap();
    assert!(plain.len() > 2_000_000);
    for compressed in both_ways(&db, Export::new(Timeline::new()).all_rows().gzip()).await {
        let mut inside = Vec::new();
        flate2::read::GzDecoder::new(&compressed.unwrap().1[..]).read_to_end(&mut inside).unwrap();
        assert!(inside == plain);
    }
    for compressed in both_ways(&db, Export::new(Timeline::new()).all_rows().zstd()).await {
        let mut inside = Vec::new();
        let compressed = compressed.unwrap().1;
        ruzstd::decoding::StreamingDecoder::new(&compressed[..]).unwrap().read_to_end(&mut inside).unwrap();
        assert!(inside == plain);
    }
}

#[tokio::test]
async fn both_ways_refuse_the_same_questions_in_the_same_words() {
    let target = Target::new();
    let db = target.audited(2);
    let at = datetime!(2026-01-01 0:00 UTC);
    let elsewhere = db.clone().with_schema(Schema::new("elsewhere").unwrap());
    for (db, timeline) in [
        (&db, Timeline::new().table("postss")),
        (&db, Timeline::new().table("plain")),
        (&db, Timeline::new().table("")),
        (&db, Timeline::new().table("a\0b")),
        (&db, Timeline::new().key(7)),
        (&db, Timeline::new().table_in("public", "posts").key("seven")),
        (&db, Timeline::new().table("postss").since(at).until(at - time::Duration::SECOND)),
        (&db, Timeline::new().op(ChangeOp::Insert)),
        (&db, Timeline::new().limit(5)),
        (&elsewhere, Timeline::new()),
        (&elsewhere, Timeline::new().table("posts")),
    ] {
        let copied = written(db, Export::new(timeline.clone())).await.unwrap_err();
        let tx = db.begin(&user("42")).await.unwrap();
        let by_cursor = written(&tx, Export::new(timeline.clone())).await.unwrap_err();
        assert!(copied.as_core().is_some(), "{timeline:?}: {copied}");
        assert_eq!(copied.to_string(), by_cursor.to_string(), "{timeline:?}");
        assert_eq!(copied.sqlstate(), by_cursor.sqlstate(), "{timeline:?}");
    }
    target.until_quiet().await;
}

#[tokio::test]
async fn without_a_connection_it_fails_as_other_reads_do() {
    let target = Target::new();
    let options = sea_orm::sqlx::postgres::PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(std::time::Duration::from_millis(50));
    let pool = options.clone().connect_lazy(target.database.url()).unwrap();
    let db = AuditedDatabase::new(pool.clone().into());
    let holder = pool.acquire().await.unwrap();
    let nowhere = AuditedDatabase::new(options.connect_lazy("postgres://nobody@127.0.0.1:1/none").unwrap().into());
    let assert_alike = async |db: &AuditedDatabase| {
        let error = written(db, Export::new(Timeline::new())).await.unwrap_err();
        let other = db.timeline(&Timeline::new()).await.unwrap_err();
        assert_eq!(format!("{:?}", error.as_db_err()), format!("{:?}", other.as_db_err()));
        error.as_db_err().cloned().unwrap()
    };
    assert!(matches!(assert_alike(&db).await, DbErr::ConnectionAcquire(_)));
    drop(holder);
    pool.close().await;
    assert!(matches!(assert_alike(&db).await, DbErr::ConnectionAcquire(_)));
    assert_alike(&nowhere).await;
}

/// A question that cannot have an answer is no reason to connect anew.
#[tokio::test]
async fn a_wrong_question_leaves_the_connection_to_the_pool() {
    let target = Target::new();
    let db = target.audited(1);
    let pid = text(db.unaudited(), "SELECT pg_backend_pid()::text").await.unwrap();
    for timeline in [Timeline::new().table("postss"), Timeline::new().table(""), Timeline::new().limit(5)] {
        written(&db, Export::new(timeline)).await.unwrap_err();
    }
    written(&db, Export::new(Timeline::new().table("posts"))).await.unwrap();
    assert_eq!(text(db.unaudited(), "SELECT pg_backend_pid()::text").await.unwrap(), pid);
    assert!(is_clean(db.unaudited()).await);
}

/// The first word of what the server runs for an export that is under way.
async fn way(target: &Target, pieces: impl Stream<Item = Result<ExportPiece, Error>>) -> String {
    let mut pieces = Box::pin(pieces);
    assert!(matches!(pieces.try_next().await.unwrap(), Some(ExportPiece::Bytes(_))));
    let sql = "SELECT split_part(query, ' ', 1) FROM pg_stat_activity
        WHERE datname = current_database() AND backend_type = 'client backend' AND xact_start IS NOT NULL
        AND pid <> pg_backend_pid()";
    let running = target.rows(sql);
    assert_eq!(running.len(), 1, "{running:?}");
    let word = running[0][0].clone().unwrap();
    drop(pieces);
    if word == "COPY" {
        // A session that is closed takes its time to end.
        target.until_quiet().await;
    }
    word
}

#[tokio::test]
async fn who_has_no_transaction_open_copies() {
    let target = Target::new();
    let db = target.audited(1);
    trail(&db).await;
    let all = || Export::new(Timeline::new()).all_rows();
    assert_eq!(way(&target, db.export(all())).await, "COPY");
    assert_eq!(way(&target, db.unaudited().export(all())).await, "COPY");
    assert_eq!(way(&target, DatabaseExecutor::from(db.unaudited()).export(all())).await, "COPY");
    assert_eq!(way(&target, db.unaudited().export_in(Schema::default(), all())).await, "COPY");
    let theirs = db.clone().scoped();
    assert_eq!(way(&target, theirs.unscoped().export(all())).await, "COPY");
    assert_eq!(way(&target, theirs.scope(Scope::field("title", "title")).export(all())).await, "COPY");

    let tx = db.begin(&user("44")).await.unwrap();
    assert_eq!(way(&target, tx.export(all())).await, "FETCH");
    let plain: &DatabaseTransaction = &tx;
    assert_eq!(way(&target, plain.export(all())).await, "FETCH");
    assert_eq!(way(&target, DatabaseExecutor::from(plain).export(all())).await, "FETCH");
    tx.rollback().await.unwrap();
    let foreign = db.unaudited().begin().await.unwrap();
    let attached = attach(&user("44"), &foreign).await.unwrap();
    assert_eq!(way(&target, attached.export(all())).await, "FETCH");
}

#[tokio::test]
async fn inside_a_transaction_its_own_changes_are_exported() {
    let target = Target::new();
    let db = target.audited(2);
    let tx = db.begin(&user("42")).await.unwrap();
    insert_post(&tx, 1).await.unwrap();
    assert_eq!(written(&tx, Export::new(Timeline::new())).await.unwrap().0.returned_count, 1);
    assert_eq!(written(&db, Export::new(Timeline::new())).await.unwrap().0.returned_count, 0);
}

/// A reader that is slower than the limit: one COPY would be cut off. The one connection serves both attempts.
#[tokio::test]
async fn a_session_with_a_time_limit_for_statements_reads_a_cursor() {
    let target = Target::new();
    trail(&target.audited(1)).await;
    let name = target.database.name();
    target.database.execute(&format!("ALTER DATABASE {name} SET statement_timeout = '5s'")).unwrap();
    let db = target.audited(1);
    assert_eq!(way(&target, db.export(Export::new(Timeline::new()).all_rows())).await, "FETCH");
    assert!(is_clean(db.unaudited()).await);
    let (summary, _) = written(&db, Export::new(Timeline::new().table("posts"))).await.unwrap();
    assert_eq!(summary.returned_count, 6_022);
    target.until_quiet().await;
}

#[tokio::test]
async fn what_cannot_be_written_leaves_nothing_on_the_wire() {
    /// Has room for so many bytes.
    struct Small(usize);
    impl Write for Small {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let target = Target::new();
    let db = target.audited(1);
    trail(&db).await;
    for room in [0, 100_000, 1_000_000] {
        let export = Export::new(Timeline::new()).all_rows();
        let error = db.export_to(export, Small(room)).await.unwrap_err();
        assert!(error.as_core().unwrap().is_output_failed(), "{error}");
        assert!(is_clean(db.unaudited()).await);
        let count = db.count_changes(&CountChanges::of(Timeline::new())).await.unwrap();
        assert_eq!(count.to_string(), "6022");
    }
    target.until_quiet().await;
}

/// What goes wrong in the middle of a COPY is SeaORM's error, as it is for every read.
#[tokio::test]
async fn a_server_that_ends_it_is_told() {
    let target = Target::new();
    let db = target.audited(1);
    trail(&db).await;
    let mut pieces = pin!(db.export(Export::new(Timeline::new()).all_rows()));
    pieces.try_next().await.unwrap();
    target.rows("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY %' AND datname = current_database()");
    let error = loop {
        match pieces.try_next().await {
            Ok(piece) => assert!(matches!(piece, Some(ExportPiece::Bytes(_))), "it was through before"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.sqlstate().as_deref(), Some("57014"), "{error}");
    assert!(matches!(error.as_db_err(), Some(DbErr::Query(_))), "{error:?}");
    assert!(is_clean(db.unaudited()).await);
}

#[tokio::test]
async fn a_mock_has_no_pool() {
    let db = AuditedDatabase::new(MockDatabase::new(DbBackend::Postgres).into_connection());
    written(&db, Export::new(Timeline::new())).await.unwrap_err();
    let log = format!("{:?}", db.unaudited().clone().into_transaction_log());
    assert!(log.contains("DECLARE") && !log.contains("COPY"), "{log}");
}
