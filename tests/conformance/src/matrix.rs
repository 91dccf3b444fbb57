//! The table of all adapters: runs their programs, and fails when a cell failed or is missing.

use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use crate::exceptions::{self, ADAPTERS, Exception};
use crate::program::{Filter, State};
use crate::{Route, cases};

/// What the programs said.
#[derive(Default)]
struct Results {
    cells: BTreeMap<(&'static str, Route, &'static str), State>,
    routes: BTreeMap<Route, String>,
    problems: Vec<String>,
}

/// Runs the programs, each an adapter's name and the path of its program, none when it was not built. Arguments that are
/// adapters or routes choose columns, others choose cases.
pub fn main(programs: &[(&'static str, Option<&'static str>)]) -> ExitCode {
    let started = Instant::now();
    let (chosen, rest): (Vec<String>, Vec<String>) =
        arguments().into_iter().partition(|argument| ADAPTERS.contains(&argument.as_str()));
    let adapters: Vec<&str> =
        ADAPTERS.into_iter().filter(|adapter| chosen.is_empty() || chosen.iter().any(|name| name == adapter)).collect();
    let whole = Filter::new(rest.clone()).is_empty();
    let exceptions = exceptions::all();
    let mut results = Results::default();
    for &(adapter, program) in programs {
        if let (true, Some(program)) = (adapters.contains(&adapter), program) {
            results.run(adapter, program, &rest);
        }
    }
    if whole {
        results.check(&adapters, &exceptions);
    }
    // `cargo test some_name` in the whole workspace means tests elsewhere.
    if whole || !results.cells.is_empty() || !results.problems.is_empty() {
        results.print(&adapters, &exceptions);
    }
    let count = |state| results.cells.values().filter(|found| **found == state).count();
    let failed = count(State::Failed) + results.problems.len();
    println!(
        "\ntest result: {}. {} passed; {failed} failed; {} ignored; 0 measured; 0 filtered out; finished in {:.2}s\n",
        if failed == 0 { "ok" } else { "FAILED" },
        count(State::Ok),
        count(State::Unavailable),
        started.elapsed().as_secs_f64()
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The words to filter by. The options of Rust's own test programs mean nothing here.
fn arguments() -> Vec<String> {
    let mut words = Vec::new();
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--skip" | "--test-threads" | "--format" | "--color" | "--logfile" => drop(arguments.next()),
            option if option.starts_with('-') => {}
            _ => words.push(argument),
        }
    }
    words
}

