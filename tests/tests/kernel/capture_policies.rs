//! What a policy changes about what is recorded.

use crate::support::{changes, database_with, records};

/// The same table twice, captured statement by statement and row by row.
fn tables(policy: &str) -> String {
    format!(
        "CREATE TABLE t (id int PRIMARY KEY, name text, secret text, noise int, j json);
         CREATE TABLE p (id int PRIMARY KEY, name text, secret text, noise int, j json) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p DEFAULT;
         SELECT threadline.enable_capture('t', '{policy}'), threadline.enable_capture('p', '{policy}')"
    )
}

const WRITES: &str = "
    INSERT INTO t VALUES (1, 'n', 's', 1, '{}'), (2, 'm', NULL, 2, NULL);
    UPDATE t SET secret = 'S' WHERE id = 1;
    UPDATE t SET noise = noise + 10, name = name || '!';
    UPDATE t SET noise = 0;
    DELETE FROM t;";

#[track_caller]
fn both_record(policy: &str, expected: &[&str]) {
    let (_database, mut session) = database_with(&tables(policy));
    records(&mut session, WRITES, expected);
    // Row by row, the same.
    let expected: Vec<String> = expected.iter().map(|line| line.replacen(" t ", " p ", 1)).collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    records(&mut session, &WRITES.replace(" t ", " p ").replace("FROM t;", "FROM p;"), &expected);
}

#[test]
fn excluded_columns_are_nowhere() {
    both_record(
        r#"{"exclude": ["secret", "j"]}"#,
        &[
            r#"insert t {"id": 1} after {"id": 1, "name": "n", "noise": 1}"#,
            r#"insert t {"id": 2} after {"id": 2, "name": "m", "noise": 2}"#,
            r#"update t {"id": 2} after {"id": 2, "name": "m!", "noise": 12} fields name,noise from {"name": "m", "noise": 2}"#,
            r#"update t {"id": 1} after {"id": 1, "name": "n!", "noise": 11} fields name,noise from {"name": "n", "noise": 1}"#,
            r#"update t {"id": 2} after {"id": 2, "name": "m!", "noise": 0} fields noise from {"noise": 12}"#,
            r#"update t {"id": 1} after {"id": 1, "name": "n!", "noise": 0} fields noise from {"noise": 11}"#,
            r#"delete t {"id": 2} from {"id": 2, "name": "m!", "noise": 0}"#,
            r#"delete t {"id": 1} from {"id": 1, "name": "n!", "noise": 0}"#,
        ],
    );
}

#[test]
fn masked_columns_show_that_they_changed_and_nothing_else() {
    both_record(
        r#"{"mask": ["secret"], "exclude": ["j", "noise"], "mask_placeholder": "***"}"#,
        &[
            r#"insert t {"id": 1} after {"id": 1, "name": "n", "secret": "***"}"#,
            // NULL is masked too: whether there is a secret is a secret.
            r#"insert t {"id": 2} after {"id": 2, "name": "m", "secret": "***"}"#,
            r#"update t {"id": 1} after {"id": 1, "name": "n", "secret": "***"} fields secret from {"secret": "***"}"#,
            r#"update t {"id": 2} after {"id": 2, "name": "m!", "secret": "***"} fields name from {"name": "m"}"#,
            r#"update t {"id": 1} after {"id": 1, "name": "n!", "secret": "***"} fields name from {"name": "n"}"#,
            r#"delete t {"id": 2} from {"id": 2, "name": "m!", "secret": "***"}"#,
            r#"delete t {"id": 1} from {"id": 1, "name": "n!", "secret": "***"}"#,
        ],
    );
}

