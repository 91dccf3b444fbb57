//! Triggers that the host application has on its own tables.

use fastrand::Rng;

use super::key::KeyKind;
use super::sql::{SCHEMA, ident, idents};
use super::table::{KeyShape, Role, Table};

/// What a host trigger does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// After a row was inserted or updated: updates it again.
    TouchRow,
    /// After a row was deleted: inserts it again.
    PutBack,
    /// After a row was inserted: deletes it again, if its key says so.
    TakeAway,
    /// After a row was updated: gives it another key.
    Rekey,
    /// After an INSERT: updates the rows it inserted, through its transition table.
    TouchInserted,
    /// After an UPDATE: updates some rows of the table.
    TouchSome,
    /// At the end of the transaction: updates the row.
    TouchLater,
    /// After a row changed: updates some rows of another table.
    TouchOther(usize),
    /// Before a row is inserted or updated: changes it.
    Alter,
    /// Before a row is inserted, updated or deleted: skips it, if its key says so.
    Skip,
    /// Before a row is inserted: inserts another row of the same table.
    Companion,
    /// Before an INSERT: updates some rows of the table.
    TouchBefore,
}

/// A trigger of the host application.
#[derive(Clone, Debug)]
pub struct HostTrigger {
    /// Its name, unquoted. Some sort before the triggers of capture, some after.
    pub name: String,
    /// What it does.
    pub work: Work,
    /// It does nothing at a greater trigger depth.
    pub max_depth: u32,
    /// Distinct within the schema.
    pub number: usize,
}

impl HostTrigger {
    /// A random trigger for `table`, the one with index `at` among `tables`; none if its work does not fit the table.
    pub fn random(tables: &[Table], at: usize, number: usize, rng: &mut Rng) -> Option<Self> {
        let table = &tables[at];
        let work = match rng.u8(..16) {
            0..=2 => Work::TouchRow,
            3 => Work::PutBack,
            4 => Work::TakeAway,
            5 => Work::Rekey,
            6 => Work::TouchInserted,
            7 => Work::TouchSome,
            8 => Work::TouchLater,
            9..=11 => Work::TouchOther(rng.usize(..tables.len())),
            12 => Work::Alter,
            13 => Work::Skip,
            14 => Work::Companion,
            _ => Work::TouchBefore,
        };
        let numbered = matches!(table.shiftable(), Some((_, kind)) if kind != KeyKind::Date);
        let fits = match work {
            Work::Rekey => numbered && table.leaves.is_empty(),
            Work::Companion => numbered && table.can_upsert(),
            Work::TouchOther(other) => other != at,
            _ => true,
        };
        let first = ["", " ", "!", "0", "00_", "~~~"];
        fits.then(|| Self {
            name: format!("{}host {number}", rng.choice(first).unwrap_or_default()),
            work,
            max_depth: if work == Work::Rekey { 1 } else { rng.u32(1..=3) },
            number,
        })
    }

