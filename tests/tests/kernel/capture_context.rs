//! Context and grouping: who and why, one audit transaction for each unit of work.

use crate::session::Session;
use crate::support::{changes, database_with};

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE u (id int PRIMARY KEY);
    CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p DEFAULT;
    SELECT threadline.enable_capture('t'), threadline.enable_capture('u'), threadline.enable_capture('p');";

fn set(actor: &str, context: &str) -> String {
    format!(
        "SELECT set_config('threadline.actor_ref', '{actor}', true), set_config('threadline.context', '{context}', true);"
    )
}

const ANN: &str = r#"{"type":"user","id":"ann"}"#;
const BOB: &str = r#"{"type":"admin","id":"bob"}"#;

/// Each change with its transaction's actor and request: `t 1: ann r1`.
fn attributed(session: &mut Session) -> Vec<String> {
    session.column(
        "SELECT format('%s %s: %s %s', c.table_name, c.table_pk ->> 'id', coalesce(t.actor_ref ->> 'id', '-'), coalesce(t.request_id, '-'))
         FROM threadline.audit_changes c JOIN threadline.audit_transactions t ON t.id = c.transaction_id ORDER BY c.captured_at, c.id",
    )
}

fn groups(session: &mut Session) -> String {
    session.value("SELECT count(*) FROM threadline.audit_transactions")
}

