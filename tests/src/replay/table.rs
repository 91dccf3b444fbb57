//! What a case knows of one table, and the pieces of SQL that address its rows.

use fastrand::Rng;

use super::key::{KeyKind, POOL};
use super::sql::{SCHEMA, ident, idents, literal};
use super::triggers::HostTrigger;
use super::types::{ColumnType, Compare};

/// What a column is for.
#[derive(Clone, Debug)]
pub enum Role {
    /// Its value is made of a key number: part of the key, or the column by which a table without key is addressed.
    Handle(KeyKind),
    /// Points to a row of another table.
    Reference(KeyKind),
    /// A value of any type.
    Data(&'static ColumnType),
    /// `GENERATED ALWAYS AS (..) STORED`, a text.
    Generated(String),
}

/// A column.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name, unquoted.
    pub name: String,
    /// What it is for.
    pub role: Role,
}

impl Column {
    /// The type's name.
    #[must_use]
    pub fn sql_type(&self) -> &'static str {
        match &self.role {
            Role::Handle(kind) | Role::Reference(kind) => kind.sql(),
            Role::Data(data) => data.sql,
            Role::Generated(_) => "text",
        }
    }

    /// How values of it are compared.
    #[must_use]
    pub fn compare(&self) -> Compare {
        match &self.role {
            Role::Data(data) => data.compare,
            _ => Compare::Image,
        }
    }
}

/// How the table is keyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyShape {
    /// A primary key.
    Primary,
    /// NOT NULL columns under a unique index, and no primary key.
    Unique,
    /// A deferrable primary key.
    Deferrable,
    /// None.
    None,
}

/// A foreign key.
#[derive(Clone, Debug)]
pub struct Link {
    /// The index of the table it points to.
    pub parent: usize,
    /// The indexes of its columns.
    pub columns: Vec<usize>,
    /// What `ON DELETE` says.
    pub on_delete: &'static str,
    /// What `ON UPDATE` says.
    pub on_update: &'static str,
    /// Checked at the end of the transaction.
    pub deferred: bool,
}

/// A partition.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// Its name, unquoted.
    pub name: String,
    /// The numbers of the first handle column that belong to it; empty for the default partition.
    pub numbers: Vec<u64>,
    /// Made on its own with another column order, and attached.
    pub attached: bool,
}

/// A table.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its name, unquoted.
    pub name: String,
    /// Its columns in order.
    pub columns: Vec<Column>,
    /// How it is keyed.
    pub shape: KeyShape,
    /// Its foreign keys.
    pub links: Vec<Link>,
    /// Its partitions; none for an ordinary table.
    pub leaves: Vec<Leaf>,
    /// Its own triggers.
    pub triggers: Vec<HostTrigger>,
    /// Whether TRUNCATE is recorded row by row.
    pub truncate_rows: bool,
}

impl Table {
    /// The qualified name.
    #[must_use]
    pub fn sql(&self) -> String {
        format!("{SCHEMA}.{}", ident(&self.name))
    }

    /// The columns by which rows are addressed: the key, or one ordinary column.
    #[must_use]
    pub fn handle(&self) -> Vec<(&Column, KeyKind)> {
        let own = self.columns.iter().filter_map(|column| match column.role {
            Role::Handle(kind) => Some((column, kind)),
            _ => None,
        });
        // A reference inside the key leads it.
        let referring =
            self.links.iter().filter(|link| link.on_delete == "CASCADE" && self.in_key(link)).flat_map(|link| {
                link.columns.iter().filter_map(|index| match self.columns[*index].role {
                    Role::Reference(kind) => Some((&self.columns[*index], kind)),
                    _ => None,
                })
            });
        referring.chain(own).collect()
    }

    /// Whether a link's columns belong to the key: then its columns come first.
    #[must_use]
    pub fn in_key(&self, link: &Link) -> bool {
        self.shape != KeyShape::None && link.columns.first() == Some(&0)
    }

    /// The quoted names of the handle columns.
    #[must_use]
    pub fn handle_list(&self) -> String {
        idents(self.handle().iter().map(|(column, _)| column.name.as_str()))
    }

