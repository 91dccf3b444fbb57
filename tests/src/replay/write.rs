//! From a kind of statement to a random statement of that kind.

use fastrand::Rng;

use super::key::{KeyKind, POOL};
use super::kind::Kind;
use super::schema::Schema;
use super::sql::{ident, idents};
use super::table::{Column, KeyShape, Link, Role, Table, random_value};
use super::types::ColumnType;

/// Writes random statements for one schema. Statements depend on the seed alone, never on the data.
#[derive(Debug)]
pub struct Writer<'a> {
    pub(super) schema: &'a Schema,
    pub(super) rng: &'a mut Rng,
    /// The number of the next row that no statement has met before.
    pub(super) fresh: u64,
}

impl<'a> Writer<'a> {
    /// A writer.
    pub fn new(schema: &'a Schema, rng: &'a mut Rng) -> Self {
        Self { schema, rng, fresh: 1000 }
    }

    /// A random statement; none when the schema has nothing for this kind. Kinds that are made of other statements are
    /// the script's business.
    pub fn statement(&mut self, kind: Kind) -> Option<String> {
        match kind {
            Kind::InsertOne => self.any().map(|table| self.insert(table, 1)),
            Kind::InsertMany => self.insert_many(),
            Kind::UpdateOne => self.any().map(|table| self.update_one(table)),
            Kind::UpdateMany => self.any().map(|table| self.update_many(table)),
            Kind::NoChange => self.any().map(|table| self.no_change(table)),
            Kind::DeleteOne => self.any().map(|table| self.delete_one(table)),
            Kind::DeleteMany => self.any().map(|table| self.delete_many(table)),
            Kind::Upsert => self.upsert(),
            Kind::Merge => self.merge(),
            Kind::UpdateFrom => self.any().map(|table| self.update_from(table)),
            Kind::WritableCte => self.writable_cte(),
            Kind::CascadeDelete => self.cascade_delete(),
            Kind::CascadeUpdate => self.cascade_update(false),
            Kind::TwoCascades => self.cascade_update(true),
            Kind::DeferrableShift => self.deferrable_shift(),
            Kind::DeferredDuplicate => self.deferred_duplicate(),
            Kind::HostTrigger => self.host_trigger(),
            Kind::KeyChange => self.key_change(),
            Kind::Truncate => self.truncate(),
            Kind::LeafWrite => self.leaf_write(),
            Kind::PartitionMove => self.partition_move(),
            Kind::Copy | Kind::SavepointRollback | Kind::CaughtException => None,
        }
    }

    /// The rows every case starts with.
    #[must_use]
    pub fn first_rows(&mut self, table: &Table) -> String {
        let numbers: Vec<u64> = (1..=POOL).filter(|_| self.rng.u8(..10) < 7).collect();
        self.insert_rows(table, &table.sql(), if numbers.is_empty() { &[1] } else { &numbers })
    }

