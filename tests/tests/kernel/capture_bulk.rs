//! Bulk statements: one statement of ours for one of the host's, and never a plan that grows with the square.

use threadline_testkit::require_server;

use crate::programs::Programs;
use crate::support::database_with;

const PLANS: &str = "LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_analyze = on;
    SET auto_explain.log_timing = off; SET auto_explain.log_nested_statements = on; SET auto_explain.log_level = notice;";

/// Checks that `sql`, run in one session after `first`, is answered by one statement of ours that reads each transition
/// table once: what grows with the square reads one of them again for each row of the other.
#[track_caller]
fn is_linear(table: &str, first: &str, sql: &str, rows: usize) {
    let Some(programs) = Programs::of(require_server()) else { return };
    let (database, _session) = database_with(table);
    let said = programs
        .psql(database.url(), &format!("{first};\n{PLANS}\nDO $$ BEGIN RAISE NOTICE 'from here'; END $$;\n{sql};\n"));
    assert!(said.ok && !said.err.contains("ERROR"), "{}", said.err);
    let (_, plans) = said.err.split_once("from here").expect("psql shows notices");
    // Named Tuplestore Scan  (cost=..) (actual rows=1 loops=1)
    let scans: Vec<(usize, usize)> = plans
        .lines()
        .filter(|line| line.contains("Named Tuplestore Scan") && !line.contains("never executed"))
        .map(|line| (number_after(line, "rows="), number_after(line, "loops=")))
        .collect();
    assert!(scans.iter().any(|(read, _)| *read == rows), "{sql}: {scans:?}");
    assert!(scans.iter().all(|(_, loops)| *loops == 1), "{sql}: {scans:?}");
    let inserts = plans.lines().filter(|line| line.contains("Insert on audit_changes ")).count();
    // An altered table has a statement that turns out not to apply before the one that does.
    assert!(inserts == 1 || (inserts == 2 && first.contains("ALTER")), "{sql}: {inserts} statements of ours");
}

/// The number behind the last `label` of a line.
fn number_after(line: &str, label: &str) -> usize {
    let (_, number) = line.rsplit_once(label).expect("an analyzed plan");
    number.split([' ', ')', '.']).next().unwrap_or_default().parse().expect("a number")
}

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, a text, b int); SELECT threadline.enable_capture('t')";

/// Makes every plan of the session while the transition tables have one row, and two.
const SMALL: &str =
    "INSERT INTO t (id, a, b) VALUES (-1, 'x', 0); UPDATE t SET b = 1; UPDATE t SET id = -2; DELETE FROM t;
    INSERT INTO t (id, a, b) VALUES (-1, 'x', 0), (-2, 'y', 0); UPDATE t SET b = 1; DELETE FROM t";

const FILL: &str = "INSERT INTO t (id, a, b) SELECT n, 'row', n FROM generate_series(1, 20000) n";

#[test]
fn a_bulk_insert_after_single_rows_is_not_quadratic() {
    is_linear(TABLE, SMALL, FILL, 20_000);
}

#[test]
fn a_bulk_update_after_single_rows_is_not_quadratic() {
    is_linear(TABLE, &format!("{SMALL}; {FILL}"), "UPDATE t SET b = b + 1", 20_000);
    is_linear(TABLE, &format!("{SMALL}; {FILL}"), "UPDATE t SET id = id + 100000", 20_000);
}

#[test]
fn a_bulk_delete_after_single_rows_is_not_quadratic() {
    is_linear(TABLE, &format!("{SMALL}; {FILL}"), "DELETE FROM t", 20_000);
}

#[test]
fn bulk_statements_on_an_altered_table_are_not_quadratic() {
    let altered = format!("{SMALL}; ALTER TABLE t ADD c int; {SMALL}");
    is_linear(TABLE, &altered, FILL, 20_000);
    is_linear(TABLE, &format!("{altered}; {FILL}"), "UPDATE t SET b = b + 1", 20_000);
    is_linear(TABLE, &format!("{altered}; {FILL}"), "DELETE FROM t", 20_000);
}

#[test]
fn a_large_change_after_a_small_one_is_complete() {
    let (_database, mut session) = database_with(TABLE);
    session.run(SMALL);
    let small: usize = session.value("SELECT count(*) FROM threadline.audit_changes").parse().unwrap();
    session.run(&format!("{FILL}; UPDATE t SET b = b + 1; UPDATE t SET id = id + 100000; DELETE FROM t"));
    assert_eq!(session.value("SELECT count(*) FROM threadline.audit_changes"), (small + 80_000).to_string());
    assert_eq!(session.value("SELECT count(DISTINCT (op, table_pk, changed_fields)) FROM threadline.audit_changes WHERE (table_pk ->> 'id')::int > 0"), "80000");
}

