//! Who may do what: applications write their tables and set their context, and that is all.

use crate::session::Session;
use crate::support::{APP, MALLORY, bare_database, changes, database, database_with};
use threadline_core::{Schema, kernel};

const TRAIL: [&str; 7] = [
    "audit_transactions",
    "audit_changes",
    "audit_actions",
    "audited_tables",
    "audited_columns",
    "kernel_versions",
    "retention_runs",
];

/// Captured tables of every kind that an ordinary role may write, with triggers of the host's own.
const HOST: &str = r#"
    CREATE TABLE plain (id int PRIMARY KEY, v text);
    CREATE TABLE child (id int PRIMARY KEY, plain_id int REFERENCES plain ON DELETE CASCADE ON UPDATE CASCADE);
    CREATE TABLE parted (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
    CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
    CREATE TABLE parted_2 PARTITION OF parted DEFAULT;
    CREATE TABLE log (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text);
    CREATE TABLE emptied (id int PRIMARY KEY);
    CREATE FUNCTION host() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF TG_WHEN = 'AFTER' THEN INSERT INTO log (v) VALUES (TG_OP); END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER b BEFORE INSERT OR UPDATE ON plain FOR EACH ROW EXECUTE FUNCTION host();
    CREATE TRIGGER a AFTER INSERT OR UPDATE OR DELETE ON plain FOR EACH ROW EXECUTE FUNCTION host();
    CREATE TRIGGER a AFTER INSERT OR UPDATE OR DELETE ON parted FOR EACH STATEMENT EXECUTE FUNCTION host();
    SELECT threadline.enable_capture(t::regclass) FROM unnest(ARRAY['plain', 'child', 'parted', 'log']) AS t;
    SELECT threadline.enable_capture('emptied', '{"truncate": "rows", "require_actor": true}');
    GRANT ALL ON plain, child, parted, log, emptied TO threadline_test_app;"#;

const WRITES: &str = "
    BEGIN;
    SELECT threadline.set_context('{\"type\":\"user\",\"id\":\"1\"}', '{\"request_id\":\"r\"}');
    INSERT INTO plain VALUES (1, 'a'), (2, 'b'); INSERT INTO child VALUES (1, 1), (2, 2);
    UPDATE plain SET id = 3 WHERE id = 1; UPDATE plain SET v = 'c'; DELETE FROM plain WHERE id = 2;
    INSERT INTO parted VALUES (1, 'a'), (20, 'b'); UPDATE parted SET id = id + 10, v = 'c'; DELETE FROM parted;
    INSERT INTO emptied VALUES (1); TRUNCATE emptied;
    TRUNCATE plain, child, parted;
    SELECT threadline.transaction_id(), threadline.enter_context('{\"type\":\"job\",\"id\":\"j\"}', '');
    INSERT INTO plain VALUES (1, 'a');
    COMMIT;";

#[test]
fn a_role_with_rights_on_the_host_tables_only_is_captured() {
    let (database, mut admin) = database_with(HOST);
    let mut app = Session::open_as(&database, APP);
    app.run(WRITES);
    let by_table = admin
        .column("SELECT table_name || ' ' || count(*) FROM threadline.audit_changes GROUP BY table_name ORDER BY 1");
    // plain: 2 inserts, key, 2 values, delete, truncate, insert. child: 2 inserts, cascaded key and delete, truncate.
    // log: one for each row of plain and each statement of parted. parted: 2 inserts, a move (two), an update, 2 deletes, truncate.
    assert_eq!(by_table, ["child 5", "emptied 2", "log 10", "parted 8", "plain 8"]);
    assert_eq!(
        admin.column("SELECT DISTINCT session_role || ' ' || current_role_name FROM threadline.audit_transactions"),
        [format!("{APP} none")]
    );
}

#[test]
fn a_write_does_not_need_rights_on_the_schema_of_the_table() {
    // As with CREATE SCHEMA .. AUTHORIZATION: only its owner may use it.
    let (database, mut admin) = database_with(&format!(
        "CREATE SCHEMA own AUTHORIZATION {APP}; SET ROLE {APP};
         CREATE TABLE own.t (id int PRIMARY KEY, v text);
         CREATE TABLE own.p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id); CREATE TABLE own.p1 PARTITION OF own.p DEFAULT;
         RESET ROLE; SELECT threadline.enable_capture('own.t'), threadline.enable_capture('own.p')"
    ));
    let mut app = Session::open_as(&database, APP);
    app.run("INSERT INTO own.t VALUES (1, 'a'); UPDATE own.t SET v = 'b'; DELETE FROM own.t");
    app.run("INSERT INTO own.p VALUES (1, 'a'); UPDATE own.p SET v = 'b'; DELETE FROM own.p");
    app.run("ALTER TABLE own.t ADD late int; ALTER TABLE own.p ADD late int");
    app.run("INSERT INTO own.t VALUES (1, 'a', 2); INSERT INTO own.p VALUES (1, 'a', 2)");
    assert_eq!(changes(&mut admin).len(), 8);
}

