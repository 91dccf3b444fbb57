//! Statements that join or nest: upsert, MERGE, UPDATE FROM, writable CTEs.

use super::key::POOL;
use super::sql::{ident, idents};
use super::table::{KeyShape, Role, Table, random_value};
use super::write::Writer;

impl Writer<'_> {
    /// Distinct row numbers, most of them met before.
    fn numbers(&mut self, table: &Table) -> Vec<u64> {
        let mut numbers: Vec<u64> = (1..=POOL).collect();
        self.rng.shuffle(&mut numbers);
        numbers.truncate(self.rng.usize(1..=6));
        self.fresh += 1;
        numbers.push(self.fresh);
        if table.handle().len() > 1 {
            // Numbers 1 and 9 share the first part of a composite key, not the key: all stay distinct.
            numbers.dedup();
        }
        numbers
    }

    pub(super) fn upsert(&mut self) -> Option<String> {
        let table = self.one_of(Table::can_upsert)?;
        let numbers = self.numbers(table);
        let insert = self.insert_rows(table, &table.sql(), &numbers);
        if self.rng.u8(..4) == 0 {
            return Some(format!("{insert} ON CONFLICT DO NOTHING"));
        }
        let data = table.data();
        let excluded: Vec<String> = data
            .iter()
            .take(self.rng.usize(1..=3))
            .map(|(column, _)| format!("{0} = EXCLUDED.{0}", ident(&column.name)))
            .collect();
        let condition = if self.rng.u8(..3) == 0 {
            format!(" WHERE {}", table.one_in(&format!("{}.", ident("mine")), 3, 1))
        } else {
            String::new()
        };
        let aliased = insert.replacen(&format!("{} (", table.sql()), &format!("{} AS mine (", table.sql()), 1);
        Some(format!(
            "{aliased} ON CONFLICT ({}) DO UPDATE SET {}{condition}",
            table.handle_list(),
            excluded.join(", ")
        ))
    }

    /// `(VALUES ..) AS v (k1, k2, n)` with the handles of these rows.
    fn source(&mut self, table: &Table, numbers: &[u64]) -> (String, String) {
        let parts = table.handle().len();
        let rows: Vec<String> = numbers
            .iter()
            .map(|n| format!("({}, {})", table.handle_values(*n, self.rng).join(", "), self.rng.u8(..6)))
            .collect();
        let names: Vec<String> = (1..=parts).map(|part| format!("k{part}")).collect();
        let on: Vec<String> = table
            .handle()
            .iter()
            .zip(&names)
            .map(|((column, _), name)| format!("t.{} = v.{name}", ident(&column.name)))
            .collect();
        (format!("(VALUES {}) AS v ({}, n)", rows.join(", "), names.join(", ")), on.join(" AND "))
    }

    pub(super) fn merge(&mut self) -> Option<String> {
        let table = self.one_of(|table| table.shape != KeyShape::None)?;
        let numbers = self.numbers(table);
        let (source, on) = self.source(table, &numbers);
        let handle = table.handle();
        let mut names = Vec::new();
        let mut values = Vec::new();
        for column in table.writable() {
            let part = handle.iter().position(|(handle, _)| handle.name == column.name);
            match (part, &column.role) {
                (Some(part), _) => values.push(format!("v.k{}", part + 1)),
                (None, Role::Data(data)) => values.push(random_value(data, self.rng)),
                _ => continue,
            }
            names.push(column.name.as_str());
        }
        let delete = match self.rng.u8(..3) {
            0 => " WHEN MATCHED AND v.n = 0 THEN DELETE",
            1 => " WHEN MATCHED AND v.n < 3 THEN DELETE WHEN MATCHED AND v.n = 3 THEN DO NOTHING",
            _ => "",
        };
        let assignments = self.assignments_of(table, "t.");
        let insert = format!(" WHEN NOT MATCHED THEN INSERT ({}) VALUES ({})", idents(names), values.join(", "));
        Some(format!(
            "MERGE INTO {} AS t USING {source} ON {on}{delete} WHEN MATCHED THEN UPDATE SET {assignments}{}",
            table.sql(),
            if self.rng.u8(..5) > 0 { insert.as_str() } else { "" },
        ))
    }

    pub(super) fn update_from(&mut self, table: &Table) -> String {
        let numbers = self.numbers(table);
        let note = table.note();
        if self.rng.u8(..3) == 0 && table.shape != KeyShape::None {
            // Every row meets itself.
            let on: Vec<String> =
                table.handle().iter().map(|(column, _)| format!("t.{0} = s.{0}", ident(&column.name))).collect();
            return format!(
                "UPDATE {0} AS t SET {note} = left(coalesce(s.{note}, '') || 'f', 60) FROM {0} AS s WHERE {1} AND {2}",
                table.sql(),
                on.join(" AND "),
                table.one_in("s.", 2, 1)
            );
        }
        let (source, on) = self.source(table, &numbers);
        format!("UPDATE {} AS t SET {note} = left(concat(v.n, t.{note}), 60) FROM {source} WHERE {on}", table.sql())
    }

    pub(super) fn writable_cte(&mut self) -> Option<String> {
        let table = self.any()?;
        let target = table.sql();
        Some(match self.rng.u8(..5) {
            0 => {
                // Rows leave and come back under the same key. The outer INSERT consumes the whole deletion: consuming a
                // part of it is the one documented exclusion, see the module's documentation.
                let handle = table.handle_list();
                let (names, values) = self.other_columns(table);
                format!(
                    "WITH gone AS (DELETE FROM {target} WHERE {} RETURNING {handle}) INSERT INTO {target} ({handle}{names}) SELECT gone.*{values} FROM gone",
                    self.some_rows(table)
                )
            }
            1 => {
                let (one, other) = (Table::pool_row(self.rng), Table::pool_row(self.rng));
                let (one, other) = if one == other { (one, one % POOL + 1) } else { (one, other) };
                format!(
                    "WITH changed AS (UPDATE {target} SET {} WHERE {} RETURNING 1) DELETE FROM {target} WHERE {}",
                    self.assignments(table),
                    table.is_row("", one, self.rng),
                    table.is_row("", other, self.rng)
                )
            }
            2 => {
                let other = self.any()?;
                format!("WITH added AS ({} RETURNING 1) {}", self.insert(table, 2), self.update_one(other))
            }
            3 => {
                let other = self.any()?;
                let update = if other.name == table.name { self.insert(other, 1) } else { self.update_many(other) };
                format!(
                    "WITH one AS ({update} RETURNING 1), other AS ({} RETURNING 1) SELECT (SELECT count(*) FROM one) + (SELECT count(*) FROM other)",
                    self.update_one(table)
                )
            }
            _ => {
                let n = Table::pool_row(self.rng);
                let new = self.new_number();
                let (names, values) = self.other_columns(table);
                let handle = table.handle_list();
                let moved =
                    if table.shape == KeyShape::None { self.assignments(table) } else { self.set_handle(table, new) };
                let row = table.is_row("", n, self.rng);
                // The old key is taken again by the outer INSERT, which waits for the update.
                format!(
                    "WITH moved AS (UPDATE {target} SET {moved} WHERE {row} RETURNING 1) INSERT INTO {target} ({handle}{names}) SELECT {}{values} FROM moved",
                    table.handle_values(n, self.rng).join(", ")
                )
            }
        })
    }

    /// `, "a", "b"` and `, value, value` for the columns outside the handle.
    fn other_columns(&mut self, table: &Table) -> (String, String) {
        let (mut names, mut values) = (String::new(), String::new());
        for (column, data) in table.data() {
            names.push_str(&format!(", {}", ident(&column.name)));
            values.push_str(&format!(", {}", random_value(data, self.rng)));
        }
        (names, values)
    }
}