    /// The values of the handle of row number `n`.
    pub fn handle_values(&self, n: u64, rng: &mut Rng) -> Vec<String> {
        let handle = self.handle();
        handle
            .iter()
            .enumerate()
            .map(|(part, (column, kind))| kind.value(Self::part_number(handle.len(), part, column, n), rng.u8(..)))
            .collect()
    }

    /// The number of one part of the handle of row number `n`: the first of several parts repeats, the last does not.
    #[must_use]
    pub fn part_number(parts: usize, part: usize, column: &Column, n: u64) -> u64 {
        match column.role {
            _ if parts == 1 || part > 0 => n,
            Role::Reference(_) => 1 + n % 4,
            _ => 1 + n % 8,
        }
    }

    /// The condition that holds for row number `n`; `alias` is `""` or ends with a dot.
    pub fn is_row(&self, alias: &str, n: u64, rng: &mut Rng) -> String {
        let values = self.handle_values(n, rng);
        let parts: Vec<String> = self
            .handle()
            .iter()
            .zip(values)
            .map(|((column, _), value)| format!("{alias}{} = {value}", ident(&column.name)))
            .collect();
        format!("({})", parts.join(" AND "))
    }

    /// A condition that holds for one row in `n`, the same ones in every run.
    #[must_use]
    pub fn one_in(&self, alias: &str, n: u64, rest: u64) -> String {
        let parts: Vec<String> = self
            .handle()
            .iter()
            .map(|(column, kind)| match kind {
                // Texts of these depend on settings that may differ between two statements.
                KeyKind::Date | KeyKind::Timestamp => {
                    format!("extract(epoch FROM {alias}{})::bigint::text", ident(&column.name))
                }
                // -0 and 0 are one key.
                KeyKind::Double | KeyKind::Numeric => format!("trunc({alias}{})::bigint::text", ident(&column.name)),
                _ => format!("{alias}{}::text", ident(&column.name)),
            })
            .collect();
        format!("abs(hashtext(concat_ws('/', {}))) % {n} = {rest}", parts.join(", "))
    }

    /// The last handle column, when `+ 1` makes sense for it.
    #[must_use]
    pub fn shiftable(&self) -> Option<(&Column, KeyKind)> {
        self.handle().last().copied().filter(|(column, kind)| kind.adds() && matches!(column.role, Role::Handle(_)))
    }

    /// The text column that every table has.
    #[must_use]
    pub fn note(&self) -> String {
        let note = self.columns.iter().find(|column| matches!(column.role, Role::Data(data) if data.sql == "text"));
        note.map_or_else(String::new, |column| ident(&column.name))
    }

    /// The columns that a statement may give a value.
    #[must_use]
    pub fn writable(&self) -> Vec<&Column> {
        self.columns.iter().filter(|column| !matches!(column.role, Role::Generated(_))).collect()
    }

    /// The columns that statements change at random.
    #[must_use]
    pub fn data(&self) -> Vec<(&Column, &'static ColumnType)> {
        self.columns
            .iter()
            .filter_map(|column| match column.role {
                Role::Data(data) => Some((column, data)),
                _ => None,
            })
            .collect()
    }

    /// Whether foreign keys may point to it.
    #[must_use]
    pub fn can_be_parent(&self) -> bool {
        matches!(self.shape, KeyShape::Primary | KeyShape::Unique)
    }

    /// Whether `ON CONFLICT (key)` works.
    #[must_use]
    pub fn can_upsert(&self) -> bool {
        self.can_be_parent()
    }

    /// The number of one of the rows that every statement may meet.
    pub fn pool_row(rng: &mut Rng) -> u64 {
        rng.u64(1..=POOL)
    }
}

/// A random value of a type, NULL now and then.
pub fn random_value(data: &ColumnType, rng: &mut Rng) -> String {
    match rng.choice(data.values) {
        Some(text) if rng.u8(..10) > 0 => format!("{}::{}", literal(text), data.sql),
        _ => format!("NULL::{}", data.sql),
    }
}
