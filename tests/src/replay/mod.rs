//! The invariant behind everything else: **replaying the trail reproduces the tables**, at every commit, whatever the
//! schema and the statements; and as many changes are recorded as rows really changed.
//!
//! A case is made from a seed. It has a random [`schema`], captured, and a random [`script`] of statements in
//! transactions and savepoints. The script runs twice: with capture, and in a mirror of the schema without it, where
//! plain triggers count what changes. Then
//!
//! - each statement came out the same in both, and so did the rows;
//! - the trail holds as many changes of each operation as the mirror counted;
//! - replaying the trail up to each commit gives, value for value, a copy of the tables taken right after that commit;
//! - no change contradicts the ones before it: the row it ends or changes is there and looks as recorded.
//!
//! One statement is left out on purpose: a `WITH` that deletes rows, inserts them again under the same keys and consumes
//! the deletion only partly. PostgreSQL completes the deletion after the insertion, so it is captured after it.

pub mod case;
pub mod chain;
pub mod compare;
pub mod counts;
pub mod explore;
pub mod key;
pub mod kind;
pub mod mutations;
pub mod names;
pub mod run;
pub mod schema;
pub mod script;
pub mod session;
pub mod settings;
pub mod sql;
pub mod sum;
pub mod table;
pub mod tally;
pub mod trail;
pub mod triggers;
pub mod types;
pub mod write;
mod write_joins;
mod write_keys;
