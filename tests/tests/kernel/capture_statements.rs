//! Every kind of statement records exactly the rows it changed.

use crate::session::Session;
use crate::support::{changes, database_with, records};

const TABLE: &str = "
    CREATE TABLE t (id int PRIMARY KEY, a text, b int);
    SELECT threadline.enable_capture('t');";

const FILLED: &str = "
    CREATE TABLE t (id int PRIMARY KEY, a text, b int);
    INSERT INTO t VALUES (1, 'x', 1), (2, 'y', 2), (3, 'z', 3);
    SELECT threadline.enable_capture('t');";

#[test]
fn insert_records_the_row() {
    let (_database, mut session) = database_with(TABLE);
    records(
        &mut session,
        "INSERT INTO t VALUES (1, 'x', NULL); INSERT INTO t (a, id) VALUES ('y', 2), ('z', 3); INSERT INTO t SELECT 4, 'w' WHERE false",
        &[
            r#"insert t {"id": 1} after {"a": "x", "b": null, "id": 1}"#,
            r#"insert t {"id": 2} after {"a": "y", "b": null, "id": 2}"#,
            r#"insert t {"id": 3} after {"a": "z", "b": null, "id": 3}"#,
        ],
    );
}

#[test]
fn update_records_the_row_and_what_it_was() {
    let (_database, mut session) = database_with(FILLED);
    records(
        &mut session,
        "UPDATE t SET b = NULL, a = 'new' WHERE id = 1; UPDATE t SET b = 7",
        &[
            r#"update t {"id": 1} after {"a": "new", "b": null, "id": 1} fields a,b from {"a": "x", "b": 1}"#,
            r#"update t {"id": 2} after {"a": "y", "b": 7, "id": 2} fields b from {"b": 2}"#,
            r#"update t {"id": 3} after {"a": "z", "b": 7, "id": 3} fields b from {"b": 3}"#,
            r#"update t {"id": 1} after {"a": "new", "b": 7, "id": 1} fields b from {"b": null}"#,
        ],
    );
}

#[test]
fn delete_records_the_whole_row() {
    let (_database, mut session) = database_with(FILLED);
    records(
        &mut session,
        "DELETE FROM t WHERE id = 2; DELETE FROM t WHERE false; DELETE FROM t",
        &[
            r#"delete t {"id": 2} from {"a": "y", "b": 2, "id": 2}"#,
            r#"delete t {"id": 1} from {"a": "x", "b": 1, "id": 1}"#,
            r#"delete t {"id": 3} from {"a": "z", "b": 3, "id": 3}"#,
        ],
    );
}