#[test]
fn an_ordinary_role_can_neither_read_nor_write_the_trail() {
    let (database, mut admin) = database_with(HOST);
    let mut app = Session::open_as(&database, APP);
    app.run(WRITES);
    let known = changes(&mut admin);
    let relations = admin.column(
        "SELECT c.oid::regclass FROM pg_class c WHERE relnamespace = 'threadline'::regnamespace AND relkind IN ('r', 'p', 'v')",
    );
    assert!(relations.len() > TRAIL.len() + 14, "{relations:?}");
    for relation in &relations {
        let id = if relation.ends_with("linked_changes") { "change_id" } else { "id" };
        for sql in [
            format!("SELECT FROM {relation}"),
            format!("INSERT INTO {relation} DEFAULT VALUES"),
            format!("UPDATE {relation} SET {id} = {id}"),
            format!("DELETE FROM {relation}"),
            format!("TRUNCATE {relation}"),
            format!("CREATE INDEX ON {relation} ((1))"),
            format!("CREATE TRIGGER t BEFORE INSERT ON {relation} EXECUTE FUNCTION host()"),
            format!("DROP TABLE {relation}"),
        ] {
            let sql =
                if relation.ends_with("kernel_versions") { sql.replace("SET id = id", "SET version = 0") } else { sql };
            let sqlstate = app.refusal(&sql).sqlstate;
            // A view takes no writes from anybody: 55000, 42809, and 0A000 for what only tables can have.
            let of_view = relation.ends_with("linked_changes") && !sql.starts_with("SELECT");
            assert!(
                sqlstate == "42501" || of_view && ["55000", "42809", "0A000"].contains(&&*sqlstate),
                "{sql}: {sqlstate}"
            );
        }
    }
    let sequences = admin.column(
        "SELECT c.oid::regclass FROM pg_class c WHERE relnamespace = 'threadline'::regnamespace AND relkind = 'S'",
    );
    for sequence in &sequences {
        for call in ["nextval", "currval"] {
            assert_eq!(app.refusal(&format!("SELECT {call}('{sequence}')")).sqlstate, "42501");
        }
    }
    assert_eq!(app.refusal("CREATE TABLE threadline.t ()").sqlstate, "42501");
    assert_eq!(changes(&mut admin), known);
}

#[test]
fn nothing_is_granted_to_public_beyond_the_context_functions() {
    let (_database, mut admin) = database_with(HOST);
    let executable = admin.column(
        "SELECT p.proname FROM pg_proc p, aclexplode(coalesce(proacl, acldefault('f', proowner))) AS a
         WHERE pronamespace = 'threadline'::regnamespace AND a.grantee = 0 ORDER BY 1",
    );
    assert_eq!(executable, ["enter_context", "leave_context", "set_context", "transaction_id"]);
    let granted = admin.column(
        "SELECT c.relname || ' ' || a.privilege_type FROM pg_class c, aclexplode(relacl) AS a
         WHERE relnamespace = 'threadline'::regnamespace AND a.grantee = 0
         UNION ALL
         SELECT 'type ' || t.typname FROM pg_type t, aclexplode(typacl) AS a WHERE typnamespace = 'threadline'::regnamespace AND a.grantee = 0
         UNION ALL
         SELECT 'schema ' || a.privilege_type FROM pg_namespace n, aclexplode(nspacl) AS a WHERE nspname = 'threadline' AND a.grantee = 0",
    );
    assert_eq!(granted, ["schema USAGE"]);
    // No right is granted to any role but the owner, and no table of the host was given away.
    assert_eq!(
        admin.column(
            "SELECT p.proname || ': ' || a.grantee::regrole FROM pg_proc p, aclexplode(proacl) AS a
             WHERE pronamespace = 'threadline'::regnamespace AND a.grantee NOT IN (0, 'threadline_owner'::regrole)"
        ),
        [""; 0]
    );
    assert_eq!(
        admin.column(
            "SELECT c.relname || ' ' || a.privilege_type FROM pg_class c, aclexplode(relacl) AS a
             WHERE a.grantee = 'threadline_owner'::regrole AND relnamespace <> 'threadline'::regnamespace"
        ),
        [""; 0]
    );
}

