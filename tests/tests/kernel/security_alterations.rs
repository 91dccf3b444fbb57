//! A table that its owner alters after capture was enabled: columns retyped, recreated, swapped, under every kind of
//! session. Generated code that trusts the old types would run the casts of the new ones.

use threadline_testkit::Database;

use crate::baits::{self, as_mallory, nothing_stolen};
use crate::session::Session;
use crate::support::{MALLORY, changes};

/// A column of every kind that capture has special text for.
const COLUMNS: &str = "id int PRIMARY KEY, i int, n mallory.amount, j json, b jsonb, f float8, fs float8[], t text,
    z timestamptz, k bool, dj mallory.some_json, db mallory.some_jsonb, df mallory.some_float, m mallory.mood";

const NAMES: [&str; 12] = ["i", "n", "j", "b", "f", "fs", "t", "z", "k", "dj", "db", "df"];

/// Makes the table of one case, in the place of the one before.
fn capture(database: &Database, partitioned: bool) {
    let table = if partitioned {
        format!(
            "CREATE TABLE mallory.t ({COLUMNS}) PARTITION BY RANGE (id);
             CREATE TABLE mallory.t1 PARTITION OF mallory.t FOR VALUES FROM (0) TO (1000);
             CREATE TABLE mallory.t2 PARTITION OF mallory.t DEFAULT;"
        )
    } else {
        format!("CREATE TABLE mallory.t ({COLUMNS});")
    };
    let mut session = as_mallory(
        database,
        "SET client_min_messages = error; DROP TABLE IF EXISTS mallory.t CASCADE;
         DROP DOMAIN IF EXISTS mallory.some_json, mallory.some_jsonb, mallory.some_float, mallory.amount, mallory.formerly;
         CREATE DOMAIN mallory.some_json AS json; CREATE DOMAIN mallory.some_jsonb AS jsonb;
         CREATE DOMAIN mallory.some_float AS float8; CREATE DOMAIN mallory.amount AS int;
         CREATE TABLE IF NOT EXISTS mallory.other (id int);",
    );
    session.run(&table);
    Session::open(database).run("SELECT threadline.enable_capture('mallory.t')");
}

fn captured(partitioned: bool) -> Database {
    let database = baits::database();
    capture(&database, partitioned);
    database
}

fn count(database: &Database) -> usize {
    changes(&mut Session::open(database)).len()
}

/// What an owner may do to the columns, all of which then take the value `'ok'`.
fn alterations() -> Vec<(&'static str, String)> {
    let each = |form: &dyn Fn(&str) -> String| NAMES.iter().map(|name| form(name)).collect::<Vec<_>>().join("; ");
    let over_mood = "CREATE DOMAIN mallory.{} AS mallory.mood";
    vec![
        (
            "retyped to an enum",
            each(&|name| format!("ALTER TABLE mallory.t ALTER {name} TYPE mallory.mood USING 'ok'")),
        ),
        (
            "retyped to a domain over an enum",
            each(&|name| format!("ALTER TABLE mallory.t ALTER {name} TYPE mallory.feeling USING 'ok'")),
        ),
        (
            "dropped and added again with an enum",
            each(&|name| format!("ALTER TABLE mallory.t DROP {name}; ALTER TABLE mallory.t ADD {name} mallory.mood")),
        ),
        (
            "renamed away and added again with an enum",
            each(&|name| format!("ALTER TABLE mallory.t RENAME {name} TO old_{name}; ALTER TABLE mallory.t ADD {name} mallory.mood")),
        ),
        (
            "their domains dropped and made again over an enum",
            format!(
                "ALTER TABLE mallory.t DROP n, DROP dj, DROP db, DROP df;
                 DROP DOMAIN mallory.amount, mallory.some_json, mallory.some_jsonb, mallory.some_float;
                 {}; {}; {}; {};
                 ALTER TABLE mallory.t ADD n mallory.amount, ADD dj mallory.some_json, ADD db mallory.some_jsonb, ADD df mallory.some_float;
                 ALTER TABLE mallory.t ALTER i TYPE mallory.mood USING 'ok', ALTER j TYPE mallory.mood USING 'ok', ALTER b TYPE mallory.mood USING 'ok',
                     ALTER f TYPE mallory.mood USING 'ok', ALTER fs TYPE mallory.mood USING 'ok', ALTER z TYPE mallory.mood USING 'ok', ALTER k TYPE mallory.mood USING 'ok'",
                over_mood.replace("{}", "amount"),
                over_mood.replace("{}", "some_json"),
                over_mood.replace("{}", "some_jsonb"),
                over_mood.replace("{}", "some_float"),
            ),
        ),
        (
            "their domains renamed, others given the names",
            each(&|name| format!("ALTER TABLE mallory.t ALTER {name} TYPE mallory.mood USING 'ok'"))
                + "; ALTER DOMAIN mallory.amount RENAME TO formerly; CREATE DOMAIN mallory.amount AS mallory.mood;
                   ALTER TABLE mallory.t ALTER n TYPE mallory.amount USING 'ok'",
        ),
        (
            "swapped one by one with an enum",
            each(&|name| format!(
                "ALTER TABLE mallory.t RENAME {name} TO spare; ALTER TABLE mallory.t RENAME m TO {name}; ALTER TABLE mallory.t RENAME spare TO m;
                 ALTER TABLE mallory.t ALTER m TYPE mallory.mood USING 'ok'"
            )),
        ),
    ]
}

