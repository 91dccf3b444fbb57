//! What the host's own triggers do is recorded where it happened: work of AFTER triggers after the change that caused
//! it, work of BEFORE triggers before.

use crate::session::Session;
use crate::support::{APP, database_with};

/// `t` with a trigger that writes `log`; statement level, or row level when partitioned.
fn tables(partitioned: bool, trigger: &str) -> String {
    let parts = if partitioned {
        "PARTITION BY RANGE (id); CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (100); CREATE TABLE t2 PARTITION OF t DEFAULT"
    } else {
        ""
    };
    format!(
        "CREATE TABLE t (id int PRIMARY KEY, v int DEFAULT 0) {parts};
         CREATE TABLE log (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text);
         CREATE FUNCTION host() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO log (what) VALUES (lower(TG_WHEN) || ' ' || lower(TG_OP)); RETURN COALESCE(NEW, OLD); END $$;
         {trigger};
         SELECT threadline.enable_capture('t'), threadline.enable_capture('log');
         GRANT ALL ON t, log TO {APP};"
    )
}

/// Each change in the order of the trail: `t1`, or what was logged.
fn order(session: &mut Session) -> Vec<String> {
    session.column(
        "SELECT CASE table_name WHEN 'log' THEN data_after ->> 'what' ELSE op || ' ' || coalesce(table_pk ->> 'id', '') END
         FROM threadline.audit_changes ORDER BY captured_at, id",
    )
}

const AFTER_ROW: &str =
    "CREATE TRIGGER host AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION host()";
const AFTER_STATEMENT: &str =
    "CREATE TRIGGER host AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH STATEMENT EXECUTE FUNCTION host()";
const BEFORE_ROW: &str =
    "CREATE TRIGGER host_b BEFORE INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION host()";

const WRITES: &str = "INSERT INTO t VALUES (1); UPDATE t SET v = 1; DELETE FROM t";

#[test]
fn work_of_after_triggers_sorts_after_the_change_that_caused_it() {
    for (partitioned, trigger) in
        [(false, AFTER_ROW), (false, AFTER_STATEMENT), (true, AFTER_ROW), (true, AFTER_STATEMENT)]
    {
        let (database, mut session) = database_with(&tables(partitioned, trigger));
        Session::open_as(&database, APP).run(WRITES);
        assert_eq!(
            order(&mut session),
            ["insert 1", "after insert", "update 1", "after update", "delete 1", "after delete"],
            "partitioned: {partitioned}, {trigger}"
        );
    }
}

#[test]
fn work_of_before_triggers_sorts_before_and_of_after_triggers_after() {
    for partitioned in [false, true] {
        let (database, mut session) = database_with(&tables(partitioned, &format!("{BEFORE_ROW}; {AFTER_ROW}")));
        Session::open_as(&database, APP).run(WRITES);
        assert_eq!(
            order(&mut session),
            [
                "before insert",
                "insert 1",
                "after insert",
                "before update",
                "update 1",
                "after update",
                "before delete",
                "delete 1",
                "after delete"
            ],
            "partitioned: {partitioned}"
        );
    }
}

#[test]
fn bulk_statements_keep_the_order_too() {
    for partitioned in [false, true] {
        let (_database, mut session) = database_with(&tables(partitioned, AFTER_ROW));
        session.run("INSERT INTO t VALUES (1), (2); UPDATE t SET v = v + 1");
        let order = order(&mut session);
        // A row of the statement may stand before or after the trigger's work for another row, never after its own.
        assert!(
            order.iter().position(|line| line == "insert 1") < order.iter().position(|line| line == "after insert"),
            "{order:?}"
        );
        assert_eq!(order.len(), 8);
        if !partitioned {
            assert_eq!(
                order,
                [
                    "insert 1",
                    "insert 2",
                    "after insert",
                    "after insert",
                    "update 1",
                    "update 2",
                    "after update",
                    "after update"
                ]
            );
        }
    }
}

