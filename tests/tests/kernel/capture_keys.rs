//! What identifies a row: primary keys, unique indexes that serve as one, changed keys, none at all.

use crate::support::{changes, database_with, records};

#[test]
fn a_changed_key_is_recorded_with_the_one_before() {
    let (_database, mut session) = database_with(
        "CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t VALUES (1, 'x'), (2, 'y'), (3, 'z'); SELECT threadline.enable_capture('t')",
    );
    records(
        &mut session,
        "UPDATE t SET id = 10, a = 'k' WHERE id = 1; UPDATE t SET a = 'plain' WHERE id = 10; UPDATE t SET id = id + 100 WHERE id IN (2, 3)",
        &[
            r#"update t {"id": 10} was {"id": 1} after {"a": "k", "id": 10} fields a,id from {"a": "x", "id": 1}"#,
            r#"update t {"id": 10} after {"a": "plain", "id": 10} fields a from {"a": "k"}"#,
            r#"update t {"id": 102} was {"id": 2} after {"a": "y", "id": 102} fields id from {"id": 2}"#,
            r#"update t {"id": 103} was {"id": 3} after {"a": "z", "id": 103} fields id from {"id": 3}"#,
        ],
    );
    assert_eq!(
        session.value(
            "SELECT count(*) FROM threadline.audit_changes WHERE (previous_key_hash IS NULL) <> (previous_pk IS NULL)
            OR previous_key_hash <> threadline.key_hash(table_schema, table_name, previous_pk)"
        ),
        "0"
    );
}

