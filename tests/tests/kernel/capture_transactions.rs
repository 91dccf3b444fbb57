//! Transactions in all their forms: savepoints, caught exceptions, chains, two phases.

use crate::session::Session;
use crate::support::{changes, database_with};

const TABLE: &str = r#"CREATE TABLE t (id int PRIMARY KEY, v text); SELECT threadline.enable_capture('t');
    CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p DEFAULT; SELECT threadline.enable_capture('p');"#;

const CONTEXT: &str = r#"SELECT set_config('threadline.actor_ref', '{"type":"user","id":"ann"}', true);"#;

/// Whether every change has its own database transaction's row, and every row a change.
#[track_caller]
fn is_consistent(session: &mut Session) {
    assert_eq!(
        session.value("SELECT count(*) FROM threadline.audit_changes c LEFT JOIN threadline.audit_transactions t ON t.id = c.transaction_id AND t.xid = c.xid WHERE t.id IS NULL"),
        "0"
    );
    assert_eq!(
        session.value("SELECT count(*) FROM threadline.audit_transactions t WHERE NOT EXISTS (SELECT FROM threadline.audit_changes c WHERE t.id = c.transaction_id)"),
        "0"
    );
}

fn ids(session: &mut Session) -> Vec<String> {
    session.column("SELECT table_name || (table_pk ->> 'id') FROM threadline.audit_changes ORDER BY captured_at, id")
}

