//! What reads cost on a big trail: a page by each filter, a row as it was, and an export beside a plain COPY.

use std::time::Duration;

use clap::{Args, ValueEnum};
use threadline_core::{
    ActorRef, AsOf, Operation, RowHistory, RowKey, Schema, Statement, Timeline, TransactionId, kernel,
};
use threadline_testkit::{Server, trail_script};
use time::OffsetDateTime;

use crate::measure::progress;
use crate::options::Options;
use crate::session::{Session, runtime};
use crate::table::{Table, figure};
use crate::{Result, exports, pin};

/// Measures what reading the trail costs.
#[derive(Clone, Debug, Args)]
pub(crate) struct Reads {
    /// Changes in the trail, over 24 months
    #[arg(long, default_value_t = 5_000_000)]
    changes: u32,

    /// How often each statement runs; the median counts
    #[arg(long, default_value_t = 15)]
    runs: usize,

    /// Changes that are exported
    #[arg(long, default_value_t = 500_000)]
    export: u32,

    /// Use this database instead, which has such a trail already
    #[arg(long, value_name = "URL")]
    url: Option<String>,

    /// Measure these parts only
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["pages", "rows", "lean", "export"])]
    parts: Vec<Part>,
}

/// A part of the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// A page by each filter
    Pages,
    /// A row as it was, and its history
    Rows,
    /// A row of a table with lean images as it was, by how often it has changed since
    Lean,
    /// An export beside a plain COPY
    Export,
}

/// A page may take so long, in milliseconds of the server.
const PAGE_TARGET: f64 = 10.0;
const AS_OF_TARGET: f64 = 2.0;

/// Reads as every adapter does it: in a transaction of its own, each statement planned anew.
pub(crate) const BEGIN: &str = "BEGIN READ ONLY; SET LOCAL jit = off";

impl Reads {
    pub(crate) fn run(&self, options: &Options) -> Result<String> {
        let core = pin(options);
        let mut server = None;
        let url = match &self.url {
            Some(url) => url.clone(),
            None => {
                progress(&format!("making {} changes", self.changes));
                let (started, url) = seed(options, self.changes)?;
                server = Some(started);
                url
            }
        };
        let runtime = runtime()?;
        let mut session = Session::open(&runtime, &url)?;
        let version = session.text("SHOW server_version")?;
        let trail = session.text(
            "SELECT pg_size_pretty(sum(pg_total_relation_size(relid))) FROM (SELECT relid FROM \
             pg_partition_tree('threadline.audit_changes') UNION ALL SELECT relid FROM \
             pg_partition_tree('threadline.audit_transactions')) AS p",
        )?;
        let changes = session.text("SELECT count(*) FROM threadline.audit_changes")?;
        let mut text = format!(
            "server: PostgreSQL {version}\ntrail: {changes} changes over 24 monthly partitions, {trail}\nfigures: {}, median of \
             {} runs, planning included\ncore: {core}\n\n",
            session.clock().label(),
            self.runs,
        );
        let mut verdicts = Verdicts::default();
        if self.has(Part::Pages) {
            let table = self.pages(&mut session, &mut verdicts)?;
            text.push_str(&format!("{table}\n"));
        }
        if self.has(Part::Rows) {
            let table = self.rows(&mut session, &mut verdicts)?;
            text.push_str(&format!("{table}\n"));
        }
        if verdicts.judged > 0 {
            text.push_str(&format!("{} of {} targets met.\n\n", verdicts.met, verdicts.judged));
        }
        if self.has(Part::Lean) {
            let table = self.lean(&mut session)?;
            text.push_str(&format!("{table}\n"));
        }
        if self.has(Part::Export) {
            text.push_str(&exports::measure(&mut session, self.export)?);
        }
        drop(server);
        Ok(text)
    }

    fn has(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }

    fn pages(&self, session: &mut Session, verdicts: &mut Verdicts) -> Result<Table> {
        let mut table = Table::new(["page of 50, by", "value", "first ms", "later ms", "target ms", "verdict"]);
        let cursor = Timeline::new().until(a_year_ago()).limit(1);
        let rows = session.fetch(&cursor.statement(&Schema::default())?)?;
        let Some(cursor) = cursor.decode(rows)?.next else { return Err("the trail is too short".into()) };
        for (filter, value, timeline) in questions()? {
            progress(&format!("{filter}, {value}"));
            let first = self.time(session, &timeline.statement(&Schema::default())?)?;
            let later = self.time(session, &timeline.cursor(cursor).statement(&Schema::default())?)?;
            table.row(row(
                filter,
                value,
                &[first, later],
                PAGE_TARGET,
                verdicts.judge(first.max(later) <= PAGE_TARGET),
            ));
        }
        progress("");
        Ok(table)
    }

