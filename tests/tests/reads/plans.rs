//! At 200,000 changes over 24 partitions no question looks at many of them: the server's own counters tell how many rows
//! were read, and whether a partition was read from end to end.
//!
//! `THREADLINE_READS_URL` names another database with a seeded trail, of `THREADLINE_READS_CHANGES` changes, for a look at
//! the same questions there.

use std::env;
use std::time::Instant;

use threadline::{Schema, kernel};
use threadline_testkit::{Database, require_server};
use threadline_tests::reads::{questions, seed_sql, with_literals};
use time::OffsetDateTime;

use crate::session::Session;

const CHANGES: u64 = 200_000;
/// A page has 51 rows. Before they are found, up to 2,001 entries of an index are counted, and 501 transactions.
const MOST: u64 = 10_000;

fn seeded() -> Database {
    let setup = format!("BEGIN; {} COMMIT; {}", kernel::install_script(&Schema::default()), seed_sql(CHANGES, 24));
    require_server().database_from("reads_seeded", &setup).unwrap()
}

/// What a statement read of the trail: rows through indexes, and rows of partitions that were read from end to end.
fn read(session: &mut Session, sql: &str) -> (u64, u64) {
    // The counters go on from whatever the session has not reported yet.
    let counters = "SELECT coalesce(sum(idx_tup_fetch), 0)::bigint::text, coalesce(sum(seq_tup_read), 0)::bigint::text
        FROM pg_stat_xact_user_tables WHERE schemaname = 'threadline' AND relname <> 'audited_tables'";
    let counted = session.rows(&format!("BEGIN READ ONLY; SET LOCAL jit = off; {counters}; {sql}; {counters}; COMMIT"));
    let (before, after) = (counted.first().unwrap(), counted.last().unwrap());
    let number = |row: &Vec<Option<String>>, index: usize| row[index].as_deref().unwrap().parse::<u64>().unwrap();
    (number(after, 0) - number(before, 0), number(after, 1) - number(before, 1))
}

#[test]
fn no_question_looks_at_much_of_the_trail() {
    let elsewhere = env::var("THREADLINE_READS_URL").ok();
    let database = if elsewhere.is_none() { Some(seeded()) } else { None };
    let changes = env::var("THREADLINE_READS_CHANGES").map_or(CHANGES, |changes| changes.parse().unwrap());
    let url = elsewhere.unwrap_or_else(|| database.as_ref().unwrap().url().to_owned());
    let mut session = Session::at(&url);
    let mut complaints = Vec::new();
    for question in questions(changes, OffsetDateTime::now_utc()).unwrap() {
        let sql = with_literals(&question.statement).unwrap();
        session.rows(&sql);
        let mut times: Vec<f64> = (0..5)
            .map(|_| {
                let started = Instant::now();
                session.rows(&sql);
                started.elapsed().as_secs_f64() * 1000.0
            })
            .collect();
        times.sort_by(f64::total_cmp);
        let (fetched, scanned) = read(&mut session, &sql);
        println!("{:26} {fetched:8} rows, {scanned:6} scanned, {:6.1} ms", question.name, times[2]);
        // Where to begin the way back to somebody who is long gone, one month tells.
        let most = if question.name == "actor, long gone" { changes / 24 + MOST } else { MOST };
        if fetched > most || scanned > MOST {
            complaints.push(format!("{}: {fetched} rows, {scanned} scanned", question.name));
        }
    }
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn the_counters_see_what_is_read() {
    let database = seeded();
    let mut session = Session::at(database.url());
    let (_, scanned) = read(&mut session, "SELECT count(*) FROM threadline.audit_changes WHERE op = 'never'");
    assert!(scanned >= CHANGES, "{scanned}");
    let (fetched, _) = read(
        &mut session,
        "SELECT count(data_after) FROM (SELECT * FROM threadline.audit_changes ORDER BY captured_at, id LIMIT 300) AS c",
    );
    assert!(fetched >= 300, "{fetched}");
}