    /// The statements that create it on `table`.
    #[must_use]
    pub fn ddl(&self, tables: &[Table], table: &Table) -> String {
        let target = table.sql();
        let note = table.note();
        let touch = |mark: &str| format!("{note} = left(coalesce(t.{note}, '') || '{mark}', 60)");
        // Updates at the end of the transaction queue further ones: the note's length bounds them.
        let short = format!("length(coalesce(t.{note}, '')) < 50");
        let same_row = |record: &str| {
            let parts: Vec<String> =
                table.handle().iter().map(|(column, _)| format!("t.{0} = {record}.{0}", ident(&column.name))).collect();
            parts.join(" AND ")
        };
        let (timing, body) = match self.work {
            Work::TouchRow => (
                "AFTER INSERT OR UPDATE|ROW",
                format!("UPDATE {target} AS t SET {} WHERE {};", touch("!"), same_row("NEW")),
            ),
            Work::PutBack => {
                let names: Vec<&str> = table.writable().iter().map(|column| column.name.as_str()).collect();
                let values: Vec<String> = names.iter().map(|name| format!("OLD.{}", ident(name))).collect();
                let conflict = if table.shape == KeyShape::Deferrable { "" } else { " ON CONFLICT DO NOTHING" };
                (
                    "AFTER DELETE|ROW",
                    format!("INSERT INTO {target} ({}) VALUES ({}){conflict};", idents(names), values.join(", ")),
                )
            }
            Work::TakeAway => (
                "AFTER INSERT|ROW",
                format!("DELETE FROM {target} AS t WHERE {} AND {};", same_row("NEW"), table.one_in("t.", 3, 0)),
            ),
            Work::Rekey => {
                let column = shifted(table);
                (
                    "AFTER UPDATE|ROW",
                    format!(
                        "UPDATE {target} AS t SET {column} = {column} + 200000 WHERE {} AND {column} < 200000;",
                        same_row("NEW")
                    ),
                )
            }
            Work::TouchInserted => (
                "AFTER INSERT|STATEMENT REFERENCING NEW TABLE AS host_rows",
                format!("UPDATE {target} AS t SET {} FROM host_rows AS h WHERE {};", touch("i"), same_row("h")),
            ),
            Work::TouchSome => (
                "AFTER UPDATE|STATEMENT",
                format!("UPDATE {target} AS t SET {} WHERE {} AND {short};", touch("s"), table.one_in("t.", 3, 1)),
            ),
            Work::TouchLater => (
                "AFTER INSERT OR UPDATE|CONSTRAINT",
                format!(
                    "UPDATE {target} AS t SET {} WHERE {} AND right(coalesce(t.{note}, ''), 1) <> 'd' AND {short};",
                    touch("d"),
                    same_row("NEW")
                ),
            ),
            Work::TouchOther(other) => {
                let other = &tables[other];
                let note = other.note();
                (
                    "AFTER INSERT OR UPDATE OR DELETE|ROW",
                    format!(
                        "UPDATE {} AS t SET {note} = left(coalesce(t.{note}, '') || 'x', 60) WHERE {};",
                        other.sql(),
                        other.one_in("t.", 4, 1)
                    ),
                )
            }
            Work::Alter => {
                ("BEFORE INSERT OR UPDATE|ROW", format!("NEW.{note} := left(coalesce(NEW.{note}, '') || 'b', 60);"))
            }
            Work::Skip => (
                "BEFORE INSERT OR UPDATE OR DELETE|ROW",
                format!("IF {} THEN RETURN NULL; END IF;", table.one_in("host_row.", 7, 3)),
            ),
            Work::Companion => {
                let column = shifted(table);
                let copied: Vec<(String, String)> = table
                    .handle()
                    .iter()
                    .map(|(handle, _)| {
                        let name = ident(&handle.name);
                        let value = if name == column { format!("NEW.{name} + 300000") } else { format!("NEW.{name}") };
                        (name, value)
                    })
                    .collect();
                let names: Vec<&str> = copied.iter().map(|(name, _)| name.as_str()).collect();
                let values: Vec<&str> = copied.iter().map(|(_, value)| value.as_str()).collect();
                (
                    "BEFORE INSERT|ROW",
                    format!(
                        "IF NEW.{column} < 300000 THEN INSERT INTO {target} ({}) VALUES ({}) ON CONFLICT DO NOTHING; END IF;",
                        names.join(", "),
                        values.join(", ")
                    ),
                )
            }
            Work::TouchBefore => (
                "BEFORE INSERT|STATEMENT",
                format!("UPDATE {target} AS t SET {} WHERE {};", touch("p"), table.one_in("t.", 3, 2)),
            ),
        };
        let (event, level) = timing.split_once('|').unwrap_or((timing, "ROW"));
        let (create, level) = if level == "CONSTRAINT" {
            ("CREATE CONSTRAINT TRIGGER", "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW".to_owned())
        } else if let Some((level, transition)) = level.split_once(" REFERENCING ") {
            ("CREATE TRIGGER", format!("REFERENCING {transition} FOR EACH {level}"))
        } else {
            ("CREATE TRIGGER", format!("FOR EACH {level}"))
        };
        let function = format!("{SCHEMA}.{}", ident(&format!("host function {}", self.number)));
        let result = if event.starts_with("BEFORE") && !level.contains("STATEMENT") {
            "IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW;"
        } else {
            "RETURN NULL;"
        };
        format!(
            "CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $host_function$\n\
             #variable_conflict use_column\n\
             DECLARE host_row record;\n\
             BEGIN\n\
             IF TG_LEVEL = 'ROW' THEN IF TG_OP = 'DELETE' THEN host_row := OLD; ELSE host_row := NEW; END IF; END IF;\n\
             IF pg_trigger_depth() <= {} THEN {body} END IF;\n{result}\nEND $host_function$;\n\
             {create} {} {event} ON {target} {level} EXECUTE FUNCTION {function}();\n",
            self.max_depth,
            ident(&self.name),
        )
    }

    /// Whether it writes to tables: then statements make changes that their command tag does not count.
    #[must_use]
    pub fn writes(&self) -> bool {
        !matches!(self.work, Work::Alter | Work::Skip)
    }
}

fn shifted(table: &Table) -> String {
    table
        .shiftable()
        .filter(|(column, _)| matches!(column.role, Role::Handle(_)))
        .map_or_else(String::new, |(column, _)| ident(&column.name))
}