#[test]
fn the_owner_is_a_role_without_any_other_right() {
    let (_database, mut admin) = database_with(HOST);
    assert_eq!(
        admin.column(
            "SELECT rolname FROM pg_roles WHERE rolname = 'threadline_owner' AND NOT rolcanlogin AND NOT rolsuper AND NOT rolcreaterole
                 AND NOT rolcreatedb AND NOT rolreplication AND NOT rolbypassrls AND rolconfig IS NULL
                 AND NOT EXISTS (SELECT FROM pg_auth_members WHERE member = pg_roles.oid)"
        ),
        ["threadline_owner"]
    );
    assert_eq!(
        admin.column(
            "SELECT 'function ' || oid::regprocedure FROM pg_proc WHERE pronamespace = 'threadline'::regnamespace AND proowner <> 'threadline_owner'::regrole
             UNION ALL
             SELECT 'relation ' || oid::regclass FROM pg_class WHERE relnamespace = 'threadline'::regnamespace AND relowner <> 'threadline_owner'::regrole
             UNION ALL
             SELECT 'elsewhere ' || oid::regclass FROM pg_class WHERE relnamespace NOT IN ('threadline'::regnamespace, 'pg_toast'::regnamespace) AND relowner = 'threadline_owner'::regrole"
        ),
        [""; 0]
    );
}

#[test]
fn nobody_attaches_our_functions_to_a_table_of_his_own() {
    let (database, mut admin) = database_with(HOST);
    admin.run(&format!("CREATE SCHEMA own AUTHORIZATION {MALLORY}"));
    let mut mallory = Session::open_as(&database, MALLORY);
    mallory.run("CREATE TABLE own.t (id int PRIMARY KEY, v text)");
    let functions = admin.column(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'threadline'::regnamespace AND prorettype = 'trigger'::regtype ORDER BY 1",
    );
    assert!(functions.len() > 15, "{functions:?}");
    for function in functions {
        let refusal = mallory.refusal(&format!(
            "CREATE TRIGGER t AFTER INSERT ON own.t FOR EACH ROW EXECUTE FUNCTION threadline.{function}()"
        ));
        assert_eq!(refusal.sqlstate, "42501", "{function}: {refusal:?}");
    }
    for sql in [
        "SELECT threadline.enable_capture('own.t')",
        "SELECT threadline.capture_plan('own.t')",
        "SELECT threadline.disable_capture('plain')",
        "SELECT threadline.refresh_capture('plain')",
        "SELECT threadline.create_partitions(1)",
        "SELECT threadline.grant_application('threadline_test_mallory')",
        "SELECT threadline.grant_reader('threadline_test_mallory')",
        "SELECT threadline.apply_rights()",
        "SELECT threadline.open_transaction('1 x/ ', now())",
        "SELECT threadline.record_action('{\"name\":\"x\"}')",
        "CREATE FUNCTION threadline.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "ALTER FUNCTION threadline.set_context(jsonb, jsonb) RENAME TO x",
    ] {
        assert_eq!(mallory.refusal(sql).sqlstate, "42501", "{sql}");
    }
}

#[test]
fn the_application_and_the_reader_get_what_they_need_and_no_more() {
    let (database, mut admin) = database_with(HOST);
    admin.run(&format!(
        "SELECT threadline.grant_application('{APP}'), threadline.grant_reader('{MALLORY}'), threadline.create_partitions(9)"
    ));
    let mut app = Session::open_as(&database, APP);
    app.run(
        "BEGIN; SELECT threadline.set_context('{\"type\":\"user\",\"id\":\"1\"}'); INSERT INTO plain VALUES (1, 'a');
        SELECT threadline.record_action('{\"name\":\"n\"}'); COMMIT",
    );
    assert_eq!(app.refusal("SELECT FROM threadline.audit_actions").sqlstate, "42501");
    let mut reader = Session::open_as(&database, MALLORY);
    assert_eq!(reader.value("SELECT count(*) FROM threadline.audit_changes JOIN threadline.audit_transactions t ON t.id = transaction_id JOIN threadline.audit_actions a ON a.id = action_id"), "2");
    for table in TRAIL {
        reader.run(&format!("SELECT count(*) FROM threadline.{table}"));
        assert_eq!(reader.refusal(&format!("DELETE FROM threadline.{table}")).sqlstate, "42501");
        assert_eq!(reader.refusal(&format!("INSERT INTO threadline.{table} DEFAULT VALUES")).sqlstate, "42501");
    }
    assert_eq!(reader.refusal("SELECT threadline.record_action('{\"name\":\"n\"}')").sqlstate, "42501");
}

