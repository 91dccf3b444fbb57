//! At 200,000 changes over 24 partitions no question looks at many of them: the server's own counters tell how many rows
//! were read, and whether a partition was read from end to end.
//!
//! `THREADLINE_READS_URL` names another database with a seeded trail, of `THREADLINE_READS_CHANGES` changes, for a look at
//! the same questions there.

use std::env;
use std::time::Instant;

use threadline::sqlx::Trail;
use threadline::{ActorRef, ChangeOp, CountChanges, Schema, Timeline, kernel};
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

/// Pages over many partitions are what plain SQL says, for whoever is found by ids, by ranges and by walking.
#[tokio::test]
async fn pages_over_months_are_complete() {
    let database = seeded();
    let db = crate::world::pool(database.url());
    let user = |id: &str| ActorRef::user(id).unwrap();
    let then = OffsetDateTime::now_utc() - time::Duration::days(400);
    let posts = || Timeline::new().schema("public").table("posts");
    let before = format!("c.captured_at <= '{then}'::timestamptz");
    let cases: [(Timeline, &str); 11] = [
        (Timeline::new(), "true"),
        (Timeline::new().until(then), &before),
        (Timeline::new().actor(&user("1")), "t.actor_ref ->> 'id' = '1'"),
        (Timeline::new().actor(&user("gone")), "t.actor_ref ->> 'id' = 'gone'"),
        (Timeline::new().actor(&user("77")), "t.actor_ref ->> 'id' = '77'"),
        (Timeline::new().action("post.updated"), "a.name = 'post.updated'"),
        (Timeline::new().action("post.purged"), "a.name = 'post.purged'"),
        (Timeline::new().table("settings"), "c.table_name = 'settings'"),
        (Timeline::new().table("settings").table("comments"), "c.table_name IN ('settings', 'comments')"),
        (
            posts().actor(&user("gone")).op(ChangeOp::Insert),
            "c.table_name = 'posts' AND c.op = 'insert' AND t.actor_ref ->> 'id' = 'gone'",
        ),
        (posts().op(ChangeOp::Delete), "c.table_name = 'posts' AND c.op = 'delete'"),
    ];
    for (timeline, condition) in cases {
        let sql = format!(
            "SELECT c.id::text FROM threadline.audit_changes c JOIN threadline.audit_transactions t ON t.id = c.transaction_id
             LEFT JOIN threadline.audit_actions a ON a.id = t.action_id WHERE {condition} ORDER BY c.captured_at DESC, c.id DESC"
        );
        let all: Vec<String> =
            database.query_text(&sql).unwrap().into_iter().map(|row| row[0].clone().unwrap()).collect();
        let cap = 300_000;
        let count = db.count_changes(&CountChanges::of(timeline.clone()).cap(cap)).await.unwrap();
        assert_eq!(count.count, all.len() as u64, "{condition}");
        let mut found = Vec::new();
        let mut page = db.timeline(&timeline.clone().limit(997)).await.unwrap();
        loop {
            found.extend(page.entries.iter().map(|entry| entry.change.id.to_string()));
            let Some(cursor) = page.next.filter(|_| found.len() < 3_000) else { break };
            page = db.timeline(&timeline.clone().limit(997).cursor(cursor)).await.unwrap();
        }
        assert_eq!(found, all[..found.len()], "{condition}");
        assert_eq!(found.len().min(3_000), all.len().min(3_000), "{condition}");
    }
}