#[test]
fn pairing_is_right_in_bulk_whatever_the_order_of_the_rows() {
    let (_database, mut session) = database_with(
        "CREATE TABLE t (id int PRIMARY KEY, n int, s text); INSERT INTO t SELECT n, n, 's' || n FROM generate_series(1, 5000) n;
         SELECT threadline.enable_capture('t')",
    );
    session.run("UPDATE t SET n = -n WHERE id % 3 = 0; UPDATE t SET n = n + 1, s = s || '!' FROM (SELECT id AS i FROM t ORDER BY s DESC) AS o WHERE o.i = t.id;
        UPDATE t SET id = -id WHERE n % 2 = 0; UPDATE t SET n = t.n FROM t AS other WHERE other.id = t.id");
    assert_eq!(
        session.value("SELECT count(*) FROM threadline.audit_changes WHERE op = 'update' AND NOT (
            changed_fields = '{n}' AND (changed_from ->> 'n')::int = -(data_after ->> 'n')::int
            OR changed_fields = '{n,s}' AND (changed_from ->> 'n')::int = (data_after ->> 'n')::int - 1 AND changed_from ->> 's' || '!' = data_after ->> 's'
            OR changed_fields = '{id}' AND (changed_from ->> 'id')::int = -(data_after ->> 'id')::int)"),
        "0"
    );
    assert_eq!(session.value("SELECT count(*) > 9000 FROM threadline.audit_changes"), "t");
}

#[test]
fn a_row_that_a_statement_updates_twice_does_not_multiply() {
    let (_database, mut session) = database_with(
        "CREATE TABLE p (a int UNIQUE, b int UNIQUE, id int PRIMARY KEY);
         CREATE TABLE c (id int PRIMARY KEY, x int REFERENCES p (a) ON UPDATE CASCADE, y int REFERENCES p (b) ON UPDATE CASCADE);
         INSERT INTO p SELECT n, n, n FROM generate_series(1, 100) n; INSERT INTO c SELECT n, n, n FROM generate_series(1, 100) n;
         SELECT threadline.enable_capture('c')",
    );
    session.run("UPDATE p SET a = a + 1000, b = b + 1000");
    assert_eq!(session.value("SELECT count(*) FROM threadline.audit_changes"), "200");
    assert_eq!(session.value("SELECT string_agg(DISTINCT changed_fields::text, ' ' ORDER BY changed_fields::text) FROM threadline.audit_changes"), "{x} {y}");
}

/// Runs `first`, then counts how many statements the server plans for `sql`, which is a plan itself.
#[track_caller]
fn plans_made(first: &str, sql: &str) -> Option<usize> {
    let programs = Programs::of(require_server())?;
    let (database, _session) = database_with(TABLE);
    let said = programs.psql(
        database.url(),
        &format!("{first};\nSET client_min_messages = log; SET log_planner_stats = on;\n{sql};\n"),
    );
    assert!(said.ok && !said.err.contains("ERROR"), "{}", said.err);
    Some(said.err.matches("PLANNER STATISTICS").count())
}

#[test]
fn single_rows_after_a_bulk_statement_are_not_planned_anew() {
    // ANALYZE throws the session's plans away, as autovacuum does; the next ones are made for many rows.
    let first = format!(
        "{SMALL}; {SMALL}; {SMALL}; {SMALL}; ANALYZE t; {FILL}; UPDATE t SET b = 3; DELETE FROM t; \
         INSERT INTO t (id, a, b) VALUES (1, 'x', 0); UPDATE t SET b = 1; DELETE FROM t"
    );
    for sql in ["INSERT INTO t (id, a, b) VALUES (2, 'x', 0)", "UPDATE t SET b = 2", "DELETE FROM t"] {
        let first = format!("{first}; INSERT INTO t (id, a, b) VALUES (1, 'x', 0)");
        if let Some(plans) = plans_made(&first, sql) {
            assert_eq!(plans, 1, "{sql}: more than its own");
        }
    }
}

#[test]
fn a_plan_made_for_many_rows_is_never_compiled() {
    let (_database, mut session) = database_with(TABLE);
    let settings = session.column(
        "SELECT p.proconfig::text FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
         WHERE t.tgrelid = 't'::regclass AND NOT t.tgisinternal AND p.proname !~ '_truncate$'",
    );
    assert_eq!(settings, ["{jit=off,plan_cache_mode=force_generic_plan}"; 3]);
}

/// So what it costs does not grow with the trail.
#[test]
fn recording_looks_nothing_up_in_the_trail() {
    const LOOKED_UP: &str = "SELECT coalesce(sum(seq_scan + coalesce(idx_scan, 0)), 0) FROM pg_stat_xact_all_tables
        WHERE schemaname = 'threadline' AND relname ~ '^audit_(transactions|changes|actions)'";
    let (_database, mut session) = database_with(
        "CREATE TABLE t (id int PRIMARY KEY, v text); SELECT threadline.enable_capture('t');
         CREATE TABLE p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p DEFAULT; SELECT threadline.enable_capture('p');",
    );
    for context in
        ["", "SELECT threadline.set_context('{\"type\": \"user\", \"id\": \"42\"}', '{\"request_id\": \"r\"}');"]
    {
        session.run(&format!("BEGIN; {context}"));
        for table in ["t", "p"] {
            session.run(&format!(
                "INSERT INTO {table} SELECT g, 'a' FROM generate_series(1, 20) AS g; SAVEPOINT s; UPDATE {table} SET v = 'b' WHERE id = 1;
                 UPDATE {table} SET v = 'c'; UPDATE {table} SET id = 100 WHERE id = 2; ROLLBACK TO s; DELETE FROM {table};"
            ));
        }
        if !context.is_empty() {
            session.run(r#"SELECT threadline.record_action('{"name": "first"}'); INSERT INTO t VALUES (1); SELECT threadline.record_action('{"name": "second"}'); INSERT INTO t VALUES (2)"#);
        }
        assert_eq!(session.value(LOOKED_UP), "0");
        session.run("ROLLBACK");
    }
    session.run("BEGIN; SELECT count(*) FROM threadline.audit_changes");
    assert_ne!(session.value(LOOKED_UP), "0", "it would be seen");
}
