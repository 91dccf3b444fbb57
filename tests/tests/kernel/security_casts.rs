//! Casts, checks and ranges that a table's owner made: capture runs none of them with its own rights.

use threadline_testkit::Database;

use crate::baits::{self, as_mallory, nothing_stolen};
use crate::session::Session;
use crate::support::changes;

/// One column of each type that Mallory can make.
const COLUMNS: &str = "id int PRIMARY KEY, e mallory.mood, c mallory.pair, f mallory.feeling, n mallory.amount,
    r mallory.moods, es mallory.mood[], cs mallory.pair[], fs mallory.feeling[], ns mallory.amount[],
    g text GENERATED ALWAYS AS (CASE WHEN mallory.steal_early('generated column') THEN 'g' END) STORED";

const ROW: &str = "'happy', '(sad,x)', 'ok', 7, '[sad,happy]', '{sad,NULL}', '{\"(ok,y)\"}', '{ok}', '{7}'";

const PLAIN: &str = "CREATE TABLE mallory.t";
const PARTITIONED: &str = "CREATE TABLE mallory.t1 PARTITION OF mallory.t FOR VALUES FROM (0) TO (1000);
    CREATE TABLE mallory.t2 PARTITION OF mallory.t DEFAULT";

/// The tables of Mallory under test, captured with a policy.
fn tables(partitioned: bool, policy: &str) -> Database {
    let ddl = if partitioned {
        format!("{PLAIN} ({COLUMNS}) PARTITION BY RANGE (id); {PARTITIONED}")
    } else {
        format!("{PLAIN} ({COLUMNS})")
    };
    baits::database_with(&ddl, &format!("SELECT threadline.enable_capture('mallory.t', '{policy}')"))
}

/// Writes of every kind, single and bulk.
fn hammer(session: &mut Session) {
    session.run(&format!(
        "INSERT INTO mallory.t VALUES (1, {ROW});
         INSERT INTO mallory.t (id) VALUES (2), (3), (4), (1001);
         INSERT INTO mallory.t VALUES (1, {ROW}) ON CONFLICT (id) DO UPDATE SET e = 'sad';
         UPDATE mallory.t SET e = 'ok', c = '(happy,)', f = 'happy', n = 8, r = 'empty', es = '{{}}', cs = NULL, fs = '{{sad}}' WHERE id = 1;
         UPDATE mallory.t SET e = 'sad', c = '(,)', f = 'sad', n = 9, r = '(,)', es = '{{ok}}', cs = '{{}}', ns = '{{}}';
         DELETE FROM mallory.t WHERE id = 1;
         DELETE FROM mallory.t WHERE id < 4;"
    ));
}

#[test]
fn the_traps_catch_a_careless_definer_function() {
    let database = baits::database_with(
        &format!("{PLAIN} ({COLUMNS})"),
        "CREATE FUNCTION public.careless() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
             PERFORM to_jsonb(NEW), NEW.e::text, NEW.e::int4, NEW.es::text, NEW.r::numeric, NEW.c::text, 1::mallory.amount;
             RETURN NULL;
         END $$;
         CREATE TRIGGER careless AFTER INSERT ON mallory.t FOR EACH ROW EXECUTE FUNCTION public.careless();",
    );
    as_mallory(&database, &format!("INSERT INTO mallory.t VALUES (1, {ROW})"));
    let stolen = baits::stolen(&database);
    for trap in [
        "cast mallory.mood to json",
        "cast mallory.mood to text",
        "cast mallory.mood to int4",
        "cast mallory.mood[] to text",
        "cast mallory.moods to numeric",
        "cast mallory.pair to text",
        "domain check",
    ] {
        assert!(stolen.contains(&trap.to_owned()), "{trap} is not in {stolen:?}");
    }
}

#[test]
fn a_statement_capture_runs_no_cast_of_the_owner() {
    let database = tables(false, "{}");
    let mut session = as_mallory(&database, "");
    hammer(&mut session);
    nothing_stolen(&database);
    assert_eq!(changes(&mut Session::open(&database)).len(), 5 + 1 + 1 + 5 + 1 + 2);
}

#[test]
fn a_row_capture_runs_no_cast_of_the_owner() {
    let database = tables(true, "{}");
    let mut session = as_mallory(&database, "");
    hammer(&mut session);
    nothing_stolen(&database);
    assert_eq!(changes(&mut Session::open(&database)).len(), 5 + 1 + 1 + 5 + 1 + 2);
}

#[test]
fn capture_of_an_altered_table_runs_no_cast_of_the_owner() {
    for partitioned in [false, true] {
        let database = tables(partitioned, "{}");
        let mut session = as_mallory(&database, "ALTER TABLE mallory.t ADD COLUMN late mallory.mood DEFAULT 'sad'");
        hammer(&mut session);
        session.run("INSERT INTO mallory.t (id, late) VALUES (77, 'ok'); UPDATE mallory.t SET late = 'happy'");
        nothing_stolen(&database);
        assert!(
            changes(&mut Session::open(&database))
                .contains(&r#"update mallory.t {"id": 77} after {"c": null, "e": null, "f": null, "g": "g", "n": null, "r": null, "cs": null, "es": null, "fs": null, "id": 77, "ns": null, "late": "happy"} fields late from {"late": "ok"}"#.to_owned()),
            "partitioned: {partitioned}"
        );
    }
}

#[test]
fn truncate_recorded_row_by_row_runs_no_cast_of_the_owner() {
    for partitioned in [false, true] {
        let database = tables(partitioned, r#"{"truncate": "rows"}"#);
        let mut session = as_mallory(&database, "");
        session.run(&format!("INSERT INTO mallory.t VALUES (1, {ROW}), (1001, {ROW})"));
        session.run("TRUNCATE mallory.t");
        nothing_stolen(&database);
        assert_eq!(changes(&mut Session::open(&database)).len(), 4, "partitioned: {partitioned}");
    }
}

#[test]
fn redaction_and_lean_images_run_no_cast_of_the_owner() {
    for policy in [
        r#"{"mask": ["e", "c", "f", "es"], "exclude": ["r", "n"]}"#,
        r#"{"images": "lean"}"#,
        r#"{"before_values": false, "except_columns": ["e", "r"]}"#,
    ] {
        for partitioned in [false, true] {
            let database = tables(partitioned, policy);
            hammer(&mut as_mallory(&database, ""));
            nothing_stolen(&database);
        }
    }
}

#[test]
fn keys_of_the_owners_types_run_no_cast_of_the_owner() {
    let database = baits::database_with(
        "CREATE TABLE mallory.t (e mallory.mood, f mallory.feeling, n mallory.amount, v text, PRIMARY KEY (e, f, n))",
        "SELECT threadline.enable_capture('mallory.t')",
    );
    as_mallory(
        &database,
        "INSERT INTO mallory.t VALUES ('ok', 'ok', 1, 'x'), ('sad', 'ok', 2, 'x');
         UPDATE mallory.t SET e = 'happy', n = n + 10; UPDATE mallory.t SET v = 'y' WHERE n = 11;
         DELETE FROM mallory.t",
    );
    nothing_stolen(&database);
    assert_eq!(
        changes(&mut Session::open(&database))[4],
        r#"update mallory.t {"e": "happy", "f": "ok", "n": 11} after {"e": "happy", "f": "ok", "n": 11, "v": "y"} fields v from {"v": "x"}"#
    );
}
