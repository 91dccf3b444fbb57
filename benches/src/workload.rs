//! The seven things that are measured.

use clap::ValueEnum;

use crate::Result;
use crate::subject::Subject;

/// One kind of write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    /// One INSERT per transaction
    A,
    /// One UPDATE per transaction
    B,
    /// One DELETE per transaction
    C,
    /// Ten UPDATEs in one transaction
    D,
    /// INSERT of many rows in one statement
    E,
    /// UPDATE of many rows in one statement
    F,
    /// DELETE of many rows in one statement
    G,
}

/// How much of each to do in one measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Amount {
    /// Transactions of a to d.
    pub(crate) transactions: u32,
    /// Rows of e to g.
    pub(crate) rows: u32,
}

/// Enough for PostgreSQL to settle on its generic plans, of which it makes none before the sixth execution.
const WARM_UP: Amount = Amount { transactions: 24, rows: 1 };

/// The rows that the table holds before each measurement.
pub(crate) const PRELOADED: i64 = 20_000;

/// The statements of one transaction of workload d.
const STATEMENTS_OF_D: u32 = 10;

const INSERT: &str = "INSERT INTO public.items (account_id, sku, title, description, price_cents, quantity, attributes, active, created_at, updated_at) \
    SELECT account_id, sku, title, description, price_cents, quantity, attributes, active, created_at, updated_at FROM public.items_preload";
const INSERT_ONE: &str = "INSERT INTO public.items (account_id, sku, title, description, price_cents, quantity, attributes, active, created_at, updated_at) \
    VALUES ($1, 'SKU-00004711', 'Article number 4711, hand made', \
    'A description of the kind that catalogues have: what it is, of what it is made, for whom. 900150983cd24fb0d6963f7d28e17f72', \
    $2, 7, '{\"color\": \"green\", \"weight_g\": 4711}', true, '2025-01-01 01:02:03+00', '2025-06-01 01:02:03+00')";
const UPDATE_ONE: &str = "UPDATE public.items SET price_cents = $1 WHERE id = $2";
const DELETE_ONE: &str = "DELETE FROM public.items WHERE id = $1";

impl Workload {
    /// Its letter, as in the table of cost targets.
    pub(crate) fn letter(self) -> char {
        match self {
            Self::A => 'a',
            Self::B => 'b',
            Self::C => 'c',
            Self::D => 'd',
            Self::E => 'e',
            Self::F => 'f',
            Self::G => 'g',
        }
    }

    /// What it does, and per what its cost is given.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::A => "one INSERT per transaction",
            Self::B => "one UPDATE per transaction",
            Self::C => "one DELETE per transaction",
            Self::D => "ten UPDATEs in one transaction, each",
            Self::E => "bulk INSERT, each row",
            Self::F => "bulk UPDATE, each row",
            Self::G => "bulk DELETE, each row",
        }
    }

    /// Whether it is one statement over many rows.
    pub(crate) fn is_bulk(self) -> bool {
        matches!(self, Self::E | Self::F | Self::G)
    }

    /// How many units one measurement is divided by.
    pub(crate) fn units(self, amount: Amount) -> u32 {
        match self {
            Self::A | Self::B | Self::C => amount.transactions,
            Self::D => amount.transactions.div_ceil(STATEMENTS_OF_D) * STATEMENTS_OF_D,
            Self::E | Self::F | Self::G => amount.rows,
        }
    }

    /// Runs it without measuring, on rows that [`run`](Self::run) does not need.
    pub(crate) fn warm_up(self, subject: &mut Subject) -> Result<()> {
        if !self.is_bulk() {
            return self.run_from(subject, WARM_UP, PRELOADED - i64::from(WARM_UP.transactions));
        }
        for _ in 0..WARM_UP.transactions {
            self.run(subject, WARM_UP)?;
        }
        Ok(())
    }

    /// Runs it.
    pub(crate) fn run(self, subject: &mut Subject, amount: Amount) -> Result<()> {
        self.run_from(subject, amount, 0)
    }

    /// The keys written to begin after `first`.
    fn run_from(self, subject: &mut Subject, amount: Amount, first: i64) -> Result<()> {
        let rows = amount.rows;
        match self {
            Self::A => Self::each(amount.transactions, first, |key| {
                subject.transaction(|session| session.prepared(INSERT_ONE, &[key, 100 + key]))
            }),
            Self::B => Self::each(amount.transactions, first, |key| {
                subject.transaction(|session| session.prepared(UPDATE_ONE, &[1_000_000 + key, key]))
            }),
            Self::C => Self::each(amount.transactions, first, |key| {
                subject.transaction(|session| session.prepared(DELETE_ONE, &[key]))
            }),
            Self::D => {
                let transactions = amount.transactions.div_ceil(STATEMENTS_OF_D);
                Self::each(transactions, first, |first| {
                    subject.transaction(|session| {
                        for statement in 0..i64::from(STATEMENTS_OF_D) {
                            let key = (first * i64::from(STATEMENTS_OF_D) + statement) % PRELOADED + 1;
                            session.prepared(UPDATE_ONE, &[1_000_000 + first, key])?;
                        }
                        Ok(())
                    })
                })
            }
            Self::E => subject.transaction(|session| session.batch(&format!("{INSERT} LIMIT {rows}"))),
            Self::F => subject.transaction(|session| {
                session.batch(&format!("UPDATE public.items SET price_cents = price_cents + 1 WHERE id <= {rows}"))
            }),
            Self::G => subject.transaction(|session| {
                session.batch(&format!(
                    "DELETE FROM public.items WHERE id IN (SELECT id FROM public.items ORDER BY id LIMIT {rows})"
                ))
            }),
        }
    }

    fn each(count: u32, first: i64, mut run: impl FnMut(i64) -> Result<()>) -> Result<()> {
        (1..=i64::from(count)).try_for_each(|n| run(first + n))
    }
}
