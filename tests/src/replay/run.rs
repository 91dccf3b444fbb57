//! Runs a script in one schema and notes what came of each step.

use super::script::{Control, Step};
use super::session::{Failure, Session};
use super::sql::SCHEMA;

/// What came of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done, and affected so many rows.
    Done(u64),
    /// The server refused it with this code.
    Refused(String),
    /// Its transaction had failed before.
    Skipped,
}

/// When something happened that an observer may want to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A step is over.
    Step(usize),
    /// A transaction was committed.
    Committed,
}

/// Puts the name of the run's schema into a statement.
#[must_use]
pub fn in_schema(sql: &str, quoted_schema: &str) -> String {
    sql.replace(SCHEMA, quoted_schema)
}

/// Runs a script and calls `observe` after each step and each commit.
///
/// # Errors
///
/// When the generator wrote nonsense, when the session is lost, or when `observe` fails. A statement that the server
/// refuses for the sake of the data is an outcome.
pub fn run_script(
    session: &mut Session,
    steps: &[Step],
    quoted_schema: &str,
    mut observe: impl FnMut(&mut Session, Event, &Outcome) -> Result<(), Failure>,
) -> Result<Vec<Outcome>, Failure> {
    let mut outcomes = Vec::new();
    let mut open = false;
    let mut failed = false;
    for (at, step) in steps.iter().enumerate() {
        let ends = matches!(step, Step::Control(Control::Commit | Control::Rollback));
        let outcome = if failed && !ends {
            Outcome::Skipped
        } else if failed {
            session.run("ROLLBACK")?;
            Outcome::Skipped
        } else {
            run_step(session, step, quoted_schema).map_err(|failure| failure.within(&format!("step {at}")))?
        };
        let done = matches!(outcome, Outcome::Done(_));
        match step {
            Step::Control(Control::Begin(_)) => open = true,
            Step::Control(Control::Commit | Control::Rollback) => (open, failed) = (false, false),
            _ => failed |= open && !done && !matches!(step, Step::Write { guarded: true, .. }),
        }
        observe(session, Event::Step(at), &outcome)?;
        let committed = matches!(step, Step::Control(Control::Commit)) || (matches!(step, Step::Write { .. }) && !open);
        if done && committed {
            observe(session, Event::Committed, &outcome)?;
        }
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

fn run_step(session: &mut Session, step: &Step, quoted_schema: &str) -> Result<Outcome, Failure> {
    let sql = in_schema(&step.sql(), quoted_schema);
    let result = match step {
        Step::Write { sql, copy: Some(data), guarded, .. } => {
            if *guarded {
                session.run("SAVEPOINT guard")?;
            }
            let copied = session.copy(&in_schema(sql, quoted_schema), data);
            if *guarded && copied.is_ok() {
                session.run("RELEASE guard")?;
            }
            copied
        }
        _ => session.run(&sql),
    };
    match result {
        Ok(affected) => Ok(Outcome::Done(affected)),
        Err(failure) if is_about_data(failure.sqlstate()) => {
            if matches!(step, Step::Write { guarded: true, .. }) {
                // No savepoint: the statement did not even parse.
                session.run("ROLLBACK TO guard; RELEASE guard").map_err(|_| failure.clone().in_statement(&sql))?;
            }
            Ok(Outcome::Refused(failure.sqlstate().to_owned()))
        }
        Err(failure) => Err(failure.in_statement(&sql)),
    }
}

/// Errors that a random statement may run into: values, constraints, a row met twice, a trigger that meets its own row,
/// TRUNCATE of a table that deferred work waits for, or whose rows cannot be deleted.
fn is_about_data(sqlstate: &str) -> bool {
    ["21", "22", "23", "27", "40", "55006", "TL007"].iter().any(|class| sqlstate.starts_with(class))
}