#[test]
fn a_savepoint_rolled_back_takes_its_changes_and_its_group_with_it() {
    let (_database, mut session) = database_with(TABLE);
    // The group is opened inside the savepoint that goes.
    session.run(&format!("BEGIN; {CONTEXT} SAVEPOINT s; INSERT INTO t VALUES (1); INSERT INTO p VALUES (1); ROLLBACK TO s; INSERT INTO t VALUES (2); INSERT INTO p VALUES (2); COMMIT"));
    // And before it; and in one that is released into one that goes.
    session.run(&format!("BEGIN; {CONTEXT} INSERT INTO t VALUES (3); SAVEPOINT s; INSERT INTO t VALUES (4); ROLLBACK TO s; INSERT INTO t VALUES (5);
        SAVEPOINT a; SAVEPOINT b; INSERT INTO t VALUES (6); RELEASE b; ROLLBACK TO a; INSERT INTO t VALUES (7); COMMIT"));
    session.run("BEGIN; SAVEPOINT s; INSERT INTO t VALUES (8); ROLLBACK TO s; COMMIT");
    assert_eq!(ids(&mut session), ["t2", "p2", "t3", "t5", "t7"]);
    is_consistent(&mut session);
    assert_eq!(session.value("SELECT count(*) FROM threadline.audit_transactions"), "2");
}

#[test]
fn a_context_set_inside_a_savepoint_goes_with_it() {
    let (_database, mut session) = database_with(TABLE);
    session.run(&format!(
        "BEGIN; {CONTEXT} SAVEPOINT s; SELECT set_config('threadline.actor_ref', '{{\"type\":\"user\",\"id\":\"bob\"}}', true); INSERT INTO t VALUES (1); ROLLBACK TO s; INSERT INTO t VALUES (2); COMMIT"
    ));
    assert_eq!(session.column("SELECT actor_ref ->> 'id' FROM threadline.audit_transactions"), ["ann"]);
}

#[test]
fn an_exception_caught_in_a_function_leaves_only_what_was_kept() {
    let (_database, mut session) = database_with(TABLE);
    session.run(&format!(
        "BEGIN; {CONTEXT}
         DO $$ BEGIN
             FOR i IN 1 .. 5 LOOP
                 BEGIN
                     INSERT INTO t VALUES (i); INSERT INTO p VALUES (i);
                     IF i % 2 = 0 THEN RAISE EXCEPTION 'no'; END IF;
                 EXCEPTION WHEN raise_exception THEN INSERT INTO t VALUES (i + 100);
                 END;
             END LOOP;
         END $$; COMMIT"
    ));
    assert_eq!(ids(&mut session), ["t1", "p1", "t102", "t3", "p3", "t104", "t5", "p5"]);
    is_consistent(&mut session);
}

#[test]
fn reset_all_and_discard_do_not_split_or_lose_a_transaction() {
    let (_database, mut session) = database_with(TABLE);
    session.run(&format!("BEGIN; {CONTEXT} INSERT INTO t VALUES (1); RESET ALL; INSERT INTO t VALUES (2); {CONTEXT} INSERT INTO t VALUES (3); COMMIT"));
    assert_eq!(ids(&mut session), ["t1", "t2", "t3"]);
    is_consistent(&mut session);
    session.run("DISCARD ALL");
    session.run("INSERT INTO t VALUES (4)");
    is_consistent(&mut session);
}

#[test]
fn a_prepared_transaction_is_captured_when_it_commits() {
    let (database, mut session) = database_with(TABLE);
    if session.value("SHOW max_prepared_transactions") == "0" {
        // A server of one's own may have them switched off; the test kit's has not.
        assert!(std::env::var_os("DATABASE_URL").is_some(), "max_prepared_transactions is 0");
        return;
    }
    let name = database.name();
    session.run(&format!(
        "BEGIN; {CONTEXT} INSERT INTO t VALUES (1); INSERT INTO p VALUES (1); PREPARE TRANSACTION '{name} a'"
    ));
    session.run("INSERT INTO t VALUES (2)");
    assert_eq!(ids(&mut session), ["t2"]);
    Session::open(&database).run(&format!("COMMIT PREPARED '{name} a'"));
    session.run(&format!("BEGIN; {CONTEXT} INSERT INTO t VALUES (3); PREPARE TRANSACTION '{name} b'"));
    session.run(&format!("ROLLBACK PREPARED '{name} b'; "));
    assert_eq!(ids(&mut session), ["t1", "p1", "t2"]);
    assert_eq!(
        session.column("SELECT coalesce(actor_ref ->> 'id', '-') FROM threadline.audit_transactions ORDER BY id"),
        ["ann", "-"]
    );
    is_consistent(&mut session);
}

#[test]
fn a_procedure_that_commits_makes_a_group_for_each_of_its_transactions() {
    let (_database, mut session) = database_with(TABLE);
    session.run(
        "CREATE PROCEDURE work() LANGUAGE plpgsql AS $$ BEGIN
        FOR i IN 1 .. 3 LOOP
            PERFORM set_config('threadline.actor_ref', format('{\"type\":\"job\",\"id\":\"%s\"}', i), true);
            INSERT INTO t VALUES (i); UPDATE t SET v = 'x' WHERE id = i;
            IF i = 2 THEN ROLLBACK; ELSE COMMIT; END IF;
        END LOOP; END $$",
    );
    session.run("CALL work()");
    assert_eq!(session.column("SELECT actor_ref ->> 'id' FROM threadline.audit_transactions ORDER BY id"), ["1", "3"]);
    is_consistent(&mut session);
}

#[test]
fn order_is_that_of_the_work_even_within_one_microsecond() {
    let (_database, mut session) = database_with(TABLE);
    session.run("DO $$ BEGIN FOR i IN 1 .. 300 LOOP INSERT INTO t VALUES (i, 0); UPDATE t SET v = i WHERE id = i; INSERT INTO p VALUES (i); DELETE FROM t WHERE id = i; END LOOP; END $$");
    let expected: Vec<String> = (1..=300)
        .flat_map(|i| [format!("insert t{i}"), format!("update t{i}"), format!("insert p{i}"), format!("delete t{i}")])
        .collect();
    assert_eq!(
        session.column("SELECT op || ' ' || table_name || (table_pk ->> 'id') FROM threadline.audit_changes ORDER BY captured_at, id"),
        expected
    );
}

#[test]
fn a_transaction_that_waited_sorts_after_the_one_it_waited_for() {
    let (database, mut first) = database_with(TABLE);
    first.run("INSERT INTO t VALUES (1, 'a')");
    let mut second = Session::open(&database);
    // The second begins, and takes its snapshot, before the first commits.
    second.run("BEGIN; SELECT 1");
    first.run("BEGIN; UPDATE t SET v = 'first'");
    let waiting = std::thread::spawn(move || {
        second.run("UPDATE t SET v = v || ', second'; COMMIT");
    });
    let mut observer = Session::open(&database);
    while observer
        .value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")
        == "0"
    {
        std::thread::yield_now();
    }
    first.run("COMMIT");
    waiting.join().unwrap();
    let lines = changes(&mut observer);
    assert!(lines[1].contains(r#"after {"v": "first""#), "{lines:?}");
    assert!(lines[2].contains(r#"after {"v": "first, second""#), "{lines:?}");
}

/// What the clock would have left behind, had the last capture been on the day before.
const NIGHT_PASSES: &str = "SELECT set_config('threadline.clock', (extract(epoch FROM now() - interval '1 day') * 1000000)::int8::text, true);";

#[test]
fn no_audit_transaction_has_changes_of_two_days() {
    let (_database, mut session) = database_with(TABLE);
    session.run(&format!(
        "BEGIN; {CONTEXT} INSERT INTO t VALUES (1); INSERT INTO t VALUES (2); {NIGHT_PASSES} INSERT INTO p VALUES (3); INSERT INTO t VALUES (4);
         {NIGHT_PASSES} INSERT INTO p VALUES (5); TRUNCATE t; CREATE TEMPORARY TABLE first AS SELECT threadline.transaction_id() AS id; COMMIT"
    ));
    assert_eq!(
        session.column("SELECT transaction_id - min(transaction_id) OVER () FROM threadline.audit_changes ORDER BY id"),
        ["0", "0", "1", "1", "2", "2"]
    );
    assert_eq!(
        session.column("SELECT DISTINCT actor_ref ->> 'id' FROM threadline.audit_transactions"),
        ["ann"],
        "each day's row says who"
    );
    assert_eq!(
        session.value("SELECT (SELECT id FROM first) = min(id) FROM threadline.audit_transactions"),
        "t",
        "the first of them names the whole"
    );
    is_consistent(&mut session);
}

#[test]
fn a_nested_context_and_a_savepoint_across_midnight_keep_their_own() {
    let (_database, mut session) = database_with(TABLE);
    session.run(&format!(
        "BEGIN; {CONTEXT} INSERT INTO t VALUES (1); CREATE TEMPORARY TABLE outside AS SELECT threadline.enter_context('{{\"type\":\"user\",\"id\":\"bob\"}}', '') AS c;
         INSERT INTO t VALUES (2); SAVEPOINT s; {NIGHT_PASSES} INSERT INTO t VALUES (3); ROLLBACK TO s; INSERT INTO t VALUES (4);
         {NIGHT_PASSES} INSERT INTO t VALUES (5); SELECT threadline.leave_context(c) FROM outside; INSERT INTO t VALUES (6); COMMIT"
    ));
    assert_eq!(
        session.column(
            "SELECT format('%s %s %s', c.table_pk ->> 'id', t.actor_ref ->> 'id', dense_rank() OVER (ORDER BY t.id)) FROM threadline.audit_changes c
             JOIN threadline.audit_transactions t ON t.id = c.transaction_id ORDER BY c.id"
        ),
        ["1 ann 1", "2 bob 2", "4 bob 2", "5 bob 3", "6 ann 4"]
    );
    is_consistent(&mut session);
}

#[test]
fn the_first_action_covers_the_days_before_it_too() {
    let (_database, mut session) = database_with(TABLE);
    let act = |name: &str| format!("SELECT threadline.record_action('{{\"name\":\"{name}\"}}');");
    session.run(&format!(
        "BEGIN; {CONTEXT} INSERT INTO t VALUES (1); {NIGHT_PASSES} INSERT INTO t VALUES (2); {} INSERT INTO t VALUES (3);
         {NIGHT_PASSES} INSERT INTO t VALUES (4); {} INSERT INTO t VALUES (5); COMMIT",
        act("first"), act("second")
    ));
    assert_eq!(
        session.column(
            "SELECT format('%s %s', c.table_pk ->> 'id', a.name) FROM threadline.audit_changes c JOIN threadline.audit_transactions t ON t.id = c.transaction_id
             JOIN threadline.audit_actions a ON a.id = t.action_id ORDER BY c.id"
        ),
        ["1 first", "2 first", "3 first", "4 first", "5 second"]
    );
    assert_eq!(session.value("SELECT count(*) FROM threadline.audit_transactions"), "4");
}