#[test]
fn an_update_that_changes_nothing_is_not_recorded() {
    let (_database, mut session) = database_with(FILLED);
    records(&mut session, "UPDATE t SET a = a, b = b WHERE id = 1; UPDATE t SET b = b", &[]);
    // Nor does it open an audit transaction.
    assert_eq!(session.value("SELECT count(*) FROM threadline.audit_transactions"), "0");
    records(
        &mut session,
        "UPDATE t SET b = CASE id WHEN 2 THEN 20 ELSE b END",
        &[r#"update t {"id": 2} after {"a": "y", "b": 20, "id": 2} fields b from {"b": 2}"#],
    );
}

#[test]
fn a_statement_without_rows_records_nothing() {
    let (_database, mut session) = database_with(FILLED);
    session
        .run("INSERT INTO t SELECT * FROM t WHERE false; UPDATE t SET a = 'x' WHERE false; DELETE FROM t WHERE false");
    session.run("INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING");
    assert_eq!(changes(&mut session), [""; 0]);
    assert_eq!(session.value("SELECT count(*) FROM threadline.audit_transactions"), "0");
}

#[test]
fn an_upsert_records_inserts_and_updates_each_as_what_it_was() {
    let (_database, mut session) = database_with(FILLED);
    records(
        &mut session,
        "INSERT INTO t VALUES (4, 'new', 4), (1, 'old', 1), (2, 'y', 2)
             ON CONFLICT (id) DO UPDATE SET a = excluded.a, b = t.b",
        &[
            r#"update t {"id": 1} after {"a": "old", "b": 1, "id": 1} fields a from {"a": "x"}"#,
            r#"insert t {"id": 4} after {"a": "new", "b": 4, "id": 4}"#,
        ],
    );
    records(
        &mut session,
        "INSERT INTO t VALUES (1, 'kept', 9) ON CONFLICT (id) DO UPDATE SET b = 9 WHERE t.b > 100; INSERT INTO t VALUES (9), (1) ON CONFLICT DO NOTHING",
        &[r#"insert t {"id": 9} after {"a": null, "b": null, "id": 9}"#],
    );
}

#[test]
fn merge_records_each_of_its_actions() {
    let (_database, mut session) = database_with(FILLED);
    if session.value("SELECT current_setting('server_version_num')::int < 150000") == "t" {
        assert_eq!(
            session.refusal("MERGE INTO t USING t s ON true WHEN MATCHED THEN DO NOTHING").sqlstate,
            "42601",
            "14 has no MERGE"
        );
        return;
    }
    session.run(
        "MERGE INTO t USING (VALUES (1, 'm'), (2, 'd'), (4, 'i'), (3, 'z')) AS s (id, a) ON t.id = s.id
             WHEN MATCHED AND s.a = 'd' THEN DELETE
             WHEN MATCHED THEN UPDATE SET a = s.a
             WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.a, 4)",
    );
    let mut recorded = changes(&mut session);
    recorded.sort();
    assert_eq!(
        recorded,
        [
            r#"delete t {"id": 2} from {"a": "y", "b": 2, "id": 2}"#,
            r#"insert t {"id": 4} after {"a": "i", "b": 4, "id": 4}"#,
            r#"update t {"id": 1} after {"a": "m", "b": 1, "id": 1} fields a from {"a": "x"}"#,
        ]
    );
}

#[test]
fn update_from_records_each_row_once() {
    let (_database, mut session) = database_with(FILLED);
    records(
        &mut session,
        "UPDATE t SET b = t.b + s.n FROM (VALUES (1, 10), (1, 10), (3, 30)) AS s (id, n) WHERE s.id = t.id",
        &[
            r#"update t {"id": 1} after {"a": "x", "b": 11, "id": 1} fields b from {"b": 1}"#,
            r#"update t {"id": 3} after {"a": "z", "b": 33, "id": 3} fields b from {"b": 3}"#,
        ],
    );
}

#[test]
fn statements_inside_with_are_recorded() {
    let (_database, mut session) = database_with(FILLED);
    session.run(
        "WITH d AS (DELETE FROM t WHERE id = 1 RETURNING *), u AS (UPDATE t SET b = 20 WHERE id = 2 RETURNING *)
         INSERT INTO t SELECT id + 10, a, b FROM d UNION ALL SELECT id + 10, a, b FROM u",
    );
    let mut recorded = changes(&mut session);
    recorded.sort();
    assert_eq!(
        recorded,
        [
            r#"delete t {"id": 1} from {"a": "x", "b": 1, "id": 1}"#,
            r#"insert t {"id": 11} after {"a": "x", "b": 1, "id": 11}"#,
            r#"insert t {"id": 12} after {"a": "y", "b": 20, "id": 12}"#,
            r#"update t {"id": 2} after {"a": "y", "b": 20, "id": 2} fields b from {"b": 2}"#,
        ]
    );
}

#[test]
fn copy_is_recorded_row_by_row() {
    let (_database, mut session) = database_with(TABLE);
    session.copy_in("COPY t FROM STDIN", "1\tx\t\\N\n2\ty\t2\n");
    assert_eq!(
        changes(&mut session),
        [
            r#"insert t {"id": 1} after {"a": "x", "b": null, "id": 1}"#,
            r#"insert t {"id": 2} after {"a": "y", "b": 2, "id": 2}"#,
        ]
    );
}

#[test]
fn writes_through_an_updatable_view_are_recorded_on_the_table() {
    let (_database, mut session) = database_with(FILLED);
    session.run("CREATE VIEW v AS SELECT id AS number, a FROM t WHERE id < 100 WITH CHECK OPTION");
    records(
        &mut session,
        "INSERT INTO v VALUES (4, 'v'); UPDATE v SET a = 'w' WHERE number = 4; DELETE FROM v WHERE number = 4",
        &[
            r#"insert t {"id": 4} after {"a": "v", "b": null, "id": 4}"#,
            r#"update t {"id": 4} after {"a": "w", "b": null, "id": 4} fields a from {"a": "v"}"#,
            r#"delete t {"id": 4} from {"a": "w", "b": null, "id": 4}"#,
        ],
    );
}

#[test]
fn triggers_of_the_host_that_change_or_skip_rows_are_seen_as_they_end() {
    let (_database, mut session) = database_with(
        "CREATE TABLE t (id int PRIMARY KEY, a text, b int);
         CREATE FUNCTION host() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF TG_OP = 'DELETE' THEN RETURN CASE WHEN OLD.id = 2 THEN NULL ELSE OLD END; END IF;
             IF NEW.a = 'skip' THEN RETURN NULL; END IF;
             NEW.a := upper(NEW.a); RETURN NEW;
         END $$;
         CREATE TRIGGER host BEFORE INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION host();
         SELECT threadline.enable_capture('t')",
    );
    records(
        &mut session,
        "INSERT INTO t VALUES (1, 'x', 1), (2, 'skip', 2), (3, 'z', 3)",
        &[
            r#"insert t {"id": 1} after {"a": "X", "b": 1, "id": 1}"#,
            r#"insert t {"id": 3} after {"a": "Z", "b": 3, "id": 3}"#,
        ],
    );
    // The skipped row must not shift what the others are paired with.
    records(
        &mut session,
        "INSERT INTO t VALUES (2, 'y', 2); UPDATE t SET a = CASE id WHEN 1 THEN 'skip' ELSE 'n' || id END",
        &[
            r#"insert t {"id": 2} after {"a": "Y", "b": 2, "id": 2}"#,
            r#"update t {"id": 3} after {"a": "N3", "b": 3, "id": 3} fields a from {"a": "Z"}"#,
            r#"update t {"id": 2} after {"a": "N2", "b": 2, "id": 2} fields a from {"a": "Y"}"#,
        ],
    );
    records(
        &mut session,
        "DELETE FROM t",
        &[
            r#"delete t {"id": 1} from {"a": "X", "b": 1, "id": 1}"#,
            r#"delete t {"id": 3} from {"a": "N3", "b": 3, "id": 3}"#,
        ],
    );
}

#[test]
fn cascades_are_recorded_with_the_rows_they_reach() {
    let (_database, mut session) = database_with(
        "CREATE TABLE parent (id int PRIMARY KEY);
         CREATE TABLE child (id int PRIMARY KEY, p int REFERENCES parent ON UPDATE CASCADE ON DELETE CASCADE,
             q int REFERENCES parent ON UPDATE CASCADE ON DELETE SET NULL);
         INSERT INTO parent VALUES (1), (2); INSERT INTO child VALUES (10, 1, 1), (20, 2, 1);
         SELECT threadline.enable_capture('parent'), threadline.enable_capture('child')",
    );
    // Two foreign keys update the same child twice: each update is one change.
    session.run("UPDATE parent SET id = 5 WHERE id = 1");
    let lines = changes(&mut session);
    assert_eq!(lines[0], r#"update parent {"id": 5} was {"id": 1} after {"id": 5} fields id from {"id": 1}"#);
    let mut cascaded = lines[1..].to_vec();
    cascaded.sort();
    assert_eq!(
        cascaded,
        [
            r#"update child {"id": 10} after {"p": 5, "q": 1, "id": 10} fields p from {"p": 1}"#,
            r#"update child {"id": 10} after {"p": 5, "q": 5, "id": 10} fields q from {"q": 1}"#,
            r#"update child {"id": 20} after {"p": 2, "q": 5, "id": 20} fields q from {"q": 1}"#,
        ]
    );
    session.run("DELETE FROM parent WHERE id = 5");
    assert_eq!(
        changes(&mut session)[4..],
        [
            r#"delete parent {"id": 5} from {"id": 5}"#,
            r#"delete child {"id": 10} from {"p": 5, "q": 5, "id": 10}"#,
            r#"update child {"id": 20} after {"p": 2, "q": null, "id": 20} fields q from {"q": 5}"#,
        ]
    );
}

#[test]
fn truncate_is_one_event_and_carries_the_tables_it_took_along() {
    let (_database, mut session) = database_with(
        "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY REFERENCES t);
         SELECT threadline.enable_capture('t'), threadline.enable_capture('u'); INSERT INTO t VALUES (1), (2)",
    );
    session.run("TRUNCATE t CASCADE");
    let mut recorded = changes(&mut session)[2..].to_vec();
    recorded.sort();
    assert_eq!(recorded, ["truncate t keyless", "truncate u keyless"]);
    // An empty table too: the event says what was done.
    records(&mut session, "TRUNCATE u RESTART IDENTITY", &["truncate u keyless"]);
}

#[test]
fn what_is_rolled_back_leaves_nothing() {
    let (_database, mut session) = database_with(FILLED);
    session.run("BEGIN; INSERT INTO t VALUES (9); UPDATE t SET b = 0; DELETE FROM t; TRUNCATE t; ROLLBACK");
    session.refusal("INSERT INTO t VALUES (10), (1)");
    assert_eq!(changes(&mut session), [""; 0]);
    assert_eq!(session.value("SELECT count(*) FROM threadline.audit_transactions"), "0");
}

#[test]
fn a_capture_that_fails_fails_the_write() {
    let (database, mut session) = database_with(FILLED);
    // As if the trail could not take more: nothing may be written without its record.
    session.run("ALTER TABLE threadline.audit_changes ADD CONSTRAINT full_up CHECK (op <> 'insert') NOT VALID");
    let refusal = session.refusal("INSERT INTO t VALUES (9)");
    assert_eq!(refusal.sqlstate, "23514");
    assert_eq!(Session::open(&database).value("SELECT count(*) FROM t WHERE id = 9"), "0");
}
