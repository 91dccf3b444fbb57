//! What the cases ran, by kind of statement.

use std::collections::BTreeMap;
use std::fmt;

use super::kind::Kind;
use super::run::Outcome;

/// What became of the statements of one kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct KindTally {
    /// Those that did what their kind is about.
    pub effective: u64,
    /// Those that were run without an error and had nothing to do.
    pub idle: u64,
    /// Those that the server refused.
    pub refused: u64,
}

/// The sums over many cases.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// By kind.
    pub kinds: BTreeMap<Kind, KindTally>,
    /// Changes in the trail.
    pub changes: usize,
    /// Commits after which the whole history was compared.
    pub moments: usize,
    /// Cases.
    pub cases: usize,
}

impl Tally {
    /// Counts one statement.
    pub fn add(&mut self, kind: Kind, outcome: &Outcome, effective: bool) {
        let tally = self.kinds.entry(kind).or_default();
        match outcome {
            Outcome::Done(_) if effective => tally.effective += 1,
            Outcome::Done(_) => tally.idle += 1,
            Outcome::Refused(_) => tally.refused += 1,
            Outcome::Skipped => {}
        }
    }

    /// Adds another tally to this one.
    pub fn merge(&mut self, other: &Self) {
        for (kind, more) in &other.kinds {
            let tally = self.kinds.entry(*kind).or_default();
            tally.effective += more.effective;
            tally.idle += more.idle;
            tally.refused += more.refused;
        }
        self.changes += other.changes;
        self.moments += other.moments;
        self.cases += other.cases;
    }

    /// What is wrong with it: a kind that was hardly tried, or that hardly ever works. Kinds that the server does not
    /// know are left out.
    #[must_use]
    pub fn complaints(&self, minimum: u64, major: u32) -> Vec<String> {
        let mut complaints = Vec::new();
        for kind in Kind::ALL.iter().filter(|kind| kind.exists_on(major)) {
            let tally = self.kinds.get(kind).copied().unwrap_or_default();
            let total = tally.effective + tally.idle + tally.refused;
            if tally.effective < minimum {
                complaints.push(format!(
                    "{}: {} effective statements, at least {minimum} wanted",
                    kind.name(),
                    tally.effective
                ));
            }
            if tally.refused * 10 > total * 4 {
                complaints.push(format!(
                    "{}: {} of {total} statements refused, more than 40 %",
                    kind.name(),
                    tally.refused
                ));
            }
        }
        complaints
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<24}{:>10}{:>10}{:>10}", "kind", "effective", "idle", "refused")?;
        for (kind, tally) in &self.kinds {
            writeln!(f, "{:<24}{:>10}{:>10}{:>10}", kind.name(), tally.effective, tally.idle, tally.refused)?;
        }
        write!(f, "{} cases, {} commits compared, {} changes replayed", self.cases, self.moments, self.changes)
    }
}