    pub(super) fn any(&mut self) -> Option<&'a Table> {
        let at = self.rng.usize(..self.schema.tables.len());
        self.schema.tables.get(at)
    }

    pub(super) fn one_of(&mut self, fits: impl Fn(&Table) -> bool) -> Option<&'a Table> {
        let fitting: Vec<&'a Table> = self.schema.tables.iter().filter(|table| fits(table)).collect();
        self.rng.choice(fitting)
    }

    /// A row number that is mostly not taken.
    pub(super) fn new_number(&mut self) -> u64 {
        if self.rng.u8(..4) == 0 {
            Table::pool_row(self.rng)
        } else {
            self.fresh += 1;
            self.fresh
        }
    }

    /// A value for a column, the handle of row `n` included.
    pub(super) fn values(&mut self, table: &Table, n: u64) -> Vec<String> {
        let mut handle = table
            .handle()
            .iter()
            .map(|(column, _)| column.name.clone())
            .collect::<Vec<_>>()
            .into_iter()
            .zip(table.handle_values(n, self.rng))
            .collect::<Vec<_>>();
        // Most rows refer to one parent with all their references.
        let offset = self.rng.u8(..6);
        table
            .writable()
            .iter()
            .map(|column| {
                if let Some(at) = handle.iter().position(|(name, _)| *name == column.name) {
                    return handle.swap_remove(at).1;
                }
                match &column.role {
                    Role::Data(data) => random_value(data, self.rng),
                    _ => self.reference(table, column, offset),
                }
            })
            .collect()
    }

    /// The value of a reference: a part of the key of some row of the parent, or NULL.
    fn reference(&mut self, table: &Table, column: &Column, offset: u8) -> String {
        let found = table.links.iter().find_map(|link| {
            let part = link.columns.iter().position(|index| table.columns[*index].name == column.name)?;
            Some((&self.schema.tables[link.parent], part))
        });
        let Some((parent, part)) = found.filter(|_| self.rng.u8(..8) > 0) else {
            return format!("NULL::{}", column.sql_type());
        };
        let offset = if self.rng.u8(..4) == 0 { self.rng.u8(..6) } else { offset };
        let handle = parent.handle();
        format!(
            "(SELECT r.{} FROM {} AS r ORDER BY {} OFFSET {offset} LIMIT 1)",
            ident(&handle[part].0.name),
            parent.sql(),
            handle.iter().map(|(column, _)| format!("r.{}", ident(&column.name))).collect::<Vec<_>>().join(", "),
        )
    }

    pub(super) fn insert(&mut self, table: &Table, rows: usize) -> String {
        let numbers: Vec<u64> = (0..rows).map(|_| self.new_number()).collect();
        self.insert_rows(table, &table.sql(), &numbers)
    }

    pub(super) fn insert_rows(&mut self, table: &Table, target: &str, numbers: &[u64]) -> String {
        let columns = idents(table.writable().iter().map(|column| column.name.as_str()));
        let rows: Vec<String> = numbers.iter().map(|n| format!("({})", self.values(table, *n).join(", "))).collect();
        format!("INSERT INTO {target} ({columns}) VALUES {}", rows.join(", "))
    }

    fn insert_many(&mut self) -> Option<String> {
        let table = self.any()?;
        if self.rng.bool() {
            let rows = self.rng.usize(2..=8);
            return Some(self.insert(table, rows));
        }
        // Thousands of rows only where no trigger multiplies them.
        let heavy = !self.schema.has_triggers() && self.rng.u8(..12) == 0;
        let count = if heavy { self.rng.u64(500..2500) } else { self.rng.u64(2..40) };
        let from = self.fresh + 1;
        self.fresh += count;
        let offset = self.rng.u8(..6);
        let handle = table.handle();
        let single = handle.len() == 1;
        let mut values: Vec<String> = Vec::new();
        for column in table.writable() {
            let part = handle.iter().position(|(handle, _)| handle.name == column.name);
            values.push(match (part, &column.role) {
                (Some(0), Role::Handle(kind)) if !single => kind.series("1 + g % 8"),
                (Some(0), Role::Reference(kind)) => kind.value(1 + self.rng.u64(..4), 0),
                (Some(_), Role::Handle(kind)) => kind.series("g"),
                (_, Role::Data(data)) if data.sql == "text" && self.rng.bool() => {
                    "repeat(md5(g::text), 1 + g % 20)".to_owned()
                }
                (_, Role::Data(data)) => random_value(data, self.rng),
                _ => self.reference(table, column, offset),
            });
        }
        let columns = idents(table.writable().iter().map(|column| column.name.as_str()));
        let to = self.fresh;
        Some(format!(
            "INSERT INTO {} ({columns}) SELECT {} FROM generate_series({from}, {to}) AS g",
            table.sql(),
            values.join(", ")
        ))
    }

    /// One to three assignments to columns outside the key.
    pub(super) fn assignments(&mut self, table: &Table) -> String {
        self.assignments_of(table, "")
    }

    /// The same, for a statement that gives the table an alias: it ends with a dot.
    pub(super) fn assignments_of(&mut self, table: &Table, alias: &str) -> String {
        let mut data = table.data();
        self.rng.shuffle(&mut data);
        let count = self.rng.usize(1..=3);
        let mut parts: Vec<String> = data
            .into_iter()
            .take(count)
            .map(|(column, data)| format!("{} = {}", ident(&column.name), self.new_value(alias, column, data)))
            .collect();
        if !table.links.is_empty() && self.rng.u8(..4) == 0 {
            let offset = self.rng.u8(..6);
            let free: Vec<&Link> = table.links.iter().filter(|link| !table.in_key(link)).collect();
            for index in self.rng.choice(free).map(|link| link.columns.clone()).unwrap_or_default() {
                let column = &table.columns[index];
                parts.push(format!("{} = {}", ident(&column.name), self.reference(table, column, offset)));
            }
        }
        parts.join(", ")
    }

    fn new_value(&mut self, alias: &str, column: &Column, data: &ColumnType) -> String {
        match self.rng.choice(data.turns) {
            Some(turn) if self.rng.bool() => turn.replace("@c@", &format!("{alias}{}", ident(&column.name))),
            _ if self.rng.u8(..12) == 0 => "DEFAULT".to_owned(),
            _ => random_value(data, self.rng),
        }
    }

    /// A condition that holds for some rows.
    pub(super) fn some_rows(&mut self, table: &Table) -> String {
        match self.rng.u8(..3) {
            0 => "true".to_owned(),
            1 => {
                let n = self.rng.u64(2..5);
                table.one_in("", n, self.rng.u64(..n))
            }
            _ => {
                let rows: Vec<String> =
                    (0..self.rng.u8(2..6)).map(|_| table.is_row("", Table::pool_row(self.rng), self.rng)).collect();
                rows.join(" OR ")
            }
        }
    }

    pub(super) fn update_one(&mut self, table: &Table) -> String {
        let n = Table::pool_row(self.rng);
        format!("UPDATE {} SET {} WHERE {}", table.sql(), self.assignments(table), table.is_row("", n, self.rng))
    }

    pub(super) fn update_many(&mut self, table: &Table) -> String {
        format!("UPDATE {} SET {} WHERE {}", table.sql(), self.assignments(table), self.some_rows(table))
    }

    fn no_change(&mut self, table: &Table) -> String {
        let parts: Vec<String> =
            table.writable().iter().map(|column| format!("{0} = {0}", ident(&column.name))).collect();
        format!("UPDATE {} SET {} WHERE {}", table.sql(), parts.join(", "), self.some_rows(table))
    }

    pub(super) fn delete_one(&mut self, table: &Table) -> String {
        let n = Table::pool_row(self.rng);
        format!("DELETE FROM {} WHERE {}", table.sql(), table.is_row("", n, self.rng))
    }

    pub(super) fn delete_many(&mut self, table: &Table) -> String {
        let rows = if self.rng.u8(..5) == 0 { self.some_rows(table) } else { table.one_in("", 4, self.rng.u64(..4)) };
        format!("DELETE FROM {} WHERE {rows}", table.sql())
    }

    fn key_change(&mut self) -> Option<String> {
        let table = self.one_of(|table| table.shape != KeyShape::None)?;
        let n = Table::pool_row(self.rng);
        let extra = if self.rng.bool() { format!(", {}", self.assignments(table)) } else { String::new() };
        // Equal keys written in another way are another value, too.
        let restyled = table.handle().iter().any(|(_, kind)| matches!(kind, KeyKind::Numeric | KeyKind::Double))
            && self.rng.u8(..3) == 0;
        let new = if restyled { n } else { self.new_number() };
        Some(format!(
            "UPDATE {} SET {}{extra} WHERE {}{}",
            table.sql(),
            self.set_handle(table, new),
            table.is_row("", n, self.rng),
            if restyled { String::new() } else { self.free(table, new) },
        ))
    }

    /// The assignments that give a row the handle of row number `n`.
    pub(super) fn set_handle(&mut self, table: &Table, n: u64) -> String {
        let values = table.handle_values(n, self.rng);
        let parts: Vec<String> = table
            .handle()
            .iter()
            .zip(values)
            .map(|((column, _), value)| format!("{} = {value}", ident(&column.name)))
            .collect();
        parts.join(", ")
    }

    /// The condition that no row has the handle of row number `n`.
    pub(super) fn free(&mut self, table: &Table, n: u64) -> String {
        format!(" AND NOT EXISTS (SELECT FROM {} AS taken WHERE {})", table.sql(), table.is_row("taken.", n, self.rng))
    }

    /// `COPY` of some rows, with its data; none when no key can be written as plain text.
    pub fn copy(&mut self) -> Option<(String, String)> {
        let table = self.one_of(|table| table.handle().iter().all(|(_, kind)| kind.text(1).is_some()))?;
        let handle = table.handle();
        let mut data = String::new();
        for _ in 0..self.rng.u8(1..5) {
            let n = self.new_number();
            for (part, (column, kind)) in handle.iter().enumerate() {
                let number = Table::part_number(handle.len(), part, column, n);
                let text = kind.text(number).unwrap_or_default();
                data.push_str(&text.replace('\\', "\\\\").replace('\n', "\\n"));
                data.push('\t');
            }
            data.push_str(self.rng.choice(["\\N", "copied", "", "tab\\tand\\nmore"]).unwrap_or_default());
            data.push('\n');
        }
        Some((format!("COPY {} ({}, {}) FROM STDIN", table.sql(), table.handle_list(), table.note()), data))
    }

    fn host_trigger(&mut self) -> Option<String> {
        let table = self.one_of(|table| table.triggers.iter().any(|trigger| trigger.writes()))?;
        Some(match self.rng.u8(..6) {
            0 | 1 => {
                let rows = self.rng.usize(1..=4);
                self.insert(table, rows)
            }
            2 => self.update_one(table),
            3 => self.update_many(table),
            4 => self.delete_one(table),
            _ => self.delete_many(table),
        })
    }

    fn truncate(&mut self) -> Option<String> {
        let table = self.any()?;
        let fill = table.clone();
        let referred = self
            .schema
            .tables
            .iter()
            .any(|other| other.links.iter().any(|link| self.schema.tables[link.parent].name == table.name));
        let cascade = if referred || self.rng.u8(..4) == 0 { " CASCADE" } else { "" };
        let restart = if self.rng.u8(..3) == 0 { " RESTART IDENTITY" } else { "" };
        let mut sql = format!("TRUNCATE {}{restart}{cascade}", table.sql());
        if self.rng.u8(..4) > 0 {
            sql.push_str("; ");
            sql.push_str(&self.first_rows(&fill));
        }
        Some(sql)
    }
}