#[test]
fn one_transaction_is_one_group_however_many_statements_and_tables() {
    let (_database, mut session) = database_with(TABLE);
    session.run("INSERT INTO t VALUES (100)");
    session.run(&format!(
        "BEGIN; {} INSERT INTO t VALUES (1), (2); INSERT INTO u VALUES (1); INSERT INTO p VALUES (1), (2); UPDATE t SET v = 'x'; DELETE FROM u; TRUNCATE p; COMMIT",
        set(ANN, r#"{"request_id":"r1"}"#)
    ));
    session.run("INSERT INTO t VALUES (101)");
    assert_eq!(groups(&mut session), "3");
    assert_eq!(
        session.column("SELECT count(*) FROM threadline.audit_changes GROUP BY transaction_id ORDER BY 1"),
        ["1", "1", "10"]
    );
    assert_eq!(session.value("SELECT count(*) FROM threadline.audit_changes c JOIN threadline.audit_transactions t ON t.id = c.transaction_id AND t.xid = c.xid"), "12");
}

#[test]
fn every_field_of_the_context_is_recorded() {
    let (_database, mut session) = database_with(TABLE);
    session.run("SET application_name = 'an app'");
    session.run(&format!(
        "BEGIN; {} INSERT INTO t VALUES (1); COMMIT",
        set(
            r#"{"type":"service_account","id":"s","on_behalf_of":{"type":"user","id":"ann"}}"#,
            r#"{"correlation_id":"c","request_id":"r","job_id":"j","source":"s","remote_ip":"::1","meta":{"a":[1,null]}}"#
        )
    ));
    assert_eq!(
        session.rows("SELECT actor_ref, action_id, correlation_id, request_id, job_id, source, remote_ip, meta, session_role = session_user, current_role_name, application_name FROM threadline.audit_transactions"),
        [[
            Some(r#"{"id": "s", "type": "service_account", "on_behalf_of": {"id": "ann", "type": "user"}}"#.to_owned()),
            None,
            Some("c".to_owned()),
            Some("r".to_owned()),
            Some("j".to_owned()),
            Some("s".to_owned()),
            Some("::1".to_owned()),
            Some(r#"{"a": [1, null]}"#.to_owned()),
            Some("t".to_owned()),
            Some("none".to_owned()),
            Some("an app".to_owned()),
        ]]
    );
}

#[test]
fn without_context_changes_are_captured_without_an_actor() {
    let (_database, mut session) = database_with(TABLE);
    session.run("INSERT INTO t VALUES (1)");
    session.run(&format!("{} INSERT INTO t VALUES (2)", set("", "")));
    session.run(&format!("{} INSERT INTO t VALUES (3)", set("", r#"{"request_id":"r"}"#)));
    // What a transaction set reads back as empty, not as unset, in the next one of the session.
    session.run(&format!("{} INSERT INTO t VALUES (4)", set(ANN, r#"{"request_id":"r"}"#)));
    assert_eq!(session.value("SHOW threadline.actor_ref"), "");
    session.run("INSERT INTO t VALUES (5)");
    assert_eq!(attributed(&mut session), ["t 1: - -", "t 2: - -", "t 3: - r", "t 4: ann r", "t 5: - -"]);
}

#[test]
fn the_context_does_not_leak_into_the_next_transaction() {
    let (_database, mut session) = database_with(TABLE);
    session.run(&format!(
        "BEGIN; {} INSERT INTO t VALUES (1); COMMIT AND CHAIN; INSERT INTO t VALUES (2); COMMIT",
        set(ANN, "")
    ));
    session.run(&format!(
        "BEGIN; {} INSERT INTO t VALUES (3); ROLLBACK AND CHAIN; INSERT INTO t VALUES (4); COMMIT",
        set(ANN, "")
    ));
    session.run("BEGIN; INSERT INTO t VALUES (5); COMMIT");
    assert_eq!(attributed(&mut session), ["t 1: ann -", "t 2: - -", "t 4: - -", "t 5: - -"]);
}

#[test]
fn a_changed_context_opens_a_new_group_and_an_old_one_is_found_again() {
    let (_database, mut session) = database_with(TABLE);
    let (ann, bob) = (set(ANN, r#"{"request_id":"r1"}"#), set(BOB, r#"{"request_id":"r2"}"#));
    session.run(&format!(
        "BEGIN; INSERT INTO t VALUES (1); {ann} INSERT INTO t VALUES (2); {bob} INSERT INTO t VALUES (3); INSERT INTO u VALUES (3);
         {ann} INSERT INTO t VALUES (4); {} INSERT INTO t VALUES (5); {bob} INSERT INTO t VALUES (6); COMMIT",
        set("", "")
    ));
    assert_eq!(
        attributed(&mut session),
        ["t 1: - -", "t 2: ann r1", "t 3: bob r2", "u 3: bob r2", "t 4: ann r1", "t 5: - -", "t 6: bob r2"]
    );
    assert_eq!(groups(&mut session), "3");
}

#[test]
fn contexts_that_join_to_the_same_text_are_told_apart() {
    let (_database, mut session) = database_with(TABLE);
    // A digest over the two settings glued together would take these for one.
    session.run(&format!(
        "BEGIN; {} INSERT INTO t VALUES (1); {} INSERT INTO t VALUES (2); {} INSERT INTO t VALUES (3); COMMIT",
        set(r#"{"type":"user","id":"a"}"#, ""),
        set("", r#"{"request_id":"a"}"#),
        set(r#"{"type":"user","id":"a"} "#, ""),
    ));
    assert_eq!(attributed(&mut session), ["t 1: a -", "t 2: - a", "t 3: a -"]);
}

#[test]
fn entering_and_leaving_a_context_restores_the_outer_one() {
    let (_database, mut session) = database_with(TABLE);
    session.run(&format!("BEGIN; {} INSERT INTO t VALUES (1)", set(ANN, r#"{"request_id":"r1"}"#)));
    let previous = session.value(&format!("SELECT threadline.enter_context('{BOB}', '{{\"request_id\":\"r2\"}}')"));
    session.run("INSERT INTO t VALUES (2)");
    let inner = session.value("SELECT threadline.enter_context('', '')");
    session.run("INSERT INTO t VALUES (3)");
    session.run(&format!("SELECT threadline.leave_context('{inner}'); INSERT INTO t VALUES (4)"));
    session.run(&format!("SELECT threadline.leave_context('{previous}'); INSERT INTO t VALUES (5); COMMIT"));
    assert_eq!(attributed(&mut session), ["t 1: ann r1", "t 2: bob r2", "t 3: - -", "t 4: bob r2", "t 5: ann r1"]);
    assert_eq!(groups(&mut session), "3");
}

#[test]
fn the_transaction_id_is_that_of_the_current_context() {
    let (_database, mut session) = database_with(TABLE);
    assert_eq!(session.value("SELECT threadline.transaction_id()"), "NULL");
    session.run(&format!("BEGIN; {}", set(ANN, "")));
    assert_eq!(session.value("SELECT threadline.transaction_id()"), "NULL");
    session.run("INSERT INTO t VALUES (1)");
    let ann = session.value("SELECT threadline.transaction_id()");
    session.run(&set(BOB, ""));
    assert_eq!(session.value("SELECT threadline.transaction_id()"), "NULL");
    session.run("INSERT INTO t VALUES (2)");
    let bob = session.value("SELECT threadline.transaction_id()");
    session.run(&format!("{} COMMIT", set(ANN, "")));
    assert_ne!(ann, bob);
    assert_eq!(
        session.column("SELECT id || ' ' || (actor_ref ->> 'id') FROM threadline.audit_transactions ORDER BY id"),
        [format!("{ann} ann"), format!("{bob} bob")]
    );
    assert_eq!(session.value("SELECT threadline.transaction_id()"), "NULL");
    // Asking does not give a read-only transaction an id.
    assert_eq!(session.value("BEGIN READ ONLY; SELECT threadline.transaction_id() IS NULL AND pg_current_xact_id_if_assigned() IS NULL; COMMIT"), "t");
}

#[test]
fn a_malformed_context_is_refused_once_and_clearly() {
    let (_database, mut session) = database_with(TABLE);
    let actors = [
        "{",
        "1",
        "null",
        "[]",
        "\"user:1\"",
        "{}",
        r#"{"type":"user"}"#,
        r#"{"type":"user","id":1}"#,
        r#"{"type":"user","id":""}"#,
        r#"{"type":"user","id":null}"#,
        r#"{"type":"robot","id":"1"}"#,
        r#"{"type":null,"id":"1"}"#,
        r#"{"type":["user"],"id":"1"}"#,
        r#"{"type":"user","id":["1"]}"#,
        r#"[{"type":"user","id":"1"}]"#,
        r#"{"id":"1"}"#,
        r#"{"type":"anonymous","id":"1"}"#,
        r#"{"type":"job","id":"1","on_behalf_of":"user:1"}"#,
        r#"{"type":"job","id":"1","on_behalf_of":null}"#,
        r#"{"type":"job","id":"1","on_behalf_of":{"type":"user"}}"#,
        r#"{"type":"user","id":"\u0000"}"#,
        "s3cret-token",
    ];
    let contexts = ["{", "1", "[]", "\"x\"", "true", r#"{"request_id":"\u0000"}"#, "s3cret-token"];
    let cases =
        actors.iter().map(|value| ("actor_ref", *value)).chain(contexts.iter().map(|value| ("context", *value)));
    for (setting, value) in cases {
        for write in ["INSERT INTO t VALUES (1)", "INSERT INTO p VALUES (1)", "TRUNCATE t"] {
            let refusal =
                session.refusal(&format!("SELECT set_config('threadline.{setting}', '{value}', true); {write}"));
            refusal.has_code("TL002", "malformed_context");
            assert!(refusal.message.contains(&format!("threadline.{setting}")), "{value}: {refusal:?}");
            // A value can hold what does not belong into logs.
            assert!(!format!("{refusal:?}").contains("s3cret"), "{refusal:?}");
        }
    }
    assert_eq!(changes(&mut session), [""; 0]);
}

#[test]
fn every_kind_of_actor_is_accepted() {
    let (_database, mut session) = database_with(TABLE);
    let actors = [
        r#"{"type":"user","id":"1"}"#,
        r#"{"type":"admin","id":"1"}"#,
        r#"{"type":"service_account","id":"1"}"#,
        r#"{"type":"job","id":"1"}"#,
        r#"{"type":"system","id":"1"}"#,
        r#"{"type":"anonymous"}"#,
        r#"{"type":"user","id":"é ''☃\" \\u0041"}"#,
        r#"{"type":"job","id":"1","on_behalf_of":{"type":"anonymous"}}"#,
        r#" {"id":"1","type":"user","extra":{"kept":true}} "#,
    ];
    for (id, actor) in actors.iter().enumerate() {
        session.run(&format!("{} INSERT INTO t VALUES ({id})", set(actor, "")));
        let stored = session.value(&format!(
            "SELECT actor_ref = '{actor}'::jsonb FROM threadline.audit_transactions ORDER BY id DESC LIMIT 1"
        ));
        assert_eq!(stored, "t", "{actor}");
    }
}

#[test]
fn an_empty_meta_or_an_unknown_field_harms_nothing() {
    let (_database, mut session) = database_with(TABLE);
    for context in [
        "{}",
        r#"{"meta":{}}"#,
        r#"{"meta":null}"#,
        r#"{"request_id":null}"#,
        r#"{"request_id":7}"#,
        r#"{"later":"field"}"#,
    ] {
        session.run(&format!("{} INSERT INTO t VALUES (1); DELETE FROM t", set(ANN, context)));
    }
    assert_eq!(session.value("SELECT string_agg(request_id, ',') FROM threadline.audit_transactions"), "7");
}
