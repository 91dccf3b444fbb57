//! One case: a schema, a script, and everything that must hold afterwards.

use std::collections::BTreeMap;

use fastrand::Rng;

use super::chain::Chain;
use super::compare;
use super::counts::{Counts, counting_ddl, read_counts};
use super::kind::Kind;
use super::run::{Event, Outcome, in_schema, run_script};
use super::schema::Schema;
use super::script::{Control, Step, random_script};
use super::session::{Failure, Session, TextRow};
use super::sql::ident;
use super::sum::Sum;
use super::table::KeyShape;
use super::tally::Tally;
use super::trail::{Change, read_trail};

/// A case, made from its seed alone.
#[derive(Debug)]
pub struct Case {
    number: u64,
    schema: Schema,
    steps: Vec<Step>,
    /// Whether the captured tables have counting triggers too.
    counts_itself: bool,
}

/// A moment after a commit.
struct Moment {
    at: i64,
}

impl Case {
    /// The case with this number and seed, for a server of this major version.
    #[must_use]
    pub fn new(number: u64, seed: u64, major: u32) -> Self {
        let mut rng = Rng::with_seed(seed);
        let schema = Schema::random(&mut rng);
        let steps = random_script(&schema, major, &mut rng);
        Self { number, counts_itself: rng.u8(..3) == 0, schema, steps }
    }

    /// Runs it in a database that has the kernel.
    ///
    /// # Errors
    ///
    /// When something does not hold.
    pub fn check(&self, url: &str) -> Result<Tally, Failure> {
        // An old snapshot keeps dead rows where they are. Else a page is cleaned up sooner in one run than in the other,
        // its space is used again, rows come in another order, and triggers of the host do other work.
        let mut keeper = Session::open(url)?;
        keeper.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")?;
        let mut session = Session::open(url)?;
        let captured = self.run_captured(&mut session)?;
        session.close();
        let mut session = Session::open(url)?;
        let mirrored = self.run_mirror(&mut session)?;
        keeper.close();
        self.same_outcomes(&captured.outcomes, &mirrored.outcomes)?;
        self.same_rows(&mut session)?;
        let changes = read_trail(&mut session, &self.schema_name())?;
        if let Some(own) = &captured.counts
            && *own != mirrored.counts
        {
            return Err(Failure::new(format!(
                "the counting triggers disagree: captured {own:?}, mirror {:?}",
                mirrored.counts
            )));
        }
        self.same_counts(&changes, &mirrored.counts)?;
        self.same_history(&mut session, &changes, &captured.moments)?;
        let (main, mirror) = self.quoted_schemas();
        session.run(&format!(
            "SET client_min_messages = error; DROP SCHEMA {main} CASCADE; DROP SCHEMA {mirror} CASCADE"
        ))?;
        session.close();
        let mut tally = mirrored.tally;
        tally.changes = changes.len();
        tally.moments = captured.moments.len();
        Ok(tally)
    }

    /// Everything that psql needs to do it again.
    #[must_use]
    pub fn script(&self) -> String {
        let (main, _) = self.quoted_schemas();
        let mut script = self.captured_ddl();
        for (at, step) in self.steps.iter().enumerate() {
            script.push_str(&format!("{};  -- step {at}\n", step.sql()));
        }
        in_schema(&script, &main)
    }

    fn schema_name(&self) -> String {
        format!("Case {} \"☃\"", self.number)
    }

    fn quoted_schemas(&self) -> (String, String) {
        (ident(&self.schema_name()), ident(&format!("Mirror {}", self.number)))
    }

    fn captured_ddl(&self) -> String {
        let mut ddl = self.schema.ddl();
        if self.counts_itself {
            ddl.push_str(&counting_ddl(&self.schema, false));
        }
        ddl.push_str(&self.schema.capture());
        ddl
    }

    fn run_captured(&self, session: &mut Session) -> Result<Captured, Failure> {
        let (schema, _) = self.quoted_schemas();
        let mut ddl = self.captured_ddl();
        for (at, table) in self.schema.tables.iter().enumerate() {
            ddl.push_str(&format!(
                "CREATE TABLE {} (moment integer, \"row\" {});\n",
                compare::copies_table(at),
                table.sql()
            ));
        }
        session.run(&in_schema(&ddl, &schema)).map_err(|failure| failure.within("set-up"))?;
        let mut moments: Vec<Moment> = Vec::new();
        let outcomes = run_script(session, &self.steps, &schema, |session, event, _| {
            if event == Event::Committed {
                moments.push(self.take_moment(session, moments.len(), &schema)?);
            }
            Ok(())
        })?;
        let counts = if self.counts_itself { Some(read_counts(session, &schema)?) } else { None };
        Ok(Captured { outcomes, moments, counts })
    }

