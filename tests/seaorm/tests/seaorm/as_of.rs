//! Rows as they were, as SeaORM reads any row.

use std::collections::BTreeSet;

use futures_util::TryStreamExt;
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, ConnectionTrait, FromQueryResult};
use threadline_core::{AuditedTable, CapturePolicy};
use threadline_core::{Origin, RowAsOf, TableAsOf};
use threadline_macros::Audited;
use threadline_seaorm::{Trail, enable};
use time::OffsetDateTime;

use crate::entity::authors;
use crate::support::{Target, user};

#[derive(Clone, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Enum", enum_name = "mood")]
enum Mood {
    #[sea_orm(string_value = "happy")]
    Happy,
    #[sea_orm(string_value = "sad")]
    Sad,
}

mod diary {
    use sea_orm::entity::prelude::*;
    use threadline_macros::Audited;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Audited)]
    #[sea_orm(table_name = "diary")]
    #[audited(crate = "threadline_core", mask(secret), exclude(hidden))]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: Uuid,
        pub(crate) mood: super::Mood,
        pub(crate) moods: Option<Vec<super::Mood>>,
        pub(crate) secret: Option<String>,
        pub(crate) hidden: Option<i32>,
        pub(crate) payload: Json,
        #[sea_orm(column_name = "Odd \"name")]
        pub(crate) odd: Option<Vec<u8>>,
        pub(crate) at: TimeDateTimeWithTimeZone,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

const TABLE: &str = r#"CREATE TYPE mood AS ENUM ('happy', 'sad');
    CREATE TABLE diary (id uuid PRIMARY KEY, mood mood NOT NULL, moods mood[], secret text, hidden int,
        payload json NOT NULL, "Odd ""name" bytea, at timestamptz NOT NULL)"#;

async fn diary(target: &Target) -> (threadline_seaorm::AuditedDatabase, diary::Model) {
    target.database.execute(TABLE).unwrap();
    let db = target.audited(1);
    enable(db.unaudited(), &<diary::Model as threadline_core::Audited>::audited_table()).await.unwrap();
    let row = diary::Model {
        id: Uuid::from_u128(0x0190_163d_8694_739b_aea5_966c_26f8_ad91),
        mood: Mood::Happy,
        moods: Some(vec![Mood::Sad, Mood::Happy]),
        secret: Some("secret".to_owned()),
        hidden: Some(7),
        payload: r#"{"a": 1.5, "b": [null]}"#.parse().unwrap(),
        odd: Some(vec![0, 255]),
        at: OffsetDateTime::from_unix_timestamp_nanos(1_764_000_000_123_456_000).unwrap(),
    };
    let inserted = row.clone();
    db.transaction(&user("42"), async |tx| {
        let model = diary::ActiveModel {
            id: Set(inserted.id),
            mood: Set(inserted.mood.clone()),
            moods: Set(inserted.moods.clone()),
            secret: Set(inserted.secret.clone()),
            hidden: Set(inserted.hidden),
            payload: Set(inserted.payload.clone()),
            odd: Set(inserted.odd.clone()),
            at: Set(inserted.at),
        };
        model.insert(tx).await
    })
    .await
    .unwrap();
    (db, row)
}

#[tokio::test]
async fn a_model_comes_back_as_it_was() {
    let target = Target::new();
    let (db, mut row) = diary(&target).await;
    let then = OffsetDateTime::now_utc();
    db.transaction(&user("43"), async |tx| tx.execute_unprepared("UPDATE diary SET mood = 'sad', moods = NULL").await)
        .await
        .unwrap();
    (row.secret, row.hidden) = (None, None);
    let id = row.id.to_string();
    assert_eq!(db.as_of::<diary::Model>(id.as_str(), then).await.unwrap(), RowAsOf::new(row.clone(), Origin::Image));
    let tx = db.begin(&user("44")).await.unwrap();
    assert_eq!(tx.as_of::<diary::Model>(id.as_str(), then).await.unwrap(), RowAsOf::new(row.clone(), Origin::Image));
    drop(tx);
    let now = db.unaudited().as_of::<diary::Model>(id.as_str(), OffsetDateTime::now_utc()).await.unwrap().row;
    assert_eq!((now.mood, now.moods), (Mood::Sad, None));
}

#[tokio::test]
async fn a_struct_of_some_columns_does() {
    #[derive(Debug, PartialEq, FromQueryResult, Audited)]
    #[audited(table = "diary", key(id), crate = "threadline_core")]
    struct Short {
        id: Uuid,
        mood: Mood,
    }
    let target = Target::new();
    let (db, row) = diary(&target).await;
    let short = db.as_of::<Short>(row.id.to_string(), OffsetDateTime::now_utc()).await.unwrap();
    assert_eq!(short.row, Short { id: row.id, mood: Mood::Happy });
}