/// One and several rows inserted, updated and deleted, in the session at hand.
fn hammer(session: &mut Session) {
    let names = NAMES.join(", ");
    let ok = ["'ok'"; NAMES.len()].join(", ");
    let sad = ok.replace("ok", "sad");
    session.run(&format!("INSERT INTO mallory.t (id, {names}) VALUES (1, {ok})"));
    session.run(&format!("INSERT INTO mallory.t (id, {names}) VALUES (2, {ok}), (2000, {ok})"));
    session.run(&format!("UPDATE mallory.t SET ({names}) = ROW ({sad}) WHERE id = 1"));
    session.run("UPDATE mallory.t SET m = 'happy', z = 'sad'");
    session.run("DELETE FROM mallory.t WHERE id = 1");
    session.run("DELETE FROM mallory.t");
}

const HAMMERED: usize = 3 + 1 + 3 + 3;

/// Fills the caches of a session with plans for the table as it is.
fn warm(session: &mut Session) {
    session.run(
        "INSERT INTO mallory.t (id, i, n, f) VALUES (1, 1, 1, 1), (2, 2, 2, 2), (1000, 3, 3, 3);
         UPDATE mallory.t SET i = 7 WHERE id = 1; UPDATE mallory.t SET n = 8;
         DELETE FROM mallory.t WHERE id = 1; DELETE FROM mallory.t",
    );
}

#[track_caller]
fn written(database: &Database, known: usize, what: &str) {
    nothing_stolen(database);
    let all = changes(&mut Session::open(database));
    assert_eq!(all.len() - known, HAMMERED, "{what}");
    // What was recorded is the value, not what a cast made of it.
    let odd = all[known..].iter().find(|line| {
        ["i", "dj"].iter().any(|name| {
            !line.contains(&format!("\"{name}\": \"ok\"")) && !line.contains(&format!("\"{name}\": \"sad\""))
        })
    });
    assert_eq!(odd, None, "{what}");
}

/// Runs a case for every kind of table and every alteration, one after the other in one database.
fn for_each_alteration(case: impl Fn(&Database, &str) -> usize) {
    let database = baits::database();
    for partitioned in [false, true] {
        for (what, sql) in alterations() {
            capture(&database, partitioned);
            let known = case(&database, &sql);
            written(&database, known, &format!("{what}, partitioned: {partitioned}"));
        }
    }
}

#[test]
fn altered_columns_run_nothing_in_a_new_session() {
    for_each_alteration(|database, sql| {
        let known = count(database);
        as_mallory(database, sql);
        hammer(&mut Session::open_as(database, MALLORY));
        known
    });
}

