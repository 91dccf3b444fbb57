//! A kernel in a schema of any name, and two of them in one database.

use threadline_core::{Schema, kernel};

use crate::session::Session;
use crate::support::{APP, bare_database, changes, database};

const TABLES: &str = "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p DEFAULT;
    CREATE TABLE log (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text);
    CREATE FUNCTION host() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log (what) VALUES (TG_OP); RETURN NULL; END $$;
    CREATE TRIGGER host AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION host(); GRANT ALL ON t, p, log TO threadline_test_app;";

fn ops(session: &mut Session, schema: &Schema) -> Vec<String> {
    session.column(&format!(
        "SELECT op || ' ' || table_name FROM {}.audit_changes ORDER BY captured_at, id",
        schema.quoted()
    ))
}

#[test]
fn a_schema_may_have_any_name() {
    for name in [
        "Audit Trail",
        "threadline2",
        "ünïcode ☃",
        "a.b",
        "select",
        "with \"quotes\"",
        "a-schema-whose-name-is-as-long-as-postgresql-allows-it-to-be-ab",
    ] {
        let schema = Schema::new(name).unwrap();
        let database = bare_database();
        let mut session = Session::open(&database);
        session.run(&kernel::install_script(&schema));
        session.run(&kernel::install_script(&schema));
        session.run(TABLES);
        let own = schema.quoted();
        session.run(&format!("SELECT {own}.enable_capture(t::regclass) FROM unnest(ARRAY['t', 'p', 'log']) AS t; SELECT {own}.grant_application('{APP}'), {own}.grant_reader('{APP}'), {own}.create_partitions(9)"));
        let mut app = Session::open_as(&database, APP);
        app.run(&format!(
            "BEGIN; SELECT {own}.set_context('{{\"type\":\"user\",\"id\":\"1\"}}'); INSERT INTO t VALUES (1, 'x'); UPDATE t SET v = 'y'; SELECT {own}.record_action('{{\"name\":\"n\"}}'); INSERT INTO p VALUES (1); SELECT {own}.transaction_id(); COMMIT"
        ));
        session.run("ALTER TABLE t ADD late int");
        app.run("UPDATE t SET late = 1");
        assert_eq!(
            ops(&mut session, &schema),
            ["insert t", "insert log", "update t", "insert p", "update t"],
            "{name}"
        );
        assert_eq!(
            session.value(&format!(
                "SELECT count(*) FROM {own}.audit_transactions t JOIN {own}.audit_actions a ON a.id = t.action_id"
            )),
            "1"
        );
        session.refusal(&format!("DELETE FROM {own}.audit_changes")).has_code("TL003", "append_only");
        session.run(&format!("SELECT {own}.refresh_capture('t')"));
        session.run(&kernel::uninstall_script(&schema));
        assert_eq!(
            session.value("SELECT count(*) FROM pg_trigger WHERE tgrelid = 't'::regclass AND NOT tgisinternal"),
            "1"
        );
    }
}

#[test]
fn a_schema_name_that_would_break_the_code_is_refused() {
    for name in ["it's", "back\\slash", "100%", "$body$", "new\nline", "pg_audit", ""] {
        assert!(Schema::new(name).is_err(), "{name}");
    }
}

#[test]
fn two_kernels_capture_the_same_table_and_keep_out_of_each_others_way() {
    // Names that have the same letters, too.
    for (first, second) in [
        ("threadline", "Audit A"),
        ("Audit A", "AuditA"),
        ("ä", "ö"),
        ("a_rather_long_schema_name_one", "a_rather_long_schema_name_two"),
    ] {
        let (first, second) = (Schema::new(first).unwrap(), Schema::new(second).unwrap());
        let database = bare_database();
        let mut session = Session::open(&database);
        session.run(TABLES);
        for schema in [&first, &second] {
            session.run(&kernel::install_script(schema));
            session.run(&format!(
                "SELECT {}.enable_capture(t::regclass) FROM unnest(ARRAY['t', 'p', 'log']) AS t",
                schema.quoted()
            ));
        }
        session.run(&format!("SELECT {0}.refresh_capture('t'); SELECT {0}.grant_application('{APP}')", first.quoted()));
        let mut app = Session::open_as(&database, APP);
        // The first's ids and the second's differ from here on.
        app.run("BEGIN; INSERT INTO p VALUES (1); ROLLBACK; BEGIN; INSERT INTO p VALUES (2); ROLLBACK");
        session.run(&format!(
            "SELECT nextval(c.oid) FROM pg_class c WHERE relkind = 'S' AND relnamespace = '{}'::regnamespace",
            first.quoted().replace('\'', "''")
        ));
        app.run(&format!(
            "BEGIN; SELECT set_config('threadline.actor_ref', '{{\"type\":\"user\",\"id\":\"1\"}}', true); INSERT INTO t VALUES (1, 'x'); SELECT {}.record_action('{{\"name\":\"n\"}}');
             UPDATE t SET v = 'y'; INSERT INTO p VALUES (1); TRUNCATE p; DELETE FROM t; COMMIT",
            first.quoted()
        ));
        let expected = ["insert t", "insert log", "update t", "insert p", "truncate p", "delete t"];
        for schema in [&first, &second] {
            let own = schema.quoted();
            assert_eq!(ops(&mut session, schema), expected, "{schema:?}");
            assert_eq!(
                session.value(&format!("SELECT count(*) FROM {own}.audit_changes c JOIN {own}.audit_transactions t ON t.id = c.transaction_id AND t.xid = c.xid")),
                "6"
            );
            // The action belongs to the kernel that recorded it.
            let actions = if schema == &first { "1" } else { "0" };
            assert_eq!(
                session.value(&format!("SELECT count(DISTINCT action_id) FROM {own}.audit_transactions")),
                actions,
                "{schema:?}"
            );
        }
        // One goes, the other stays.
        session.run(&kernel::uninstall_script(&first));
        session.run("INSERT INTO t VALUES (2, 'x')");
        assert_eq!(ops(&mut session, &second).len(), 8);
    }
}

#[test]
fn neither_kernel_captures_the_tables_of_the_other() {
    let database = database();
    let mut session = Session::open(&database);
    let other = Schema::new("other").unwrap();
    session.run(&kernel::install_script(&other));
    // Allowed or refused, but never a trail that records itself.
    let _ = session.attempt("SELECT other.enable_capture('threadline.audit_changes')");
    session.run("CREATE TABLE t (id int PRIMARY KEY); SELECT threadline.enable_capture('t'), other.enable_capture('t'); INSERT INTO t VALUES (1)");
    assert_eq!(changes(&mut session).len(), 1);
}
