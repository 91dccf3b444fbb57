//! The same value is recorded as the same JSON whatever a session's settings, which are as they were afterwards.

use crate::session::Session;
use crate::support::database_with;
use crate::type_trip::Trip;
use crate::type_values::{ARRAYS, BUILT_IN, Column, OBJECTS, USER_MADE};

/// Sessions, each with other settings that text forms depend on, or that could disturb generated code.
const SESSIONS: [(&str, &str); 16] = [
    ("TimeZone", "'America/St_Johns'"),
    ("TimeZone", "'Asia/Kathmandu'"),
    ("DateStyle", "'SQL, DMY'"),
    ("DateStyle", "'German, YMD'"),
    ("IntervalStyle", "'sql_standard'"),
    ("IntervalStyle", "'iso_8601'"),
    ("bytea_output", "'escape'"),
    ("extra_float_digits", "-15"),
    ("extra_float_digits", "3"),
    ("search_path", "first, second, pg_catalog"),
    ("search_path", "''"),
    ("quote_all_identifiers", "on"),
    ("lc_monetary", "'{other locale}'"),
    ("xmloption", "document"),
    ("array_nulls", "off"),
    ("client_encoding", "'LATIN1'"),
];

/// Everything at once, and what generated code itself could stumble over.
const ODD: &str = "
    SET TimeZone = 'America/St_Johns'; SET DateStyle = 'SQL, DMY'; SET IntervalStyle = 'sql_standard'; SET bytea_output = 'escape';
    SET extra_float_digits = -15; SET quote_all_identifiers = on; SET search_path = second, pg_catalog, public; SET xmloption = document; SET array_nulls = off;
    SET standard_conforming_strings = off; SET backslash_quote = off; SET escape_string_warning = off; SET transform_null_equals = on;
    SET check_function_bodies = off; SET plpgsql.extra_errors = 'all'; SET plpgsql.extra_warnings = 'all'; SET plpgsql.check_asserts = off; SET row_security = off;
    SET default_transaction_deferrable = on; SET plan_cache_mode = force_generic_plan; SET jit = off;
    SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_nestloop = off; SET enable_seqscan = off; SET enable_sort = off; SET from_collapse_limit = 1;
    SET join_collapse_limit = 1; SET default_toast_compression = 'pglz'; SET lock_timeout = '5s'; SET max_parallel_workers_per_gather = 8;
    SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;";

/// The value of every setting, but for those that modules add when they are loaded.
fn settings(session: &mut Session) -> Vec<String> {
    session.column("SELECT name || ' = ' || setting FROM pg_settings WHERE name NOT LIKE '%.%' ORDER BY name")
}

fn last_id(session: &mut Session) -> String {
    session.value("SELECT coalesce(max(id), 0) FROM threadline.audit_changes")
}

/// A locale whose money looks different from that of C, where the server has one.
fn other_locale(session: &mut Session) -> Option<String> {
    ["de_DE.UTF-8", "en_US.UTF-8", "en_US.utf8", "en_GB.UTF-8", "de_DE.utf8", "C.UTF-8"]
        .into_iter()
        .find(|locale| session.attempt(&format!("SET lc_monetary = '{locale}'; RESET lc_monetary")).is_ok())
        .map(str::to_owned)
}

#[track_caller]
fn recorded_alike(columns: &[Column]) {
    for (table, partitioned) in [("plain", false), ("parted", true)] {
        let (database, mut admin) = database_with(OBJECTS);
        let trip = Trip::begin(&mut admin, table, columns, partitioned);
        let locale = other_locale(&mut admin).unwrap_or_else(|| "C".to_owned());
        trip.write(&mut Session::open(&database));
        let expected = trip.digest(&mut admin, "0");
        let mut sessions: Vec<(String, String)> = SESSIONS
            .iter()
            .map(|(name, value)| {
                (format!("{name} = {value}"), format!("SET {name} = {}", value.replace("{other locale}", &locale)))
            })
            .collect();
        if partitioned {
            // Row by row the text forms are the same; together is enough.
            sessions.clear();
        }
        sessions.push(("everything odd".to_owned(), ODD.to_owned()));
        for (what, set) in sessions {
            let mut session = Session::open(&database);
            session.run(&set);
            let before = settings(&mut session);
            let since = last_id(&mut admin);
            trip.write(&mut session);
            let disturbed: Vec<String> =
                settings(&mut session).into_iter().filter(|line| !before.contains(line)).collect();
            assert!(disturbed.is_empty(), "with {what}: {disturbed:?}");
            let recorded = trip.digest(&mut admin, &since);
            assert!(recorded == expected, "with {what}, of table {table}: {:#?}", trip.differing(&mut admin, &since));
        }
    }
}