#[test]
fn altered_columns_run_nothing_in_a_session_with_cached_plans() {
    for_each_alteration(|database, sql| {
        let mut warmed = Session::open_as(database, MALLORY);
        warm(&mut warmed);
        let known = count(database);
        warmed.run(sql);
        hammer(&mut warmed);
        known
    });
}

#[test]
fn columns_altered_by_another_session_run_nothing_in_one_with_cached_plans() {
    for_each_alteration(|database, sql| {
        let mut warmed = Session::open_as(database, MALLORY);
        warm(&mut warmed);
        let known = count(database);
        as_mallory(database, sql);
        hammer(&mut warmed);
        known
    });
}

#[test]
fn altered_columns_run_nothing_in_a_transaction_with_an_older_snapshot() {
    for warmed_up in [false, true] {
        for_each_alteration(|database, sql| {
            let mut older = Session::open_as(database, MALLORY);
            if warmed_up {
                warm(&mut older);
            }
            let known = count(database);
            older.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM mallory.other");
            as_mallory(database, sql);
            hammer(&mut older);
            older.run("COMMIT");
            known
        });
    }
}

#[test]
fn refreshing_an_altered_table_runs_nothing() {
    for_each_alteration(|database, sql| {
        let known = count(database);
        as_mallory(database, sql);
        Session::open(database).run(
            "SELECT threadline.capture_plan('mallory.t', '{\"mask\": [\"i\"]}');
             SELECT threadline.refresh_capture('mallory.t')",
        );
        hammer(&mut Session::open_as(database, MALLORY));
        known
    });
}

#[test]
fn a_child_table_with_columns_of_its_own_runs_nothing() {
    let database = captured(false);
    let mut session =
        as_mallory(&database, "CREATE TABLE mallory.child (m2 mallory.mood, f2 mallory.feeling) INHERITS (mallory.t)");
    session.run("INSERT INTO mallory.t (id) VALUES (1); INSERT INTO mallory.child (id, m2, f2) VALUES (2, 'ok', 'ok')");
    session.run("UPDATE mallory.t SET m = 'sad'; UPDATE mallory.t SET i = 1 WHERE id = 2; DELETE FROM mallory.t");
    nothing_stolen(&database);
}

#[test]
fn what_a_truncation_reads_runs_nothing_with_our_rights() {
    for partitioned in [false, true] {
        let database = captured(partitioned);
        Session::open(&database).run(r#"SELECT threadline.enable_capture('mallory.t', '{"truncate": "rows"}')"#);
        // Code of the owner that reading the table could call: policies, index expressions, statistics, rules, triggers.
        let mut session = as_mallory(
            &database,
            "INSERT INTO mallory.t (id) SELECT generate_series(1, 5000);
             CREATE INDEX ON mallory.t ((CASE WHEN mallory.steal_early('index') THEN i END));
             CREATE INDEX ON mallory.t (i) WHERE mallory.steal_early('partial index');
             ALTER TABLE mallory.t ENABLE ROW LEVEL SECURITY;
             CREATE POLICY p ON mallory.t USING (mallory.steal_early('policy'));
             ALTER TABLE mallory.t ADD CHECK (mallory.steal_early('check'));",
        );
        if !partitioned {
            session.run("ALTER TABLE mallory.t FORCE ROW LEVEL SECURITY");
        }
        // The policy could hide rows: either all are recorded, or it is refused.
        let truncated = session.attempt("TRUNCATE mallory.t");
        nothing_stolen(&database);
        let mut admin = Session::open(&database);
        let deleted = admin.value("SELECT count(*) FROM threadline.audit_changes WHERE op = 'delete'");
        let left = admin.value("SELECT count(*) FROM mallory.t");
        let expected = if truncated.is_ok() { ("5000", "0") } else { ("0", "5000") };
        assert_eq!((&*deleted, &*left), expected, "{truncated:?}");
    }
}
