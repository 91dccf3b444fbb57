//! Random schemas: tables, keys, links, partitions and triggers.

use fastrand::Rng;

use super::key::KeyKind;
use super::names::Names;
use super::sql::{SCHEMA, ident, idents, literal};
use super::table::{Column, KeyShape, Leaf, Link, Role, Table};
use super::triggers::{HostTrigger, Work};
use super::types::{OWN_TYPES, TEXT, TYPES};

/// The tables of one case.
#[derive(Debug)]
pub struct Schema {
    /// The tables, parents before children.
    pub tables: Vec<Table>,
}

impl Schema {
    /// A random schema.
    pub fn random(rng: &mut Rng) -> Self {
        let mut names = Names::shuffled(rng);
        let count = rng.usize(1..=4);
        let mut tables: Vec<Table> = Vec::new();
        for at in 0..count {
            let table = random_table(&tables, at, &mut names, rng);
            tables.push(table);
        }
        let mut schema = Self { tables };
        if rng.u8(..10) < 6 {
            for number in 0..rng.usize(1..=3) {
                let at = rng.usize(..count);
                if let Some(trigger) = HostTrigger::random(&schema.tables, at, number, rng) {
                    schema.tables[at].triggers.push(trigger);
                }
            }
            schema.drop_ambiguous_triggers();
        }
        schema.drop_doomed_truncates();
        schema
    }

    /// `TRUNCATE` that deletes rows first fails where deferred work waits for those rows, as the limits say.
    fn drop_doomed_truncates(&mut self) {
        let deferred = self.tables.iter().any(|table| {
            table.links.iter().any(|link| link.deferred)
                || table.triggers.iter().any(|trigger| trigger.work == Work::TouchLater)
        });
        for table in &mut self.tables {
            table.truncate_rows &= !deferred;
        }
    }

    /// Whether triggers of the host write while foreign keys cascade.
    #[must_use]
    pub fn mixes_triggers_and_cascades(&self) -> bool {
        let writes = self.tables.iter().any(|table| table.triggers.iter().any(HostTrigger::writes));
        writes && self.tables.iter().any(|table| !table.links.is_empty())
    }

    /// Whether a trigger of one table writes another.
    #[must_use]
    pub fn has_triggers_across(&self) -> bool {
        let mut triggers = self.tables.iter().flat_map(|table| &table.triggers);
        triggers.any(|trigger| matches!(trigger.work, Work::TouchOther(_)))
    }

    /// A row that a BEFORE ROW trigger inserts must not lead to updates of rows that the same statement has inserted
    /// already: see the module's documentation.
    fn drop_ambiguous_triggers(&mut self) {
        for at in 0..self.tables.len() {
            if !self.tables[at].triggers.iter().any(|trigger| trigger.work == Work::Companion) {
                continue;
            }
            for (other, table) in self.tables.iter_mut().enumerate() {
                table.triggers.retain(|trigger| match trigger.work {
                    Work::TouchOther(target) => target != at,
                    Work::TouchBefore | Work::TouchSome => other != at,
                    _ => true,
                });
            }
        }
    }

    /// The statements that create everything, without capture.
    #[must_use]
    pub fn ddl(&self) -> String {
        let mut ddl =
            format!("CREATE SCHEMA {SCHEMA};\nGRANT USAGE ON SCHEMA {SCHEMA} TO PUBLIC;\n{}", OWN_TYPES.trim_start());
        for table in &self.tables {
            ddl.push_str(&table_ddl(table));
        }
        for table in &self.tables {
            for link in &table.links {
                ddl.push_str(&link_ddl(table, link, &self.tables[link.parent]));
            }
        }
        for table in &self.tables {
            for trigger in &table.triggers {
                ddl.push_str(&trigger.ddl(&self.tables, table));
            }
        }
        ddl
    }

