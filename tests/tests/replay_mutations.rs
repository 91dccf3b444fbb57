//! The replay test can fail: each named fault in the capture SQL turns it red.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]

use threadline_core::{Schema, kernel};
use threadline_testkit::require_server;
use threadline_tests::replay::explore::{Plan, explore};
use threadline_tests::replay::mutations::MUTATIONS;

/// More than enough for every fault: most are found within a dozen.
const CASES: u64 = 400;

#[test]
fn every_mutation_of_the_capture_sql_turns_the_replay_test_red() {
    let install = kernel::install_script(&Schema::default());
    let mut survivors = Vec::new();
    for (index, mutation) in MUTATIONS.iter().enumerate() {
        let mutated = mutation
            .apply(&install)
            .unwrap_or_else(|| panic!("the text of the mutation {:?} is gone from the kernel", mutation.name));
        let plan =
            Plan { seed: 1, cases: 0..CASES, install: mutated, install_name: format!("mutation {index}"), workers: 2 };
        match explore(require_server(), &plan) {
            Err(red) => println!("{}: found by case {}", mutation.name, red.number),
            Ok(_) => survivors.push(mutation.name),
        }
    }
    assert!(survivors.is_empty(), "not noticed in {CASES} cases: {survivors:?}");
}
