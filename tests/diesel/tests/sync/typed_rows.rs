//! A row as it was, decoded by Diesel into the struct that the application reads its rows with.

use std::collections::BTreeSet;
use std::ops::Bound;

use diesel::data_types::{PgDate, PgInterval, PgNumeric, PgTimestamp};
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::pg::{Pg, PgValue};
use diesel::prelude::*;
use diesel::sql_types::{self, Array, Nullable, Record, SqlType};
use threadline_core::{Audited, ModelColumn, RowAsOf, RowKey};
use threadline_diesel::Error;
use threadline_diesel::prelude::*;

use crate::reading::now;
use crate::support::{Target, insert_post, on_both, user};

on_both! {
    a_row_of_many_types_comes_back_as_it_was,
    what_the_trail_does_not_hold_is_none_or_an_error_that_names_it,
    a_column_that_is_not_what_it_was_is_named,
    a_row_is_read_inside_the_transaction_that_changes_it,
    a_row_that_was_rebuilt_says_so,
    a_table_is_read_as_it_was,
    a_row_that_moved_tells_where,
}

#[derive(SqlType)]
#[diesel(postgres_type(name = "mood"))]
struct MoodType;

#[derive(SqlType)]
#[diesel(postgres_type(name = "place"))]
struct PlaceType;

#[derive(Clone, Copy, Debug, PartialEq, Eq, FromSqlRow)]
enum Mood {
    Sad,
    Happy,
}

impl FromSql<MoodType, Pg> for Mood {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        match value.as_bytes() {
            b"sad" => Ok(Self::Sad),
            b"happy" => Ok(Self::Happy),
            _ => Err("another mood".into()),
        }
    }
}

#[derive(Debug, PartialEq, Eq, FromSqlRow)]
struct Place {
    street: Option<String>,
    number: Option<i32>,
}

impl FromSql<PlaceType, Pg> for Place {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        type Columns = Record<(Nullable<sql_types::Text>, Nullable<sql_types::Integer>)>;
        let (street, number) = FromSql::<Columns, Pg>::from_sql(value)?;
        Ok(Self { street, number })
    }
}

/// The exact text of a `json` column.
#[derive(Debug, PartialEq, Eq, FromSqlRow)]
struct RawJson(String);

impl FromSql<sql_types::Json, Pg> for RawJson {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Self(std::str::from_utf8(value.as_bytes())?.to_owned()))
    }
}

#[derive(Debug, QueryableByName)]
struct Thing {
    #[diesel(sql_type = sql_types::BigInt)]
    id: i64,
    #[diesel(sql_type = sql_types::Numeric)]
    price: PgNumeric,
    #[diesel(sql_type = sql_types::Numeric)]
    number: PgNumeric,
    #[diesel(sql_type = sql_types::Double)]
    ratio: f64,
    #[diesel(sql_type = sql_types::Float)]
    tiny: f32,
    #[diesel(sql_type = sql_types::Binary)]
    bytes: Vec<u8>,
    #[diesel(sql_type = sql_types::Range<sql_types::Integer>)]
    span: (Bound<i32>, Bound<i32>),
    #[diesel(sql_type = MoodType)]
    mood: Mood,
    #[diesel(sql_type = Array<Nullable<MoodType>>)]
    moods: Vec<Option<Mood>>,
    #[diesel(sql_type = PlaceType)]
    place: Place,
    #[diesel(sql_type = sql_types::Timestamptz)]
    at: PgTimestamp,
    #[diesel(sql_type = sql_types::Date)]
    day: PgDate,
    #[diesel(sql_type = sql_types::Interval)]
    pause: PgInterval,
    #[diesel(sql_type = Array<Nullable<sql_types::Text>>)]
    tags: Vec<Option<String>>,
    #[diesel(sql_type = sql_types::Json)]
    raw: RawJson,
    #[diesel(sql_type = sql_types::Text)]
    short: String,
}

