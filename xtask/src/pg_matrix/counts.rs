//! What a run of `cargo test` says about itself, line by line.

use std::collections::{BTreeMap, BTreeSet};

/// How many tests there were, and which of them could not run.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) passed: u64,
    pub(super) failed: u64,
    /// The tests that left out all or some of what they check, by the reason they gave.
    pub(super) not_run: BTreeMap<String, BTreeSet<String>>,
}

impl Counts {
    /// Takes notice of a line of output.
    pub(super) fn read(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            self.passed += number_before(result, " passed");
            self.failed += number_before(result, " failed");
        }
        // Not always at the beginning: the harness leaves lines open.
        if let Some((test, why)) = line.split_once("NOT RUN: ").and_then(|(_, said)| said.split_once(": ")) {
            self.not_run.entry(why.to_owned()).or_default().insert(test.to_owned());
        }
    }

    /// How many tests left something out.
    pub(super) fn not_run(&self) -> usize {
        self.not_run.values().flatten().collect::<BTreeSet<_>>().len()
    }
}

/// 12 in `ok. 12 passed; 0 failed`, before ` passed`.
fn number_before(text: &str, word: &str) -> u64 {
    let before = text.split(word).next().unwrap_or_default();
    before.split(|c: char| !c.is_ascii_digit()).next_back().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_of_a_package_are_added_up() {
        let mut counts = Counts::default();
        counts.read("running 226 tests");
        counts.read("test result: ok. 226 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 55.60s");
        counts.read("test result: FAILED. 8 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 2.1s");
        assert_eq!((counts.passed, counts.failed, counts.not_run()), (234, 1, 0));
    }

    #[test]
    fn a_test_that_could_not_run_counts_once() {
        let mut counts = Counts::default();
        for _ in 0..2 {
            counts.read("NOT RUN: restore_dumps::a_dump: the server is 16.14, pg_dump is 15: install 16");
        }
        counts.read("test restore_dumps::another ... NOT RUN: restore_dumps::another: pg_dump is missing");
        assert_eq!(counts.not_run(), 2);
        assert_eq!(
            counts.not_run.keys().collect::<Vec<_>>(),
            ["pg_dump is missing", "the server is 16.14, pg_dump is 15: install 16"]
        );
    }
}
