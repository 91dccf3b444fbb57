//! One database session that stays open, for tests in which the session matters: settings, snapshots, cached plans.

use std::str::FromStr;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgDatabaseError, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Row, ValueRef};
use threadline_testkit::Database;
use tokio::runtime::{Builder, Runtime};

/// A blocking session that speaks the simple protocol. It ends when it is dropped.
pub(crate) struct Session {
    runtime: Runtime,
    connection: PgConnection,
}

/// What a server says when it refuses a statement, as every driver sees it.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) sqlstate: String,
    pub(crate) message: String,
    pub(crate) hint: String,
    pub(crate) constraint: String,
    pub(crate) schema: String,
    pub(crate) table: String,
    pub(crate) column: String,
}

impl Session {
    pub(crate) fn open(database: &Database) -> Self {
        Self::at(database.url())
    }

    pub(crate) fn at(url: &str) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime starts");
        // A test that hangs on a lock says so instead.
        let options = PgConnectOptions::from_str(url)
            .expect("the test kit's URL is valid")
            .options([("statement_timeout", "60s")])
            .disable_statement_logging();
        let connection = runtime.block_on(options.connect()).expect("the server accepts a session");
        Self { runtime, connection }
    }

    /// A session in which the current and the session user are `role`.
    pub(crate) fn open_as(database: &Database, role: &str) -> Self {
        let mut session = Self::open(database);
        session.run(&format!("SET SESSION AUTHORIZATION {role}"));
        session
    }

    /// Runs statements that must succeed. Several in one call are one transaction unless they say otherwise.
    #[track_caller]
    pub(crate) fn run(&mut self, sql: &str) {
        self.rows(sql);
    }

    /// The rows of statements that must succeed, each value in its text form.
    #[track_caller]
    pub(crate) fn rows(&mut self, sql: &str) -> Vec<Vec<Option<String>>> {
        match self.attempt(sql) {
            Ok(rows) => rows,
            Err(refusal) => panic!("refused: {refusal:#?}\nby: {}", shortened(sql)),
        }
    }

    /// The first column of each row; SQL NULL reads `NULL`.
    #[track_caller]
    pub(crate) fn column(&mut self, sql: &str) -> Vec<String> {
        self.rows(sql)
            .into_iter()
            .map(|row| row.into_iter().next().flatten().unwrap_or_else(|| "NULL".to_owned()))
            .collect()
    }

    /// The one value of a query; SQL NULL reads `NULL`.
    #[track_caller]
    pub(crate) fn value(&mut self, sql: &str) -> String {
        let mut column = self.column(sql);
        assert_eq!(column.len(), 1, "one row expected of {sql}: {column:?}");
        column.remove(0)
    }

    /// What the server says about statements that it must refuse.
    #[track_caller]
    pub(crate) fn refusal(&mut self, sql: &str) -> Box<Refusal> {
        match self.attempt(sql) {
            Ok(rows) => panic!("accepted, although it should be refused: {}\nrows: {rows:?}", shortened(sql)),
            Err(refusal) => refusal,
        }
    }

    pub(crate) fn attempt(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, Box<Refusal>> {
        let work = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_all(&mut self.connection);
        match self.runtime.block_on(work) {
            Ok(rows) => Ok(rows.iter().map(text_row).collect()),
            Err(sqlx::Error::Database(error)) => Err(Box::new(Refusal::of(error.downcast_ref()))),
            Err(error) => panic!("the session broke: {error}\nby: {}", shortened(sql)),
        }
    }

    /// Sends rows with COPY, in its text format.
    #[track_caller]
    pub(crate) fn copy_in(&mut self, statement: &str, rows: &str) {
        let connection = &mut self.connection;
        self.runtime.block_on(async {
            let mut copy = connection.copy_in_raw(statement).await.expect("COPY begins");
            copy.send(rows.as_bytes()).await.expect("COPY takes rows");
            copy.finish().await.expect("COPY ends");
        });
    }
}

impl Refusal {
    fn of(error: &PgDatabaseError) -> Self {
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        Self {
            sqlstate: error.code().to_owned(),
            message: error.message().to_owned(),
            hint: text(error.hint()),
            constraint: text(error.constraint()),
            schema: text(error.schema()),
            table: text(error.table()),
            column: text(error.column()),
        }
    }

    /// Checks that this is an error of the kernel's own, with this code and a remedy.
    #[track_caller]
    pub(crate) fn has_code(&self, sqlstate: &str, code: &str) {
        assert_eq!(
            (self.sqlstate.as_str(), self.constraint.as_str()),
            (sqlstate, format!("threadline_{code}").as_str()),
            "{self:#?}"
        );
        assert!(!self.hint.is_empty(), "no remedy: {self:#?}");
        assert!(self.message.starts_with("threadline: "), "{self:#?}");
    }

    /// Checks which table and column the error is about, in its fields and its text; an empty column is none.
    #[track_caller]
    pub(crate) fn is_about(&self, schema: &str, table: &str, column: &str) {
        assert_eq!((&*self.schema, &*self.table, &*self.column), (schema, table, column), "{self:#?}");
        assert!(self.message.contains(table), "{self:#?}");
        assert!(self.message.contains(column), "{self:#?}");
    }
}

fn text_row(row: &PgRow) -> Vec<Option<String>> {
    (0..row.len())
        .map(|column| {
            let value = row.try_get_raw(column).expect("the column exists");
            (!value.is_null()).then(|| {
                // Bytes, because a broken trail could hold text that is not UTF-8.
                let bytes = value.as_bytes().expect("a value has bytes");
                String::from_utf8(bytes.to_vec()).expect("a value is UTF-8")
            })
        })
        .collect()
}

/// Enough of a statement to know which it was.
fn shortened(sql: &str) -> &str {
    &sql[..sql.floor_char_boundary(1500)]
}