#[test]
fn nested_triggers_sort_outermost_first() {
    let (_database, mut session) = database_with(
        "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY);
         CREATE FUNCTION to_b() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO b VALUES (NEW.id * 10); UPDATE b SET id = id + 1; RETURN NULL; END $$;
         CREATE FUNCTION to_c() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO c VALUES (NEW.id * 10); RETURN NULL; END $$;
         CREATE TRIGGER x AFTER INSERT ON a FOR EACH ROW EXECUTE FUNCTION to_b(); CREATE TRIGGER x AFTER INSERT OR UPDATE ON b FOR EACH ROW EXECUTE FUNCTION to_c();
         SELECT threadline.enable_capture('a'), threadline.enable_capture('b'), threadline.enable_capture('c')",
    );
    session.run("INSERT INTO a VALUES (1)");
    assert_eq!(
        session.column("SELECT op || ' ' || table_name || (table_pk ->> 'id') FROM threadline.audit_changes ORDER BY captured_at, id"),
        ["insert a1", "insert b10", "insert c100", "update b11", "insert c110"]
    );
}

#[test]
fn a_trigger_that_updates_its_own_row_sorts_after_the_insert() {
    let (_database, mut session) = database_with(
        "CREATE TABLE t (id int PRIMARY KEY, v int);
         CREATE FUNCTION host() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET v = v + 1 WHERE id = NEW.id AND v < 3; RETURN NULL; END $$;
         CREATE TRIGGER host AFTER INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION host(); SELECT threadline.enable_capture('t')",
    );
    session.run("INSERT INTO t VALUES (1, 0)");
    assert_eq!(
        session
            .column("SELECT op || ' ' || (data_after ->> 'v') FROM threadline.audit_changes ORDER BY captured_at, id"),
        ["insert 0", "update 1", "update 2", "update 3"]
    );
}

#[test]
fn cascades_into_tables_with_triggers_sort_after_their_cause() {
    let (_database, mut session) = database_with(
        "CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id int PRIMARY KEY, p int REFERENCES parent ON DELETE CASCADE);
         CREATE TABLE log (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text);
         CREATE FUNCTION host() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log (what) VALUES ('child gone'); RETURN NULL; END $$;
         CREATE TRIGGER host AFTER DELETE ON child FOR EACH ROW EXECUTE FUNCTION host();
         INSERT INTO parent VALUES (1); INSERT INTO child VALUES (10, 1);
         SELECT threadline.enable_capture('parent'), threadline.enable_capture('child'), threadline.enable_capture('log')",
    );
    session.run("DELETE FROM parent");
    assert_eq!(
        session.column("SELECT op || ' ' || table_name FROM threadline.audit_changes ORDER BY captured_at, id"),
        ["delete parent", "delete child", "insert log"]
    );
}

#[test]
fn a_statement_that_fails_or_does_nothing_leaves_no_marker_behind() {
    let (_database, mut session) = database_with(&tables(false, AFTER_ROW));
    session.run("INSERT INTO t VALUES (1)");
    session.run("BEGIN; SAVEPOINT s");
    session.refusal("INSERT INTO t VALUES (1)");
    session.run("ROLLBACK TO s; UPDATE t SET v = 5 WHERE false; INSERT INTO log (what) VALUES ('between'); UPDATE t SET v = 6; COMMIT");
    assert_eq!(order(&mut session), ["insert 1", "after insert", "between", "update 1", "after update"]);
    // The clock went on while nothing was recorded.
    assert_eq!(session.value("SELECT bool_and(captured_at >= last OR last IS NULL) FROM (SELECT captured_at, lag(captured_at) OVER (ORDER BY id) AS last FROM threadline.audit_changes WHERE table_name = 'log') AS x"), "t");
}

#[test]
fn a_constraint_trigger_at_commit_sorts_last() {
    let (_database, mut session) = database_with(&tables(
        false,
        "CREATE CONSTRAINT TRIGGER host AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION host()",
    ));
    session.run("BEGIN; INSERT INTO t VALUES (1); UPDATE t SET v = 2; COMMIT");
    assert_eq!(order(&mut session), ["insert 1", "update 1", "after insert"]);
}