#[test]
fn without_before_values_the_names_of_changed_fields_remain() {
    both_record(
        r#"{"before_values": false, "exclude": ["j"]}"#,
        &[
            r#"insert t {"id": 1} after {"id": 1, "name": "n", "noise": 1, "secret": "s"}"#,
            r#"insert t {"id": 2} after {"id": 2, "name": "m", "noise": 2, "secret": null}"#,
            r#"update t {"id": 1} after {"id": 1, "name": "n", "noise": 1, "secret": "S"} fields secret"#,
            r#"update t {"id": 2} after {"id": 2, "name": "m!", "noise": 12, "secret": null} fields name,noise"#,
            r#"update t {"id": 1} after {"id": 1, "name": "n!", "noise": 11, "secret": "S"} fields name,noise"#,
            r#"update t {"id": 2} after {"id": 2, "name": "m!", "noise": 0, "secret": null} fields noise"#,
            r#"update t {"id": 1} after {"id": 1, "name": "n!", "noise": 0, "secret": "S"} fields noise"#,
            r#"delete t {"id": 2} from {"id": 2, "name": "m!", "noise": 0, "secret": null}"#,
            r#"delete t {"id": 1} from {"id": 1, "name": "n!", "noise": 0, "secret": "S"}"#,
        ],
    );
}

#[test]
fn excepted_columns_are_in_the_image_and_not_in_what_was() {
    both_record(
        r#"{"except_columns": ["noise", "secret"], "exclude": ["j"]}"#,
        &[
            r#"insert t {"id": 1} after {"id": 1, "name": "n", "noise": 1, "secret": "s"}"#,
            r#"insert t {"id": 2} after {"id": 2, "name": "m", "noise": 2, "secret": null}"#,
            r#"update t {"id": 1} after {"id": 1, "name": "n", "noise": 1, "secret": "S"} fields  from {}"#,
            r#"update t {"id": 2} after {"id": 2, "name": "m!", "noise": 12, "secret": null} fields name from {"name": "m"}"#,
            r#"update t {"id": 1} after {"id": 1, "name": "n!", "noise": 11, "secret": "S"} fields name from {"name": "n"}"#,
            r#"update t {"id": 2} after {"id": 2, "name": "m!", "noise": 0, "secret": null} fields  from {}"#,
            r#"update t {"id": 1} after {"id": 1, "name": "n!", "noise": 0, "secret": "S"} fields  from {}"#,
            r#"delete t {"id": 2} from {"id": 2, "name": "m!"}"#,
            r#"delete t {"id": 1} from {"id": 1, "name": "n!"}"#,
        ],
    );
}

#[test]
fn lean_images_keep_what_rebuilds_every_row() {
    both_record(
        r#"{"images": "lean", "exclude": ["j"]}"#,
        &[
            r#"insert t {"id": 1}"#,
            r#"insert t {"id": 2}"#,
            r#"update t {"id": 1} fields secret from {"secret": "s"}"#,
            r#"update t {"id": 2} fields name,noise from {"name": "m", "noise": 2}"#,
            r#"update t {"id": 1} fields name,noise from {"name": "n", "noise": 1}"#,
            r#"update t {"id": 2} fields noise from {"noise": 12}"#,
            r#"update t {"id": 1} fields noise from {"noise": 11}"#,
            r#"delete t {"id": 2} from {"id": 2, "name": "m!", "noise": 0, "secret": null}"#,
            r#"delete t {"id": 1} from {"id": 1, "name": "n!", "noise": 0, "secret": "S"}"#,
        ],
    );
}

