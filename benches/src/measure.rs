//! Interleaved rounds and what they say.

use std::io::{self, IsTerminal, Write};

use crate::Result;
use crate::options::{Options, Statistic};
use crate::subject::Subject;
use crate::workload::Workload;

/// The samples of every workload on every subject.
#[derive(Debug)]
pub(crate) struct Samples {
    workloads: Vec<Workload>,
    /// By workload, then by subject: one figure per round, in microseconds per unit.
    figures: Vec<Vec<Vec<f64>>>,
    statistic: Statistic,
}

/// What one workload costs on one subject.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// Microseconds per unit.
    pub(crate) total: f64,
    /// Half the distance between the quartiles of `total`.
    pub(crate) spread: f64,
    /// Microseconds more than the subject it is compared with.
    pub(crate) added: f64,
    /// Times what that subject costs.
    pub(crate) multiple: f64,
}

/// Runs every workload on every subject once per round. The first subject is what the others are compared with.
pub(crate) fn measure(subjects: &mut [Subject], workloads: &[Workload], options: &Options) -> Result<Samples> {
    let Options { rounds, statistic, .. } = *options;
    let amount = options.amount();
    let mut figures = vec![vec![Vec::with_capacity(rounds); subjects.len()]; workloads.len()];
    for round in 0..rounds {
        progress(&format!("round {} of {rounds}", round + 1));
        for subject in subjects.iter_mut() {
            subject.empty_trail()?;
        }
        if let Some(first) = subjects.first_mut() {
            // None comes by itself in the middle of a measurement.
            first.admin().batch("CHECKPOINT")?;
        }
        for (workload, figures) in workloads.iter().zip(&mut figures) {
            for step in 0..subjects.len() {
                // Everyone goes first sometimes.
                let index = (step + round) % subjects.len();
                let figure = subjects[index].measure(*workload, amount)?;
                figures[index].push(figure);
            }
        }
    }
    progress("");
    Ok(Samples { workloads: workloads.to_vec(), figures, statistic })
}

impl Samples {
    pub(crate) fn workloads(&self) -> &[Workload] {
        &self.workloads
    }

    /// The figures of one workload on one subject, a round each.
    pub(crate) fn figures(&self, workload: Workload, subject: usize) -> &[f64] {
        self.workloads
            .iter()
            .position(|each| *each == workload)
            .and_then(|row| self.figures[row].get(subject))
            .map_or(&[], Vec::as_slice)
    }

    /// What one workload costs on one subject, compared with the first.
    pub(crate) fn cost(&self, workload: Workload, subject: usize) -> Cost {
        self.cost_over(workload, subject, 0)
    }

    /// As [`cost`](Self::cost), compared with another subject.
    pub(crate) fn cost_over(&self, workload: Workload, subject: usize, base: usize) -> Cost {
        let own = self.figures(workload, subject);
        let base = self.figures(workload, base);
        let spread = (quantile(own.to_vec(), 0.75) - quantile(own.to_vec(), 0.25)) / 2.0;
        if self.statistic == Statistic::Best {
            let (total, base) = (quantile(own.to_vec(), 0.0), quantile(base.to_vec(), 0.0));
            return Cost { total, spread, added: total - base, multiple: total / base };
        }
        let pairs = || own.iter().zip(base);
        Cost {
            total: quantile(own.to_vec(), 0.5),
            spread,
            added: quantile(pairs().map(|(own, base)| own - base).collect(), 0.5),
            multiple: quantile(pairs().map(|(own, base)| own / base).collect(), 0.5),
        }
    }
}

/// Linear between the two nearest; NaN of nothing.
fn quantile(mut figures: Vec<f64>, at: f64) -> f64 {
    figures.sort_by(f64::total_cmp);
    let Some(last) = figures.len().checked_sub(1) else {
        return f64::NAN;
    };
    #[expect(clippy::cast_precision_loss, reason = "a handful of rounds")]
    let place = at * last as f64;
    let (low, high) = (place.floor(), place.ceil());
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between nought and the last index")]
    let (low_value, high_value) = (figures[low as usize], figures[high as usize]);
    low_value + (high_value - low_value) * (place - low)
}

/// One line on the terminal that the next replaces.
pub(crate) fn progress(text: &str) {
    if !io::stderr().is_terminal() {
        return;
    }
    // Nobody to tell if standard error is closed.
    let _ = write!(io::stderr(), "\r\x1b[K{text}");
    let _ = io::stderr().flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_lies_between_its_neighbours() {
        assert_eq!(quantile(vec![3.0, 1.0, 2.0], 0.5), 2.0);
        assert_eq!(quantile(vec![4.0, 1.0, 2.0, 3.0], 0.5), 2.5);
        assert_eq!(quantile(vec![5.0], 0.75), 5.0);
        assert!(quantile(vec![], 0.5).is_nan());
    }

    #[test]
    fn costs_are_compared_round_by_round() {
        let mut samples = Samples {
            workloads: vec![Workload::B],
            figures: vec![vec![vec![10.0, 20.0, 30.0], vec![25.0, 40.0, 45.0]]],
            statistic: Statistic::Median,
        };
        let cost = samples.cost(Workload::B, 1);
        assert_eq!((cost.total, cost.added, cost.multiple), (40.0, 15.0, 2.0));
        samples.statistic = Statistic::Best;
        let cost = samples.cost(Workload::B, 1);
        assert_eq!((cost.total, cost.added, cost.multiple), (25.0, 15.0, 2.5));
    }
}