#[test]
fn built_in_types_are_recorded_alike_in_every_session() {
    recorded_alike(BUILT_IN);
}

#[test]
fn arrays_are_recorded_alike_in_every_session() {
    recorded_alike(ARRAYS);
}

#[test]
fn user_made_types_are_recorded_alike_in_every_session() {
    recorded_alike(USER_MADE);
}

#[test]
fn settings_made_inside_the_transaction_survive_capture() {
    let (_database, mut session) = database_with(
        "CREATE TABLE t (id int PRIMARY KEY, z timestamptz, f float8, i interval); SELECT threadline.enable_capture('t');
         SET TimeZone = 'Asia/Tokyo'; SET extra_float_digits = 0",
    );
    let show = |session: &mut Session| {
        session.value("SELECT concat_ws(' ', current_setting('TimeZone'), current_setting('extra_float_digits'), current_setting('IntervalStyle'))")
    };
    session.run("BEGIN; SET TimeZone = 'Europe/Paris'; SET LOCAL extra_float_digits = -3; INSERT INTO t VALUES (1, now(), 1, '1 day')");
    assert_eq!(show(&mut session), "Europe/Paris -3 postgres");
    session.run("SET IntervalStyle = 'iso_8601'; SAVEPOINT s; UPDATE t SET f = 2; ROLLBACK TO s; UPDATE t SET f = 3");
    assert_eq!(show(&mut session), "Europe/Paris -3 iso_8601");
    session.run("COMMIT");
    // What was set for the session stays, what was set for the transaction does not.
    assert_eq!(show(&mut session), "Europe/Paris 0 iso_8601");
    session.run("BEGIN; SET TimeZone = 'UTC'; UPDATE t SET f = 4; ROLLBACK");
    assert_eq!(show(&mut session), "Europe/Paris 0 iso_8601");
    // A refused write leaves nothing pinned behind, not even where it is caught.
    session.run("BEGIN; SAVEPOINT s");
    session.refusal("INSERT INTO t VALUES (1), (1)");
    session.run("ROLLBACK TO s");
    assert_eq!(show(&mut session), "Europe/Paris 0 iso_8601");
    session.run("DO $$ BEGIN INSERT INTO t VALUES (7); RAISE EXCEPTION 'x'; EXCEPTION WHEN raise_exception THEN NULL; END $$; COMMIT");
    assert_eq!(show(&mut session), "Europe/Paris 0 iso_8601");
}

#[test]
fn enabling_generates_the_same_script_in_every_session() {
    let (database, mut admin) = database_with(OBJECTS);
    Trip::begin(&mut admin, "plain", BUILT_IN, false);
    Trip::begin(&mut admin, "parted", USER_MADE, true);
    let plan = |session: &mut Session| {
        session.column(
            "SELECT threadline.capture_plan(t::regclass, '{\"mask\": [], \"except_columns\": [], \"mask_placeholder\": \"x\\\\y''s\"}'::jsonb) FROM unnest(ARRAY['public.plain', 'public.parted']) AS t
             UNION ALL SELECT threadline.key_hash('Odd \"schema\"', 'b', '{\"k\": [1.50]}')::text || threadline.table_shape('public.plain')",
        )
    };
    let expected = plan(&mut Session::open(&database));
    for (name, value) in SESSIONS {
        let mut session = Session::open(&database);
        if session.attempt(&format!("SET {name} = {value}")).is_err() {
            continue; // the locale that the other tests look for
        }
        is_same(&plan(&mut session), &expected, &format!("{name} = {value}"));
    }
    let mut session = Session::open(&database);
    session.run(&ODD.replace("SET standard_conforming_strings = off;", ""));
    is_same(&plan(&mut session), &expected, "everything odd");
}

/// Shows the first line that differs, not the whole text.
#[track_caller]
fn is_same(plans: &[String], expected: &[String], what: &str) {
    for (plan, expected) in plans.iter().zip(expected) {
        for (line, wanted) in plan.lines().zip(expected.lines()) {
            assert_eq!(line, wanted, "with {what}");
        }
    }
}