/// Makes a type a model of a table in `public`; columns that end in `nullable` are.
macro_rules! model {
    ($model:ident, $table:literal, $key:literal $(, $column:literal $($nullable:ident)?)*) => {
        impl Audited for $model {
            fn audited_table() -> AuditedTable {
                AuditedTable::new("public", $table)
            }

            fn columns() -> &'static [ModelColumn] {
                &const { [ModelColumn::new($key).key() $(, ModelColumn::new($column)$(.$nullable())?)*] }
            }
        }
    };
}

model!(
    Thing, "things", "id", "price", "number", "ratio", "tiny", "bytes", "span", "mood", "moods", "place", "at", "day",
    "pause", "tags", "raw", "short"
);

const THINGS: &str = r#"
    CREATE TYPE mood AS ENUM ('sad', 'happy');
    CREATE TYPE place AS (street text, number int);
    CREATE DOMAIN shorttext AS text NOT NULL CHECK (length(VALUE) < 10);
    CREATE TABLE things (id bigint PRIMARY KEY, price numeric(20, 5), number numeric, ratio float8, tiny float4, bytes bytea,
        span int4range, mood mood, moods mood[], place place, at timestamptz, day date, pause interval, tags text[],
        raw json, short shorttext, unread shorttext);
    SELECT threadline.enable_capture('things', '{"exclude": ["unread"]}');
    INSERT INTO things VALUES (7, 12345.6789, 'NaN', '-0', '1e-45', '\x00ff', '[1,5)', 'happy', '{sad,NULL,happy}',
        '("a ""b""",)', '2026-02-03 04:05:06.000007+02', '0044-03-15', '1 mon -2 days 00:00:00.5', '{a,NULL,"b,c"}',
        '{"a": 1, "a": 2, "b": 1e999, "c": "\u0000"}', 'short', 'unread');
"#;