#[tokio::test]
async fn a_model_of_the_new_format_does() {
    let target = Target::new();
    let db = target.audited(1);
    authors::ActiveModel::builder().set_name("Ursula").save(&db.with(&user("42"))).await.unwrap();
    let author = db.as_of::<authors::Model>(1, OffsetDateTime::now_utc()).await.unwrap();
    assert_eq!((author.name.as_str(), author.origin), ("Ursula", Origin::Image));
    // As if it had been there before capture.
    let older = "SET session_replication_role = replica; INSERT INTO authors (id, name) VALUES (9, 'Octavia'); RESET session_replication_role";
    target.database.execute(older).unwrap();
    let author = db.as_of::<authors::Model>(9, OffsetDateTime::now_utc()).await.unwrap();
    assert_eq!((author.name.as_str(), author.origin), ("Octavia", Origin::Reconstructed));
}

#[tokio::test]
async fn a_column_that_cannot_be_told_is_named() {
    #[derive(Debug, FromQueryResult, Audited)]
    #[audited(table = "diary", crate = "threadline_core")]
    struct Wants {
        id: Uuid,
        secret: String,
    }
    #[derive(Debug, FromQueryResult, Audited)]
    #[audited(table = "diary", crate = "threadline_core")]
    struct Gone {
        id: Uuid,
        gone: Option<i32>,
    }
    let target = Target::new();
    let (db, row) = diary(&target).await;
    let (id, now) = (row.id.to_string(), OffsetDateTime::now_utc());
    let error = db.as_of::<Wants>(id.as_str(), now).await.map(|then| (then.id, then.row.secret)).unwrap_err();
    assert_eq!(error.as_core().and_then(threadline_core::Error::column), Some("secret"), "{error}");
    let error = db.as_of::<Gone>(id.as_str(), now).await.map(|row| (row.id, row.gone)).unwrap_err();
    assert_eq!(error.as_core().and_then(threadline_core::Error::column), Some("gone"), "{error}");
    let error = db.as_of::<diary::Model>(Uuid::nil().to_string(), now).await.unwrap_err();
    assert!(error.as_core().is_some_and(threadline_core::Error::is_never_existed), "{error}");
}

#[tokio::test]
async fn a_kernel_in_another_schema_is_found() {
    let target = Target::new();
    let schema = threadline_core::Schema::new("Audit trail").unwrap();
    let db = target.audited(1).with_schema(schema.clone());
    db.install().await.unwrap();
    let authors = AuditedTable::new("public", "authors").policy(CapturePolicy::new());
    db.apply(&threadline_core::EnableCapture::new(authors)).await.unwrap();
    authors::ActiveModel::builder().set_name("Ursula").save(&db.with(&user("42"))).await.unwrap();
    let now = OffsetDateTime::now_utc();
    assert_eq!(db.as_of::<authors::Model>(1, now).await.unwrap().name, "Ursula");
    assert_eq!(db.unaudited().as_of_in::<authors::Model>(&schema, 1, now).await.unwrap().name, "Ursula");
}

#[tokio::test]
async fn a_table_is_read_as_it_was() {
    let target = Target::new();
    let db = target.audited(1);
    target.database.execute("INSERT INTO authors (id, name) SELECT n, 'a' FROM generate_series(1, 600) AS n").unwrap();
    let then = OffsetDateTime::now_utc();
    target
        .database
        .execute("UPDATE authors SET id = id + 1000 WHERE id < 9; DELETE FROM authors WHERE id < 100")
        .unwrap();
    let rows: Vec<RowAsOf<authors::Model>> = db.table_as_of::<authors::Model>(then).try_collect().await.unwrap();
    let ids: BTreeSet<i32> = rows.iter().map(|row| row.id).collect();
    assert!(rows.len() == 600 && ids == (1..=600).collect() && rows.iter().all(|row| row.origin == Origin::Image));
    let images: Vec<_> = db.stream(TableAsOf::new("public", "authors", then)).try_collect().await.unwrap();
    assert_eq!(images.len(), 600);
    // Dropped in the middle, it leaves no transaction on the pool's one connection.
    for wanted in [0, 1, 501] {
        {
            let mut rows = std::pin::pin!(db.table_as_of::<authors::Model>(then));
            for _ in 0..wanted {
                rows.try_next().await.unwrap().unwrap();
            }
        }
        db.unaudited().execute_unprepared("UPDATE authors SET name = 'b' WHERE id = 200").await.unwrap();
    }
    let open = "SELECT count(*)::text FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' AND datname = current_database()";
    assert_eq!(target.database.query_text(open).unwrap()[0][0].as_deref(), Some("0"));
    let tx = db.begin(&user("44")).await.unwrap();
    tx.execute_unprepared("DELETE FROM authors").await.unwrap();
    let later = OffsetDateTime::now_utc() + time::Duration::hours(1);
    let rows = tx.table_as_of::<authors::Model>(later).try_collect::<Vec<_>>().await.unwrap();
    assert!(rows.is_empty(), "it sees its transaction");
}
