//! Columns that come, go, and change while capture is on: nothing is lost and no write fails before a refresh.

use crate::session::Session;
use crate::support::{APP, changes, database_with, records};

/// The same table, statement by statement (`t`) and row by row (`p`).
const TABLES: &str = "
    CREATE TABLE t (id int PRIMARY KEY, a text, b int);
    CREATE TABLE p (id int PRIMARY KEY, a text, b int) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p DEFAULT;
    SELECT threadline.enable_capture('t'), threadline.enable_capture('p'); GRANT ALL ON t, p TO threadline_test_app;";

/// Runs the case for both tables: `@` is the table's name. In a session of its own each time, and in one with cached plans.
#[track_caller]
fn for_both(setup: &str, alter: &str, write: &str, expected: &[&str]) {
    for table in ["t", "p"] {
        for cached in [false, true] {
            let of = |sql: &str| sql.replace('@', table);
            let (database, mut admin) = database_with(&format!("{TABLES}{}", of(setup)));
            let mut session = Session::open_as(&database, APP);
            if cached {
                session.run(&of("INSERT INTO @ (id, a, b) VALUES (90, 'x', 1), (91, 'y', 2); UPDATE @ SET b = b + 1 WHERE id = 90; UPDATE @ SET b = b + 1 WHERE id > 89; DELETE FROM @ WHERE id = 90; DELETE FROM @ WHERE id = 91"));
            }
            admin.run(&of(alter));
            let known = changes(&mut admin).len();
            session.run(&of(write));
            let lines = changes(&mut admin);
            let expected: Vec<String> = expected.iter().map(|line| of(line)).collect();
            assert_eq!(lines[known..], expected, "table {table}, cached plans: {cached}");
            // Refreshed, the same writes are recorded the same way.
            admin.run(&of("DELETE FROM @; SELECT threadline.refresh_capture('@')"));
            let known = changes(&mut admin).len();
            session.run(&of(write));
            assert_eq!(changes(&mut admin)[known..], expected, "table {table}, refreshed");
        }
    }
}

#[test]
fn an_added_column_is_captured_at_once() {
    for_both(
        "",
        "ALTER TABLE @ ADD c timestamptz, ADD d jsonb DEFAULT 'null', ADD e numeric DEFAULT 1.50",
        "INSERT INTO @ (id, a, c) VALUES (1, 'x', '2024-02-29 12:00+00'); UPDATE @ SET c = NULL, d = '{}'; UPDATE @ SET e = 2 WHERE id = 1; DELETE FROM @",
        &[
            r#"insert @ {"id": 1} after {"a": "x", "b": null, "c": "2024-02-29T12:00:00+00:00", "d": {"threadline.json": null}, "e": 1.50, "id": 1}"#,
            r#"update @ {"id": 1} after {"a": "x", "b": null, "c": null, "d": {}, "e": 1.50, "id": 1} fields c,d from {"c": "2024-02-29T12:00:00+00:00", "d": {"threadline.json": null}}"#,
            r#"update @ {"id": 1} after {"a": "x", "b": null, "c": null, "d": {}, "e": 2, "id": 1} fields e from {"e": 1.50}"#,
            r#"delete @ {"id": 1} from {"a": "x", "b": null, "c": null, "d": {}, "e": 2, "id": 1}"#,
        ],
    );
}

#[test]
fn an_update_of_an_added_column_alone_is_captured() {
    // The statement that was generated sees no difference: it must not take that for an answer.
    for_both(
        "",
        "ALTER TABLE @ ADD c int",
        "INSERT INTO @ (id) VALUES (1), (2); UPDATE @ SET c = 1 WHERE id = 1; UPDATE @ SET c = 2; UPDATE @ SET c = 2",
        &[
            r#"insert @ {"id": 1} after {"a": null, "b": null, "c": null, "id": 1}"#,
            r#"insert @ {"id": 2} after {"a": null, "b": null, "c": null, "id": 2}"#,
            r#"update @ {"id": 1} after {"a": null, "b": null, "c": 1, "id": 1} fields c from {"c": null}"#,
            r#"update @ {"id": 2} after {"a": null, "b": null, "c": 2, "id": 2} fields c from {"c": null}"#,
            r#"update @ {"id": 1} after {"a": null, "b": null, "c": 2, "id": 1} fields c from {"c": 1}"#,
        ],
    );
}

