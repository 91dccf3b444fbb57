//! A transaction with an older snapshot writes a table that another session altered meanwhile: the catalog it sees is
//! not the table it writes.

use crate::session::Session;
use crate::support::{changes, database_with};

fn for_both(alter: &str, write: &str, expected: &[&str]) {
    for table in ["t", "p"] {
        for isolation in ["REPEATABLE READ", "SERIALIZABLE", "READ COMMITTED"] {
            for cached in [false, true] {
                let of = |sql: &str| sql.replace('@', table);
                let (database, mut admin) = database_with(
                    "CREATE TABLE other (id int); CREATE TABLE t (id int PRIMARY KEY, a text, b int);
                     CREATE TABLE p (id int PRIMARY KEY, a text, b int) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p DEFAULT;
                     SELECT threadline.enable_capture('t'), threadline.enable_capture('p')",
                );
                let mut session = Session::open(&database);
                if cached {
                    session.run(&of("INSERT INTO @ VALUES (90, 'x', 1); UPDATE @ SET b = 2; DELETE FROM @"));
                }
                let known = changes(&mut admin).len();
                session.run(&format!("BEGIN ISOLATION LEVEL {isolation}; SELECT count(*) FROM other"));
                admin.run(&of(alter));
                session.run(&of(write));
                session.run("COMMIT");
                let expected: Vec<String> = expected.iter().map(|line| of(line)).collect();
                assert_eq!(
                    changes(&mut admin)[known..],
                    expected,
                    "table {table}, {isolation}, cached plans: {cached}"
                );
            }
        }
    }
}

#[test]
fn a_column_added_after_the_snapshot_is_captured() {
    for_both(
        "ALTER TABLE @ ADD c text",
        "INSERT INTO @ (id, c) VALUES (1, 'late'); UPDATE @ SET c = 'later'; DELETE FROM @",
        &[
            r#"insert @ {"id": 1} after {"a": null, "b": null, "c": "late", "id": 1}"#,
            r#"update @ {"id": 1} after {"a": null, "b": null, "c": "later", "id": 1} fields c from {"c": "late"}"#,
            r#"delete @ {"id": 1} from {"a": null, "b": null, "c": "later", "id": 1}"#,
        ],
    );
}

#[test]
fn a_column_renamed_or_dropped_after_the_snapshot_is_captured_as_it_is() {
    for_both(
        "ALTER TABLE @ RENAME a TO c; ALTER TABLE @ DROP b",
        "INSERT INTO @ (id, c) VALUES (1, 'late'); UPDATE @ SET c = 'later'",
        &[
            r#"insert @ {"id": 1} after {"c": "late", "id": 1}"#,
            r#"update @ {"id": 1} after {"c": "later", "id": 1} fields c from {"c": "late"}"#,
        ],
    );
}

#[test]
fn a_column_retyped_after_the_snapshot_is_captured_in_its_new_type() {
    for_both(
        "ALTER TABLE @ ALTER b TYPE text, ALTER a TYPE numeric USING 1",
        "INSERT INTO @ VALUES (1, 1.50, 'late'); UPDATE @ SET b = 'later'",
        &[
            r#"insert @ {"id": 1} after {"a": 1.50, "b": "late", "id": 1}"#,
            r#"update @ {"id": 1} after {"a": 1.50, "b": "later", "id": 1} fields b from {"b": "late"}"#,
        ],
    );
}

#[test]
fn capture_enabled_or_refreshed_after_the_snapshot_works() {
    for table in ["t", "p"] {
        let (database, mut admin) = database_with(
            "CREATE TABLE other (id int); CREATE TABLE t (id int PRIMARY KEY, a text); CREATE TABLE p (id int PRIMARY KEY, a text) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p DEFAULT",
        );
        let mut session = Session::open(&database);
        session.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM other");
        admin.run(&format!("SELECT threadline.enable_capture('{table}')"));
        session.run(&format!("INSERT INTO {table} VALUES (1, 'x'); UPDATE {table} SET a = 'y'; COMMIT"));
        session.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM other");
        admin.run(&format!("SELECT threadline.enable_capture('{table}', '{{\"exclude\": [\"a\"]}}')"));
        session.run(&format!("INSERT INTO {table} VALUES (2, 'x'); COMMIT"));
        assert_eq!(
            changes(&mut admin),
            [
                format!(r#"insert {table} {{"id": 1}} after {{"a": "x", "id": 1}}"#),
                format!(r#"update {table} {{"id": 1}} after {{"a": "y", "id": 1}} fields a from {{"a": "x"}}"#),
                format!(r#"insert {table} {{"id": 2}} after {{"id": 2}}"#),
            ]
        );
    }
}