#[test]
fn lean_images_record_a_truncation_row_by_row() {
    let (_database, mut session) = database_with(&tables(r#"{"images": "lean", "exclude": ["j", "secret"]}"#));
    session.run("INSERT INTO t VALUES (1, 'n', 's', 1, '{}'); INSERT INTO p VALUES (1, 'n', 's', 1, '{}')");
    records(&mut session, "TRUNCATE t", &[r#"delete t {"id": 1} from {"id": 1, "name": "n", "noise": 1}"#]);
    records(&mut session, "TRUNCATE p", &[r#"delete p {"id": 1} from {"id": 1, "name": "n", "noise": 1}"#]);
}

#[test]
fn a_refused_truncation_names_the_table_and_the_way_out() {
    let (_database, mut session) = database_with(&tables(r#"{"truncate": "refuse"}"#));
    session.run("INSERT INTO t (id) VALUES (1); INSERT INTO p (id) VALUES (1)");
    for table in ["t", "p", "p1"] {
        let refusal = session.refusal(&format!("TRUNCATE {table}"));
        refusal.has_code("TL007", "truncate_refused");
        refusal.is_about("public", table, "");
        assert_eq!(session.value(&format!("SELECT count(*) FROM {table}")), "1");
    }
}

#[test]
fn truncate_recorded_row_by_row_ends_with_an_empty_table_and_its_sequence() {
    let (_database, mut session) = database_with(
        r#"CREATE TABLE t (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, v text); INSERT INTO t (v) VALUES ('a'), ('b');
           SELECT threadline.enable_capture('t', '{"truncate": "rows"}')"#,
    );
    records(
        &mut session,
        "TRUNCATE t RESTART IDENTITY; INSERT INTO t (v) VALUES ('c')",
        &[
            r#"delete t {"id": 1} from {"v": "a", "id": 1}"#,
            r#"delete t {"id": 2} from {"v": "b", "id": 2}"#,
            r#"insert t {"id": 1} after {"v": "c", "id": 1}"#,
        ],
    );
}

#[test]
fn a_table_that_requires_an_actor_refuses_unattributed_changes() {
    let (_database, mut session) = database_with(&tables(r#"{"require_actor": true}"#));
    let actor = r#"SELECT set_config('threadline.actor_ref', '{"type":"job","id":"1"}', true);"#;
    session.run(&format!("BEGIN; {actor} INSERT INTO t (id) VALUES (1); INSERT INTO p (id) VALUES (1); COMMIT"));
    for (table, statements) in [
        ("t", ["INSERT INTO t (id) VALUES (2)", "UPDATE t SET name = 'x'", "DELETE FROM t", "TRUNCATE t"]),
        ("p", ["INSERT INTO p (id) VALUES (2)", "UPDATE p SET name = 'x'", "DELETE FROM p", "TRUNCATE p"]),
    ] {
        for sql in statements {
            // Also when an earlier transaction left the setting behind, empty.
            for context in [
                "",
                "SELECT set_config('threadline.context', '{\"source\":\"x\"}', true);",
                "SELECT set_config('threadline.actor_ref', '', true);",
            ] {
                let refusal = session.refusal(&format!("{context} {sql}"));
                refusal.has_code("TL001", "missing_actor");
                refusal.is_about("public", table, "");
            }
            session.run(&format!("BEGIN; {actor} {sql}; ROLLBACK"));
        }
        // Nothing changed, nothing to attribute.
        session.run(&format!("UPDATE {table} SET name = 'x' WHERE false; DELETE FROM {table} WHERE false; INSERT INTO {table} SELECT * FROM {table} WHERE false"));
    }
    assert_eq!(changes(&mut session).len(), 2);
}

#[test]
fn a_changed_policy_holds_from_then_on() {
    let (_database, mut session) = database_with(&tables("{}"));
    session.run("INSERT INTO t VALUES (1, 'n', 's', 1, '{}')");
    session.run(r#"SELECT threadline.enable_capture('t', '{"exclude": ["secret", "j", "noise"]}')"#);
    records(
        &mut session,
        "UPDATE t SET secret = 'x', name = 'y'; UPDATE t SET secret = 'z'",
        &[r#"update t {"id": 1} after {"id": 1, "name": "y"} fields name from {"name": "n"}"#],
    );
    assert_eq!(session.value("SELECT count(*) FROM threadline.audited_tables WHERE table_name = 't'"), "1");
    assert_eq!(
        session.value("SELECT policy ->> 'exclude' FROM threadline.audited_tables WHERE table_name = 't'"),
        r#"["secret", "j", "noise"]"#
    );
}