    fn rows(&self, session: &mut Session, verdicts: &mut Verdicts) -> Result<Table> {
        let mut table = Table::new(["one row of full images", "value", "ms", "a year ago", "target ms", "verdict"]);
        let now = OffsetDateTime::now_utc();
        for (value, id) in [("hot", 1), ("rare", 999_999_999)] {
            progress(&format!("as-of, {value}"));
            let mut as_of =
                |at| self.time(session, &AsOf::by_id("public", "orders", id, at).statement(&Schema::default())?);
            let (now, then) = (as_of(now)?, as_of(a_year_ago())?);
            table.row(row(
                "as of now",
                value,
                &[now, then],
                AS_OF_TARGET,
                verdicts.judge(now.max(then) <= AS_OF_TARGET),
            ));
            let history = RowHistory::by_id("public", "orders", id).limit(50).statement(&Schema::default())?;
            let history = self.time(session, &history)?;
            table.row(row("history", value, &[history], PAGE_TARGET, verdicts.judge(history <= PAGE_TARGET)));
        }
        progress("");
        Ok(table)
    }

    /// A row of a year ago, which has changed so often since, evenly over the year: the lean table rebuilds it.
    fn lean(&self, session: &mut Session) -> Result<Table> {
        progress("lean images");
        session.batch(include_str!("sql/lean_curve.sql"))?;
        let mut table = Table::new(["changes since", "lean images ms", "full images ms"]);
        for changes in [1, 10, 100, 1_000, 10_000] {
            let mut as_of = |table| {
                self.time(session, &AsOf::by_id("public", table, changes, a_year_ago()).statement(&Schema::default())?)
            };
            let (lean, full) = (as_of("lean_orders")?, as_of("full_orders")?);
            table.row(vec![changes.to_string(), format!("{lean:.2}"), format!("{full:.2}")]);
        }
        progress("");
        Ok(table)
    }

    /// The median of the server's time for a statement, in milliseconds.
    fn time(&self, session: &mut Session, statement: &Statement) -> Result<f64> {
        let mut times = Vec::new();
        for _ in 0..=self.runs {
            session.batch(BEGIN)?;
            let before = session.cpu()?;
            session.fetch(statement)?;
            times.push((session.cpu()? - before).as_secs_f64() * 1e3);
            session.batch("COMMIT")?;
        }
        // The first run fills the session's caches.
        times.remove(0);
        times.sort_by(f64::total_cmp);
        Ok(times[times.len() / 2])
    }
}

/// How many figures met their target.
#[derive(Debug, Default)]
struct Verdicts {
    met: usize,
    judged: usize,
}

impl Verdicts {
    fn judge(&mut self, met: bool) -> bool {
        self.judged += 1;
        self.met += usize::from(met);
        met
    }
}

/// The middle of the trail.
fn a_year_ago() -> OffsetDateTime {
    OffsetDateTime::now_utc() - Duration::from_secs(365 * 86_400)
}

fn row(filter: &str, value: &str, times: &[f64], target: f64, met: bool) -> Vec<String> {
    let time = |index: usize| times.get(index).copied().map_or_else(String::new, |time| format!("{time:.2}"));
    let verdict = if met { "pass" } else { "MISS" };
    vec![filter.to_owned(), value.to_owned(), time(0), time(1), figure(target), verdict.to_owned()]
}

/// Every filter with an index, with values that are rare, hot and in between.
fn questions() -> Result<Vec<(&'static str, &'static str, Timeline)>> {
    let mut questions = vec![("nothing", "", Timeline::new())];
    for table in ["flags", "plans", "orders"] {
        questions.push(("table", table, Timeline::new().table(table)));
    }
    let orders = || Timeline::new().table_in("public", "orders");
    questions.push(("key", "rare", orders().key(999_999_999)));
    questions.push(("key", "hot", orders().key(1)));
    questions.push(("key", "text", Timeline::new().table_in("public", "customers").key(RowKey::value("customer-1"))));
    questions.push(("transaction", "small", Timeline::new().transaction_id(TransactionId(10_007))));
    questions.push(("transaction", "of 1,000", Timeline::new().transaction_id(TransactionId(40_001))));
    for value in ["rare", "scarce", "common", "hot"] {
        questions.push(("actor", value, Timeline::new().actor(&ActorRef::user(value)?)));
        questions.push(("correlation", value, Timeline::new().correlation_id(value)));
        questions.push(("request", value, Timeline::new().request_id(value)));
        questions.push(("job", value, Timeline::new().job_id(value)));
        questions.push(("action", value, Timeline::new().action(value)));
    }
    questions.sort_by_key(|(filter, ..)| *filter);
    Ok(questions)
}

/// A server with a trail in it, and the database's address.
fn seed(options: &Options, changes: u32) -> Result<(Server, String)> {
    let mut settings = crate::server_settings();
    settings.push(("shared_buffers".into(), "1GB".into()));
    settings.push(("max_wal_size".into(), "8GB".into()));
    let server = Server::start(threadline_testkit::Options {
        bin_dir: options.bin_dir.clone(),
        settings,
        // Several gigabytes: not in memory.
        parent_dir: Some(std::env::temp_dir()),
        ..threadline_testkit::Options::default()
    })?;
    let database = server.database()?;
    database.execute(&kernel::install_script(&Schema::default()))?;
    database.execute(&trail_script(changes))?;
    for table in ["audit_changes", "audit_transactions", "audit_actions"] {
        database.execute(&format!("VACUUM ANALYZE threadline.{table}"))?;
    }
    let url = database.url().to_owned();
    // The server goes as a whole.
    std::mem::forget(database);
    Ok((server, url))
}
