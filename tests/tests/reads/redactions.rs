//! Rows of the past are read under the policy they were recorded under.

use futures_util::TryStreamExt;
use sqlx::FromRow;
use threadline::sqlx::{AuditedPool, Trail};
use threadline::{Audited, AuditedTable, ModelColumn, Origin};
use threadline_testkit::Database;
use time::OffsetDateTime;

use crate::world::{database, pool};

macro_rules! person {
    ($person:ident, $table:literal) => {
        #[derive(FromRow)]
        struct $person {
            email: Option<String>,
            token: Option<String>,
            n: Option<i32>,
        }

        impl Audited for $person {
            fn audited_table() -> AuditedTable {
                AuditedTable::new("public", $table)
            }

            fn columns() -> &'static [ModelColumn] {
                const {
                    &[
                        ModelColumn::new("email").nullable(),
                        ModelColumn::new("token").nullable(),
                        ModelColumn::new("n").nullable(),
                    ]
                }
            }
        }

        impl $person {
            fn told(self) -> String {
                format!("{:?} {:?} {:?}", self.email, self.token, self.n)
            }
        }
    };
}

person!(Person, "people");
person!(LeanPerson, "lean_people");

/// Who cannot do without the column.
struct Strict<const COLUMN: usize>;

impl<const COLUMN: usize> Audited for Strict<COLUMN> {
    fn audited_table() -> AuditedTable {
        AuditedTable::new("public", "people")
    }

    fn columns() -> &'static [ModelColumn] {
        const { &[ModelColumn::new(["email", "token", "n"][COLUMN])] }
    }
}

impl<const COLUMN: usize> FromRow<'_, sqlx::postgres::PgRow> for Strict<COLUMN> {
    fn from_row(_: &sqlx::postgres::PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self)
    }
}

/// What a strict reader is told, as far as it is an error.
async fn refusal<const COLUMN: usize>(db: &AuditedPool, at: OffsetDateTime) -> String {
    match db.as_of::<Strict<COLUMN>>(1, at).await {
        Ok(_) => "-".to_owned(),
        Err(error) => {
            let core = error.as_core().unwrap_or_else(|| panic!("{error:?}"));
            let was = if core.to_string().contains(" was ") { "was" } else { "is" };
            format!("{was} {} {}", core.code(), core.column().unwrap())
        }
    }
}

/// Runs the statements and tells the instant after them.
fn then(database: &Database, sql: &str) -> OffsetDateTime {
    database.execute(sql).unwrap();
    let at = database.query_text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8::text").unwrap();
    let micros: i128 = at[0][0].as_deref().unwrap().parse().unwrap();
    OffsetDateTime::from_unix_timestamp_nanos(micros * 1_000).unwrap()
}

const POLICY: &str = r#"{"mask": ["email", "n"], "exclude": ["token"]}"#;

#[tokio::test]
async fn a_former_placeholder_is_no_value() {
    let database = database();
    let db = pool(database.url());
    let table = format!(
        "CREATE TABLE people (id int PRIMARY KEY, email text, token text, n int, other int);
         SELECT threadline.enable_capture('people', '{POLICY}'); INSERT INTO people VALUES (1, 'a@x', 't', 7, 0)"
    );
    let steps = [
        (
            table.as_str(),
            "None None None",
            ["is column_redacted email", "is column_redacted token", "is column_redacted n"],
        ),
        // Nothing of it is redacted any more, but the row was recorded when it was.
        (
            "SELECT threadline.enable_capture('people', '{}')",
            "None None None",
            ["was column_redacted email", "was column_redacted token", "was column_redacted n"],
        ),
        ("UPDATE people SET other = 1", r#"Some("a@x") Some("t") Some(7)"#, ["-"; 3]),
        // A value that looks like one, recorded when nothing was masked.
        ("UPDATE people SET email = '[REDACTED]'", r#"Some("[REDACTED]") Some("t") Some(7)"#, ["-"; 3]),
        (
            r#"SELECT threadline.enable_capture('people', '{"mask": ["email"], "mask_placeholder": "***"}');
               UPDATE people SET email = 'b@x'"#,
            r#"None Some("t") Some(7)"#,
            ["is column_redacted email", "-", "-"],
        ),
        // The same column, behind another placeholder.
        (
            r#"SELECT threadline.enable_capture('people', '{"mask": ["email"], "mask_placeholder": "+++"}')"#,
            r#"None Some("t") Some(7)"#,
            ["is column_redacted email", "-", "-"],
        ),
        (
            "SELECT threadline.enable_capture('people', '{}')",
            r#"None Some("t") Some(7)"#,
            ["was column_redacted email", "-", "-"],
        ),
        ("UPDATE people SET email = '***'", r#"Some("***") Some("t") Some(7)"#, ["-"; 3]),
        // Masked by the text that it happens to be: it was recorded before that.
        (
            r#"SELECT threadline.enable_capture('people', '{"mask": ["email"], "mask_placeholder": "***"}')"#,
            r#"Some("***") Some("t") Some(7)"#,
            ["is column_redacted email", "-", "-"],
        ),
        ("SELECT threadline.enable_capture('people', '{}')", r#"Some("***") Some("t") Some(7)"#, ["-"; 3]),
    ];
    let mut instants = Vec::new();
    for (sql, _, refused) in &steps {
        let at = then(&database, sql);
        assert_eq!(
            [refusal::<0>(&db, at).await, refusal::<1>(&db, at).await, refusal::<2>(&db, at).await],
            *refused,
            "{sql}"
        );
        instants.push(at);
    }
    // Whenever it is asked, and all rows at once.
    for ((sql, expected, _), at) in steps.iter().zip(instants) {
        let person = db.as_of::<Person>(1, at).await.unwrap();
        assert_eq!((person.origin, &*person.row.told()), (Origin::Image, *expected), "after {sql}");
        let people: Vec<_> = db.table_as_of::<Person>(at).try_collect().await.unwrap();
        let people: Vec<String> = people.into_iter().map(|person| person.row.told()).collect();
        assert_eq!(people, [*expected], "after {sql}");
    }
}

#[tokio::test]
async fn a_placeholder_among_the_values_from_before_is_none_either() {
    let database = database();
    let db = pool(database.url());
    let masked = then(
        &database,
        r#"CREATE TABLE lean_people (id int PRIMARY KEY, email text, token text, n int);
           SELECT threadline.enable_capture('lean_people', '{"mask": ["email"], "images": "lean"}');
           INSERT INTO lean_people VALUES (1, 'a@x', 't', 7)"#,
    );
    let changed = then(&database, "UPDATE lean_people SET email = 'b@x', n = 8");
    let open = then(&database, r#"SELECT threadline.enable_capture('lean_people', '{"images": "lean"}')"#);
    database.execute("UPDATE lean_people SET n = 9").unwrap();
    for (at, expected) in [
        (masked, r#"None Some("t") Some(7)"#),
        // No change since tells the email: it is the live row's.
        (changed, r#"Some("b@x") Some("t") Some(8)"#),
        (open, r#"Some("b@x") Some("t") Some(8)"#),
    ] {
        let person = db.as_of::<LeanPerson>(1, at).await.unwrap();
        assert_eq!((person.origin, &*person.row.told()), (Origin::Reconstructed, expected));
        let people: Vec<_> = db.table_as_of::<LeanPerson>(at).try_collect().await.unwrap();
        assert_eq!(people.into_iter().map(|person| person.row.told()).collect::<Vec<_>>(), [expected]);
    }
}
