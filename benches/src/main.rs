//! Threadline's overhead harness: what the audit trail adds to a write, and what reading it costs.
//!
//! A private PostgreSQL with durability off and autovacuum off, pinned to one core together with this client. Each
//! variant has a database of its own; rounds are interleaved, so that a slow moment of the machine meets all of them
//! alike. What counts is the processor time of the server process per unit, its median, and its ratio to the bare
//! table's in the same round.
//!
//! `cargo xtask bench reads` measures reads on a big trail instead. `cargo xtask bench -- --help` lists the options.

mod clock;
mod exports;
mod growth;
mod measure;
mod options;
mod reads;
mod report;
mod session;
mod subject;
mod table;
mod takeaway;
mod targets;
mod workload;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::rc::Rc;
use std::thread;

use clap::Parser;
use threadline_testkit::Server;
use tokio::runtime::Runtime;

use crate::options::{Command, Kind, Options};
use crate::report::Report;
use crate::subject::{Subject, Variant};
use crate::takeaway::{Experiment, drop_index};

/// What can go wrong is for a person to read.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    match run(&Options::parse().scaled()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    if let Some(Command::Reads(reads)) = &options.command {
        return print(&reads.run(options)?);
    }
    let core = pin(options);
    let server = Server::start(threadline_testkit::Options {
        bin_dir: options.bin_dir.clone(),
        settings: server_settings(),
        ..threadline_testkit::Options::default()
    })?;
    let runtime = session::runtime()?;
    let amount = options.amount();
    if options.index_costs || !options.profile.is_empty() {
        return experiments(options, &server, &runtime);
    }

    let mut subjects = Vec::new();
    for variant in variants(options) {
        measure::progress(&format!("preparing {}", variant.name));
        subjects.push(Subject::prepare(&server, &runtime, variant)?);
    }
    let workloads = options.workloads();
    let samples = measure::measure(&mut subjects, &workloads, options)?;
    let growths = if options.no_growth { Vec::new() } else { growth::measure(&mut subjects, &workloads, amount)? };
    let clock = subjects.first().map_or("", |subject| subject.measured().clock().label());
    let statistic = format!("{:?}", options.statistic).to_lowercase();
    let mut setting = vec![
        ("server", format!("PostgreSQL {}", server.version())),
        ("figures", format!("{clock}, {statistic} of {} rounds", options.rounds)),
        ("core", core),
        ("amount", format!("{} transactions (a to d), {} rows (e to g)", amount.transactions, amount.rows)),
        ("context", format!("{:?}", options.context).to_lowercase()),
    ];
    if options.partitioned {
        setting.push(("table", "in two partitions".to_owned()));
    }
    if !options.without.is_empty() {
        setting.push(("without", options.without.join(", ")));
    }
    let variants = subjects.iter().map(|subject| subject.variant().clone()).collect();
    let report = Report { setting, variants, samples, growths };
    print(&report.text())?;
    match &options.json {
        Some(path) => report.write_json(path),
        None => Ok(()),
    }
}

/// Pins to the core that the options name, and says what came of it.
fn pin(options: &Options) -> String {
    if options.no_pin {
        return "not pinned".to_owned();
    }
    let last = thread::available_parallelism().map_or(0, |cores| cores.get() - 1);
    let core = options.core.unwrap_or(last);
    if clock::pin(core) {
        format!("{core}, server and client together")
    } else {
        "not pinned (no taskset on this system)".to_owned()
    }
}

/// As in the table of cost targets, and nothing in the background that comes and goes.
fn server_settings() -> Vec<(String, String)> {
    [
        ("fsync", "off"),
        ("full_page_writes", "off"),
        ("synchronous_commit", "on"),
        ("autovacuum", "off"),
        ("shared_buffers", "512MB"),
        ("max_wal_size", "2GB"),
        ("checkpoint_timeout", "1h"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// The bare table, and everything it is compared with.
fn variants(options: &Options) -> Vec<Variant> {
    let mut variants = vec![Variant::new("bare", Kind::Bare, options.context)];
    let others: Vec<Kind> = options.variants.iter().copied().filter(|kind| *kind != Kind::Bare).collect();
    for kind in &others {
        let name = match kind {
            Kind::Bare => "bare",
            Kind::Full => "full",
            Kind::Lean => "lean",
            Kind::Classic => "classic",
            Kind::Floor => "floor",
        };
        let mut own = Variant::new(name, *kind, options.context);
        own.kernel.clone_from(&options.kernel);
        if own.is_threadline() {
            for path in &options.candidate {
                let file = path.file_stem().unwrap_or_default().to_string_lossy();
                let mut candidate = own.clone();
                candidate.name = format!("{name}, {file}");
                candidate.kernel = Some(path.clone());
                candidate.is_candidate = true;
                variants.push(candidate);
            }
        }
        variants.push(own);
    }
    for variant in &mut variants {
        variant.partitioned = options.partitioned;
        if variant.is_threadline() {
            variant.alterations = options.without.iter().map(|index| drop_index(index)).collect();
        }
    }
    variants
}

fn experiments(options: &Options, server: &Server, runtime: &Rc<Runtime>) -> Result<()> {
    let kinds = options.variants.iter().filter(|kind| matches!(kind, Kind::Full | Kind::Lean));
    let whole = |kind| {
        let mut variant = Variant::new("whole", kind, options.context);
        variant.kernel.clone_from(&options.kernel);
        variant
    };
    for kind in kinds.copied() {
        let images = if kind == Kind::Full { "full" } else { "lean" };
        if options.index_costs {
            let experiment = Experiment::indexes(server, runtime, whole(kind))?;
            let table = experiment.run(server, runtime, &options.workloads(), options)?;
            print(&format!("Indexes, {images} images\n\n{table}\n"))?;
        }
        if !options.profile.is_empty() {
            let experiment = Experiment::profile(server, runtime, whole(kind))?;
            let table = experiment.run(server, runtime, &options.profile, options)?;
            print(&format!("Parts, {images} images\n\n{table}\n"))?;
        }
    }
    Ok(())
}

fn print(text: &str) -> Result<()> {
    write!(io::stdout(), "{text}")?;
    Ok(())
}
