//! The columns that captured tables have and had, and what reads make of them: which fields changes can name.

use crate::session::Session;
use crate::support::{APP, changes, database_with};

/// Each column with how the policy treats it; `-` before one that is no longer so.
fn columns(session: &mut Session) -> Vec<String> {
    session.column(
        "SELECT concat(CASE WHEN k.until IS NOT NULL THEN '-' END, a.table_name, '.', k.name, CASE WHEN k.excluded THEN ' excluded' END,
            CASE WHEN k.excepted THEN ' excepted' END, ' masked ' || k.mask_placeholder)
         FROM threadline.audited_columns k JOIN threadline.audited_tables a ON a.id = k.audited_table ORDER BY k.id",
    )
}

/// What is wrong with a field, asked of the tables called so, or of all.
fn problem(session: &mut Session, table: Option<&str>, field: &str) -> String {
    let names = match table {
        Some(table) => {
            format!(
                "(SELECT coalesce(jsonb_agg(to_jsonb(n)), '[]') FROM threadline.recorded_names(NULL, '{table}') AS n)"
            )
        }
        None => "NULL".to_owned(),
    };
    session.value(&format!("SELECT coalesce(threadline.field_problem('{field}', {names}), 'none')"))
}

const POLICY: &str = r#"{"exclude": ["secret"], "mask": ["email"], "except_columns": ["rank"]}"#;

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, v text, secret text, email text, rank int);";

#[test]
fn enabling_lists_each_column_and_how_it_is_treated() {
    let (_database, mut session) = database_with(&format!("{TABLE} SELECT threadline.enable_capture('t', '{POLICY}')"));
    let listed = ["t.email masked [REDACTED]", "t.id", "t.rank excepted", "t.secret excluded", "t.v"];
    assert_eq!(columns(&mut session), listed);
    // Nothing has changed.
    session.run(&format!("SELECT threadline.enable_capture('t', '{POLICY}'), threadline.refresh_capture('t')"));
    assert_eq!(columns(&mut session), listed);
}

#[test]
fn a_plan_that_is_run_by_hand_lists_them_too() {
    let (_database, mut session) = database_with(TABLE);
    let plan = session.value("SELECT threadline.capture_plan('t')");
    assert!(columns(&mut session).is_empty());
    session.run(&plan);
    assert_eq!(columns(&mut session).len(), 5);
}