#[test]
fn keys_that_shift_onto_each_other_are_paired_right() {
    let (_database, mut session) = database_with(
        "CREATE TABLE t (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, a text);
         INSERT INTO t SELECT n, 'row ' || n FROM generate_series(1, 50) n; SELECT threadline.enable_capture('t')",
    );
    session.run("UPDATE t SET id = id + 1; UPDATE t SET id = 1000 - id");
    // Every change belongs to the row it says: the name never changed.
    assert_eq!(
        session.value("SELECT count(*) FROM threadline.audit_changes WHERE changed_fields = '{id}' AND previous_pk = changed_from
            AND (table_pk ->> 'id')::int IN (((changed_from ->> 'id')::int + 1), 1000 - (changed_from ->> 'id')::int)
            AND data_after ->> 'a' = 'row ' || CASE WHEN (table_pk ->> 'id')::int < 500 THEN (table_pk ->> 'id')::int - 1 ELSE 999 - (table_pk ->> 'id')::int END"),
        "100"
    );
    // Two rows that exchange their keys.
    session.run("UPDATE t SET id = CASE id WHEN 998 THEN 997 ELSE 998 END WHERE id IN (997, 998)");
    let lines = changes(&mut session);
    let mut swapped = lines[100..].to_vec();
    swapped.sort();
    assert_eq!(
        swapped,
        [
            r#"update t {"id": 997} was {"id": 998} after {"a": "row 1", "id": 997} fields id from {"id": 998}"#,
            r#"update t {"id": 998} was {"id": 997} after {"a": "row 2", "id": 998} fields id from {"id": 997}"#,
        ]
    );
}

#[test]
fn a_composite_key_is_one_object() {
    let (_database, mut session) = database_with(
        "CREATE TABLE t (v int, tenant text, id bigint, PRIMARY KEY (tenant, id)); SELECT threadline.enable_capture('t')",
    );
    records(
        &mut session,
        "INSERT INTO t VALUES (1, 'a', 7); UPDATE t SET tenant = 'b'; DELETE FROM t",
        &[
            r#"insert t {"id": 7, "tenant": "a"} after {"v": 1, "id": 7, "tenant": "a"}"#,
            r#"update t {"id": 7, "tenant": "b"} was {"id": 7, "tenant": "a"} after {"v": 1, "id": 7, "tenant": "b"} fields tenant from {"tenant": "a"}"#,
            r#"delete t {"id": 7, "tenant": "b"} from {"v": 1, "id": 7, "tenant": "b"}"#,
        ],
    );
}

#[test]
fn a_table_without_a_key_is_captured_without_one() {
    let (_database, mut session) =
        database_with("CREATE TABLE t (a int, b text); SELECT threadline.enable_capture('t')");
    records(
        &mut session,
        "INSERT INTO t VALUES (1, 'x'), (1, 'x'); UPDATE t SET b = 'y'; DELETE FROM t",
        &[
            r#"insert t keyless after {"a": 1, "b": "x"}"#,
            r#"insert t keyless after {"a": 1, "b": "x"}"#,
            r#"update t keyless after {"a": 1, "b": "y"} fields b from {"b": "x"}"#,
            r#"update t keyless after {"a": 1, "b": "y"} fields b from {"b": "x"}"#,
            r#"delete t keyless from {"a": 1, "b": "y"}"#,
            r#"delete t keyless from {"a": 1, "b": "y"}"#,
        ],
    );
    assert!(session.value("SELECT threadline.capture_plan('t')").contains("-- The table has no key"));
}

#[test]
fn a_unique_index_serves_as_key_only_if_it_identifies_every_row() {
    let (_database, mut session) = database_with(
        "CREATE TABLE t (a int NOT NULL, b int NOT NULL, c int, d int NOT NULL, e int NOT NULL, f text NOT NULL);
         CREATE UNIQUE INDEX partial ON t (a) WHERE a > 0;
         CREATE UNIQUE INDEX nullable ON t (c);
         CREATE UNIQUE INDEX expression ON t ((a + 1));
         ALTER TABLE t ADD CONSTRAINT late UNIQUE (d) DEFERRABLE;
         CREATE INDEX not_unique ON t (e);",
    );
    let keys = |session: &mut crate::session::Session| session.value("SELECT threadline.key_columns('t')::text");
    assert_eq!(keys(&mut session), "{}");
    session.run("CREATE UNIQUE INDEX two ON t (b, e) INCLUDE (f)");
    assert_eq!(keys(&mut session), "{b,e}");
    // The narrower one; among those, the replica identity; above all, the primary key.
    session.run("CREATE UNIQUE INDEX one ON t (e)");
    assert_eq!(keys(&mut session), "{e}");
    session.run("ALTER TABLE t REPLICA IDENTITY USING INDEX two");
    assert_eq!(keys(&mut session), "{b,e}");
    session.run("SELECT threadline.enable_capture('t'); INSERT INTO t VALUES (1, 2, NULL, 4, 5, 'x')");
    assert!(changes(&mut session)[0].starts_with(r#"insert t {"b": 2, "e": 5} "#));
    session.run(
        "ALTER TABLE t ADD PRIMARY KEY (a, d) DEFERRABLE; SELECT threadline.refresh_capture('t'); UPDATE t SET f = 'y'",
    );
    assert!(changes(&mut session)[1].starts_with(r#"update t {"a": 1, "d": 4} "#));
    assert_eq!(session.value("SELECT key_columns::text FROM threadline.audited_tables"), "{a,d}");
}

#[test]
fn history_follows_a_row_through_its_keys() {
    let (_database, mut session) =
        database_with("CREATE TABLE t (id int PRIMARY KEY, a text); SELECT threadline.enable_capture('t')");
    session.run("INSERT INTO t VALUES (1, 'x'); UPDATE t SET id = 2; UPDATE t SET id = 3; DELETE FROM t; INSERT INTO t VALUES (1, 'another')");
    let steps = session.column(
        "SELECT op || ' ' || coalesce(previous_pk ->> 'id', '') || '>' || (table_pk ->> 'id') FROM threadline.audit_changes ORDER BY captured_at, id",
    );
    assert_eq!(steps, ["insert >1", "update 1>2", "update 2>3", "delete >3", "insert >1"]);
}
