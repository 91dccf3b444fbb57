//! Operators, functions, types and relations that stand in front of the built-in ones: capture sees none of them.

use threadline_testkit::Database;

use crate::baits::{self, as_mallory, nothing_stolen};
use crate::session::Session;
use crate::support::{MALLORY, changes};

/// Paths that put Mallory's things first, with everything in front that can be.
const PATHS: [&str; 3] = ["mallory, pg_catalog", "pg_temp, mallory, pg_catalog", "mallory"];

/// Tables that need every part of capture: settings to pin, json, floats, order markers, cascades, partitions.
const TABLES: &str = "
    CREATE TABLE mallory.plain (id int PRIMARY KEY, t text, j json, b jsonb, f float8, z timestamptz, i interval, m money,
        y bytea, k regclass, fs float4[], d mallory.amount, e mallory.mood);
    CREATE TABLE mallory.child (id int PRIMARY KEY, parent int REFERENCES mallory.plain ON UPDATE CASCADE ON DELETE CASCADE);
    CREATE TABLE mallory.parted (id int PRIMARY KEY, t text, f float8, e mallory.mood) PARTITION BY RANGE (id);
    CREATE TABLE mallory.parted_1 PARTITION OF mallory.parted FOR VALUES FROM (0) TO (100);
    CREATE TABLE mallory.parted_2 PARTITION OF mallory.parted DEFAULT;
    CREATE TABLE mallory.emptied (id int PRIMARY KEY, t text, e mallory.mood);
    CREATE FUNCTION mallory.quiet() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$ BEGIN RETURN NEW; END $$;
    CREATE TRIGGER before_row BEFORE INSERT OR UPDATE ON mallory.child FOR EACH ROW EXECUTE FUNCTION mallory.quiet();
    CREATE TRIGGER after_row AFTER INSERT OR UPDATE OR DELETE ON mallory.child FOR EACH ROW EXECUTE FUNCTION mallory.quiet();
    CREATE TRIGGER after_row AFTER INSERT OR UPDATE OR DELETE ON mallory.parted FOR EACH ROW EXECUTE FUNCTION mallory.quiet();";

const CAPTURE: &str = r#"
    SELECT threadline.enable_capture('mallory.plain', '{"require_actor": true, "mask": ["m"], "exclude": ["k"]}'),
        threadline.enable_capture('mallory.child'), threadline.enable_capture('mallory.parted'),
        threadline.enable_capture('mallory.emptied', '{"truncate": "rows"}');
    SELECT threadline.grant_application('threadline_test_mallory')"#;

const WRITES: &str = r#"
    BEGIN;
    SELECT pg_catalog.set_config('threadline.actor_ref', '{"type":"user","id":"m","on_behalf_of":{"type":"admin","id":"a"}}', true),
        pg_catalog.set_config('threadline.context', '{"request_id":"r","meta":{"a":1}}', true);
    INSERT INTO mallory.plain VALUES (1, 't', '{"a":1}', 'null', '-0', pg_catalog.now(), '1 day', '1', 'x', 'mallory.plain', '{-0,1}', 1, 'ok');
    INSERT INTO mallory.plain (id) VALUES (2), (3);
    SELECT threadline.record_action('{"name":"n","reason":"r"}');
    UPDATE mallory.plain SET t = 'u', f = 2, y = 'y';
    UPDATE mallory.plain SET b = '{}' WHERE id OPERATOR(pg_catalog.=) 1;
    INSERT INTO mallory.child VALUES (10, 1), (20, 2);
    UPDATE mallory.plain SET id = 5 WHERE id OPERATOR(pg_catalog.=) 1;
    SELECT threadline.transaction_id(), threadline.enter_context('{"type":"job","id":"j"}', '');
    DELETE FROM mallory.plain;
    INSERT INTO mallory.parted VALUES (1, 't', '-0', 'ok'), (1000, NULL, 1, NULL);
    UPDATE mallory.parted SET id = id OPERATOR(pg_catalog.+) 99, f = 3;
    DELETE FROM mallory.parted;
    INSERT INTO mallory.emptied VALUES (1, 'x', 'ok');
    TRUNCATE mallory.emptied;
    TRUNCATE mallory.plain, mallory.child, mallory.parted;
    SELECT threadline.leave_context('{"actor_ref":"","context":"","action":""}');
    COMMIT;"#;

/// How many changes [`WRITES`] makes.
const WRITTEN: usize = 3 + 3 + 1 + 2 + 2 + 3 + 2 + 2 + 3 + 2 + 1 + 1 + 3;

fn prepared(traps: &[&str]) -> Database {
    let database = baits::database_with(TABLES, CAPTURE);
    for trap in traps {
        as_mallory(&database, trap);
    }
    database
}

#[track_caller]
fn attack(database: &Database, before: &str) {
    for path in PATHS {
        let known = changes(&mut Session::open(database)).len();
        let mut session = as_mallory(database, before);
        session.run(&format!("SET search_path = {path}"));
        session.run(WRITES);
        nothing_stolen(database);
        let made = changes(&mut Session::open(database)).len() - known;
        assert_eq!(made, WRITTEN, "with search_path = {path}");
    }
}