#[test]
fn an_installer_without_superuser_rights_and_without_roles_to_create_is_enough() {
    let database = bare_database();
    let mut admin = Session::open(&database);
    admin.run(&format!(
        "GRANT CREATE ON DATABASE \"{}\" TO {MALLORY}; CREATE SCHEMA host AUTHORIZATION {MALLORY}",
        database.name()
    ));
    let mut installer = Session::open_as(&database, MALLORY);
    installer.run(&kernel::install_script(&Schema::default()));
    installer.run(&format!(
        "CREATE TABLE host.t (id int PRIMARY KEY, v text); SELECT threadline.enable_capture('host.t');
         GRANT USAGE ON SCHEMA host TO {APP}; GRANT ALL ON host.t TO {APP};
         SELECT threadline.grant_application('{APP}')"
    ));
    let mut app = Session::open_as(&database, APP);
    app.run("BEGIN; SELECT threadline.set_context('{\"type\":\"user\",\"id\":\"1\"}');
        INSERT INTO host.t VALUES (1, 'a'); UPDATE host.t SET v = 'b'; SELECT threadline.record_action('{\"name\":\"n\"}'); COMMIT");
    assert_eq!(app.refusal("SELECT FROM threadline.audit_changes").sqlstate, "42501");
    installer.refusal("DELETE FROM threadline.audit_changes").has_code("TL003", "append_only");
    assert_eq!(changes(&mut installer).len(), 2);
    // A second install and the removal need no more either, and leave the owner the rights on his table.
    installer.run(&kernel::install_script(&Schema::default()));
    installer.run(&kernel::uninstall_script(&Schema::default()));
    installer.run("INSERT INTO host.t VALUES (2, 'x'); SELECT * FROM host.t");
}

#[test]
fn installing_into_a_schema_that_an_ordinary_role_made_first_is_refused_or_takes_it_over() {
    let database = bare_database();
    let mut admin = Session::open(&database);
    admin.run(&format!("GRANT CREATE ON DATABASE \"{}\" TO {MALLORY}", database.name()));
    // Mallory waits for the installer with a table that runs his code.
    let mut mallory = Session::open_as(&database, MALLORY);
    mallory.run(
        "CREATE SCHEMA threadline; CREATE TABLE threadline.loot (who text); GRANT ALL ON threadline.loot TO PUBLIC; GRANT USAGE ON SCHEMA threadline TO PUBLIC;
         CREATE TABLE threadline.kernel_versions (version integer PRIMARY KEY, name text NOT NULL, installed_at timestamptz NOT NULL DEFAULT now());
         CREATE FUNCTION threadline.trap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO threadline.loot VALUES (current_user); RETURN NEW; END $$;
         CREATE TRIGGER trap BEFORE INSERT ON threadline.kernel_versions FOR EACH ROW EXECUTE FUNCTION threadline.trap();",
    );
    let installed = admin.attempt(&kernel::install_script(&Schema::default()));
    assert_eq!(
        admin.column("SELECT who FROM threadline.loot"),
        [""; 0],
        "Mallory's code ran with the installer's rights: {installed:?}"
    );
    if installed.is_ok() {
        assert_eq!(
            admin.value(
                "SELECT nspowner::regrole::text = 'threadline_owner' FROM pg_namespace WHERE nspname = 'threadline'"
            ),
            "t"
        );
    }
}

#[test]
fn the_kernel_works_without_the_roles_privilege_on_public() {
    let database = database();
    let mut admin = Session::open(&database);
    admin.run(&format!(
        "REVOKE ALL ON SCHEMA public FROM PUBLIC; CREATE TABLE public.t (id int PRIMARY KEY); SELECT threadline.enable_capture('public.t');
         GRANT USAGE ON SCHEMA public TO {APP}; GRANT ALL ON public.t TO {APP}"
    ));
    let mut app = Session::open_as(&database, APP);
    app.run("INSERT INTO public.t VALUES (1); UPDATE public.t SET id = 2; TRUNCATE public.t");
    assert_eq!(changes(&mut admin).len(), 3);
}
