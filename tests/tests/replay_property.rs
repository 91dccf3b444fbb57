//! Invariant: replaying the trail reproduces the tables, under random schemas and statements.
//!
//! The seed is fixed, so that a run says something about the change it tests; `THREADLINE_SEED` chooses another (any
//! number explores), `THREADLINE_CASES` says how many cases, `THREADLINE_CASE` runs one of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]

use std::env;
use std::time::Instant;

use threadline_core::{Schema, kernel};
use threadline_testkit::require_server;
use threadline_tests::replay::explore::{Plan, explore};

const DEFAULT_SEED: u64 = 7;
const DEFAULT_CASES: u64 = 160;

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}")))
}

#[test]
fn replaying_the_trail_reproduces_the_tables() {
    let server = require_server();
    let seed = number("THREADLINE_SEED").unwrap_or(DEFAULT_SEED);
    let count = number("THREADLINE_CASES").unwrap_or(DEFAULT_CASES);
    let cases = number("THREADLINE_CASE").map_or(0..count, |case| case..case + 1);
    let whole = cases.end - cases.start == count;
    println!("THREADLINE_SEED={seed} THREADLINE_CASES={count}");
    let started = Instant::now();
    let plan = Plan {
        seed,
        cases,
        install: kernel::install_script(&Schema::default()),
        install_name: "replay".into(),
        workers: 2,
    };
    let tally = match explore(server, &plan) {
        Ok(tally) => tally,
        Err(red) => panic!(
            "case {number} failed: {failure}\n\nRepeat it with THREADLINE_SEED={seed} THREADLINE_CASE={number}\n\n{script}",
            number = red.number,
            failure = red.failure,
            script = red.script,
        ),
    };
    println!("{tally}, {:.0} s", started.elapsed().as_secs_f64());
    // Fewer cases are for a quick look, or for one failure.
    let complaints = if whole { tally.complaints(count / 20, server.version().major) } else { Vec::new() };
    assert!(complaints.is_empty(), "the cases were not varied enough:\n{}", complaints.join("\n"));
}