#[test]
fn a_dropped_column_leaves_the_rest_captured() {
    for_both(
        "",
        "ALTER TABLE @ DROP a",
        "INSERT INTO @ (id, b) VALUES (1, 1), (2, 2); UPDATE @ SET b = 5 WHERE id = 1; DELETE FROM @ WHERE id = 1",
        &[
            r#"insert @ {"id": 1} after {"b": 1, "id": 1}"#,
            r#"insert @ {"id": 2} after {"b": 2, "id": 2}"#,
            r#"update @ {"id": 1} after {"b": 5, "id": 1} fields b from {"b": 1}"#,
            r#"delete @ {"id": 1} from {"b": 5, "id": 1}"#,
        ],
    );
}

#[test]
fn a_renamed_column_is_captured_under_its_new_name() {
    for_both(
        "",
        "ALTER TABLE @ RENAME a TO \"New name\"",
        "INSERT INTO @ (id, \"New name\") VALUES (1, 'x'); UPDATE @ SET \"New name\" = 'y'; DELETE FROM @",
        &[
            r#"insert @ {"id": 1} after {"b": null, "id": 1, "New name": "x"}"#,
            r#"update @ {"id": 1} after {"b": null, "id": 1, "New name": "y"} fields New name from {"New name": "x"}"#,
            r#"delete @ {"id": 1} from {"b": null, "id": 1, "New name": "y"}"#,
        ],
    );
}

#[test]
fn retyped_columns_are_captured_in_their_new_type() {
    for_both(
        "CREATE TYPE mood AS ENUM ('sad', 'ok')",
        "ALTER TABLE @ ALTER b TYPE numeric(8, 2), ALTER a TYPE mood USING 'ok'",
        "INSERT INTO @ VALUES (1, 'ok', 1.5); UPDATE @ SET a = 'sad'; UPDATE @ SET b = b * 2; DELETE FROM @",
        &[
            r#"insert @ {"id": 1} after {"a": "ok", "b": 1.50, "id": 1}"#,
            r#"update @ {"id": 1} after {"a": "sad", "b": 1.50, "id": 1} fields a from {"a": "ok"}"#,
            r#"update @ {"id": 1} after {"a": "sad", "b": 3.00, "id": 1} fields b from {"b": 1.50}"#,
            r#"delete @ {"id": 1} from {"a": "sad", "b": 3.00, "id": 1}"#,
        ],
    );
}

#[test]
fn columns_that_swap_names_are_captured_under_them() {
    for_both(
        "ALTER TABLE @ ADD c text; SELECT threadline.refresh_capture('@')",
        "ALTER TABLE @ RENAME a TO x; ALTER TABLE @ RENAME c TO a; ALTER TABLE @ RENAME x TO c",
        "INSERT INTO @ (id, a, c) VALUES (1, 'a', 'c'); UPDATE @ SET a = 'A'; UPDATE @ SET c = 'C'",
        &[
            r#"insert @ {"id": 1} after {"a": "a", "b": null, "c": "c", "id": 1}"#,
            r#"update @ {"id": 1} after {"a": "A", "b": null, "c": "c", "id": 1} fields a from {"a": "a"}"#,
            r#"update @ {"id": 1} after {"a": "A", "b": null, "c": "C", "id": 1} fields c from {"c": "c"}"#,
        ],
    );
}

#[test]
fn a_changed_key_column_is_followed() {
    for_both(
        "",
        "ALTER TABLE @ RENAME id TO key",
        "INSERT INTO @ (key) VALUES (1); UPDATE @ SET key = 2; DELETE FROM @",
        &[
            r#"insert @ {"key": 1} after {"a": null, "b": null, "key": 1}"#,
            r#"update @ {"key": 2} was {"key": 1} after {"a": null, "b": null, "key": 2} fields key from {"key": 1}"#,
            r#"delete @ {"key": 2} from {"a": null, "b": null, "key": 2}"#,
        ],
    );
}

#[test]
fn a_key_retyped_keeps_its_history_findable() {
    for table in ["t", "p"] {
        let (_database, mut session) = database_with(TABLES);
        session.run(&format!("INSERT INTO {table} (id) VALUES (7)"));
        if table == "p" {
            // PostgreSQL does not retype a partition key.
            continue;
        }
        session.run("ALTER TABLE t ALTER id TYPE bigint; UPDATE t SET b = 1; SELECT threadline.refresh_capture('t'); UPDATE t SET b = 2");
        session.run("ALTER TABLE t ALTER id TYPE numeric; UPDATE t SET b = 3; SELECT threadline.refresh_capture('t'); UPDATE t SET b = 4");
        assert_eq!(
            session.value("SELECT count(DISTINCT key_hash) || ' ' || count(*) FROM threadline.audit_changes"),
            "1 5"
        );
    }
}