#[test]
fn the_traps_catch_careless_sql() {
    let database = prepared(&[baits::TYPES, baits::OPERATORS_AND_FUNCTIONS]);
    Session::open(&database).run(
        "CREATE FUNCTION public.careless() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
         DECLARE
             a text := 'x';
             b pg_catalog.jsonb;
         BEGIN
             b := to_jsonb(NEW.t);
             PERFORM NEW.t = NEW.t, NEW.t || NEW.t, format('%s', NEW.t), clock_timestamp(), b -> NEW.t;
             PERFORM FROM pg_trigger;
             RETURN NULL;
         END $$;
         CREATE TRIGGER careless AFTER INSERT ON mallory.emptied FOR EACH ROW EXECUTE FUNCTION public.careless();",
    );
    let mut session = as_mallory(&database, baits::TEMPORARY);
    session.run("SET search_path = mallory, pg_catalog; INSERT INTO mallory.emptied VALUES (1, 'x', 'ok')");
    let stolen = baits::stolen(&database);
    for trap in [
        "type text",
        "function to_jsonb",
        "operator =",
        "operator ||",
        "function format",
        "function clock_timestamp",
        "operator ->",
        "view pg_trigger",
    ] {
        assert!(stolen.contains(&trap.to_owned()), "{trap} is not in {stolen:?}");
    }
}

#[test]
fn operators_and_functions_first_in_search_path_are_not_called() {
    attack(&prepared(&[baits::OPERATORS_AND_FUNCTIONS]), "");
}

#[test]
fn types_first_in_search_path_are_not_used() {
    attack(&prepared(&[baits::TYPES]), "");
}

#[test]
fn temporary_relations_named_like_ours_are_not_read_or_written() {
    attack(&prepared(&[]), baits::TEMPORARY);
}

#[test]
fn the_generic_path_of_an_altered_table_ignores_search_path_too() {
    let database = prepared(&[baits::TYPES, baits::OPERATORS_AND_FUNCTIONS]);
    as_mallory(
        &database,
        "ALTER TABLE mallory.plain ADD late text; ALTER TABLE mallory.parted ADD late mallory.mood;
         ALTER TABLE mallory.child ADD late json; ALTER TABLE mallory.emptied ADD late mallory.amount;",
    );
    attack(&database, baits::TEMPORARY);
}

#[test]
fn errors_are_raised_without_running_anything() {
    let database = prepared(&[baits::TYPES, baits::OPERATORS_AND_FUNCTIONS]);
    for path in PATHS {
        let mut session = as_mallory(&database, baits::TEMPORARY);
        session.run(&format!("SET search_path = {path}"));
        session.refusal("INSERT INTO mallory.plain (id) VALUES (1)").has_code("TL001", "missing_actor");
        for (setting, value) in [("actor_ref", "{"), ("actor_ref", "[]"), ("context", "1")] {
            session
                .refusal(&format!(
                    "SELECT pg_catalog.set_config('threadline.{setting}', '{value}', true);
                     INSERT INTO mallory.child VALUES (1)"
                ))
                .has_code("TL002", "malformed_context");
        }
        session.refusal("SELECT threadline.record_action('{}')").has_code("TL008", "invalid_action");
    }
    nothing_stolen(&database);
}

#[test]
fn administration_ignores_what_others_left_in_public() {
    // Up to version 14, and in databases made by them, everyone may create in public.
    let database = prepared(&[]);
    Session::open(&database).run(&format!("GRANT CREATE ON SCHEMA public TO {MALLORY}"));
    let in_public = |traps: &str| {
        traps
            .replace("CREATE OPERATOR mallory.", "CREATE OPERATOR public.")
            .replace("CREATE FUNCTION mallory.", "CREATE FUNCTION public.")
            .replace("function = mallory.", "function = public.")
    };
    as_mallory(&database, &in_public(baits::OPERATORS_AND_FUNCTIONS));
    // What pg_catalog has no exact operator for: an operator of the exact types would win.
    as_mallory(
        &database,
        "DO $do$
         DECLARE
             types text[] := ARRAY['oid', 'int4', 'int8', 'int2', 'text', 'name', 'jsonb', 'regclass', 'regnamespace', 'bool', 'timestamptz', 'xid8'];
             one text; other text; operator text;
         BEGIN
             FOREACH one IN ARRAY types LOOP FOREACH other IN ARRAY types LOOP FOREACH operator IN ARRAY ARRAY['=', '<>', '>=', '->>', '||'] LOOP
                 BEGIN
                     EXECUTE format('CREATE FUNCTION public.trap(%s, %s) RETURNS %s LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN PERFORM mallory.steal_early(''inexact operator''); RETURN NULL; END $f$',
                         one, other, CASE WHEN operator IN ('->>', '||') THEN 'text' ELSE 'bool' END);
                 EXCEPTION WHEN duplicate_function THEN NULL;
                 END;
                 BEGIN
                     EXECUTE format('CREATE OPERATOR public.%s (leftarg = %s, rightarg = %s, function = public.trap)', operator, one, other);
                 EXCEPTION WHEN OTHERS THEN NULL;
                 END;
             END LOOP; END LOOP; END LOOP;
         END $do$",
    );
    let mut admin = Session::open(&database);
    let schema = threadline_core::Schema::default();
    let other = threadline_core::Schema::new("other").unwrap();
    admin.run("SET search_path = \"$user\", public");
    admin.run(&threadline_core::kernel::install_script(&schema));
    admin.run(&threadline_core::kernel::install_script(&other));
    admin.run(
        "SELECT threadline.enable_capture('mallory.plain'), threadline.refresh_capture('mallory.child'),
             threadline.capture_plan('mallory.parted'), threadline.create_partitions(8);
         SELECT threadline.disable_capture('mallory.plain');
         SELECT other.enable_capture('mallory.parted')",
    );
    admin.run(&threadline_core::kernel::uninstall_script(&schema));
    admin.run(&threadline_core::kernel::uninstall_script(&other));
    nothing_stolen(&database);
}