impl Results {
    fn run(&mut self, adapter: &'static str, program: &str, filter: &[String]) {
        let mut child = match Command::new(program).args(filter).stdin(Stdio::null()).stdout(Stdio::piped()).spawn() {
            Ok(child) => child,
            Err(error) => return self.problems.push(format!("the program of {adapter} cannot be run: {error}")),
        };
        let output = child.stdout.take().unwrap();
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let mut words = line.split(' ');
            let (kind, rest) = (words.next(), words.collect::<Vec<_>>());
            match (kind, &rest[..]) {
                (Some("cell"), [state, _, route, case, _]) => {
                    let case = cases::NAMES.iter().find(|name| *name == case);
                    if let (Some(state), Some(route), Some(case)) = (State::named(state), Route::named(route), case) {
                        self.cells.insert((adapter, route, case), state);
                        continue;
                    }
                    self.problems.push(format!("{adapter} said what nobody understands: {line}"));
                }
                (Some("route"), [_, route, between @ ..]) => {
                    if let Some(route) = Route::named(route) {
                        self.routes.insert(route, between.join(" "));
                    }
                }
                _ => println!("{line}"),
            }
        }
        // Its exit code says no more than its cells, unless it did not come to its end.
        if child.wait().is_ok_and(|status| status.code().is_none_or(|code| code > 1)) {
            self.problems.push(format!("the program of {adapter} was ended"));
        }
    }

    /// Every cell is there or stands in the list, never both.
    fn check(&mut self, adapters: &[&'static str], exceptions: &[Exception]) {
        for &adapter in adapters {
            for route in Route::ALL {
                let missing: Vec<&str> = cases::NAMES
                    .iter()
                    .filter(|case| !self.cells.contains_key(&(adapter, route, **case)))
                    .filter(|case| !exceptions.iter().any(|exception| exception.covers(adapter, route, case)))
                    .copied()
                    .collect();
                match missing[..] {
                    [] => {}
                    [case] => self.problems.push(format!("{adapter} through {route}: {case} is missing")),
                    _ => self.problems.push(format!("{adapter} through {route}: {} cases are missing", missing.len())),
                }
            }
        }
        let unavailable = self.cells.values().filter(|state| **state == State::Unavailable).count();
        if unavailable > 0 && env::var_os("CI").is_some() {
            self.problems.push(format!("{unavailable} cells could not run, and this is CI"));
        }
    }

    fn print(&self, adapters: &[&'static str], exceptions: &[Exception]) {
        println!("\nConformance: case by adapter by route\n");
        let routes: Vec<Route> = Route::ALL.into_iter().collect();
        for (number, route) in (1..).zip(&routes) {
            println!("  {number} = {route} ({})", self.routes.get(route).map_or("not used", String::as_str));
        }
        let case_width = cases::NAMES.iter().map(|name| name.len()).max().unwrap_or(0);
        print!("\n{:case_width$}", "");
        for adapter in adapters {
            print!(" | {adapter:<14}");
        }
        print!("\n{:case_width$}", "");
        for _ in adapters {
            print!(" | 1    2    3   ");
        }
        println!();
        for case in cases::NAMES {
            let row: Vec<[&str; 3]> = adapters
                .iter()
                .map(|adapter| Route::ALL.map(|route| self.cell(adapter, route, case, exceptions)))
                .collect();
            let is_empty = row.iter().flatten().all(|cell| cell.is_empty() || *cell == "-");
            let is_exempt = row.iter().flatten().all(|cell| *cell == "-");
            if is_empty && !is_exempt && !self.cells.is_empty() {
                // Filtered out.
                continue;
            }
            print!("{case:case_width$}");
            for [one, two, three] in row {
                print!(" | {one:<4} {two:<4} {three:<4}");
            }
            println!();
        }
        println!("\n  -     cannot apply:");
        for exception in exceptions.iter().filter(|exception| adapters.contains(&exception.adapter.as_str())) {
            let routes =
                if exception.routes.is_empty() { "every route".to_owned() } else { exception.routes.join(", ") };
            println!("        {}, {}, {routes}: {}", exception.adapter, exception.cases.join(", "), exception.reason);
        }
        if self.cells.values().any(|state| *state == State::Unavailable) {
            println!("  none  NOT RUN: the program that this route needs is not on this machine; in CI that fails");
        }
        for problem in &self.problems {
            println!("\nPROBLEM: {problem}");
        }
    }

    fn cell(&self, adapter: &'static str, route: Route, case: &'static str, exceptions: &[Exception]) -> &'static str {
        match self.cells.get(&(adapter, route, case)) {
            Some(State::Ok) => "ok",
            Some(State::Failed) => "FAIL",
            Some(State::Unavailable) => "none",
            None if exceptions.iter().any(|exception| exception.covers(adapter, route, case)) => "-",
            None => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(adapter: &'static str) -> Results {
        let mut results = Results::default();
        for route in Route::ALL {
            for case in cases::NAMES {
                results.cells.insert((adapter, route, case), State::Ok);
            }
        }
        results
    }

    fn exception(adapter: &str, case: &str) -> Exception {
        Exception {
            adapter: adapter.to_owned(),
            cases: vec![case.to_owned()],
            routes: Vec::new(),
            reason: "it cannot apply".to_owned(),
        }
    }

    #[test]
    fn a_table_without_a_gap_has_no_problem() {
        let mut results = whole("sqlx");
        results.check(&["sqlx"], &[]);
        assert_eq!(results.problems, [""; 0]);
    }

    #[test]
    fn a_missing_cell_is_a_problem_unless_it_stands_in_the_list() {
        let case = cases::NAMES[0];
        let mut results = whole("sqlx");
        results.cells.remove(&("sqlx", Route::Direct, case));
        results.check(&["sqlx"], &[exception("sqlx", case)]);
        assert_eq!(results.problems, [""; 0]);
        results.check(&["sqlx"], &[exception("seaorm", case)]);
        assert_eq!(results.problems, [format!("sqlx through direct: {case} is missing")]);
    }

    #[test]
    fn an_adapter_that_said_nothing_is_a_problem_on_each_route() {
        let mut results = whole("sqlx");
        results.check(&["sqlx", "diesel"], &[]);
        assert_eq!(results.problems.len(), Route::ALL.len());
        assert!(results.problems.iter().all(|problem| problem.starts_with("diesel through ")));
    }

    #[test]
    fn the_name_of_a_case_is_there_once() {
        let distinct: std::collections::BTreeSet<_> = cases::NAMES.iter().collect();
        assert_eq!(distinct.len(), cases::NAMES.len());
    }
}
