//! The trail is append-only, for everyone and on every leaf.

use crate::session::Session;
use crate::support::{changes, database_with};

const SETUP: &str = r#"
    CREATE TABLE t (id int PRIMARY KEY);
    SELECT threadline.enable_capture('t');
    BEGIN;
    SELECT threadline.set_context('{"type":"user","id":"1"}');
    INSERT INTO t VALUES (1);
    SELECT threadline.record_action('{"name":"n"}');
    COMMIT;
    BEGIN;
    INSERT INTO t VALUES (2);
    COMMIT;"#;

/// The roots and every leaf of the trail.
fn trail(session: &mut Session) -> Vec<String> {
    let relations = session.column(
        "SELECT c.oid::regclass FROM pg_class c WHERE c.relnamespace = 'threadline'::regnamespace AND c.relkind IN ('r', 'p')
             AND c.relname ~ '^audit_(changes|transactions|actions)' ORDER BY 1",
    );
    assert!(relations.len() >= 3 + 2 * 8, "{relations:?}");
    relations
}

#[test]
fn update_delete_and_truncate_are_refused_on_every_leaf_even_for_the_owner() {
    let (_database, mut session) = database_with(SETUP);
    session.run("SELECT threadline.create_partitions(12)");
    let known = changes(&mut session);
    for role in ["postgres", "threadline_owner"] {
        session.run(&format!("SET ROLE {}", if role == "postgres" { "NONE" } else { role }));
        for relation in trail(&mut session) {
            let table = relation.trim_start_matches("threadline.").to_owned();
            let mut statements = vec![
                format!("DELETE FROM {relation}"),
                format!("DELETE FROM {relation} WHERE false"),
                format!("TRUNCATE {relation}"),
                format!("TRUNCATE {relation} CASCADE"),
            ];
            // Of transactions, the running one may still learn its action: its guard looks at rows.
            if !table.starts_with("audit_transactions") {
                statements.push(format!("UPDATE {relation} SET id = id"));
            }
            for sql in statements {
                let refusal = session.refusal(&sql);
                refusal.has_code("TL003", "append_only");
                assert_eq!((&*refusal.schema, &*refusal.table), ("threadline", &*table), "{sql}");
            }
        }
        session.refusal("UPDATE threadline.audit_transactions SET actor_ref = NULL").has_code("TL003", "append_only");
    }
    session.run("RESET ROLE");
    assert_eq!(changes(&mut session), known);
}

#[test]
fn no_form_of_update_gets_past_the_guards() {
    let (_database, mut session) = database_with(SETUP);
    for sql in [
        "UPDATE ONLY threadline.audit_changes_default SET op = 'x'",
        "WITH w AS (DELETE FROM threadline.audit_changes RETURNING 1) SELECT * FROM w",
        "INSERT INTO threadline.audit_actions SELECT * FROM threadline.audit_actions ON CONFLICT (id) DO UPDATE SET name = 'x'",
        "MERGE INTO threadline.audit_actions a USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE",
        "MERGE INTO threadline.audit_actions a USING (SELECT 1) s ON true WHEN MATCHED THEN UPDATE SET name = 'x'",
        "TRUNCATE t, threadline.audit_actions",
    ] {
        if sql.starts_with("MERGE")
            && session.value("SELECT current_setting('server_version_num')::int < 150000") == "t"
        {
            continue; // 14 has no MERGE
        }
        session.refusal(sql).has_code("TL003", "append_only");
    }
}

#[test]
fn a_transaction_may_learn_its_action_once_and_nothing_else() {
    let (_database, mut session) = database_with(SETUP);
    let refused = |session: &mut Session, sql: &str| session.refusal(sql).has_code("TL003", "append_only");
    // Somebody else's transaction, with and without an action.
    refused(&mut session, "UPDATE threadline.audit_transactions SET action_id = 7 WHERE id = 1");
    refused(&mut session, "UPDATE threadline.audit_transactions SET action_id = 7 WHERE id = 2");
    // The running one's.
    for column in [
        "actor_ref = '{}'",
        "xid = '1'",
        "occurred_at = now() - interval '1 s'",
        "request_id = 'x'",
        "session_role = 'x'",
        "id = 99",
        "action_id = 1, meta = '{}'",
    ] {
        refused(
            &mut session,
            &format!(
                "INSERT INTO t VALUES (3); UPDATE threadline.audit_transactions SET {column} WHERE xid = pg_current_xact_id()"
            ),
        );
    }
    refused(
        &mut session,
        "INSERT INTO t VALUES (3); UPDATE threadline.audit_transactions SET action_id = 1 WHERE xid = pg_current_xact_id();
         UPDATE threadline.audit_transactions SET action_id = 2 WHERE xid = pg_current_xact_id()",
    );
    session.run("INSERT INTO t VALUES (3); UPDATE threadline.audit_transactions SET action_id = 1 WHERE xid = pg_current_xact_id()");
}

#[test]
fn a_partition_made_later_is_guarded_too() {
    let (_database, mut session) = database_with(SETUP);
    let before = trail(&mut session).len();
    session.run("SELECT threadline.create_partitions(20)");
    let all = trail(&mut session);
    assert!(all.len() > before);
    for relation in all {
        session.refusal(&format!("TRUNCATE {relation}")).has_code("TL003", "append_only");
        session.refusal(&format!("DELETE FROM {relation}")).has_code("TL003", "append_only");
    }
}
