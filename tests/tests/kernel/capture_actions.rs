//! Semantic actions and what they cover.

use crate::session::Session;
use crate::support::database_with;

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, v text); SELECT threadline.enable_capture('t');";

const ANN: &str = r#"SELECT set_config('threadline.actor_ref', '{"type":"user","id":"ann"}', true), set_config('threadline.context', '{"request_id":"r1","correlation_id":"c1","job_id":"j1"}', true);"#;

fn act(name: &str) -> String {
    format!("SELECT threadline.record_action('{{\"name\":\"{name}\"}}');")
}

/// Each change with the name of its action: `1 published`.
fn covered(session: &mut Session) -> Vec<String> {
    session.column(
        "SELECT format('%s %s', c.table_pk ->> 'id', coalesce(a.name, '-')) FROM threadline.audit_changes c JOIN threadline.audit_transactions t ON t.id = c.transaction_id
         LEFT JOIN threadline.audit_actions a ON a.id = t.action_id ORDER BY c.captured_at, c.id",
    )
}

#[test]
fn the_first_action_covers_what_came_before_and_what_follows() {
    let (_database, mut session) = database_with(TABLE);
    session
        .run(&format!("BEGIN; {ANN} INSERT INTO t VALUES (1); {} INSERT INTO t VALUES (2); COMMIT", act("published")));
    assert_eq!(covered(&mut session), ["1 published", "2 published"]);
    assert_eq!(session.value("SELECT count(*) FROM threadline.audit_transactions"), "1");
}

#[test]
fn a_later_action_covers_what_follows_it_only() {
    let (_database, mut session) = database_with(TABLE);
    session.run(&format!(
        "BEGIN; {ANN} INSERT INTO t VALUES (1); {} INSERT INTO t VALUES (2); {} INSERT INTO t VALUES (3); INSERT INTO t VALUES (4); {} COMMIT",
        act("first"), act("second"), act("third")
    ));
    assert_eq!(covered(&mut session), ["1 first", "2 first", "3 second", "4 second"]);
    assert_eq!(session.value("SELECT count(*) FROM threadline.audit_actions"), "3");
}

#[test]
fn an_action_before_any_change_covers_what_follows() {
    let (_database, mut session) = database_with(TABLE);
    session.run(&format!("BEGIN; {ANN} {} INSERT INTO t VALUES (1); COMMIT", act("only")));
    session.run(&format!("BEGIN; {ANN} {} {} INSERT INTO t VALUES (2); COMMIT", act("first"), act("second")));
    assert_eq!(covered(&mut session), ["1 only", "2 second"]);
}

#[test]
fn an_action_does_not_reach_into_the_next_transaction() {
    let (_database, mut session) = database_with(TABLE);
    session.run(&format!("BEGIN; {ANN} {} INSERT INTO t VALUES (1); COMMIT; BEGIN; {ANN} INSERT INTO t VALUES (2); COMMIT; INSERT INTO t VALUES (3)", act("one")));
    assert_eq!(covered(&mut session), ["1 one", "2 -", "3 -"]);
}