    fn take_moment(&self, session: &mut Session, number: usize, schema: &str) -> Result<Moment, Failure> {
        let mut sql = String::new();
        for (at, table) in self.schema.tables.iter().enumerate() {
            sql.push_str(&compare::copy_rows(table, at, number));
            sql.push_str("; ");
        }
        sql.push_str("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint");
        let rows = session.rows(&in_schema(&sql, schema)).map_err(|failure| failure.within("copying the rows"))?;
        let at = rows.last().and_then(|row| row.first()).cloned().flatten().and_then(|text| text.parse().ok());
        Ok(Moment { at: at.ok_or_else(|| Failure::new("the server does not tell the time"))? })
    }

    fn run_mirror(&self, session: &mut Session) -> Result<Mirrored, Failure> {
        let (_, schema) = self.quoted_schemas();
        let ddl = format!("{}{}", self.schema.ddl(), counting_ddl(&self.schema, true));
        session.run(&in_schema(&ddl, &schema)).map_err(|failure| failure.within("set-up of the mirror"))?;
        let mut tally = Tally::default();
        let mut known = Counts::new();
        let outcomes = run_script(session, &self.steps, &schema, |session, event, outcome| {
            let Event::Step(at) = event else { return Ok(()) };
            // Inside a transaction that failed nothing can be asked.
            let readable = matches!(outcome, Outcome::Done(_)) || is_end(&self.steps[at]);
            let now = if readable { read_counts(session, &schema)? } else { known.clone() };
            if let Step::Write { kinds, sql, .. } = &self.steps[at] {
                let changed = changed_between(&known, &now);
                for kind in kinds {
                    tally.add(*kind, outcome, self.is_effective(*kind, sql, outcome, &changed));
                }
            }
            known = now;
            Ok(())
        })
        .map_err(|failure| failure.within("mirror"))?;
        session.run("RESET ALL")?;
        let counts = read_counts(session, &schema)?;
        Ok(Mirrored { outcomes, counts, tally })
    }

    /// Whether a statement did what its kind is about. `changed`: changes by table.
    fn is_effective(&self, kind: Kind, sql: &str, outcome: &Outcome, changed: &BTreeMap<usize, u64>) -> bool {
        let Outcome::Done(affected) = outcome else { return false };
        let total: u64 = changed.values().sum();
        let elsewhere = || {
            let others =
                changed.iter().filter(|(at, _)| !sql.contains(&format!(" {} ", self.schema.tables[**at].sql())));
            others.map(|(_, count)| *count).sum::<u64>()
        };
        match kind {
            Kind::NoChange => *affected > 0,
            // To another table, or back to the same one: then there are more changes than the tag counts.
            Kind::CascadeDelete | Kind::CascadeUpdate | Kind::TwoCascades => elsewhere() > 0 || total > *affected,
            Kind::HostTrigger => total > *affected,
            _ => total > 0,
        }
    }

    fn same_outcomes(&self, captured: &[Outcome], mirrored: &[Outcome]) -> Result<(), Failure> {
        for (at, (one, other)) in captured.iter().zip(mirrored).enumerate() {
            if one != other {
                return Err(Failure::new(format!(
                    "step {at} came out as {one:?} with capture and as {other:?} without"
                )));
            }
        }
        Ok(())
    }

    fn same_rows(&self, session: &mut Session) -> Result<(), Failure> {
        let (main, mirror) = self.quoted_schemas();
        for table in &self.schema.tables {
            let sql = compare::rows_as_text(table);
            let (one, other) = (session.rows(&in_schema(&sql, &main))?, session.rows(&in_schema(&sql, &mirror))?);
            if one != other {
                let only = |these: &[TextRow], those: &[TextRow]| {
                    these.iter().filter(|row| !those.contains(row)).cloned().collect::<Vec<_>>()
                };
                return Err(Failure::new(format!(
                    "table {:?} has other rows with capture than without: {:?}, not {:?}",
                    table.name,
                    only(&one, &other),
                    only(&other, &one)
                )));
            }
        }
        Ok(())
    }

