//! Invariant: every read agrees with a plain history, under random writes and random questions.
//!
//! The seed is fixed, so that a run says something about the change it tests; `THREADLINE_SEED` chooses another,
//! `THREADLINE_CASES` says how many cases.

use std::env;

use crate::world::World;

fn number(name: &str, otherwise: u64) -> u64 {
    match env::var(name) {
        Ok(text) if !text.is_empty() => {
            text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}"))
        }
        _ => otherwise,
    }
}

#[tokio::test]
async fn every_read_agrees_with_a_plain_history() {
    let seed = number("THREADLINE_SEED", 11);
    for case in 0..number("THREADLINE_CASES", 3) {
        println!("THREADLINE_SEED={} THREADLINE_CASES=1", seed + case);
        let mut world = World::new(seed + case);
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
}
