//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::reads::Reads;
use crate::workload::{Amount, Workload};

/// Measures what the audit trail adds to a write.
#[derive(Clone, Debug, Parser)]
#[command(bin_name = "cargo xtask bench", max_term_width = 120)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// Rounds; each runs every workload on every variant once, and the medians of the rounds count
    #[arg(long, default_value_t = 15)]
    pub(crate) rounds: usize,

    /// A fifth of the work: for looking whether the harness runs, not for judging
    #[arg(long)]
    pub(crate) quick: bool,

    /// Which of the rounds count
    #[arg(long, value_enum, default_value = "median")]
    pub(crate) statistic: Statistic,

    /// Only these workloads
    #[arg(long, value_enum, value_delimiter = ',', value_name = "a,b,..")]
    pub(crate) only: Vec<Workload>,

    /// Which variants to compare with the bare table
    #[arg(long, value_enum, value_delimiter = ',', default_value = "full,lean,classic,floor")]
    pub(crate) variants: Vec<Kind>,

    /// Transactions per measurement of workloads a to d
    #[arg(long, default_value_t = 400)]
    pub(crate) transactions: u32,

    /// Rows per statement of workloads e to g (at most 20,000)
    #[arg(long, default_value_t = 10_000)]
    pub(crate) rows: u32,

    /// What each transaction says about itself
    #[arg(long, value_enum, default_value = "request")]
    pub(crate) context: Context,

    /// The audited table in two partitions, which capture follows row by row; the targets are not for it
    #[arg(long, conflicts_with_all = ["profile", "index_costs"])]
    pub(crate) partitioned: bool,

    /// Drop these indexes of the trail before the run
    #[arg(long, value_delimiter = ',', value_name = "INDEX,..")]
    pub(crate) without: Vec<String>,

    /// Measure the variants without each index of the trail in turn
    #[arg(long)]
    pub(crate) index_costs: bool,

    /// Take one part of capture away at a time and measure these workloads without it
    #[arg(long, value_enum, value_delimiter = ',', value_name = "a,b,..")]
    pub(crate) profile: Vec<Workload>,

    /// Measure the kernel that this script installs, instead of this build's own
    #[arg(long, value_name = "FILE")]
    pub(crate) kernel: Option<PathBuf>,

    /// Also measure the kernel that this script installs; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) candidate: Vec<PathBuf>,

    /// Leave out the stored and logged bytes
    #[arg(long)]
    pub(crate) no_growth: bool,

    /// The core that server and client share; the last one when absent
    #[arg(long)]
    pub(crate) core: Option<usize>,

    /// Let the system choose the cores
    #[arg(long)]
    pub(crate) no_pin: bool,

    /// The folder of the server's programs; found on this machine when absent
    #[arg(long, value_name = "DIR")]
    pub(crate) bin_dir: Option<PathBuf>,

    /// Write every figure to this file too
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// What to measure instead of writes.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// Reads of a big trail: a page by each filter, a row as it was, and an export beside a plain COPY
    Reads(Reads),
}

/// What is done to the table before it is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Nothing
    Bare,
    /// Captured with full images
    Full,
    /// Captured with lean images
    Lean,
    /// A generic row trigger, as they are usually written
    Classic,
    /// One INSERT per statement and nothing that the trail promises: what the mechanism alone costs
    Floor,
}

/// What each transaction says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Context {
    /// Nothing at all
    None,
    /// Its actor
    Actor,
    /// Its actor, a correlation id, a request id and a source, as a web request has them
    Request,
}

/// How the figures of the rounds become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Statistic {
    /// The median, and the median of the differences and ratios within each round
    Median,
    /// The fastest round of each variant: what is left when other processes, which can only slow one down, stay quiet
    Best,
}

impl Options {
    /// The options with the consequences of `--quick`.
    pub(crate) fn scaled(mut self) -> Self {
        if self.quick {
            self.rounds = self.rounds.min(3);
            self.transactions = (self.transactions / 5).max(1);
            self.rows = (self.rows / 5).max(1);
        }
        self.rounds = self.rounds.max(1);
        self.transactions = self.transactions.clamp(1, 20_000);
        self.rows = self.rows.clamp(1, 20_000);
        self
    }

    /// How much one measurement does.
    pub(crate) fn amount(&self) -> Amount {
        Amount { transactions: self.transactions, rows: self.rows }
    }

    /// The workloads to run.
    pub(crate) fn workloads(&self) -> Vec<Workload> {
        if self.only.is_empty() { Workload::value_variants().to_vec() } else { self.only.clone() }
    }
}