fn a_row_of_many_types_comes_back_as_it_was(target: &Target) {
    let mut conn = target.connect();
    target.database.execute(THINGS).unwrap();
    let then = now(&mut conn);
    target.database.execute("UPDATE things SET price = 0, ratio = 'NaN', short = 'x'; DELETE FROM things").unwrap();

    let thing = conn.as_of::<Thing>(7, then).unwrap().row;
    assert_eq!(thing.id, 7);
    assert_eq!(thing.price, PgNumeric::Positive { weight: 1, scale: 5, digits: vec![1, 2345, 6789] });
    assert_eq!(thing.number, PgNumeric::NaN);
    assert!(thing.ratio == 0.0 && thing.ratio.is_sign_negative());
    assert_eq!((thing.tiny.to_bits(), thing.bytes), (1, vec![0, 255]));
    assert_eq!(thing.span, (Bound::Included(1), Bound::Excluded(5)));
    assert_eq!((thing.mood, thing.moods), (Mood::Happy, vec![Some(Mood::Sad), None, Some(Mood::Happy)]));
    assert_eq!(thing.place, Place { street: Some(r#"a "b""#.to_owned()), number: None });
    // Since 2000, in microseconds and in days.
    assert_eq!((thing.at, thing.day), (PgTimestamp(823_399_506_000_007), PgDate(-714_340)));
    assert_eq!(thing.pause, PgInterval { months: 1, days: -2, microseconds: 500_000 });
    assert_eq!(thing.tags, [Some("a".to_owned()), None, Some("b,c".to_owned())]);
    assert_eq!(thing.raw.0, r#"{"a": 1, "a": 2, "b": 1e999, "c": "\u0000"}"#, "the exact text");
    assert_eq!(thing.short, "short");
}

#[derive(Debug, QueryableByName)]
struct Account {
    #[diesel(sql_type = sql_types::Integer)]
    id: i32,
    #[diesel(sql_type = Nullable<sql_types::Text>)]
    email: Option<String>,
    #[diesel(sql_type = Nullable<sql_types::Binary>)]
    secret: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<sql_types::Text>)]
    added: Option<String>,
}

model!(Account, "accounts", "id", "email" nullable, "secret" nullable, "added" nullable);

/// The same row, read by somebody who expects every column.
#[derive(Debug, QueryableByName)]
struct Strict<const COLUMN: usize> {
    #[diesel(sql_type = sql_types::Integer)]
    #[allow(dead_code, reason = "never made")]
    id: i32,
}

impl<const COLUMN: usize> Audited for Strict<COLUMN> {
    fn audited_table() -> AuditedTable {
        AuditedTable::new("public", "accounts")
    }

    fn columns() -> &'static [ModelColumn] {
        const COLUMNS: [&str; 5] = ["email", "secret", "added", "gone", "never"];
        &const { [ModelColumn::new("id").key(), ModelColumn::new(COLUMNS[COLUMN])] }
    }
}

const ACCOUNTS: &str = r#"
    CREATE TABLE accounts (id int PRIMARY KEY, email text, secret bytea, gone int, kept int);
    SELECT threadline.enable_capture('accounts', '{"mask": ["email"], "exclude": ["secret"]}');
    INSERT INTO accounts VALUES (1, 'a@example.org', 'secret', 5, 6);
"#;

fn what_the_trail_does_not_hold_is_none_or_an_error_that_names_it(target: &Target) {
    let mut conn = target.connect();
    target.database.execute(ACCOUNTS).unwrap();
    let then = now(&mut conn);
    target.database.execute("ALTER TABLE accounts ADD added text NOT NULL DEFAULT '', DROP gone").unwrap();

    let account = conn.as_of::<Account>(1, then).unwrap().row;
    assert_eq!((account.id, account.email, account.secret, account.added), (1, None, None, None));

    let names = |error: Error| {
        let core = error.as_core().unwrap_or_else(|| panic!("{error:?}"));
        format!("{} {}", core.code(), core.column().unwrap())
    };
    assert_eq!(names(conn.as_of::<Strict<0>>(1, then).unwrap_err()), "column_redacted email");
    assert_eq!(names(conn.as_of::<Strict<1>>(1, then).unwrap_err()), "column_redacted secret");
    assert_eq!(names(conn.as_of::<Strict<2>>(1, then).unwrap_err()), "schema_changed added");
    assert_eq!(names(conn.as_of::<Strict<3>>(1, then).unwrap_err()), "schema_changed gone");
    assert_eq!(names(conn.as_of::<Strict<4>>(1, then).unwrap_err()), "unknown_column never");
}

#[derive(Debug, QueryableByName)]
struct Measure {
    #[diesel(sql_type = sql_types::Integer)]
    id: i32,
    #[diesel(sql_type = sql_types::Text)]
    value: String,
}

model!(Measure, "measures", "id", "value");

fn a_column_that_is_not_what_it_was_is_named(target: &Target) {
    let mut conn = target.connect();
    for (before, value, after, using, fits) in [
        ("text", "'7'", "varchar(10)", "value", true),
        ("int", "7", "text", "value::text", false),
        ("text", "'longer than that'", "varchar(5)", "left(value, 5)", false),
    ] {
        let sql = format!(
            "DROP TABLE IF EXISTS measures; CREATE TABLE measures (id int PRIMARY KEY, value {before});
             SELECT threadline.enable_capture('measures'); INSERT INTO measures VALUES (1, {value})"
        );
        target.database.execute(&sql).unwrap();
        let then = now(&mut conn);
        target.database.execute(&format!("ALTER TABLE measures ALTER value TYPE {after} USING {using}")).unwrap();
        match conn.as_of::<Measure>(1, then) {
            Ok(measure) => assert!(fits && measure.id == 1 && measure.value == "7", "{before} to {after}: {measure:?}"),
            Err(error) => {
                let core = error.as_core().unwrap_or_else(|| panic!("{error:?}"));
                assert!(!fits && core.is_schema_changed(), "{before} to {after}: {error}");
                assert_eq!(core.column(), Some("value"));
                assert!(!error.to_string().contains("longer"), "no value in a message: {error}");
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq, QueryableByName)]
#[diesel(table_name = crate::support::posts)]
pub(crate) struct Post {
    id: i64,
    title: String,
}

model!(Post, "posts", "id", "title");

fn a_row_is_read_inside_the_transaction_that_changes_it(target: &Target) {
    target
        .connect()
        .audited(&user("42"), |conn| {
            insert_post(conn, 1)?;
            let then = now(&mut target.connect());
            assert_eq!(conn.as_of::<Post>(1, then)?.row, Post { id: 1, title: "title".to_owned() });
            Ok::<_, Error>(())
        })
        .unwrap();
}

fn a_row_that_was_rebuilt_says_so(target: &Target) {
    let mut conn = target.connect();
    // As if it had been there before capture.
    target.database.execute("INSERT INTO posts VALUES (1, 'a'); SET session_replication_role = replica; INSERT INTO posts VALUES (9, 'older'); RESET session_replication_role").unwrap();
    let then = now(&mut conn);
    assert_eq!(conn.as_of::<Post>(1, then).unwrap().origin, Origin::Image);
    let older = conn.as_of::<Post>(9, then).unwrap();
    assert_eq!((older.title.as_str(), older.origin), ("older", Origin::Reconstructed));
}

fn a_table_is_read_as_it_was(target: &Target) {
    let mut conn = target.connect();
    target.database.execute("INSERT INTO posts SELECT n, 'a' FROM generate_series(1, 600) AS n").unwrap();
    let then = now(&mut conn);
    target.database.execute("UPDATE posts SET id = id + 1000 WHERE id < 9; DELETE FROM posts WHERE id < 100").unwrap();
    let rows: Vec<RowAsOf<Post>> = conn.table_as_of::<Post>(then).unwrap().collect::<Result<_, Error>>().unwrap();
    let ids: BTreeSet<i64> = rows.iter().map(|row| row.id).collect();
    assert!(rows.len() == 600 && ids == (1..=600).collect() && rows.iter().all(|row| row.origin == Origin::Image));
    assert_eq!(conn.stream(TableAsOf::new("public", "posts", then)).unwrap().count(), 600);

    // Left in the middle, in a transaction of its own and in somebody's, it leaves neither a transaction nor a cursor.
    assert_eq!(conn.table_as_of::<Post>(then).unwrap().take(3).count(), 3);
    conn.transaction(|conn| {
        assert_eq!(conn.table_as_of::<Post>(then)?.take(501).count(), 501);
        let cursors = diesel::select(diesel::dsl::sql::<sql_types::BigInt>(
            "(SELECT count(*) FROM pg_cursors WHERE name LIKE 'threadline%')",
        ));
        assert_eq!(cursors.get_result::<i64>(conn)?, 0);
        diesel::sql_query("UPDATE posts SET title = 'b' WHERE id = 200").execute(conn)?;
        Ok::<_, Error>(())
    })
    .unwrap();
    let keyless = "CREATE TABLE keyless (v text); SELECT threadline.enable_capture('keyless')";
    target.database.execute(keyless).unwrap();
    let mut rows = conn.stream(TableAsOf::new("public", "keyless", then)).unwrap();
    let error = rows.next().unwrap().unwrap_err();
    assert!(error.as_core().unwrap().is_invalid_input() && rows.next().is_none(), "{error}");
}

fn a_row_that_moved_tells_where(target: &Target) {
    let mut conn = target.connect();
    target.database.execute("INSERT INTO posts VALUES (1, 'a'); UPDATE posts SET id = 2").unwrap();
    let then = now(&mut conn);
    let error = conn.as_of::<Post>(1, then).unwrap_err();
    let key = RowKey::try_from(error.as_core().unwrap().moved_to().unwrap()).unwrap();
    assert_eq!(conn.as_of::<Post>(key, then).unwrap().title, "a");
}
