//! The program of one adapter: runs its cells and prints one line for each.
//!
//! `cell <state> <adapter> <route> <case> <milliseconds>`, and `route <adapter> <route> <what stands in between>`.

use std::collections::BTreeMap;
use std::env;
use std::panic;
use std::process::{self, ExitCode};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use threadline_testkit::{PgBouncer, require_server};
use tokio::runtime::Builder;

use crate::cases::{self, Case};
use crate::exceptions::{self, Exception};
use crate::script::Expected;
use crate::{Adapter, Place, Route};

/// More than any case takes.
const LIMIT: Duration = Duration::from_secs(180);

/// What became of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It passed.
    Ok,
    /// It failed.
    Failed,
    /// The program that its route needs is not on this machine.
    Unavailable,
}

impl State {
    /// As it stands in the output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "FAILED",
            Self::Unavailable => "unavailable",
        }
    }

    /// The state of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Ok, Self::Failed, Self::Unavailable].into_iter().find(|state| state.as_str() == name)
    }
}

/// Which cells to run: those whose route is among the arguments, and whose case holds one of the other words.
///
/// The word `exempt` turns to the cells of `exceptions.toml` instead, to see whether an entry is still needed.
#[derive(Debug, Default)]
pub struct Filter {
    exempt: bool,
    routes: Vec<Route>,
    words: Vec<String>,
}

impl Filter {
    /// Reads arguments.
    #[must_use]
    pub fn new(arguments: impl IntoIterator<Item = String>) -> Self {
        let mut filter = Self::default();
        for argument in arguments {
            match Route::named(&argument) {
                Some(route) => filter.routes.push(route),
                None if argument == "exempt" => filter.exempt = true,
                None => filter.words.push(argument),
            }
        }
        filter
    }

    /// Whether every cell passes it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.exempt && self.routes.is_empty() && self.words.is_empty()
    }

    fn passes(&self, route: Route, case: &str) -> bool {
        (self.routes.is_empty() || self.routes.contains(&route))
            && (self.words.is_empty() || self.words.iter().any(|word| case.contains(word)))
    }
}

/// A route with what stands in between, or why that is not there.
type Pooler = Result<Option<PgBouncer>, String>;

/// Runs the cells of one adapter that pass the arguments. Does not return: a case may have left a thread behind.
pub fn main<A: Adapter>() -> ExitCode {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if !panic.payload().is::<Expected>() {
            hook(panic);
        }
    }));
    let filter = Filter::new(env::args().skip(1));
    let exceptions = exceptions::all();
    let cells: Vec<(Route, Case)> =
        Route::ALL.into_iter().flat_map(|route| chosen::<A>(route, &filter, &exceptions)).collect();
    let poolers: BTreeMap<Route, Pooler> = Route::ALL
        .into_iter()
        .filter(|route| cells.iter().any(|(used, _)| used == route))
        .map(|route| (route, start::<A>(route)))
        .collect();
    // A cell waits for the server most of the time.
    let workers = 2 * thread::available_parallelism().map_or(2, usize::from);
    let queue = Mutex::new(cells.into_iter());
    let failed = thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(|| work::<A>(&queue, &poolers))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum::<usize>()
    });
    // Servers and poolers are stopped by their destructors.
    drop(poolers);
    process::exit(i32::from(failed > 0));
}

fn chosen<A: Adapter>(route: Route, filter: &Filter, exceptions: &[Exception]) -> Vec<(Route, Case)> {
    let is_exempt = |case: &Case| exceptions.iter().any(|exception| exception.covers(A::NAME, route, case.name));
    let chosen = |case: &Case| filter.passes(route, case.name) && is_exempt(case) == filter.exempt;
    cases::all::<A>().into_iter().filter(chosen).map(|case| (route, case)).collect()
}

fn start<A: Adapter>(route: Route) -> Pooler {
    let pooler = route.start(require_server()).map_err(|error| format!("{error:?}"));
    match &pooler {
        Ok(Some(pooler)) => println!("route {} {route} PgBouncer {}", A::NAME, pooler.version()),
        Ok(None) => println!("route {} {route} PostgreSQL {}", A::NAME, require_server().version()),
        Err(error) => eprintln!("\n{} cannot be reached through {route}: {error}\n", A::NAME),
    }
    pooler
}

/// Runs cells until there are none left, and counts those that failed.
fn work<A: Adapter>(queue: &Mutex<impl Iterator<Item = (Route, Case)>>, poolers: &BTreeMap<Route, Pooler>) -> usize {
    let mut failed = 0;
    loop {
        let next = queue.lock().unwrap().next();
        let Some((route, case)) = next else {
            return failed;
        };
        let started = Instant::now();
        let state = match &poolers[&route] {
            Ok(pooler) if run::<A>(route, &case, pooler.as_ref()) => State::Ok,
            Ok(_) => State::Failed,
            Err(_) => State::Unavailable,
        };
        failed += usize::from(state == State::Failed);
        let took = started.elapsed().as_millis();
        println!("cell {} {} {route} {} {took}", state.as_str(), A::NAME, case.name);
    }
}

/// Runs one cell in a runtime of its own, so that what one leaves behind does not disturb the next.
fn run<A: Adapter>(route: Route, case: &Case, pooler: Option<&PgBouncer>) -> bool {
    let cell = format!("{} {route} {}", A::NAME, case.name);
    // A panic's message begins with the name of the thread.
    let runtime = Builder::new_multi_thread().worker_threads(2).thread_name(&cell).enable_all().build().unwrap();
    let place = panic::catch_unwind(|| if case.private { Place::private(route) } else { Place::shared(route, pooler) });
    let Ok(place) = place else {
        return false;
    };
    let answer = runtime.block_on(async { tokio::time::timeout(LIMIT, tokio::spawn((case.run)(place))).await });
    runtime.shutdown_background();
    match answer {
        Ok(Ok(())) => true,
        Ok(Err(panicked)) => {
            if panicked.into_panic().is::<Expected>() {
                eprintln!("{cell}: a panic of the script came out of the case");
            }
            false
        }
        Err(_) => {
            eprintln!("{cell}: not over after {} s", LIMIT.as_secs());
            false
        }
    }
}
