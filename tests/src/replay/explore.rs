//! Many cases, on several threads.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use threadline_testkit::Server;

use super::case::Case;
use super::session::Failure;
use super::tally::Tally;

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// From which every case derives its own seed.
    pub seed: u64,
    /// The numbers of the cases.
    pub cases: std::ops::Range<u64>,
    /// The script that installs the kernel.
    pub install: String,
    /// Names that script: the same script has the same name.
    pub install_name: String,
    /// How many cases run at once.
    pub workers: usize,
}

/// A case that failed.
#[derive(Clone, Debug)]
pub struct Red {
    /// Its number.
    pub number: u64,
    /// Why.
    pub failure: Failure,
    /// Its SQL.
    pub script: String,
}

/// The seed of case `number`: all cases differ, and each can be run alone.
#[must_use]
pub fn case_seed(seed: u64, number: u64) -> u64 {
    // The finaliser of splitmix64.
    let mut mixed = seed.wrapping_add(number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Runs the cases until one fails.
///
/// # Errors
///
/// The case that failed; with several workers, one of those that did.
pub fn explore(server: &Server, plan: &Plan) -> Result<Tally, Box<Red>> {
    let next = AtomicU64::new(plan.cases.start);
    let stop = AtomicBool::new(false);
    let total = Mutex::new(Tally::default());
    let red = Mutex::new(None);
    thread::scope(|scope| {
        for _ in 0..plan.workers {
            scope.spawn(|| {
                let outcome = work(server, plan, &next, &stop);
                match outcome {
                    Ok(tally) => total.lock().unwrap_or_else(PoisonError::into_inner).merge(&tally),
                    Err(failed) => {
                        stop.store(true, Ordering::Relaxed);
                        *red.lock().unwrap_or_else(PoisonError::into_inner) = Some(failed);
                    }
                }
            });
        }
    });
    match red.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(red) => Err(red),
        None => Ok(total.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}

fn work(server: &Server, plan: &Plan, next: &AtomicU64, stop: &AtomicBool) -> Result<Tally, Box<Red>> {
    let mut tally = Tally::default();
    let database = server.database_from(&plan.install_name, &plan.install).map_err(|error| {
        Box::new(Red { number: plan.cases.start, failure: Failure::new(error.to_string()), script: String::new() })
    })?;
    while !stop.load(Ordering::Relaxed) {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= plan.cases.end {
            break;
        }
        let case = Case::new(number, case_seed(plan.seed, number), server.version().major);
        let more =
            case.check(database.url()).map_err(|failure| Box::new(Red { number, failure, script: case.script() }))?;
        tally.merge(&more);
        tally.cases += 1;
    }
    Ok(tally)
}
