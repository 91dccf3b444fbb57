//! Installing, upgrading and removing the kernel.

use threadline_core::{Schema, kernel};
use threadline_testkit::{Database, Options, Server, require_server};

use crate::programs::Programs;
use crate::session::Session;
use crate::support::{bare_database, changes, database};

/// Everything about the objects in a schema, as text: definitions, owners and rights.
fn catalog(session: &mut Session, schema: &str) -> Vec<String> {
    session.column(&format!(
        "WITH s AS (SELECT oid FROM pg_namespace WHERE nspname = '{schema}')
         SELECT line FROM (
             SELECT concat_ws(' ', 'schema', nspowner::regrole, coalesce(nspacl, acldefault('n', nspowner))) FROM pg_namespace WHERE oid IN (TABLE s)
             UNION ALL SELECT concat_ws(' ', 'function', pg_get_functiondef(p.oid), proowner::regrole, (SELECT string_agg(a::text, ',' ORDER BY a::text) FROM unnest(proacl) a))
                 FROM pg_proc p WHERE pronamespace IN (TABLE s)
             UNION ALL SELECT concat_ws(' ', 'relation', relname, relkind, relowner::regrole, (SELECT string_agg(a::text, ',' ORDER BY a::text) FROM unnest(coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::\"char\", relowner))) a), pg_get_expr(relpartbound, oid), reloptions)
                 FROM pg_class WHERE relnamespace IN (TABLE s)
             UNION ALL SELECT concat_ws(' ', 'column', c.relname, a.attname, format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated, pg_get_expr(adbin, adrelid))
                 FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid LEFT JOIN pg_attrdef d ON adrelid = attrelid AND adnum = attnum
                 WHERE relnamespace IN (TABLE s) AND attnum > 0 AND NOT attisdropped
             UNION ALL SELECT concat_ws(' ', 'index', pg_get_indexdef(indexrelid), indisvalid) FROM pg_index i JOIN pg_class c ON c.oid = indexrelid WHERE relnamespace IN (TABLE s)
             UNION ALL SELECT concat_ws(' ', 'constraint', conname, conrelid::regclass, pg_get_constraintdef(k.oid)) FROM pg_constraint k WHERE connamespace IN (TABLE s)
             UNION ALL SELECT concat_ws(' ', 'trigger', pg_get_triggerdef(t.oid), tgenabled) FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid WHERE relnamespace IN (TABLE s) AND NOT tgisinternal
             UNION ALL SELECT concat_ws(' ', 'sequence', seqrelid::regclass, seqstart, seqincrement, seqcache, seqtypid::regtype) FROM pg_sequence q JOIN pg_class c ON c.oid = seqrelid WHERE relnamespace IN (TABLE s)
         ) AS x (line) ORDER BY line COLLATE \"C\""
    ))
}

#[track_caller]
fn is_same(found: &[String], expected: &[String], what: &str) {
    let missing: Vec<&String> = expected.iter().filter(|line| !found.contains(line)).collect();
    let more: Vec<&String> = found.iter().filter(|line| !expected.contains(line)).collect();
    assert!(
        missing.is_empty() && more.is_empty() && found.len() == expected.len(),
        "{what}: missing {missing:#?}, more {more:#?}"
    );
}

fn install(session: &mut Session, schema: &Schema) {
    session.run(&kernel::install_script(schema));
}

const HOST: &str = r#"
    CREATE SCHEMA app; CREATE TYPE app.mood AS ENUM ('sad', 'ok');
    CREATE TABLE app.t (id int PRIMARY KEY, m app.mood, v text); CREATE TABLE app.child (id int PRIMARY KEY, t int REFERENCES app.t ON DELETE CASCADE);
    CREATE TABLE app.p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id); CREATE TABLE app.p1 PARTITION OF app.p FOR VALUES FROM (0) TO (10); CREATE TABLE app.p2 PARTITION OF app.p DEFAULT;
    CREATE FUNCTION app.host() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER "00_before" BEFORE INSERT ON app.t FOR EACH ROW EXECUTE FUNCTION app.host(); CREATE TRIGGER host AFTER INSERT OR UPDATE ON app.t FOR EACH ROW EXECUTE FUNCTION app.host();
    INSERT INTO app.t VALUES (1, 'ok', 'x'); INSERT INTO app.child VALUES (1, 1); INSERT INTO app.p VALUES (1, 'x'), (50, 'y');
    GRANT SELECT ON app.t TO threadline_test_app; GRANT ALL ON app.p TO PUBLIC;"#;

const CAPTURE: &str = r#"
    SELECT @.enable_capture('app.t', '{"truncate": "rows"}'), @.enable_capture('app.child'), @.enable_capture('app.p', '{"truncate": "rows", "mask": ["v"]}');
    INSERT INTO app.t VALUES (2, 'sad', 'y'); UPDATE app.p SET v = v || '!'; DELETE FROM app.t WHERE id = 2;"#;

#[test]
fn installing_twice_changes_nothing() {
    let database = database();
    let mut session = Session::open(&database);
    session.run(&HOST.replace("threadline_test_app", crate::support::APP));
    session.run(&CAPTURE.replace('@', "threadline"));
    let before = (
        catalog(&mut session, "threadline"),
        catalog(&mut session, "app"),
        changes(&mut session),
        session.rows("SELECT * FROM threadline.kernel_versions"),
    );
    for _ in 0..2 {
        install(&mut session, &Schema::default());
        is_same(&catalog(&mut session, "threadline"), &before.0, "the kernel");
        is_same(&catalog(&mut session, "app"), &before.1, "the host");
        assert_eq!(
            (changes(&mut session), session.rows("SELECT * FROM threadline.kernel_versions")),
            (before.2.clone(), before.3.clone())
        );
    }
}

#[test]
fn an_older_kernel_is_upgraded_to_what_a_fresh_install_makes() {
    let fresh = database();
    let expected = catalog(&mut Session::open(&fresh), "threadline");
    for version in 1..=kernel::LATEST {
        let database = bare_database();
        let mut session = Session::open(&database);
        session.run(&kernel::install_script_to(&Schema::default(), version));
        assert_eq!(session.value("SELECT max(version) FROM threadline.kernel_versions"), version.to_string());
        install(&mut session, &Schema::default());
        is_same(&catalog(&mut session, "threadline"), &expected, &format!("from version {version}"));
        assert_eq!(
            session.value("SELECT count(*) || ' ' || max(version) FROM threadline.kernel_versions"),
            format!("{0} {0}", kernel::LATEST)
        );
        // The old installer leaves a newer kernel alone.
        session.run(&kernel::install_script_to(&Schema::default(), version));
        is_same(
            &catalog(&mut session, "threadline"),
            &expected,
            &format!("the installer of version {version}, afterwards"),
        );
    }
}

#[test]
fn no_upgrade_leaves_ambiguous_functions() {
    let database = database();
    let mut session = Session::open(&database);
    // Two functions of one name that a call with defaults could both mean.
    assert_eq!(
        session.column("SELECT proname FROM pg_proc WHERE pronamespace = 'threadline'::regnamespace GROUP BY proname HAVING count(*) > 1"),
        [""; 0]
    );
}

#[test]
fn a_failed_install_leaves_nothing() {
    let database = bare_database();
    let mut session = Session::open(&database);
    let script = kernel::install_script(&Schema::default());
    session.refusal(&format!("{script}\nSELECT 1 / 0"));
    assert_eq!(session.value("SELECT count(*) FROM pg_namespace WHERE nspname = 'threadline'"), "0");
    session.run(&script);
}

#[test]
fn installing_keeps_the_callers_settings_and_works_under_odd_ones() {
    let database = bare_database();
    let mut session = Session::open(&database);
    session.run(
        "SET search_path = nowhere; SET client_min_messages = error; SET quote_all_identifiers = on; SET standard_conforming_strings = off; SET escape_string_warning = off;
         SET backslash_quote = off; SET check_function_bodies = on; SET plpgsql.extra_errors = 'all'; SET default_table_access_method = 'heap'; SET row_security = off; SET TimeZone = 'Asia/Kathmandu'; SET DateStyle = 'SQL, DMY'",
    );
    let settings = |session: &mut Session| {
        session.column("SELECT name || '=' || setting FROM pg_settings WHERE name NOT LIKE '%.%' ORDER BY 1")
    };
    let before = settings(&mut session);
    install(&mut session, &Schema::default());
    is_same(&settings(&mut session), &before, "settings");
    let fresh = crate::support::database();
    is_same(
        &catalog(&mut Session::open(&database), "threadline"),
        &catalog(&mut Session::open(&fresh), "threadline"),
        "the kernel",
    );
    session.run(&kernel::uninstall_script(&Schema::default()));
    is_same(&settings(&mut session), &before, "settings");
}

#[test]
fn two_installers_at_once_both_succeed() {
    let database = bare_database();
    let installers: Vec<_> = (0..4)
        .map(|_| {
            let mut session = Session::open(&database);
            std::thread::spawn(move || session.run(&kernel::install_script(&Schema::default())))
        })
        .collect();
    for installer in installers {
        installer.join().unwrap();
    }
    assert_eq!(
        Session::open(&database).value("SELECT count(*) FROM threadline.kernel_versions"),
        kernel::LATEST.to_string()
    );
}

fn dump_of_host(programs: &Programs, database: &Database) -> (String, String) {
    (
        programs.dump_text(database, &["--schema-only", "--schema=app"]),
        programs.dump_text(database, &["--data-only", "--schema=app"]),
    )
}

#[test]
fn uninstalling_leaves_the_host_as_it_was_and_works_twice() {
    for name in ["threadline", "Audit trail"] {
        let schema = Schema::new(name).unwrap();
        let database = bare_database();
        let mut session = Session::open(&database);
        session.run(HOST);
        let host = catalog(&mut session, "app");
        let programs = Programs::of(require_server());
        let dump = programs.as_ref().map(|programs| dump_of_host(programs, &database));
        install(&mut session, &schema);
        session.run(&CAPTURE.replace('@', schema.quoted()).replace("UPDATE app.p SET v = v || '!';", ""));
        // Renamed, disabled, altered and dropped tables are no obstacle.
        session.run(&format!(
            "CREATE TABLE app.gone (id int); CREATE TABLE app.off (id int); SELECT {0}.enable_capture('app.gone'), {0}.enable_capture('app.off'); DROP TABLE app.gone; SELECT {0}.disable_capture('app.off'); DROP TABLE app.off;
             ALTER TABLE app.child RENAME TO child2; ALTER TABLE app.t ADD late int; INSERT INTO app.t (id) VALUES (77); DELETE FROM app.t WHERE id = 77; ALTER TABLE app.t DROP late; ALTER TABLE app.child2 RENAME TO child",
            schema.quoted()
        ));
        session.run(&kernel::uninstall_script(&schema));
        is_same(&catalog(&mut session, "app"), &host, "the host");
        if let (Some(programs), Some(dump)) = (programs, dump) {
            assert_eq!(dump_of_host(&programs, &database), dump);
        }
        assert_eq!(session.value(&format!("SELECT count(*) FROM pg_namespace WHERE nspname = '{name}'")), "0");
        session.run(&kernel::uninstall_script(&schema));
        session.run("INSERT INTO app.t VALUES (9, 'ok', 'x'); TRUNCATE app.p1; DELETE FROM app.t WHERE id = 9; INSERT INTO app.p VALUES (1, 'x')");
        // And it can come back.
        install(&mut session, &schema);
        session.run(&CAPTURE.replace('@', schema.quoted()));
        assert_eq!(session.value(&format!("SELECT count(*) FROM {}.audit_changes", schema.quoted())), "4");
    }
}

#[test]
fn the_owners_role_goes_with_the_last_kernel_of_the_server() {
    let server = Server::start(Options::default()).expect("a server of its own starts");
    let one = server.database().unwrap();
    let other = server.database().unwrap();
    let schema = Schema::default();
    for database in [&one, &other] {
        Session::open(database).run(&kernel::install_script(&schema));
    }
    let role = "SELECT count(*) FROM pg_roles WHERE rolname = 'threadline_owner'";
    Session::open(&one).run(&kernel::uninstall_script(&schema));
    assert_eq!(Session::open(&one).value(role), "1");
    Session::open(&other).run(&kernel::uninstall_script(&schema));
    assert_eq!(Session::open(&one).value(role), "0");
}