#[test]
fn an_action_belongs_to_its_context() {
    let (_database, mut session) = database_with(TABLE);
    session.run(&format!("BEGIN; {ANN} INSERT INTO t VALUES (1); {}", act("outer")));
    let previous = session.value(r#"SELECT threadline.enter_context('{"type":"job","id":"j"}', '')"#);
    // The inner scope starts without one, and its first covers only its own changes.
    session.run(&format!("INSERT INTO t VALUES (2); {} INSERT INTO t VALUES (3)", act("inner")));
    session.run(&format!("SELECT threadline.leave_context('{previous}'); INSERT INTO t VALUES (4); COMMIT"));
    assert_eq!(covered(&mut session), ["1 outer", "2 inner", "3 inner", "4 outer"]);
    assert_eq!(
        session.column("SELECT name || ' ' || (actor_ref ->> 'id') FROM threadline.audit_actions ORDER BY id"),
        ["outer ann", "inner j"]
    );
    assert_eq!(session.value("SELECT count(*) FROM threadline.audit_transactions"), "2");
}

#[test]
fn an_inner_scope_without_an_action_has_none() {
    let (_database, mut session) = database_with(TABLE);
    session.run(&format!("BEGIN; {ANN} {} INSERT INTO t VALUES (1)", act("outer")));
    let previous = session.value(r#"SELECT threadline.enter_context('{"type":"job","id":"j"}', '')"#);
    session.run(&format!(
        "INSERT INTO t VALUES (2); SELECT threadline.leave_context('{previous}'); INSERT INTO t VALUES (3); COMMIT"
    ));
    assert_eq!(covered(&mut session), ["1 outer", "2 -", "3 outer"]);
}

#[test]
fn an_action_rolled_back_to_a_savepoint_covers_nothing() {
    let (_database, mut session) = database_with(TABLE);
    session.run(&format!("BEGIN; {ANN} INSERT INTO t VALUES (1); SAVEPOINT s; {} INSERT INTO t VALUES (2); ROLLBACK TO s; INSERT INTO t VALUES (3); COMMIT", act("undone")));
    session.run(&format!(
        "BEGIN; {ANN} INSERT INTO t VALUES (4); SAVEPOINT s; {} ROLLBACK TO s; {} INSERT INTO t VALUES (5); COMMIT",
        act("undone"),
        act("kept")
    ));
    assert_eq!(covered(&mut session), ["1 -", "3 -", "4 kept", "5 kept"]);
    assert_eq!(session.column("SELECT name FROM threadline.audit_actions"), ["kept"]);
}

#[test]
fn every_field_of_an_action_is_recorded_with_the_contexts_as_default() {
    let (_database, mut session) = database_with(TABLE);
    session.run(&format!(
        r#"BEGIN; {ANN}
        SELECT threadline.record_action('{{"name":"plain"}}');
        SELECT threadline.record_action('{{"name":"  full  ","status":"error","verb":"v","category":"c","reason":"r","comment":"k","correlation_id":"c2","request_id":"r2","job_id":"j2","actor_ref":{{"type":"admin","id":"bob"}}}}');
        SELECT threadline.record_action('{{"name":"nulls","status":null,"verb":null,"actor_ref":null,"request_id":null}}');
        COMMIT"#
    ));
    assert_eq!(
        session.column(
            "SELECT concat_ws(' ', name, status, actor_ref ->> 'id', coalesce(verb, '-'), coalesce(category, '-'), coalesce(reason, '-'), coalesce(comment, '-'), correlation_id, request_id, job_id, recorded_at BETWEEN now() - interval '1 min' AND clock_timestamp())
             FROM threadline.audit_actions ORDER BY id"
        ),
        ["plain ok ann - - - - c1 r1 j1 t", "full error bob v c r k c2 r2 j2 t", "nulls ok ann - - - - c1 r1 j1 t"]
    );
}

#[test]
fn an_invalid_action_is_refused() {
    let (_database, mut session) = database_with(TABLE);
    for action in [
        "{}",
        r#"{"name":""}"#,
        r#"{"name":"  "}"#,
        r#"{"name":null}"#,
        r#"{"name":7}"#,
        r#"{"name":"x","status":"maybe"}"#,
        r#"{"name":"x","unknown":"y"}"#,
        r#"{"name":"x","reason":{}}"#,
        "[]",
        "\"x\"",
        "null",
    ] {
        session
            .refusal(&format!("{ANN} SELECT threadline.record_action('{action}')"))
            .has_code("TL008", "invalid_action");
    }
    session.refusal(&format!("{ANN} SELECT threadline.record_action(NULL)")).has_code("TL008", "invalid_action");
    session.refusal(&act("x")).has_code("TL001", "missing_actor");
    session
        .refusal(r#"SELECT threadline.record_action('{"name":"x","actor_ref":{"type":"robot"}}')"#)
        .has_code("TL002", "malformed_context");
    session
        .refusal(&format!("SELECT set_config('threadline.context', '[]', true); {}", act("x")))
        .has_code("TL002", "malformed_context");
    assert_eq!(session.value("SELECT count(*) FROM threadline.audit_actions"), "0");
}

#[test]
fn an_action_needs_no_change_and_brings_its_own_actor() {
    let (_database, mut session) = database_with(TABLE);
    session.run(r#"SELECT threadline.record_action('{"name":"login","actor_ref":{"type":"anonymous"}}')"#);
    assert_eq!(
        session.column("SELECT name || ' ' || (actor_ref ->> 'type') FROM threadline.audit_actions"),
        ["login anonymous"]
    );
    assert_eq!(session.value("SELECT count(*) FROM threadline.audit_transactions"), "0");
}

#[test]
fn actions_link_across_partitions_of_the_trail() {
    // A transaction row may lie in any partition, and the link is an update of it.
    let (_database, mut session) = database_with(TABLE);
    session.run("SELECT threadline.create_partitions(3)");
    for i in 0..3 {
        session.run(&format!("BEGIN; {ANN} INSERT INTO t VALUES ({i}); {} COMMIT", act(&format!("a{i}"))));
    }
    assert_eq!(covered(&mut session), ["0 a0", "1 a1", "2 a2"]);
}
