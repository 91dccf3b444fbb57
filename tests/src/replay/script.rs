//! The statements of one case, in transactions and savepoints.

use fastrand::Rng;

use super::kind::Kind;
use super::schema::Schema;
use super::settings::random_setting;
use super::write::Writer;

/// One step of a script.
#[derive(Clone, Debug)]
pub enum Step {
    /// A statement of some kind.
    Write {
        /// Its kinds: its own, and that of what it is part of.
        kinds: Vec<Kind>,
        /// Its text; several statements where the kind needs them.
        sql: String,
        /// What `COPY` reads.
        copy: Option<String>,
        /// Run in a savepoint of its own, so that an error loses nothing else.
        guarded: bool,
    },
    /// `BEGIN`, `COMMIT`, `ROLLBACK`, savepoints.
    Control(Control),
    /// A setting, or another context for what follows.
    Setting(String),
}

/// Where transactions begin and end.
#[derive(Clone, Debug)]
pub enum Control {
    /// Begins a transaction.
    Begin(&'static str),
    /// Commits it.
    Commit,
    /// Rolls it back.
    Rollback,
    /// Sets a savepoint.
    Savepoint(String),
    /// Goes back to a savepoint.
    RollbackTo(String),
    /// Forgets a savepoint.
    Release(String),
}

impl Step {
    /// The step as psql would run it.
    #[must_use]
    pub fn sql(&self) -> String {
        match self {
            Self::Write { sql, copy: Some(data), .. } => format!("{sql};\n{data}\\."),
            Self::Write { sql, guarded: true, .. } => format!("SAVEPOINT guard; {sql}; RELEASE guard"),
            Self::Write { sql, .. } | Self::Setting(sql) => sql.clone(),
            Self::Control(control) => match control {
                Control::Begin(options) => format!("BEGIN{options}"),
                Control::Commit => "COMMIT".to_owned(),
                Control::Rollback => "ROLLBACK".to_owned(),
                Control::Savepoint(name) => format!("SAVEPOINT {name}"),
                Control::RollbackTo(name) => format!("ROLLBACK TO {name}"),
                Control::Release(name) => format!("RELEASE {name}"),
            },
        }
    }
}

/// A random script for a schema, on a server of this major version.
pub fn random_script(schema: &Schema, major: u32, rng: &mut Rng) -> Vec<Step> {
    let mut shuffle = rng.fork();
    let mut maker = Maker { writer: Writer::new(schema, rng), steps: Vec::new(), major };
    maker.steps.push(Step::Control(Control::Begin("")));
    for table in &schema.tables {
        let sql = maker.writer.first_rows(table);
        maker.steps.push(Step::Write { kinds: vec![Kind::InsertMany], sql, copy: None, guarded: true });
    }
    maker.steps.push(Step::Control(Control::Commit));
    for _ in 0..shuffle.usize(3..=7) {
        if shuffle.bool() {
            maker.steps.push(Step::Setting(random_setting(false, &mut shuffle)));
        }
        if shuffle.u8(..4) == 0 {
            maker.write(false, &[], &mut shuffle);
        } else {
            maker.transaction(&mut shuffle);
        }
    }
    maker.steps
}

struct Maker<'a> {
    writer: Writer<'a>,
    steps: Vec<Step>,
    major: u32,
}

impl Maker<'_> {
    fn transaction(&mut self, rng: &mut Rng) {
        let isolation = ["", "", "", " ISOLATION LEVEL REPEATABLE READ", " ISOLATION LEVEL SERIALIZABLE"];
        self.steps.push(Step::Control(Control::Begin(isolation[rng.usize(..isolation.len())])));
        for number in 0..rng.u32(1..=6) {
            match rng.u8(..12) {
                0 => self.steps.push(Step::Setting(random_setting(true, rng))),
                1 => self.steps.push(Step::Setting(format!(
                    "SELECT set_config('threadline.actor_ref', '{{\"type\": \"user\", \"id\": \"{number}\"}}', true)"
                ))),
                2 | 3 => self.savepoint(&format!("s{number}"), rng),
                _ => self.write(rng.u8(..8) > 0, &[], rng),
            }
        }
        let end = if rng.u8(..8) == 0 { Control::Rollback } else { Control::Commit };
        self.steps.push(Step::Control(end));
    }

    fn savepoint(&mut self, name: &str, rng: &mut Rng) {
        let back = rng.u8(..3) > 0;
        self.steps.push(Step::Control(Control::Savepoint(name.to_owned())));
        let outer: &[Kind] = if back { &[Kind::SavepointRollback] } else { &[] };
        for number in 0..rng.u8(1..=3) {
            if rng.u8(..6) == 0 {
                self.steps.push(Step::Control(Control::Savepoint(format!("{name}_{number}"))));
                self.write(true, outer, rng);
                self.steps.push(Step::Control(Control::RollbackTo(format!("{name}_{number}"))));
            } else {
                self.write(true, outer, rng);
            }
        }
        if back {
            self.steps.push(Step::Control(Control::RollbackTo(name.to_owned())));
        }
        if rng.bool() {
            self.steps.push(Step::Control(Control::Release(name.to_owned())));
        }
    }

    /// One statement of a kind that the schema has something for.
    fn write(&mut self, guarded: bool, outer: &[Kind], rng: &mut Rng) {
        for _ in 0..50 {
            let kind = Kind::ALL[rng.usize(..Kind::ALL.len())];
            let (sql, copy) = match kind {
                Kind::SavepointRollback => continue,
                Kind::Copy => match self.writer.copy() {
                    Some((sql, data)) => (Some(sql), Some(data)),
                    None => continue,
                },
                Kind::CaughtException => (self.caught_exception(rng), None),
                _ if !kind.exists_on(self.major) => continue,
                _ => (self.writer.statement(kind), None),
            };
            let Some(sql) = sql else { continue };
            let kinds = [&[kind], outer].concat();
            self.steps.push(Step::Write { kinds, sql, copy, guarded });
            return;
        }
    }

    /// A block that writes, fails, catches that, and writes again.
    fn caught_exception(&mut self, rng: &mut Rng) -> Option<String> {
        let simple =
            [Kind::InsertOne, Kind::UpdateMany, Kind::DeleteOne, Kind::Upsert, Kind::KeyChange, Kind::UpdateOne];
        let mut one = || self.writer.statement(simple[rng.usize(..simple.len())]);
        let (before, lost, after) = (one()?, one()?, one()?);
        Some(format!(
            "DO $host_block$\n#variable_conflict use_column\nBEGIN\n{before};\nBEGIN\n{lost};\nPERFORM 1 / 0;\nEXCEPTION WHEN division_by_zero THEN\n{after};\nEND;\nEND $host_block$"
        ))
    }
}
