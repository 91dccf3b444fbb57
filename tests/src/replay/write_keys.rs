//! Statements about keys: cascades, shifts, duplicates for a while, partitions.

use super::key::{KeyKind, POOL};
use super::schema::Schema;
use super::sql::{SCHEMA, ident};
use super::table::{KeyShape, Leaf, Link, Role, Table};
use super::write::Writer;

/// Moves a key out of the way of every other.
const FAR: u64 = 20_000;

impl Writer<'_> {
    /// A table with links of the wanted kind to another one (or itself): the parent, the child and the link.
    fn linked(&mut self, fits: impl Fn(&Table, &Link) -> bool) -> Option<(usize, &Table, &Link)> {
        let schema: &Schema = self.schema;
        let mut found: Vec<(usize, &Table, &Link)> = Vec::new();
        for at in 0..schema.tables.len() {
            found.extend(
                schema
                    .links_to(at)
                    .into_iter()
                    .filter(|(child, link)| fits(child, link))
                    .map(|(child, link)| (at, child, link)),
            );
        }
        let pick = self.rng.choice(0..found.len())?;
        found.into_iter().nth(pick)
    }

    /// The condition for a parent row that `child` refers to through `link`.
    fn referred(parent: &Table, child: &Table, link: &Link, offset: u8) -> String {
        let columns: Vec<String> =
            link.columns.iter().map(|index| format!("c.{}", ident(&child.columns[*index].name))).collect();
        let columns = columns.join(", ");
        format!(
            "({}) = (SELECT {columns} FROM {} AS c WHERE ({columns}) IS NOT NULL ORDER BY {columns} OFFSET {offset} LIMIT 1)",
            parent.handle_list(),
            child.sql(),
        )
    }

    pub(super) fn cascade_delete(&mut self) -> Option<String> {
        let offset = self.rng.u8(..3);
        let (parent, child, link) = self.linked(|_, link| link.on_delete != "NO ACTION")?;
        let (child, link) = (child.clone(), link.clone());
        let parent = &self.schema.tables[parent];
        Some(format!("DELETE FROM {} WHERE {}", parent.sql(), Self::referred(parent, &child, &link, offset)))
    }

    pub(super) fn cascade_update(&mut self, twice: bool) -> Option<String> {
        let offset = self.rng.u8(..3);
        let (parent, child, link) = self.linked(|child, link| {
            let same =
                child.links.iter().filter(|other| other.parent == link.parent && other.on_update == "CASCADE").count();
            link.on_update != "NO ACTION" && (!twice || (link.on_update == "CASCADE" && same > 1))
        })?;
        let (child, link) = (child.clone(), link.clone());
        let parent = &self.schema.tables[parent];
        let row = Self::referred(parent, &child, &link, offset);
        if let Some((column, kind)) = parent.shiftable()
            && self.rng.bool()
        {
            let column = ident(&column.name);
            let far = if kind == KeyKind::Date { 1000 } else { FAR };
            let rows = if self.rng.bool() { row } else { format!("{} OR {row}", self.some_rows(parent)) };
            return Some(format!("UPDATE {} SET {column} = {column} + {far} WHERE {rows}", parent.sql()));
        }
        let new = self.new_number();
        Some(format!(
            "UPDATE {} SET {} WHERE {row}{}",
            parent.sql(),
            self.set_handle(parent, new),
            self.free(parent, new)
        ))
    }

    pub(super) fn deferrable_shift(&mut self) -> Option<String> {
        let table = self.one_of(|table| table.shape == KeyShape::Deferrable)?;
        let target = table.sql();
        let extra = if self.rng.u8(..3) == 0 { format!(", {}", self.assignments(table)) } else { String::new() };
        let last = table
            .handle()
            .last()
            .map(|(column, kind)| (ident(&column.name), *kind, matches!(column.role, Role::Handle(_))));
        let (column, kind, own) = last.filter(|(_, _, own)| *own)?;
        debug_assert!(own);
        if kind.adds() && self.rng.bool() {
            let step = ["+ 1", "- 1", "+ 2"][self.rng.usize(..3)];
            let rows = match self.rng.u8(..3) {
                0 => "true".to_owned(),
                1 => format!("{column} >= {}", kind.value(Table::pool_row(self.rng), 0)),
                _ => format!("{column} > {}", kind.value(1000, 0)),
            };
            return Some(format!("UPDATE {target} SET {column} = {column} {step}{extra} WHERE {rows}"));
        }
        // A ring: every one of these takes the key of the next.
        let length = self.rng.u64(2..=4);
        let first = self.rng.u64(1..=8);
        let ring: Vec<u64> = (first..first + length).collect();
        let style = self.rng.u8(..);
        let arms: Vec<String> = ring
            .iter()
            .enumerate()
            .map(|(at, n)| {
                let next = ring[(at + 1) % ring.len()];
                format!("WHEN {column} = {} THEN {}", kind.value(*n, 0), kind.value(next, style))
            })
            .collect();
        let members: Vec<String> = ring.iter().map(|n| kind.value(*n, 0)).collect();
        Some(format!(
            "UPDATE {target} SET {column} = CASE {} ELSE {column} END{extra} WHERE {column} IN ({})",
            arms.join(" "),
            members.join(", ")
        ))
    }

    pub(super) fn deferred_duplicate(&mut self) -> Option<String> {
        let table = self.one_of(|table| table.shape == KeyShape::Deferrable && table.leaves.is_empty())?;
        let target = table.sql();
        let (one, other) = (Table::pool_row(self.rng), Table::pool_row(self.rng));
        let (one, other) = if one == other { (one, one % 12 + 1) } else { (one, other) };
        let here = table.is_row("", other, self.rng);
        let arrival = if self.rng.bool() {
            format!("UPDATE {target} SET {} WHERE {}", self.set_handle(table, other), table.is_row("", one, self.rng))
        } else {
            self.insert_rows(table, &target, &[other])
        };
        let order = if self.rng.bool() { "DESC" } else { "ASC" };
        // The two rows have one key: only their place tells them apart.
        let which = format!("{here} AND ctid = (SELECT ctid FROM {target} WHERE {here} ORDER BY ctid {order} LIMIT 1)");
        let change = if self.rng.bool() {
            format!("UPDATE {target} SET {} WHERE {which}; ", self.assignments(table))
        } else {
            String::new()
        };
        let other_order = if self.rng.bool() { "DESC" } else { "ASC" };
        let leaving = format!(
            "{here} AND 1 < (SELECT count(*) FROM {target} WHERE {here}) AND ctid = (SELECT ctid FROM {target} WHERE {here} ORDER BY ctid {other_order} LIMIT 1)"
        );
        let departure = if self.rng.bool() {
            format!("DELETE FROM {target} WHERE {leaving}")
        } else {
            self.fresh += 1;
            format!("UPDATE {target} SET {} WHERE {leaving}", self.set_handle(table, self.fresh))
        };
        Some(format!("SET CONSTRAINTS ALL DEFERRED; {arrival}; {change}{departure}; SET CONSTRAINTS ALL IMMEDIATE"))
    }

    pub(super) fn leaf_write(&mut self) -> Option<String> {
        let table = self.one_of(|table| !table.leaves.is_empty())?;
        let leaf = self.rng.choice(&table.leaves)?;
        let target = format!("{SCHEMA}.{}", ident(&leaf.name));
        Some(match self.rng.u8(..6) {
            0 | 1 => {
                let n = self.number_in(table, leaf)?;
                self.insert_rows(table, &target, &[n])
            }
            2 | 3 => format!("UPDATE {target} SET {} WHERE {}", self.assignments(table), self.some_rows(table)),
            4 => format!("DELETE FROM {target} WHERE {}", table.one_in("", 3, self.rng.u64(..3))),
            // Recorded row by row where the policy says so; else refused, with and without a reason the mirror knows.
            _ if table.truncate_rows && self.schema.tables.iter().all(|other| other.links.is_empty()) => {
                format!("TRUNCATE {target}")
            }
            _ => format!("UPDATE {target} SET {} WHERE {}", self.assignments(table), self.some_rows(table)),
        })
    }

    /// The number of a row that belongs to a partition, a new one if there is any.
    fn number_in(&mut self, table: &Table, leaf: &Leaf) -> Option<u64> {
        let handle = table.handle();
        let (first, _) = *handle.first()?;
        let listed = |number| table.leaves.iter().any(|other| other.numbers.contains(&number));
        let belongs = |n: &u64| {
            let number = Table::part_number(handle.len(), 0, first, *n);
            if leaf.numbers.is_empty() { !listed(number) } else { leaf.numbers.contains(&number) }
        };
        let found = (self.fresh + 1..self.fresh + 9).find(belongs);
        self.fresh += 8;
        found.or_else(|| self.rng.choice((1..=POOL).filter(belongs).collect::<Vec<_>>()))
    }

    pub(super) fn partition_move(&mut self) -> Option<String> {
        let table = self.one_of(|table| !table.leaves.is_empty())?;
        let from = self.rng.u64(1..=6);
        let to = if from <= 3 { self.rng.u64(4..=12) } else { self.rng.u64(1..=3) };
        let extra = if self.rng.bool() { format!(", {}", self.assignments(table)) } else { String::new() };
        let (first, kind) = table.handle().first().map(|(column, kind)| (ident(&column.name), *kind))?;
        if table.handle().len() > 1 && self.rng.bool() {
            // Everything with one first part moves at once.
            return Some(format!(
                "UPDATE {} SET {first} = {}{extra} WHERE {first} = {}",
                table.sql(),
                kind.value(to % 8 + 1, 0),
                kind.value(from % 8 + 1, 0)
            ));
        }
        let free = if table.shape == KeyShape::None { String::new() } else { self.free(table, to) };
        Some(format!(
            "UPDATE {} SET {}{extra} WHERE {}{free}",
            table.sql(),
            self.set_handle(table, to),
            table.is_row("", from, self.rng)
        ))
    }
}