    fn same_counts(&self, changes: &[Change], expected: &Counts) -> Result<(), Failure> {
        let mut recorded = Counts::new();
        for change in changes {
            let at = self.schema.tables.iter().position(|table| table.name == change.table);
            let at = at.ok_or_else(|| {
                Failure::new(format!("change {} names an unknown table {:?}", change.id, change.table))
            })?;
            *recorded.entry((at, change.op.clone())).or_default() += 1;
        }
        if recorded == *expected {
            return Ok(());
        }
        let names: Vec<&str> = self.schema.tables.iter().map(|table| table.name.as_str()).collect();
        Err(Failure::new(format!(
            "counts differ: recorded {recorded:?}, really changed {expected:?}, tables {names:?}"
        )))
    }

    /// Whether the trail's order inside a transaction is exact, or only the state after it: see the module's
    /// documentation.
    fn has_exact_order(&self) -> bool {
        let several = |step: &Step| matches!(step, Step::Write { kinds, .. } if kinds.contains(&Kind::WritableCte));
        if self.schema.mixes_triggers_and_cascades() {
            return false;
        }
        !self.schema.has_triggers_across() || !self.steps.iter().any(several)
    }

    /// At every moment, replaying what was captured until then gives the rows that were there.
    fn same_history(&self, session: &mut Session, changes: &[Change], moments: &[Moment]) -> Result<(), Failure> {
        let (schema, _) = self.quoted_schemas();
        for (at, table) in self.schema.tables.iter().enumerate() {
            let (mut sum, mut chain) = (Sum::default(), Chain::new(table.shape != KeyShape::None));
            let mut contradiction = None;
            let mut own = changes.iter().filter(|change| change.table == table.name).peekable();
            for (number, moment) in moments.iter().enumerate() {
                while let Some(change) = own.next_if(|change| change.at <= moment.at) {
                    sum.apply(change)?;
                    if contradiction.is_none() {
                        contradiction =
                            chain.apply(change).err().map(|failure| failure.within(&of_transaction(changes, change)));
                    }
                }
                let here = format!("table {:?} at moment {number}", table.name);
                sum.settle().map_err(|failure| failure.within(&here))?;
                let sql = in_schema(&compare::differences(table, at, number), &schema);
                let differences = session
                    .rows_of(&sql, &format!("[{}]", sum.images().join(",")))
                    .map_err(|failure| failure.in_statement(&sql))?;
                if !differences.is_empty() {
                    return Err(Failure::new(format!("{here}: the replay differs (table, replay): {differences:?}")));
                }
                if !self.has_exact_order() {
                    continue;
                }
                // The rows are right. Is the order?
                if let Some(contradiction) = contradiction {
                    return Err(contradiction.within("order"));
                }
                chain.settle().map_err(|failure| failure.within(&here))?;
                if chain.images() != sum.images() {
                    return Err(Failure::new(format!(
                        "{here}: change by change the trail gives other rows than as a whole"
                    )));
                }
            }
            if let Some(change) = own.next() {
                return Err(Failure::new(format!("change {} was captured after the last commit", change.id)));
            }
        }
        Ok(())
    }
}

struct Captured {
    outcomes: Vec<Outcome>,
    moments: Vec<Moment>,
    counts: Option<Counts>,
}

struct Mirrored {
    outcomes: Vec<Outcome>,
    counts: Counts,
    tally: Tally,
}

/// The changes of one table in one transaction, for the reader of a failure.
fn of_transaction(changes: &[Change], wrong: &Change) -> String {
    let same = changes.iter().filter(|change| change.xid == wrong.xid && change.table == wrong.table);
    let lines: Vec<String> = same.map(|change| format!("  {change}\n")).collect();
    format!("the trail of the transaction:\n{}", lines.concat())
}

fn is_end(step: &Step) -> bool {
    matches!(step, Step::Control(Control::Commit | Control::Rollback))
}

fn changed_between(before: &Counts, after: &Counts) -> BTreeMap<usize, u64> {
    let mut changed = BTreeMap::new();
    for (key, count) in after {
        let more = count.saturating_sub(before.get(key).copied().unwrap_or_default());
        if more > 0 {
            *changed.entry(key.0).or_default() += more;
        }
    }
    changed
}