#[test]
fn alterations_are_never_blocked_by_our_triggers() {
    let (_database, mut session) = database_with(TABLES);
    for table in ["t", "p"] {
        for ddl in [
            "ALTER COLUMN a TYPE varchar(100)",
            "ALTER COLUMN b TYPE bigint",
            "ALTER COLUMN b TYPE text USING b::text",
            "DROP COLUMN b",
            "ADD COLUMN b int GENERATED ALWAYS AS (length(a)) STORED",
            "ALTER COLUMN a SET DEFAULT 'x'",
            "ALTER COLUMN a SET NOT NULL",
            "RENAME COLUMN a TO z",
            "RENAME COLUMN z TO a",
            "ADD CONSTRAINT c CHECK (id > 0)",
            "DROP CONSTRAINT c",
            "ENABLE ROW LEVEL SECURITY",
            "DISABLE ROW LEVEL SECURITY",
            "DROP COLUMN a CASCADE",
        ] {
            session
                .run(&format!("DELETE FROM {table}; ALTER TABLE {table} {ddl}; INSERT INTO {table} (id) VALUES (1)"));
        }
    }
    // Retyping rewrites every row without changing one.
    records(
        &mut session,
        "ALTER TABLE t ADD n int DEFAULT 3; ALTER TABLE t ALTER n TYPE numeric; CLUSTER t USING t_pkey",
        &[],
    );
}

#[test]
fn a_column_added_to_a_partition_tree_reaches_every_leaf() {
    let (_database, mut session) = database_with(
        "CREATE TABLE p (id int, r text, PRIMARY KEY (id, r)) PARTITION BY LIST (r); CREATE TABLE a PARTITION OF p FOR VALUES IN ('a');
         CREATE TABLE b (r text NOT NULL, gone int, id int NOT NULL); ALTER TABLE b DROP gone; ALTER TABLE p ATTACH PARTITION b FOR VALUES IN ('b');
         SELECT threadline.enable_capture('p'); INSERT INTO p VALUES (1, 'a'), (1, 'b'); ALTER TABLE p ADD c int DEFAULT 5",
    );
    records(
        &mut session,
        "UPDATE p SET c = 6; INSERT INTO b (r, id) VALUES ('b', 2); UPDATE p SET r = 'a', c = 7 WHERE id = 2",
        &[
            r#"update p {"r": "a", "id": 1} after {"c": 6, "r": "a", "id": 1} fields c from {"c": 5}"#,
            r#"update p {"r": "b", "id": 1} after {"c": 6, "r": "b", "id": 1} fields c from {"c": 5}"#,
            r#"insert p {"r": "b", "id": 2} after {"c": 5, "r": "b", "id": 2}"#,
            r#"delete p {"r": "b", "id": 2} from {"c": 5, "r": "b", "id": 2}"#,
            r#"insert p {"r": "a", "id": 2} after {"c": 7, "r": "a", "id": 2}"#,
        ],
    );
}