#[test]
fn what_a_policy_did_is_kept_with_the_instants_at_which_it_began_and_ended() {
    let (_database, mut session) = database_with(&format!("{TABLE} SELECT threadline.enable_capture('t', '{POLICY}')"));
    session.run("INSERT INTO t VALUES (1, 'a', 'b', 'c', 1)");
    session.run(r#"SELECT threadline.enable_capture('t', '{"mask": ["email"], "mask_placeholder": "***"}')"#);
    session.run("INSERT INTO t VALUES (2, 'a', 'b', 'c', 1)");
    session.run("SELECT threadline.enable_capture('t')");
    session.run("INSERT INTO t VALUES (3, 'a', 'b', 'c', 1)");
    assert_eq!(
        columns(&mut session),
        [
            "-t.email masked [REDACTED]",
            "t.id",
            "-t.rank excepted",
            "-t.secret excluded",
            "t.v",
            "-t.email masked ***",
            "t.rank",
            "t.secret",
            "t.email"
        ]
    );
    // Each change lies in the stretch whose placeholder it has.
    assert_eq!(
        session.column(
            "SELECT concat(c.data_after ->> 'email', ' ', k.mask_placeholder) FROM threadline.audit_changes c JOIN threadline.audited_columns k
                ON k.name = 'email' AND c.captured_at >= k.since AND (c.captured_at < k.until OR k.until IS NULL) ORDER BY c.id"
        ),
        ["[REDACTED] [REDACTED]", "*** ***", "c "]
    );
}

#[test]
fn renamed_and_dropped_columns_stay() {
    let (_database, mut session) =
        database_with("CREATE TABLE t (id int PRIMARY KEY, a text, b text); SELECT threadline.enable_capture('t')");
    session
        .run("ALTER TABLE t RENAME a TO a2; ALTER TABLE t DROP b, ADD c text; SELECT threadline.refresh_capture('t')");
    session.run("ALTER TABLE t DROP a2, ADD b int; SELECT threadline.refresh_capture('t')");
    assert_eq!(columns(&mut session), ["-t.a", "-t.b", "t.id", "-t.a2", "t.c", "t.b"]);
    for field in ["id", "a", "a2", "b", "c"] {
        assert_eq!(problem(&mut session, Some("t"), field), "none", "{field}");
        assert_eq!(problem(&mut session, None, field), "none", "{field}");
    }
    for field in ["d", "A", "", "........pg.dropped.2........", "ctid", "tableoid"] {
        assert_eq!(problem(&mut session, Some("t"), field), "unknown", "{field}");
        assert_eq!(problem(&mut session, None, field), "unknown", "{field}");
    }
}

#[test]
fn a_column_that_came_after_the_last_refresh_is_known() {
    let (_database, mut session) = database_with(
        "CREATE TABLE t (id int PRIMARY KEY, a text); CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p DEFAULT;
         CREATE TABLE other (id int PRIMARY KEY, elsewhere int); SELECT threadline.enable_capture('t'), threadline.enable_capture('p')",
    );
    session.run(
        "ALTER TABLE t RENAME a TO b; ALTER TABLE t ADD c int; ALTER TABLE p ADD late int; ALTER TABLE t RENAME TO u",
    );
    for (table, fields) in [("t", ["a", "b", "c"]), ("p", ["id", "late", "late"])] {
        for field in fields {
            assert_eq!(problem(&mut session, Some(table), field), "none", "{table}.{field}");
            assert_eq!(problem(&mut session, None, field), "none", "{field}");
        }
    }
    for (table, field) in [("t", "late"), ("p", "c"), ("p", "elsewhere")] {
        assert_eq!(problem(&mut session, Some(table), field), "unknown", "{table}.{field}");
    }
    assert_eq!(problem(&mut session, None, "elsewhere"), "unknown", "a table that is not captured");
    // A column that came and went in between is in the trail only.
    session
        .run("INSERT INTO u VALUES (1); ALTER TABLE u ADD ghost int; UPDATE u SET ghost = 1; ALTER TABLE u DROP ghost");
    assert!(changes(&mut session)[1].contains("fields ghost"));
    assert_eq!(problem(&mut session, Some("t"), "ghost"), "unknown");
}

#[test]
fn what_a_policy_leaves_out_is_told_unless_it_was_ever_named() {
    let (_database, mut session) = database_with(&format!("{TABLE} SELECT threadline.enable_capture('t', '{POLICY}')"));
    for (field, expected) in [("secret", "excluded"), ("rank", "excepted"), ("email", "none"), ("v", "none")] {
        assert_eq!(problem(&mut session, Some("t"), field), expected, "{field}");
        assert_eq!(problem(&mut session, None, field), expected, "{field}");
    }
    session.run("SELECT threadline.enable_capture('t')");
    session.run(&format!("SELECT threadline.enable_capture('t', '{POLICY}')"));
    for field in ["secret", "rank"] {
        assert_eq!(problem(&mut session, Some("t"), field), "none", "{field} was captured in between");
    }
    // Another table that has the column and does not know it yet.
    session.run(
        r#"CREATE TABLE a (id int PRIMARY KEY, hidden int); CREATE TABLE b (id int PRIMARY KEY);
        SELECT threadline.enable_capture('a', '{"exclude": ["hidden"]}'), threadline.enable_capture('b')"#,
    );
    assert_eq!(problem(&mut session, None, "hidden"), "excluded");
    session.run("ALTER TABLE b ADD hidden int");
    assert_eq!(
        (problem(&mut session, None, "hidden"), problem(&mut session, Some("a"), "hidden")),
        ("none".into(), "excluded".into())
    );
    // The excluded column goes, and another comes by its name.
    session.run("ALTER TABLE b DROP hidden; ALTER TABLE a DROP hidden; SELECT threadline.enable_capture('a'); ALTER TABLE a ADD hidden text");
    assert_eq!(problem(&mut session, Some("a"), "hidden"), "none");
}

#[test]
fn a_table_that_is_no_longer_captured_is_still_known() {
    let (_database, mut session) = database_with(
        "CREATE TABLE t (id int PRIMARY KEY, a text); CREATE TABLE gone (id int PRIMARY KEY, lost int);
         SELECT threadline.enable_capture('t'), threadline.enable_capture('gone'); SELECT threadline.disable_capture('t'); DROP TABLE gone",
    );
    assert_eq!(
        (problem(&mut session, Some("t"), "a"), problem(&mut session, Some("gone"), "lost")),
        ("none".into(), "none".into())
    );
    // What came while it was not captured is in no change.
    session.run("ALTER TABLE t ADD meanwhile int");
    assert_eq!(problem(&mut session, Some("t"), "meanwhile"), "unknown");
    session.run("ALTER TABLE t DROP a; SELECT threadline.enable_capture('t')");
    let expected = ["-t.a", "t.id", "gone.id", "gone.lost", "t.meanwhile"];
    assert_eq!(columns(&mut session), expected);
    for field in ["a", "meanwhile"] {
        assert_eq!(problem(&mut session, Some("t"), field), "none", "{field}");
    }
    // A new table under the name of the one that is gone has its history, and its columns.
    session.run("CREATE TABLE gone (id int PRIMARY KEY, fresh int); SELECT threadline.enable_capture('gone')");
    for field in ["lost", "fresh"] {
        assert_eq!(problem(&mut session, Some("gone"), field), "none", "{field}");
    }
}

#[test]
fn a_table_is_asked_under_all_names_that_it_shares_with_others() {
    let (_database, mut session) = database_with(
        "CREATE TABLE t (id int PRIMARY KEY, first int); SELECT threadline.enable_capture('t'); ALTER TABLE t RENAME TO t_old;
         CREATE TABLE t (id int PRIMARY KEY, second int); SELECT threadline.enable_capture('t'); SELECT threadline.refresh_capture('t_old')",
    );
    assert_eq!(problem(&mut session, Some("t_old"), "first"), "none");
    assert_eq!(problem(&mut session, Some("t"), "second"), "none");
    assert_eq!(problem(&mut session, Some("t"), "third"), "unknown");
}

#[test]
fn a_reader_can_ask_without_any_right_on_the_tables() {
    let (database, mut admin) = database_with(&format!(
        "CREATE SCHEMA hidden; CREATE TABLE hidden.t (id int PRIMARY KEY); SELECT threadline.enable_capture('hidden.t');
         ALTER TABLE hidden.t ADD late int; SELECT threadline.grant_reader('{APP}')"
    ));
    let mut reader = Session::open_as(&database, APP);
    assert_eq!(reader.refusal("SELECT FROM hidden.t").sqlstate, "42501");
    assert_eq!(problem(&mut reader, Some("t"), "late"), "none");
    assert_eq!(problem(&mut reader, None, "later"), "unknown");
    assert_eq!(columns(&mut reader), columns(&mut admin));
}
