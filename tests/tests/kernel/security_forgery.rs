//! Settings are anyone's to set. A forged one must not change what others recorded, and must show.

use crate::session::Session;
use crate::support::{APP, changes, database_with};
use threadline_testkit::Database;

const SETUP: &str = r#"
    CREATE TABLE t (id int PRIMARY KEY, v text);
    SELECT threadline.enable_capture('t');
    GRANT ALL ON t TO threadline_test_app;
    SELECT threadline.grant_application('threadline_test_app');
    BEGIN;
    SELECT threadline.set_context('{"type":"admin","id":"root"}');
    INSERT INTO t VALUES (1, 'honest');
    COMMIT;"#;

fn forger() -> (Database, Session, Session) {
    let (database, admin) = database_with(SETUP);
    let app = Session::open_as(&database, APP);
    (database, admin, app)
}

/// The mark of the running transaction, as capture writes it into `threadline.tx`, with another id.
const FORGED_TX: &str = "
    INSERT INTO t VALUES (2, 'own');
    SELECT set_config('threadline.tx', regexp_replace(current_setting('threadline.tx'), '[0-9]+$', '1'), true);";

#[test]
fn a_change_attached_to_another_transaction_shows_as_a_mismatch_of_xids() {
    let (_database, mut admin, mut app) = forger();
    app.run(&format!("BEGIN; {FORGED_TX} INSERT INTO t VALUES (3, 'forged'); COMMIT"));
    let mismatched = admin.column(
        "SELECT c.data_after ->> 'v' FROM threadline.audit_changes c JOIN threadline.audit_transactions t ON t.id = c.transaction_id WHERE c.xid <> t.xid",
    );
    assert_eq!(mismatched, ["forged"]);
}

#[test]
fn a_setting_left_over_from_another_transaction_is_ignored() {
    let (_database, mut admin, mut app) = forger();
    // For the whole session, as a careless pooler would keep it.
    app.run("BEGIN; INSERT INTO t VALUES (2, 'a'); SELECT set_config('threadline.tx', current_setting('threadline.tx'), false),
        set_config('threadline.units', current_setting('threadline.units'), false), set_config('threadline.clock', current_setting('threadline.clock'), false),
        set_config('threadline.action', pg_current_xact_id() || ':77', false); COMMIT");
    app.run("INSERT INTO t VALUES (3, 'b')");
    assert_eq!(
        admin.column("SELECT t.action_id::text FROM threadline.audit_changes c JOIN threadline.audit_transactions t ON t.id = c.transaction_id AND t.xid = c.xid WHERE c.xid IN (SELECT max(xid::text::int8)::text::xid8 FROM threadline.audit_changes)"),
        ["NULL"]
    );
    assert_eq!(admin.value("SELECT count(DISTINCT transaction_id) FROM threadline.audit_changes"), "3");
}

#[test]
fn an_action_cannot_be_linked_to_somebody_elses_transaction() {
    let (_database, mut admin, mut app) = forger();
    let before = admin.rows("SELECT * FROM threadline.audit_transactions WHERE id = 1");
    // The units setting names the transaction row by id (and place): make it name the honest one.
    let place = admin.value("SELECT ctid::text FROM threadline.audit_transactions WHERE id = 1");
    for forged in [
        format!("regexp_replace(current_setting('threadline.units'), '=.*$', '=1={place}')"),
        "regexp_replace(current_setting('threadline.units'), '=[0-9]+', '=1')".to_owned(),
        "regexp_replace(current_setting('threadline.units'), '=.*$', '=1')".to_owned(),
    ] {
        let result = app.attempt(&format!(
            "BEGIN; SELECT threadline.set_context('{{\"type\":\"user\",\"id\":\"1\"}}'); INSERT INTO t VALUES (100, 'x');
             SELECT set_config('threadline.units', {forged}, true);
             SELECT threadline.record_action('{{\"name\":\"forged\"}}'); COMMIT"
        ));
        app.run("ROLLBACK; DELETE FROM t WHERE id = 100");
        assert_eq!(admin.rows("SELECT * FROM threadline.audit_transactions WHERE id = 1"), before, "{result:?}");
    }
}

#[test]
fn nonsense_in_the_internal_settings_harms_nobody_else() {
    let (_database, mut admin, mut app) = forger();
    let settings = [
        "threadline.tx",
        "threadline.units",
        "threadline.action",
        "threadline.clock",
        "threadline.truncating",
        "threadline.order_1_insert",
        "threadline.order_1_update",
    ];
    let values = [
        "'x'",
        "'1 1 1'",
        "pg_current_xact_id() || ' '",
        "pg_current_xact_id() || ' x/=y '",
        "pg_current_xact_id() || ':x'",
        "repeat('9', 18)",
        "repeat('9', 400)",
        "'armed'",
        "'-1'",
    ];
    for setting in settings {
        for value in values {
            let before = changes(&mut admin);
            // The write is refused or recorded: never accepted without a record.
            let result = app.attempt(&format!(
                "BEGIN; SELECT set_config('{setting}', ({value})::text, true); UPDATE t SET v = v || '.' WHERE id = 1; COMMIT"
            ));
            app.run("ROLLBACK");
            let after = changes(&mut admin);
            let grown = after.len() - before.len();
            assert_eq!(grown, usize::from(result.is_ok()), "{setting} = {value}: {result:?}");
            if result.is_ok() {
                assert_eq!(after[..before.len()], before, "{setting} = {value} reordered the trail");
            }
        }
    }
}

#[test]
fn a_forged_clock_does_not_go_far() {
    let (_database, mut admin, mut app) = forger();
    app.run("BEGIN; SELECT set_config('threadline.clock', '99999999999999999', true); INSERT INTO t VALUES (2, 'x'); COMMIT");
    app.run("BEGIN; SELECT set_config('threadline.clock', (extract(epoch FROM now() + interval '3 days') * 1000000)::int8::text, true); INSERT INTO t VALUES (3, 'x'); COMMIT");
    assert_eq!(
        admin.value("SELECT count(*) FROM threadline.audit_changes WHERE captured_at > clock_timestamp() + interval '1 day' OR captured_at < now() - interval '1 hour'"),
        "0"
    );
}

#[test]
fn the_role_that_wrote_is_recorded_whatever_the_context_says() {
    let (_database, mut admin, mut app) = forger();
    app.run("BEGIN; SELECT threadline.set_context('{\"type\":\"admin\",\"id\":\"root\"}', '{\"source\":\"console\"}'); INSERT INTO t VALUES (2, 'x'); COMMIT");
    assert_eq!(admin.column("SELECT session_role FROM threadline.audit_transactions ORDER BY id DESC LIMIT 1"), [APP]);
}
