//! What one part costs: the same run with and without it.

use std::rc::Rc;

use threadline_testkit::Server;
use tokio::runtime::Runtime;

use crate::Result;
use crate::measure::{Samples, measure};
use crate::options::{Context, Kind, Options};
use crate::subject::{Subject, Variant};
use crate::table::{Table, figure};
use crate::workload::Workload;

/// Parts that [`Experiment::profile`] takes away, with the SQL that does it.
const PARTS: [(&str, &str); 7] = [
    (
        "recording anything at all (an empty trigger function)",
        "DO $$ DECLARE target record; BEGIN
            FOR target IN SELECT DISTINCT t.tgfoid::regprocedure AS name FROM pg_trigger t
                          WHERE t.tgrelid = 'public.items'::regclass AND NOT t.tgisinternal LOOP
                EXECUTE format('CREATE OR REPLACE FUNCTION %s RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS %L',
                               target.name, 'BEGIN RETURN NULL; END');
            END LOOP;
        END $$",
    ),
    (
        "the audit transaction (open_transaction)",
        "CREATE OR REPLACE FUNCTION threadline.open_transaction(mark text, instant timestamptz) RETURNS bigint
         LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'",
    ),
    (
        "reading the context (parse_context)",
        "CREATE OR REPLACE FUNCTION threadline.parse_context(actor_text text, context_text text, OUT actor jsonb, OUT context jsonb)
         LANGUAGE plpgsql STABLE AS 'BEGIN END'",
    ),
    (
        "the order of captures (next_instant)",
        "CREATE OR REPLACE FUNCTION threadline.next_instant() RETURNS timestamptz
         LANGUAGE plpgsql AS 'BEGIN RETURN pg_catalog.clock_timestamp(); END'",
    ),
    ("the indexes of audit_transactions", "audit_transactions"),
    ("the indexes of audit_changes", "audit_changes"),
    ("the indexes of both", "audit_changes,audit_transactions"),
];

/// A kernel with one thing less.
#[derive(Debug)]
struct Part {
    label: String,
    alterations: Vec<String>,
    context: Context,
}

/// Subjects that differ by one part each from the whole, which comes after the bare table.
#[derive(Debug)]
pub(crate) struct Experiment {
    whole: Variant,
    parts: Vec<Part>,
}

impl Experiment {
    /// Without each index of the trail in turn, as the catalog lists them.
    pub(crate) fn indexes(server: &Server, runtime: &Rc<Runtime>, whole: Variant) -> Result<Self> {
        let mut subject = Subject::prepare(server, runtime, whole.clone())?;
        let parts = indexes_of(&mut subject, &["audit_changes", "audit_transactions"])?
            .into_iter()
            .map(|index| Part { alterations: vec![drop_index(&index)], label: index, context: whole.context })
            .collect();
        Ok(Self { whole, parts })
    }

    /// Without each of a few parts of capture in turn.
    pub(crate) fn profile(server: &Server, runtime: &Rc<Runtime>, whole: Variant) -> Result<Self> {
        let mut subject = Subject::prepare(server, runtime, whole.clone())?;
        let mut parts = vec![Part { label: "any context".into(), alterations: Vec::new(), context: Context::None }];
        for (label, sql) in PARTS {
            let alterations = if let Some(name) = replaced_function(sql) {
                // A replacement of what does not exist would cost nothing and look like a finding.
                subject.admin().batch(&format!("SELECT 'threadline.{name}'::regproc"))?;
                vec![sql.to_owned()]
            } else if sql.starts_with("DO") {
                vec![sql.to_owned()]
            } else {
                let tables: Vec<&str> = sql.split(',').collect();
                indexes_of(&mut subject, &tables)?.iter().map(|index| drop_index(index)).collect()
            };
            parts.push(Part { label: label.into(), alterations, context: whole.context });
        }
        Ok(Self { whole, parts })
    }

    /// Measures, and tells what each part costs.
    pub(crate) fn run(
        &self,
        server: &Server,
        runtime: &Rc<Runtime>,
        workloads: &[Workload],
        options: &Options,
    ) -> Result<Table> {
        let mut subjects = vec![
            Subject::prepare(server, runtime, Variant::new("bare", Kind::Bare, self.whole.context))?,
            Subject::prepare(server, runtime, self.whole.clone())?,
        ];
        for part in &self.parts {
            let mut variant = self.whole.clone();
            variant.context = part.context;
            variant.alterations.clone_from(&part.alterations);
            subjects.push(Subject::prepare(server, runtime, variant)?);
        }
        let samples = measure(&mut subjects, workloads, options)?;
        Ok(self.table(&samples))
    }

    /// A column for each workload.
    fn table(&self, samples: &Samples) -> Table {
        let mut table = Table::default();
        let line = |label: &str, cells: Vec<String>| {
            let mut row = vec![label.to_owned()];
            row.extend(cells);
            row
        };
        let each =
            |cell: &dyn Fn(Workload) -> String| samples.workloads().iter().map(|workload| cell(*workload)).collect();
        table.row(line("us per unit", each(&|workload| workload.letter().to_string())));
        table.row(line("the bare table", each(&|workload| figure(samples.cost(workload, 0).total))));
        table.row(line("what capture adds", each(&|workload| figure(samples.cost(workload, 1).added))));
        for (index, part) in self.parts.iter().enumerate() {
            let label = format!("  of this, {}", part.label);
            table.row(line(&label, each(&|workload| figure(-samples.cost_over(workload, index + 2, 1).added))));
        }
        table
    }
}

/// The name of the kernel's function that an alteration replaces.
fn replaced_function(sql: &str) -> Option<&str> {
    sql.strip_prefix("CREATE OR REPLACE FUNCTION threadline.")?.split('(').next()
}

/// The statement that drops an index of the trail, from the root and all partitions.
pub(crate) fn drop_index(index: &str) -> String {
    format!("DROP INDEX threadline.\"{}\"", index.replace('"', "\"\""))
}

/// The indexes on the roots of the trail's tables.
fn indexes_of(subject: &mut Subject, tables: &[&str]) -> Result<Vec<String>> {
    let mut indexes = Vec::new();
    for table in tables {
        let rows = subject.admin().rows(&format!(
            "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
             WHERE i.indrelid = 'threadline.{table}'::regclass AND NOT i.indisprimary ORDER BY 1"
        ))?;
        indexes.extend(rows.into_iter().flatten());
    }
    Ok(indexes)
}