    /// The statements that start capture on every table.
    #[must_use]
    pub fn capture(&self) -> String {
        let mut sql = String::new();
        for table in &self.tables {
            let policy = if table.truncate_rows { r#"{"truncate": "rows"}"# } else { "{}" };
            sql.push_str(&format!("SELECT threadline.enable_capture({}, '{policy}');\n", literal(&table.sql())));
        }
        sql
    }

    /// The links that point to the table with index `at`, each with the table it belongs to.
    #[must_use]
    pub fn links_to(&self, at: usize) -> Vec<(&Table, &Link)> {
        self.tables
            .iter()
            .flat_map(|table| table.links.iter().map(move |link| (table, link)))
            .filter(|(_, link)| link.parent == at)
            .collect()
    }

    /// Whether any table has triggers of the host.
    #[must_use]
    pub fn has_triggers(&self) -> bool {
        self.tables.iter().any(|table| !table.triggers.is_empty())
    }
}

fn random_table(earlier: &[Table], at: usize, names: &mut Names, rng: &mut Rng) -> Table {
    let shape = match rng.u8(..20) {
        0..=10 => KeyShape::Primary,
        11..=13 => KeyShape::Unique,
        14..=16 => KeyShape::Deferrable,
        _ => KeyShape::None,
    };
    let mut table = Table {
        name: format!("{} {at}", names.next("table").chars().take(20).collect::<String>()),
        columns: Vec::new(),
        shape,
        links: Vec::new(),
        leaves: Vec::new(),
        triggers: Vec::new(),
        truncate_rows: rng.u8(..4) == 0,
    };
    let mut column_names = Names::shuffled(rng);
    let mut column = |role| Column { name: column_names.next("one more"), role };
    let kind = rng.choice(KeyKind::WEIGHTED).copied().unwrap_or(KeyKind::BigInt);
    let parents: Vec<usize> = earlier.iter().enumerate().filter(|(_, t)| t.can_be_parent()).map(|(i, _)| i).collect();
    let parent = rng.choice(&parents).copied().filter(|_| rng.u8(..10) < 7);

    // The key, which may begin with a reference to the parent.
    let refers_in_key =
        parent.filter(|parent| shape != KeyShape::None && earlier[*parent].handle().len() == 1 && rng.u8(..4) == 0);
    if let Some(parent) = refers_in_key {
        let (_, parent_kind) = earlier[parent].handle()[0];
        table.columns.push(column(Role::Reference(parent_kind)));
        let on_update = if rng.bool() { "CASCADE" } else { "NO ACTION" };
        table.links.push(Link { parent, columns: vec![0], on_delete: "CASCADE", on_update, deferred: false });
        table.columns.push(column(Role::Handle(kind)));
    } else {
        table.columns.push(column(Role::Handle(kind)));
        if shape != KeyShape::None && rng.u8(..4) == 0 {
            let second = rng.choice(KeyKind::WEIGHTED).copied().unwrap_or(KeyKind::Text);
            table.columns.push(column(Role::Handle(second)));
        }
    }

    // One or two more references: to a parent, or to itself.
    let itself = table.can_be_parent() && rng.u8(..6) == 0;
    let target = if itself { Some(at) } else { parent };
    if let Some(parent) = target {
        let kinds: Vec<KeyKind> =
            if itself { table.handle() } else { earlier[parent].handle() }.iter().map(|(_, kind)| *kind).collect();
        let actions = ["CASCADE", "CASCADE", "CASCADE", "SET NULL", "SET DEFAULT", "NO ACTION"];
        let twice = rng.u8(..2) == 0;
        for _ in 0..if twice { 2 } else { 1 } {
            let first = table.columns.len();
            for kind in &kinds {
                table.columns.push(column(Role::Reference(*kind)));
            }
            table.links.push(Link {
                parent,
                columns: (first..table.columns.len()).collect(),
                on_delete: rng.choice(actions).unwrap_or("CASCADE"),
                on_update: if twice { "CASCADE" } else { rng.choice(actions).unwrap_or("CASCADE") },
                deferred: rng.u8(..5) == 0,
            });
        }
    }

    table.columns.push(column(Role::Data(TEXT)));
    for _ in 0..rng.usize(0..=6) {
        let data = rng.choice(TYPES).copied().unwrap_or(TEXT);
        table.columns.push(column(Role::Data(data)));
    }
    if rng.u8(..6) == 0 {
        let note = table.note();
        table.columns.push(column(Role::Generated(format!("md5(coalesce({note}, ''))"))));
    }
    // A reference in the key is matched by number as well, so partitioning by it works too.
    if rng.u8(..10) < 3 {
        table.leaves = random_leaves(at, rng);
    }
    table
}

fn random_leaves(at: usize, rng: &mut Rng) -> Vec<Leaf> {
    let mut leaf =
        |name: &str, numbers: Vec<u64>| Leaf { name: format!("{name} {at}"), numbers, attached: rng.u8(..3) == 0 };
    vec![leaf("Leaf \"one\"", (1..=3).collect()), leaf("leaf ☃", (4..=6).collect()), leaf("default", Vec::new())]
}

fn column_ddl(table: &Table, column: &Column) -> String {
    let mut ddl = format!("{} {}", ident(&column.name), column.sql_type());
    if let Role::Generated(expression) = &column.role {
        ddl.push_str(&format!(" GENERATED ALWAYS AS ({expression}) STORED"));
    }
    if table.shape != KeyShape::None && table.handle().iter().any(|(handle, _)| handle.name == column.name) {
        ddl.push_str(" NOT NULL");
    }
    ddl
}

fn table_ddl(table: &Table) -> String {
    let sql = table.sql();
    let mut parts: Vec<String> = table.columns.iter().map(|column| column_ddl(table, column)).collect();
    // A column that is gone leaves a hole in the row.
    parts.insert(1, "\"dropped\" integer".to_owned());
    match table.shape {
        KeyShape::Primary => parts.push(format!("PRIMARY KEY ({})", table.handle_list())),
        KeyShape::Deferrable => parts.push(format!("PRIMARY KEY ({}) DEFERRABLE", table.handle_list())),
        KeyShape::Unique => parts.push(format!("UNIQUE ({})", table.handle_list())),
        KeyShape::None => {}
    }
    let first = &table.columns[0];
    // Autovacuum would move rows about while a run goes on, and the runs would differ.
    let suffix = if table.leaves.is_empty() {
        " WITH (autovacuum_enabled = false)".to_owned()
    } else {
        format!(" PARTITION BY LIST ({})", ident(&first.name))
    };
    let mut ddl = format!(
        "CREATE TABLE {sql} (\n    {}\n){suffix};\nALTER TABLE {sql} DROP COLUMN \"dropped\";\n",
        parts.join(",\n    ")
    );
    for leaf in &table.leaves {
        let name = format!("{SCHEMA}.{}", ident(&leaf.name));
        let bound = match (&first.role, leaf.numbers.as_slice()) {
            (_, []) => "DEFAULT".to_owned(),
            (Role::Handle(kind) | Role::Reference(kind), numbers) => {
                let values: Vec<String> = numbers.iter().map(|n| kind.value(*n, 0)).collect();
                format!("FOR VALUES IN ({})", values.join(", "))
            }
            _ => "DEFAULT".to_owned(),
        };
        if leaf.attached {
            let mut columns: Vec<String> = table.columns.iter().rev().map(|column| column_ddl(table, column)).collect();
            columns.insert(0, "\"junk\" text".to_owned());
            ddl.push_str(&format!(
                "CREATE TABLE {name} (\n    {}\n) WITH (autovacuum_enabled = false);\nALTER TABLE {name} DROP COLUMN \"junk\";\nALTER TABLE {sql} ATTACH PARTITION {name} {bound};\n",
                columns.join(",\n    ")
            ));
        } else {
            ddl.push_str(&format!(
                "CREATE TABLE {name} PARTITION OF {sql} {bound} WITH (autovacuum_enabled = false);\n"
            ));
        }
    }
    ddl
}

fn link_ddl(table: &Table, link: &Link, parent: &Table) -> String {
    let columns = idents(link.columns.iter().map(|index| table.columns[*index].name.as_str()));
    format!(
        "ALTER TABLE {} ADD FOREIGN KEY ({columns}) REFERENCES {} ({}) ON DELETE {} ON UPDATE {}{};\n",
        table.sql(),
        parent.sql(),
        parent.handle_list(),
        link.on_delete,
        link.on_update,
        if link.deferred { " DEFERRABLE INITIALLY DEFERRED" } else { "" },
    )
}
