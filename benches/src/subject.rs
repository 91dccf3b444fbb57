//! A database with one variant installed, ready to be measured.

use std::fs;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use threadline_core::{ActorRef, AuditContext, Schema, TransactionOptions, kernel};
use threadline_testkit::{Database, Server};
use tokio::runtime::Runtime;

use crate::Result;
use crate::options::{Context, Kind};
use crate::session::Session;
use crate::workload::{Amount, Workload};

/// A way to audit the table.
#[derive(Clone, Debug)]
pub(crate) struct Variant {
    /// What reports call it.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// The script that installs the kernel; this build's own when absent.
    pub(crate) kernel: Option<PathBuf>,
    /// Measured beside the kernel that is judged.
    pub(crate) is_candidate: bool,
    pub(crate) context: Context,
    /// Whether the audited table has partitions.
    pub(crate) partitioned: bool,
    /// What is altered once the table is captured.
    pub(crate) alterations: Vec<String>,
}

impl Variant {
    pub(crate) fn new(name: impl Into<String>, kind: Kind, context: Context) -> Self {
        Self {
            name: name.into(),
            kind,
            kernel: None,
            is_candidate: false,
            context,
            partitioned: false,
            alterations: Vec::new(),
        }
    }

    /// Whether the kernel is installed.
    pub(crate) fn is_threadline(&self) -> bool {
        matches!(self.kind, Kind::Full | Kind::Lean)
    }

    /// The tables of the trail.
    fn trail(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::Bare => &[],
            Kind::Full | Kind::Lean => {
                &["threadline.audit_changes", "threadline.audit_transactions", "threadline.audit_actions"]
            }
            Kind::Classic => &["public.audit_log"],
            Kind::Floor => &["threadline_floor.changes"],
        }
    }

    /// The table that grows by a row with each change.
    pub(crate) fn changes_table(&self) -> Option<&'static str> {
        self.trail().first().copied()
    }
}

/// A variant in a database of its own.
#[derive(Debug)]
pub(crate) struct Subject {
    variant: Variant,
    // The sessions end before the database is dropped.
    measured: Session,
    admin: Session,
    _database: Database,
    transactions: u64,
}

impl Subject {
    /// Creates the database, installs the variant and loads the table.
    pub(crate) fn prepare(server: &Server, runtime: &Rc<Runtime>, variant: Variant) -> Result<Self> {
        let database = server.database()?;
        let mut admin = Session::open(runtime, database.url())?;
        admin.batch(include_str!("sql/items.sql"))?;
        if variant.partitioned {
            admin.batch(include_str!("sql/partitioned.sql"))?;
        }
        match variant.kind {
            Kind::Bare => {}
            Kind::Classic => admin.batch(include_str!("sql/classic.sql"))?,
            Kind::Floor => admin.batch(include_str!("sql/floor.sql"))?,
            Kind::Full | Kind::Lean => {
                let script = match &variant.kernel {
                    Some(path) => fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?,
                    None => kernel::install_script(&Schema::default()),
                };
                admin.batch(&format!("BEGIN;\n{script}\nCOMMIT"))?;
                let images = if variant.kind == Kind::Full { "full" } else { "lean" };
                admin.batch(&format!(
                    "SELECT threadline.enable_capture('public.items', '{{\"images\": \"{images}\"}}')"
                ))?;
            }
        }
        for alteration in &variant.alterations {
            admin.batch(alteration)?;
        }
        admin.batch("SET session_replication_role = replica")?;
        let measured = Session::open(runtime, database.url())?;
        let mut subject = Self { variant, measured, admin, _database: database, transactions: 0 };
        subject.empty_trail()?;
        subject.reset()?;
        Ok(subject)
    }

    pub(crate) fn variant(&self) -> &Variant {
        &self.variant
    }

    /// The session that writes.
    pub(crate) fn measured(&self) -> &Session {
        &self.measured
    }

    /// A session that sets up and looks. It fires no trigger.
    pub(crate) fn admin(&mut self) -> &mut Session {
        &mut self.admin
    }

    /// The table as it was, packed and analyzed.
    pub(crate) fn reset(&mut self) -> Result<()> {
        self.admin.batch(include_str!("sql/reset.sql"))?;
        self.admin.batch("VACUUM (ANALYZE) public.items")
    }

    /// A trail without records.
    pub(crate) fn empty_trail(&mut self) -> Result<()> {
        match self.variant.trail() {
            [] => Ok(()),
            tables => self.admin.batch(&format!("TRUNCATE {}", tables.join(", "))),
        }
    }

    /// Runs a transaction, begun as an adapter begins it.
    pub(crate) fn transaction(&mut self, write: impl FnOnce(&mut Session) -> Result<()>) -> Result<()> {
        let begin = self.begin()?;
        self.measured.batch(&begin)?;
        write(&mut self.measured)?;
        self.measured.batch("COMMIT")
    }

    fn begin(&mut self) -> Result<String> {
        self.transactions += 1;
        let number = self.transactions;
        let context = match self.variant.context {
            _ if self.variant.kind == Kind::Bare => return Ok("BEGIN".into()),
            Context::None => return Ok("BEGIN".into()),
            Context::Actor => AuditContext::new(ActorRef::user("42")?),
            Context::Request => AuditContext::new(ActorRef::user("42")?)
                .correlation_id(format!("9b2f6c1e-{number:012}"))
                .request_id(format!("req-{number:012}"))
                .source("api"),
        };
        Ok(context.begin_sql(&TransactionOptions::new())?)
    }

    /// The processor time that the server spends on one unit of a workload, in microseconds.
    pub(crate) fn measure(&mut self, workload: Workload, amount: Amount) -> Result<f64> {
        self.reset()?;
        workload.warm_up(self)?;
        let before = self.measured.cpu()?;
        workload.run(self, amount)?;
        let spent: Duration = self.measured.cpu()?.saturating_sub(before);
        Ok(spent.as_secs_f64() * 1e6 / f64::from(workload.units(amount)))
    }
}
