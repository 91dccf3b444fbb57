//! Enabling, refreshing, disabling; names, renames and tables that take each other's names.

use crate::session::Session;
use crate::support::{changes, database_with, records};

fn functions(session: &mut Session) -> Vec<String> {
    session.column("SELECT proname FROM pg_proc WHERE pronamespace = 'threadline'::regnamespace AND proname LIKE 'capture\\_%\\_%' AND prorettype = 'trigger'::regtype ORDER BY 1")
}

fn triggers(session: &mut Session, table: &str) -> Vec<String> {
    session.column(&format!(
        "SELECT tgname || ' ' || pg_get_triggerdef(t.oid) || ' ' || md5(prosrc) FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid WHERE tgrelid = '{table}'::regclass AND NOT tgisinternal ORDER BY 1"
    ))
}

const TABLES: &str = "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p DEFAULT;";

#[test]
fn enabling_twice_changes_nothing_and_keeps_capture_on() {
    let (_database, mut session) = database_with(TABLES);
    for table in ["t", "p"] {
        let script = session.value(&format!("SELECT threadline.enable_capture('{table}')"));
        let before = (triggers(&mut session, table), functions(&mut session), session.value(&format!("SELECT policy || body_hash || function_stem FROM threadline.audited_tables WHERE table_name = '{table}'")));
        assert_eq!(session.value(&format!("SELECT threadline.enable_capture('{table}')")), script);
        let after = (triggers(&mut session, table), functions(&mut session), session.value(&format!("SELECT policy || body_hash || function_stem FROM threadline.audited_tables WHERE table_name = '{table}'")));
        assert_eq!(after, before);
    }
    assert_eq!(session.value("SELECT count(*) FROM threadline.audited_tables"), "2");
    records(
        &mut session,
        "INSERT INTO t VALUES (1); INSERT INTO p VALUES (1)",
        &[r#"insert t {"id": 1} after {"v": null, "id": 1}"#, r#"insert p {"id": 1} after {"id": 1}"#],
    );
}

#[test]
fn the_plan_is_what_enabling_runs_and_runs_nothing_itself() {
    let (_database, mut session) = database_with(TABLES);
    for table in ["t", "p"] {
        let plan = session.value(&format!("SELECT threadline.capture_plan('{table}', '{{\"truncate\": \"refuse\"}}')"));
        assert!(plan.contains("CREATE TRIGGER"), "{plan}");
        assert_eq!(functions(&mut session).len(), if table == "t" { 0 } else { 4 });
        assert_eq!(
            session.value(&format!("SELECT threadline.enable_capture('{table}', '{{\"truncate\": \"refuse\"}}')")),
            plan
        );
    }
    // The script by itself captures too: it can be reviewed, kept as a migration, and run by hand.
    let plan = session.value("SELECT threadline.capture_plan('t')");
    session.run("SELECT threadline.disable_capture('t')");
    session.run(&plan);
    records(&mut session, "INSERT INTO t VALUES (7)", &[r#"insert t {"id": 7} after {"v": null, "id": 7}"#]);
}

#[test]
fn disabling_stops_capture_and_keeps_history() {
    let (_database, mut session) = database_with(TABLES);
    for table in ["t", "p"] {
        session.run(&format!("SELECT threadline.enable_capture('{table}', '{{\"truncate\": \"rows\"}}'); INSERT INTO {table} (id) VALUES (1)"));
        session.run(&format!(
            "SELECT threadline.disable_capture('{table}'); INSERT INTO {table} (id) VALUES (2); TRUNCATE {table}"
        ));
        assert_eq!(triggers(&mut session, table), [""; 0]);
        assert_eq!(triggers(&mut session, "p1"), [""; 0]);
    }
    assert_eq!(functions(&mut session), [""; 0]);
    assert_eq!(changes(&mut session).len(), 2);
    assert_eq!(session.value("SELECT count(*) FROM threadline.audited_tables WHERE disabled_at IS NOT NULL"), "2");
    // And on again.
    session.run("SELECT threadline.enable_capture('t'), threadline.enable_capture('p'); INSERT INTO t VALUES (3); INSERT INTO p VALUES (3)");
    assert_eq!(changes(&mut session).len(), 4);
    assert_eq!(session.value("SELECT count(*) FROM threadline.audited_tables WHERE disabled_at IS NULL"), "2");
}

#[test]
fn long_and_similar_names_do_not_share_functions_or_redaction() {
    let long = "a_table_whose_name_is_exactly_as_long_as_postgresql_lets_it_b";
    let names = [
        format!("{long}1x"),
        format!("{long}2x"),
        "UPPER case".to_owned(),
        "upper case".to_owned(),
        "upper_case".to_owned(),
        "ü".to_owned(),
        "ö".to_owned(),
    ];
    let (_database, mut session) = database_with("CREATE SCHEMA \"other schema\"");
    for (n, name) in names.iter().enumerate() {
        for schema in ["public", "other schema"] {
            session.run(&format!("CREATE TABLE \"{schema}\".\"{name}\" (id int PRIMARY KEY, a text, b text)"));
            let redacted = if (n + schema.len()) % 2 == 0 { "a" } else { "b" };
            session.run(&format!(
                "SELECT threadline.enable_capture('\"{schema}\".\"{name}\"', '{{\"exclude\": [\"{redacted}\"]}}')"
            ));
        }
    }
    assert_eq!(functions(&mut session).len(), names.len() * 2 * 4);
    for (n, name) in names.iter().enumerate() {
        for schema in ["public", "other schema"] {
            session.run(&format!(
                "INSERT INTO \"{schema}\".\"{name}\" VALUES (1, 'va', 'vb'); DELETE FROM \"{schema}\".\"{name}\""
            ));
            let kept = if (n + schema.len()) % 2 == 0 { "b" } else { "a" };
            assert_eq!(
                session.column(&format!("SELECT op || coalesce(data_after, changed_from)::text FROM threadline.audit_changes WHERE table_schema = '{schema}' AND table_name = '{name}' ORDER BY captured_at, id")),
                [format!(r#"insert{{"{kept}": "v{kept}", "id": 1}}"#), format!(r#"delete{{"{kept}": "v{kept}", "id": 1}}"#)],
                "{schema}.{name}"
            );
        }
    }
}

#[test]
fn a_renamed_table_is_found_under_its_names() {
    let (_database, mut session) = database_with(&format!(
        "{TABLES} CREATE SCHEMA moved; SELECT threadline.enable_capture('t'), threadline.enable_capture('p')"
    ));
    session.run("INSERT INTO t VALUES (1); INSERT INTO p VALUES (1); ALTER TABLE t RENAME TO t2; ALTER TABLE t2 SET SCHEMA moved; ALTER TABLE p RENAME TO p2");
    // Until it is refreshed, capture goes on under the name it knows.
    session.run("INSERT INTO moved.t2 VALUES (2, 'x'); UPDATE moved.t2 SET v = 'y'; INSERT INTO p2 VALUES (2)");
    assert_eq!(
        session.column("SELECT DISTINCT table_schema || '.' || table_name FROM threadline.audit_changes ORDER BY 1"),
        ["public.p", "public.t"]
    );
    session.run("SELECT threadline.refresh_capture('moved.t2'), threadline.refresh_capture('p2'); INSERT INTO moved.t2 VALUES (3); INSERT INTO p2 VALUES (3)");
    assert_eq!(session.column("SELECT table_schema || '.' || table_name FROM threadline.audit_changes ORDER BY captured_at DESC, id DESC LIMIT 2"), ["public.p2", "moved.t2"]);
    assert_eq!(
        session.column("SELECT format('%s.%s was %s.%s', table_schema, table_name, former_names -> 0 ->> 'table_schema', former_names -> 0 ->> 'table_name') FROM threadline.audited_tables ORDER BY id"),
        ["moved.t2 was public.t", "public.p2 was public.p"]
    );
    assert_eq!(session.value("SELECT count(*) FROM threadline.audited_tables WHERE (former_names -> 0 ->> 'until')::timestamptz > (SELECT max(captured_at) FROM threadline.audit_changes WHERE table_name IN ('t', 'p'))"), "2");
}

#[test]
fn a_new_table_with_an_old_name_gets_functions_of_its_own() {
    let (_database, mut session) = database_with(
        r#"CREATE TABLE t (id int PRIMARY KEY, secret text); SELECT threadline.enable_capture('t', '{"exclude": ["secret"]}'); INSERT INTO t VALUES (1, 'a');
           ALTER TABLE t RENAME TO t_old; CREATE TABLE t (id int PRIMARY KEY, secret text); SELECT threadline.enable_capture('t')"#,
    );
    session.run("INSERT INTO t VALUES (10, 'public'); INSERT INTO t_old VALUES (2, 'hidden'); UPDATE t_old SET secret = 'hidden too'; UPDATE t SET secret = 'shown'");
    let lines = changes(&mut session);
    assert!(!lines.iter().any(|line| line.contains("hidden")), "{lines:?}");
    assert_eq!(
        lines[1..],
        [
            r#"insert t {"id": 10} after {"id": 10, "secret": "public"}"#.to_owned(),
            lines[2].clone(),
            r#"update t {"id": 10} after {"id": 10, "secret": "shown"} fields secret from {"secret": "public"}"#
                .to_owned(),
        ]
    );
    assert_eq!(functions(&mut session).len(), 8);
    assert_eq!(
        session.column("SELECT table_name || ' ' || (policy -> 'exclude')::text FROM threadline.audited_tables WHERE disabled_at IS NULL ORDER BY id"),
        [r#"t_old ["secret"]"#, "t []"]
    );
    session.run("SELECT threadline.refresh_capture('t_old'), threadline.refresh_capture('t'), threadline.disable_capture('t'); INSERT INTO t VALUES (11, 'x'); INSERT INTO t_old VALUES (3, 'hidden')");
    let lines = changes(&mut session);
    assert_eq!(lines.last().unwrap(), r#"insert t_old {"id": 3} after {"id": 3}"#);
}

#[test]
fn a_dropped_table_makes_room_for_its_successor() {
    let (_database, mut session) = database_with(
        "CREATE TABLE t (id int PRIMARY KEY); SELECT threadline.enable_capture('t'); INSERT INTO t VALUES (1); DROP TABLE t",
    );
    session.run("CREATE TABLE t (id int PRIMARY KEY, more text); SELECT threadline.enable_capture('t'); INSERT INTO t VALUES (1, 'm')");
    assert_eq!(changes(&mut session)[1], r#"insert t {"id": 1} after {"id": 1, "more": "m"}"#);
    assert_eq!(
        session.value("SELECT count(*) FROM threadline.audited_tables WHERE disabled_at IS NULL AND table_name = 't'"),
        "1"
    );
}

#[test]
fn two_tables_that_exchange_their_names_keep_their_policies() {
    let (_database, mut session) = database_with(
        r#"CREATE TABLE a (id int PRIMARY KEY, s text); CREATE TABLE b (id int PRIMARY KEY, s text);
           SELECT threadline.enable_capture('a', '{"mask": ["s"]}'), threadline.enable_capture('b');
           ALTER TABLE a RENAME TO x; ALTER TABLE b RENAME TO a; ALTER TABLE x RENAME TO b;
           SELECT threadline.refresh_capture('a'), threadline.refresh_capture('b');"#,
    );
    records(
        &mut session,
        "INSERT INTO a VALUES (1, 'open'); INSERT INTO b VALUES (1, 'hidden')",
        &[
            r#"insert a {"id": 1} after {"s": "open", "id": 1}"#,
            r#"insert b {"id": 1} after {"s": "[REDACTED]", "id": 1}"#,
        ],
    );
}

#[test]
fn enabling_while_others_write_loses_no_change() {
    let (database, mut session) = database_with("CREATE TABLE t (id int PRIMARY KEY)");
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let mut session = Session::open(&database);
            std::thread::spawn(move || {
                let mut first_captured = None;
                for i in 0..200 {
                    let captured = session.value(&format!(
                        "INSERT INTO t VALUES ({writer} * 1000 + {i}); SELECT threadline.transaction_id() IS NOT NULL"
                    ));
                    if captured == "t" {
                        first_captured.get_or_insert(i);
                    } else {
                        // Once on, always on.
                        assert_eq!(first_captured, None, "writer {writer}, row {i}");
                    }
                }
                first_captured
            })
        })
        .collect();
    session.run("SELECT threadline.enable_capture('t')");
    for _ in 0..3 {
        session.run(
            "SELECT threadline.enable_capture('t', '{\"before_values\": false}'), threadline.refresh_capture('t')",
        );
    }
    let captured: i32 = writers.into_iter().map(|writer| writer.join().unwrap().map_or(0, |first| 200 - first)).sum();
    assert_eq!(session.value("SELECT count(*) FROM threadline.audit_changes"), captured.to_string());
    assert_eq!(session.value("SELECT count(*) FROM t"), "800");
}

#[test]
fn capture_triggers_come_before_the_hosts() {
    let (_database, mut session) = database_with(
        "CREATE TABLE t (id int PRIMARY KEY); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
         CREATE TRIGGER \"0\" AFTER INSERT ON t EXECUTE FUNCTION f(); CREATE TRIGGER a AFTER INSERT ON t EXECUTE FUNCTION f(); SELECT threadline.enable_capture('t')",
    );
    let names = session.column(
        "SELECT tgname FROM pg_trigger WHERE tgrelid = 't'::regclass AND tgtype & 6 = 4 ORDER BY tgname COLLATE \"C\"",
    );
    // AFTER INSERT, in the order in which they fire.
    assert!(names.iter().any(|name| name.starts_with("00_")), "{names:?}");
    assert!(
        names.iter().position(|name| name.starts_with("00_")) < names.iter().position(|name| name == "a"),
        "{names:?}"
    );
}
