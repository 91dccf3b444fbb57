//! Under SERIALIZABLE, auditing causes no failure that the bare tables would not have.

use std::sync::{Arc, Barrier};
use std::thread;

use threadline_testkit::Database;

use crate::session::Session;
use crate::support::database_with;

const CLIENTS: usize = 8;
const ROUNDS: usize = 40;

const TABLES: &str = "
    CREATE TABLE bare (id int PRIMARY KEY, client int, n int);
    CREATE TABLE audited (id int PRIMARY KEY, client int, n int);
    CREATE TABLE audited_parts (id int PRIMARY KEY, client int, n int) PARTITION BY RANGE (id);
    CREATE TABLE audited_parts_1 PARTITION OF audited_parts FOR VALUES FROM (0) TO (1000000); CREATE TABLE audited_parts_2 PARTITION OF audited_parts DEFAULT;
    CREATE TABLE looked_up (id int PRIMARY KEY, client int, n int);
    SELECT threadline.enable_capture('audited'), threadline.enable_capture('audited_parts');";

/// What one client does in one transaction: `@` is the table, `#` a number that nobody else uses, `%` the client.
struct Work {
    name: &'static str,
    table: &'static str,
    statements: &'static [&'static str],
}

const CONTEXT: &str = r##"SELECT set_config('threadline.actor_ref', '{"type":"user","id":"%"}', true), set_config('threadline.context', '{"request_id":"#"}', true)"##;
const ACTION: &str = r#"SELECT threadline.record_action('{"name":"n"}')"#;

/// All clients do the same, at the same time, in transactions that overlap; returns how many were refused with 40001.
fn failures(database: &Database, work: &Work, offset: usize) -> usize {
    let barrier = Arc::new(Barrier::new(CLIENTS));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let mut session = Session::open(database);
            let barrier = Arc::clone(&barrier);
            let (table, statements) = (work.table, work.statements);
            thread::spawn(move || {
                let mut failed = 0;
                for round in 0..ROUNDS {
                    let number = offset + round * CLIENTS + client;
                    // All begin together and all commit together: every transaction overlaps every other of its round.
                    barrier.wait();
                    session.run("BEGIN ISOLATION LEVEL SERIALIZABLE");
                    let mut refused = false;
                    for (step, sql) in statements.iter().enumerate() {
                        if step == 1 {
                            barrier.wait();
                        }
                        let sql =
                            sql.replace('@', table).replace('#', &number.to_string()).replace('%', &client.to_string());
                        refused |= !refused && is_serialization_failure(session.attempt(&sql).map(drop), &sql);
                    }
                    barrier.wait();
                    refused |= is_serialization_failure(session.attempt("COMMIT").map(drop), "COMMIT");
                    failed += usize::from(refused);
                }
                failed
            })
        })
        .collect();
    clients.into_iter().map(|client| client.join().expect("a client ends")).sum()
}

#[track_caller]
fn is_serialization_failure(result: Result<(), Box<crate::session::Refusal>>, sql: &str) -> bool {
    match result {
        Ok(()) => false,
        Err(refusal) if refusal.sqlstate == "40001" => true,
        Err(refusal) => panic!("{sql}: {refusal:?}"),
    }
}

/// Runs the same work on a bare and on audited tables, a few rounds of each in turn, and compares.
#[track_caller]
fn auditing_adds_none(bare: &[&'static str], audited: &[&'static str]) {
    let (database, mut session) = database_with(TABLES);
    let leak = |statements: &[&'static str]| -> &'static [&'static str] { statements.to_vec().leak() };
    let works = [
        Work { name: "bare", table: "bare", statements: leak(bare) },
        Work { name: "audited", table: "audited", statements: leak(audited) },
        Work { name: "audited, partitioned", table: "audited_parts", statements: leak(audited) },
    ];
    let mut counts = [0; 3];
    for turn in 0..2 {
        for (count, work) in counts.iter_mut().zip(&works) {
            *count += failures(&database, work, turn * ROUNDS * CLIENTS);
        }
    }
    let named: Vec<(&str, usize)> = works.iter().map(|work| work.name).zip(counts).collect();
    assert_eq!(counts, [0; 3], "of {} transactions each: {named:?}", 2 * ROUNDS * CLIENTS);
    // They were captured, each in its own audit transaction.
    let expected = (2 * 2 * ROUNDS * CLIENTS).to_string();
    assert_eq!(session.value("SELECT count(*) FROM threadline.audit_changes WHERE op = 'insert'"), expected);
    assert_eq!(session.value("SELECT count(*) FROM threadline.audit_transactions"), expected);
}

#[test]
fn inserts_of_concurrent_transactions_do_not_fail() {
    auditing_adds_none(&["SELECT 1", "INSERT INTO @ VALUES (#, %, 0)"], &[CONTEXT, "INSERT INTO @ VALUES (#, %, 0)"]);
}

#[test]
fn recording_an_action_before_the_changes_does_not_fail() {
    auditing_adds_none(
        &["SELECT 1", "INSERT INTO @ VALUES (#, %, 0)"],
        &[CONTEXT, ACTION, "INSERT INTO @ VALUES (#, %, 0)"],
    );
}

#[test]
fn recording_an_action_after_the_changes_does_not_fail() {
    // The action is linked to a row that the transaction wrote before: it must be found without reading anybody else's.
    auditing_adds_none(
        &["SELECT 1", "INSERT INTO @ VALUES (#, %, 0)"],
        &[CONTEXT, "INSERT INTO @ VALUES (#, %, 0)", ACTION],
    );
}

#[test]
fn the_measurement_sees_failures_where_there_are_some() {
    // What a lookup of a transaction row costs in systems that do one.
    let (database, _session) = database_with(TABLES);
    let looked_up = Work {
        name: "looked up",
        table: "looked_up",
        statements: &["SELECT 1", "SELECT count(*) FROM @ WHERE client = %", "INSERT INTO @ VALUES (#, %, 0)"],
    };
    assert!(failures(&database, &looked_up, 0) > 0, "{}", looked_up.name);
}