#[test]
fn a_type_renamed_or_extended_is_still_captured() {
    let (_database, mut session) = database_with(
        "CREATE TYPE mood AS ENUM ('sad'); CREATE TYPE pair AS (a int); CREATE DOMAIN amount AS int; CREATE SCHEMA elsewhere;
         CREATE TABLE t (id int PRIMARY KEY, m mood, c pair, d amount); CREATE TABLE p (LIKE t) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p DEFAULT;
         SELECT threadline.enable_capture('t'), threadline.enable_capture('p')",
    );
    for table in ["t", "p"] {
        session.run(&format!("INSERT INTO {table} VALUES (1, 'sad', '(1)', 1)"));
    }
    session.run("ALTER TYPE mood ADD VALUE 'ok'");
    session.run("ALTER TYPE mood RENAME TO feeling; ALTER TYPE feeling RENAME VALUE 'sad' TO 'low'; ALTER TYPE pair ADD ATTRIBUTE b text; ALTER TYPE pair SET SCHEMA elsewhere; ALTER DOMAIN amount RENAME TO sum; ALTER DOMAIN sum ADD CHECK (VALUE < 100)");
    for table in ["t", "p"] {
        for fresh in [false, true] {
            if fresh {
                session.run("DISCARD ALL");
            }
            let key = if table == "t" { r#"{"id": 1}"# } else { "keyless" };
            records(
                &mut session,
                &format!(
                    "UPDATE {table} SET m = 'ok', c = '(2,x)', d = 2; UPDATE {table} SET m = 'low', c = '(1,)', d = 1"
                ),
                &[
                    &format!(
                        r#"update {table} {key} after {{"c": "(2,x)", "d": 2, "m": "ok", "id": 1}} fields c,d,m from {{"c": "(1,)", "d": 1, "m": "low"}}"#
                    ),
                    &format!(
                        r#"update {table} {key} after {{"c": "(1,)", "d": 1, "m": "low", "id": 1}} fields c,d,m from {{"c": "(2,x)", "d": 2, "m": "ok"}}"#
                    ),
                ],
            );
        }
    }
}

#[test]
fn alterations_between_the_statements_of_one_transaction_are_seen() {
    for table in ["t", "p"] {
        let of = |sql: &str| sql.replace('@', table);
        let (_database, mut session) = database_with(TABLES);
        session.run(&of("INSERT INTO @ (id) VALUES (1)"));
        records(
            &mut session,
            // In one message, and once more out of a function: nothing tells the statements apart but their triggers.
            &of("BEGIN; UPDATE @ SET b = 1; ALTER TABLE @ ADD c int DEFAULT 3; UPDATE @ SET b = 2; ALTER TABLE @ RENAME a TO z; UPDATE @ SET z = 'x';
                DO $$ BEGIN UPDATE @ SET b = 3; ALTER TABLE @ ADD d int DEFAULT 4; UPDATE @ SET b = 4; ALTER TABLE @ DROP c; UPDATE @ SET d = 5; END $$; COMMIT"),
            &[
                &of(r#"update @ {"id": 1} after {"a": null, "b": 1, "id": 1} fields b from {"b": null}"#),
                &of(r#"update @ {"id": 1} after {"a": null, "b": 2, "c": 3, "id": 1} fields b from {"b": 1}"#),
                &of(r#"update @ {"id": 1} after {"b": 2, "c": 3, "z": "x", "id": 1} fields z from {"z": null}"#),
                &of(r#"update @ {"id": 1} after {"b": 3, "c": 3, "z": "x", "id": 1} fields b from {"b": 2}"#),
                &of(r#"update @ {"id": 1} after {"b": 4, "c": 3, "d": 4, "z": "x", "id": 1} fields b from {"b": 3}"#),
                &of(r#"update @ {"id": 1} after {"b": 4, "d": 5, "z": "x", "id": 1} fields d from {"d": 4}"#),
            ],
        );
    }
}

#[test]
fn a_partition_written_by_name_after_its_parent_is_looked_at_itself() {
    let (_database, mut session) = database_with(TABLES);
    records(
        &mut session,
        "BEGIN; INSERT INTO p (id) VALUES (1); ALTER TABLE p ADD c int; INSERT INTO p1 (id, c) VALUES (2, 2); WITH x AS (INSERT INTO p1 (id, c) VALUES (3, 3)) UPDATE p SET c = 1 WHERE id = 1; COMMIT",
        &[
            r#"insert p {"id": 1} after {"a": null, "b": null, "id": 1}"#,
            r#"insert p {"id": 2} after {"a": null, "b": null, "c": 2, "id": 2}"#,
            r#"update p {"id": 1} after {"a": null, "b": null, "c": 1, "id": 1} fields c from {"c": null}"#,
            r#"insert p {"id": 3} after {"a": null, "b": null, "c": 3, "id": 3}"#,
        ],
    );
}

#[test]
fn what_a_cascade_found_does_not_outlive_it() {
    // The triggers of a cascaded statement run one level further out than it began.
    let (_database, mut session) = database_with(
        "CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE p (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE) PARTITION BY RANGE (id);
         CREATE TABLE p1 PARTITION OF p DEFAULT; SELECT threadline.enable_capture('p'); CREATE TABLE host (id int);
         CREATE FUNCTION write() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'INSERT INTO p1 (id, c) VALUES (2, 7)'; RETURN NULL; END $$;
         CREATE TRIGGER t AFTER INSERT ON host FOR EACH ROW EXECUTE FUNCTION write(); INSERT INTO parent VALUES (1); INSERT INTO p VALUES (1, 1)",
    );
    records(
        &mut session,
        "BEGIN; DELETE FROM parent; ALTER TABLE p ADD c int; INSERT INTO host VALUES (1); COMMIT",
        &[
            r#"delete p {"id": 1} from {"id": 1, "parent": 1}"#,
            r#"insert p {"id": 2} after {"c": 7, "id": 2, "parent": null}"#,
        ],
    );
}
