//! A secret planted in an excluded or masked column is found in no byte of the audit schema: over random policies, every
//! kind of statement, and tables that change their shape meanwhile.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::audit_bytes::places_of;
use crate::session::Session;
use crate::support::{database, database_with};

/// How a column of the table is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Treatment {
    Kept,
    Excluded,
    Masked,
}

#[derive(Clone, Debug)]
struct Case {
    treatments: Vec<Treatment>,
    partitioned: bool,
    lean: bool,
    before_values: bool,
    truncate_rows: bool,
    host_triggers: bool,
    steps: Vec<usize>,
}

/// Columns that may hold a secret, and a value of each around a token.
const COLUMNS: [(&str, &str, &str); 9] = [
    ("s_text", "text", "'@'"),
    ("s_char", "char(40)", "'@'"),
    ("s_json", "json", r#"'{"k": "@", "k": 1}'"#),
    ("s_jsonb", "jsonb", r#"'{"threadline.json": "@"}'"#),
    ("s_bytea", "bytea", "convert_to('@', 'UTF8')"),
    ("s_array", "text[]", "ARRAY['a', '@']"),
    ("s_pair", "pair", "ROW (1, '@')::pair"),
    ("s_pairs", "pair[]", "ARRAY[ROW (1, '@')::pair]"),
    ("s_long", "text", "repeat('@ ', 3000)"),
];

/// What may happen to the rows. `#` stands for the columns, `$` for fresh values of them.
const STEPS: [&str; 16] = [
    "INSERT INTO t (id, k, #) VALUES (1, 1, $)",
    "INSERT INTO t (id, k, #) SELECT n, n, $ FROM generate_series(10, 14) n",
    "UPDATE t SET (#) = ROW ($) WHERE id = 1",
    "UPDATE t SET (#) = ROW ($)",
    "UPDATE t SET k = k + 1",
    "UPDATE t SET id = id + 1000, (#) = ROW ($) WHERE id < 1000",
    "INSERT INTO t (id, k, #) VALUES (1, 1, $), (2, 2, $) ON CONFLICT (id) DO UPDATE SET (#) = ROW ($)",
    "UPDATE parent SET id = id + 1",
    "INSERT INTO t (id, k, parent, #) SELECT 50 + p.id % 7, 1, p.id, $ FROM parent p ON CONFLICT DO NOTHING",
    "DELETE FROM t WHERE id = 1",
    "DELETE FROM t",
    "TRUNCATE t",
    "BEGIN; SAVEPOINT s; UPDATE t SET (#) = ROW ($); ROLLBACK TO s; UPDATE t SET (#) = ROW ($); COMMIT",
    "WITH gone AS (DELETE FROM t RETURNING *) UPDATE parent SET note = note || (SELECT count(*) FROM gone)",
    "DELETE FROM parent WHERE id % 3 = 0",
    "UPDATE t SET id = -id WHERE id > 0",
];

/// What may happen to the table in between.
const ALTERATIONS: [&str; 6] = [
    "ALTER TABLE t ADD COLUMN IF NOT EXISTS late text DEFAULT 'kept'",
    "ALTER TABLE t RENAME s_text TO renamed; ALTER TABLE t ADD s_text text",
    "ALTER TABLE t ALTER s_char TYPE text",
    "ALTER TABLE t RENAME s_text TO spare; ALTER TABLE t RENAME s_long TO s_text; ALTER TABLE t RENAME spare TO s_long",
    "ALTER TABLE t RENAME s_json TO moved_json",
    "ALTER TABLE t DROP s_pairs",
];

fn case() -> impl Strategy<Value = Case> {
    let treatment = prop_oneof![Just(Treatment::Kept), Just(Treatment::Excluded), Just(Treatment::Masked)];
    (
        prop::collection::vec(treatment, COLUMNS.len()),
        any::<[bool; 5]>(),
        prop::collection::vec(0..STEPS.len() + ALTERATIONS.len(), 6..18),
    )
        .prop_map(|(treatments, [partitioned, lean, before_values, truncate_rows, host_triggers], steps)| Case {
            treatments,
            partitioned,
            lean,
            before_values: before_values || lean,
            truncate_rows: truncate_rows || lean,
            host_triggers,
            steps,
        })
}

fn names(case: &Case, treatment: Treatment) -> Vec<&'static str> {
    COLUMNS
        .iter()
        .zip(&case.treatments)
        .filter(|(_, given)| **given == treatment)
        .map(|((name, ..), _)| *name)
        .collect()
}

fn prepare(session: &mut Session, case: &Case) {
    let columns: String = COLUMNS.iter().map(|(name, of_type, _)| format!(", {name} {of_type}")).collect();
    let parts = if case.partitioned {
        "PARTITION BY RANGE (id); CREATE TABLE t_low PARTITION OF t FOR VALUES FROM (MINVALUE) TO (100); CREATE TABLE t_high PARTITION OF t DEFAULT"
    } else {
        ""
    };
    session.run(&format!(
        "CREATE TYPE pair AS (a int, b text); CREATE TABLE parent (id int PRIMARY KEY, note text DEFAULT ''); INSERT INTO parent SELECT generate_series(1, 5);
         CREATE TABLE t (id int PRIMARY KEY, k int, parent int REFERENCES parent ON UPDATE CASCADE ON DELETE CASCADE{columns}) {parts}"
    ));
    if case.host_triggers {
        session.run("CREATE FUNCTION host() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE parent SET note = left(note, 5) || 'x' WHERE id = 1; RETURN NULL; END $$;
            CREATE TRIGGER host AFTER INSERT OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION host()");
    }
    let policy = format!(
        r#"{{"exclude": {:?}, "mask": {:?}, "images": "{}", "before_values": {}, "truncate": "{}"}}"#,
        names(case, Treatment::Excluded),
        names(case, Treatment::Masked),
        if case.lean { "lean" } else { "full" },
        case.before_values,
        if case.truncate_rows { "rows" } else { "event" },
    );
    session.run(&format!("SELECT threadline.enable_capture('parent'), threadline.enable_capture('t', '{policy}')"));
}

/// The mark of every token that is written to a redacted column.
const SECRET: &str = "hidden";

/// Runs the steps and returns the tokens that were written to kept columns.
fn play(session: &mut Session, case: &Case) -> Vec<String> {
    let mut open = Vec::new();
    for (number, step) in case.steps.iter().enumerate() {
        let Some(step) = STEPS.get(*step) else {
            // Not every alteration applies to what the others left.
            let _ = session.attempt(ALTERATIONS[step - STEPS.len()]);
            continue;
        };
        let mut list = Vec::new();
        let mut values = Vec::new();
        for ((name, _, form), treatment) in COLUMNS.iter().zip(&case.treatments) {
            let token = match treatment {
                Treatment::Kept => format!("open{number:03}{name}"),
                _ => format!("{SECRET}{number:03}{name}"),
            };
            list.push((*name).to_owned());
            values.push(form.replace('@', &token));
            if *treatment == Treatment::Kept {
                open.push(token);
            }
        }
        let sql = step.replace('#', &list.join(", ")).replace('$', &values.join(", "));
        // A statement may be refused (a column is gone): what it carried must not be there either.
        let _ = session.attempt(&sql);
        session.run("ROLLBACK");
    }
    open
}

fn leaks(case: &Case) -> Vec<String> {
    let database = database();
    let mut session = Session::open(&database);
    prepare(&mut session, case);
    play(&mut session, case);
    places_of(&database, SECRET)
}

#[test]
fn a_planted_secret_is_nowhere() {
    let mut runner =
        TestRunner::new(Config { cases: 8, max_shrink_iters: 20, failure_persistence: None, ..Config::default() });
    runner
        .run(&case(), |case| {
            let found = leaks(&case);
            prop_assert!(found.is_empty(), "{found:?}");
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn every_step_and_every_treatment_at_least_once() {
    for partitioned in [false, true] {
        for treatment in [Treatment::Excluded, Treatment::Masked] {
            let case = Case {
                treatments: vec![treatment; COLUMNS.len()],
                partitioned,
                lean: false,
                before_values: true,
                truncate_rows: true,
                host_triggers: partitioned,
                steps: (0..STEPS.len())
                    .chain((STEPS.len()..STEPS.len() + ALTERATIONS.len()).flat_map(|step| [step, 0, 2, 3, 10]))
                    .collect(),
            };
            let database = database();
            let mut session = Session::open(&database);
            prepare(&mut session, &case);
            play(&mut session, &case);
            // Refused statements prove nothing.
            let recorded: usize = session.value("SELECT count(*) FROM threadline.audit_changes").parse().unwrap();
            assert!(recorded > 30, "{recorded}");
            assert_eq!(places_of(&database, SECRET), [""; 0], "{case:?}");
        }
    }
}

#[test]
fn without_redaction_the_same_steps_are_found() {
    let case = Case {
        treatments: vec![Treatment::Kept; COLUMNS.len()],
        partitioned: false,
        lean: false,
        before_values: true,
        truncate_rows: true,
        host_triggers: false,
        steps: vec![0, 2],
    };
    let database = database();
    let mut session = Session::open(&database);
    prepare(&mut session, &case);
    let open = play(&mut session, &case);
    for token in &open {
        assert!(!places_of(&database, token).is_empty(), "{token}");
    }
}

#[test]
fn errors_of_capture_do_not_carry_values() {
    let (_database, mut session) = database_with(
        r#"CREATE TABLE t (id int PRIMARY KEY, secret text); SELECT threadline.enable_capture('t', '{"exclude": ["secret"], "require_actor": true, "truncate": "refuse"}')"#,
    );
    let refusal = session.refusal("INSERT INTO t VALUES (1, 'planted')");
    assert!(!format!("{refusal:?}").contains("planted"), "{refusal:?}");
}
