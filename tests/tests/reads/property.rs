//! Invariant: every read agrees with a plain history, under random writes and random questions.
//!
//! The seed is fixed, so that a run says something about the change it tests; `THREADLINE_SEED` chooses another,
//! `THREADLINE_CASES` says how many cases.

use std::env;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use tokio::runtime::Builder;

use crate::world::World;

fn number(name: &str, otherwise: u64) -> u64 {
    match env::var(name) {
        Ok(text) if !text.is_empty() => {
            text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}"))
        }
        _ => otherwise,
    }
}

#[test]
fn every_read_agrees_with_a_plain_history() {
    let seed = number("THREADLINE_SEED", 11);
    let cases = number("THREADLINE_CASES", 3);
    let next = AtomicU64::new(0);
    let work = || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        loop {
            let case = next.fetch_add(1, Ordering::Relaxed);
            if case >= cases {
                return;
            }
            println!("THREADLINE_SEED={} THREADLINE_CASES=1", seed + case);
            runtime.block_on(agree(seed + case));
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(work);
        }
    });
}

async fn agree(seed: u64) {
    let mut world = World::new(seed);
    for _ in 0..10 {
        for _ in 0..3 {
            world.write().await;
        }
        for _ in 0..10 {
            world.ask_timeline().await;
            world.ask_as_of().await;
        }
        for _ in 0..2 {
            world.ask_table_as_of().await;
        }
        world.ask_row_history().await;
        for _ in 0..2 {
            world.ask_actor_history().await;
            world.ask_incident().await;
            world.ask_correlation().await;
        }
    }
    world.ask_wrong_questions().await;
}
