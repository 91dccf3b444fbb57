//! Reading everything there is, in pieces of a bounded size.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{
    query::{self, Query, linked_json},
    row_history::RowHistory,
    timeline::Timeline,
};
use crate::{Error, LinkedChange, Schema, Statement, decode};

/// A read that can have any number of entries, such as a [`Timeline`] without a limit.
///
/// An adapter drives it with a [`Reading`]: a cursor of the database, so that it is one snapshot, in constant memory.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read as a stream",
    label = "its answer is one value, or has a bound",
    note = "a `Timeline`, a `RowHistory`, an `ActorHistory` and a `TableAsOf` are streamed; an `Export` has `export`, anything else `run`"
)]
pub trait Streamed {
    /// One entry.
    type Item;

    /// The statement, if any, that finds out whether the question can have an answer.
    ///
    /// # Errors
    /// What the read documents.
    fn probe(&self, schema: &Schema) -> Result<Option<Statement>, Error> {
        let _ = schema;
        Ok(None)
    }

    /// Looks at what [`probe`](Self::probe) found.
    ///
    /// # Errors
    /// What the read documents.
    fn check(&self, rows: Vec<String>) -> Result<(), Error> {
        let _ = rows;
        Ok(())
    }

    /// The statement that declares the cursor called `name`, an identifier.
    ///
    /// # Errors
    /// What the read documents.
    fn declare(&self, schema: &Schema, name: &str) -> Result<Statement, Error>;

    /// The statement that fetches so many rows from the cursor.
    ///
    /// # Errors
    /// What the read documents.
    fn fetch(&self, schema: &Schema, name: &str, rows: u32) -> Result<Statement, Error> {
        let _ = schema;
        Ok(Statement::new(format!("FETCH {rows} FROM {name}")))
    }

    /// Reads one row of the cursor; `None` when it stands for no entry.
    ///
    /// # Errors
    /// [`is_unreadable`](Error::is_unreadable) when the row is not what the statement promises, and what the read documents.
    fn item(&self, row: String) -> Result<Option<Self::Item>, Error>;
}

/// Drives a cursor of the database, whatever runs the statements: ask for the [next statement](Self::next_statement), run
/// it, and give [its rows](Self::items).
///
/// Everything belongs into one transaction, which may be read-only; READ COMMITTED will do.
///
/// # Examples
/// ```
/// use threadline_core::{Reading, Schema, Timeline};
///
/// # fn fetch(_: threadline_core::Statement) -> Result<Vec<String>, threadline_core::Error> { Ok(Vec::new()) }
/// let schema = Schema::default();
/// let mut reading = Reading::new(Timeline::new().table("posts")).batch(500);
/// while let Some(statement) = reading.next_statement(&schema)? {
///     for change in reading.items(fetch(statement)?)? {
///         println!("{} {}", change.change.op, change.change.table_name);
///     }
/// }
/// # Ok::<(), threadline_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Reading<S> {
    source: S,
    name: String,
    /// The most rows that are fetched at a time.
    most: u32,
    /// How many are fetched next.
    batch: u32,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Probe,
    /// The probe is on its way.
    Probing,
    Declare,
    /// The cursor is being declared; what comes back is no row of it.
    Declared,
    Fetch,
    Close,
    Done,
}

impl<S: Streamed> Reading<S> {
    /// The most rows that are fetched at a time unless said otherwise.
    pub const DEFAULT_BATCH: u32 = 500;
    /// The most rows that can be fetched at a time.
    pub const MAX_BATCH: u32 = 100_000;
    /// Rows that are fetched first, when it is not known how large they are.
    const FIRST_BATCH: u32 = 100;
    /// About how many bytes are fetched at a time.
    const BATCH_BYTES: usize = 1 << 20;

    /// A reading from the beginning.
    pub fn new(source: S) -> Self {
        static READINGS: AtomicU64 = AtomicU64::new(0);

        // Several may be open in one transaction.
        let name = format!("threadline_{}", READINGS.fetch_add(1, Ordering::Relaxed));
        let (most, batch) = (Self::DEFAULT_BATCH, Self::FIRST_BATCH);
        Self { source, name, most, batch, step: Step::Probe }
    }

    /// Fetches at most so many rows at a time, 1 to 100,000; 500 unless said. Where they are large it is fewer: about a
    /// mebibyte at a time, or one row.
    pub fn batch(mut self, rows: u32) -> Self {
        self.most = rows.clamp(1, Self::MAX_BATCH);
        self.batch = self.most.min(Self::FIRST_BATCH);
        self
    }

    /// What is read.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// The statement to run next; `None` when everything was read.
    ///
    /// # Errors
    /// What the read documents, before anything runs.
    pub fn next_statement(&mut self, schema: &Schema) -> Result<Option<Statement>, Error> {
        if self.step == Step::Probe {
            self.step = Step::Declare;
            if let Some(statement) = self.source.probe(schema)? {
                self.step = Step::Probing;
                return Ok(Some(statement));
            }
        }
        Ok(match self.step {
            Step::Probe | Step::Probing | Step::Declare => {
                let statement = self.source.declare(schema, &self.name)?;
                self.step = Step::Declared;
                Some(statement)
            }
            Step::Declared | Step::Fetch => {
                self.step = Step::Fetch;
                Some(self.source.fetch(schema, &self.name, self.batch)?)
            }
            Step::Close => {
                self.step = Step::Done;
                Some(Statement::new(format!("CLOSE {}", self.name)))
            }
            Step::Done => None,
        })
    }

    /// The entries in the rows that the statement returned; none for some statements.
    ///
    /// # Errors
    /// As for [`Streamed::check`] and [`Streamed::item`].
    pub fn items(&mut self, rows: Vec<String>) -> Result<Vec<S::Item>, Error> {
        if self.step == Step::Probing {
            self.step = Step::Declare;
            return self.source.check(rows).map(|()| Vec::new());
        }
        if self.step == Step::Declared {
            return Ok(Vec::new());
        }
        if self.step == Step::Fetch {
            if rows.len() < self.batch as usize {
                self.step = Step::Close;
            }
            self.batch = self.next_batch(&rows);
        }
        rows.into_iter().filter_map(|row| self.source.item(row).transpose()).collect()
    }

    /// As many rows as these as are about a mebibyte; carefully, because the next may be larger.
    fn next_batch(&self, rows: &[String]) -> u32 {
        let bytes: usize = rows.iter().map(String::len).sum();
        let fit = Self::BATCH_BYTES.saturating_mul(rows.len()) / bytes.max(1);
        u32::try_from(fit).unwrap_or(u32::MAX).min(self.batch.saturating_mul(4)).clamp(1, self.most)
    }

    /// Ends the reading: what is left to do closes the cursor.
    pub fn stop(&mut self) {
        self.step = match self.step {
            Step::Probe | Step::Probing | Step::Declare | Step::Done => Step::Done,
            Step::Declared | Step::Fetch | Step::Close => Step::Close,
        };
    }
}

fn linked_change(row: &str) -> Result<LinkedChange, Error> {
    decode::row(row, "a change of the trail")
}

/// Every change that matches, newest first. It has no pages, so no limit and no cursor.
impl Streamed for Timeline {
    type Item = LinkedChange;

    fn probe(&self, schema: &Schema) -> Result<Option<Statement>, Error> {
        Query::probe(schema, self.without_page()?)
    }

    fn check(&self, rows: Vec<String>) -> Result<(), Error> {
        query::check(self.filters(), &rows)
    }

    fn declare(&self, schema: &Schema, name: &str) -> Result<Statement, Error> {
        Query::new(schema, self.without_page()?)?.declare(name, &format!("{}::text", linked_json()), None)
    }

    fn item(&self, row: String) -> Result<Option<LinkedChange>, Error> {
        linked_change(&row).map(Some)
    }
}

/// Every change of the row, newest first. It has no pages, so no limit and no cursor.
impl Streamed for RowHistory {
    type Item = LinkedChange;

    fn probe(&self, schema: &Schema) -> Result<Option<Statement>, Error> {
        Query::probe(schema, self.without_page()?)
    }

    fn check(&self, rows: Vec<String>) -> Result<(), Error> {
        query::check(self.filters(), &rows)
    }

    fn declare(&self, schema: &Schema, name: &str) -> Result<Statement, Error> {
        Query::new(schema, self.without_page()?)?.declare(name, &format!("{}::text", linked_json()), None)
    }

    fn item(&self, row: String) -> Result<Option<LinkedChange>, Error> {
        linked_change(&row).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ActorHistory, Cursor, trail::tests::LINKED};

    fn sql(reading: &mut Reading<Timeline>) -> Option<String> {
        let statement = reading.next_statement(&Schema::default()).unwrap()?;
        Some(statement.sql().split(' ').next().unwrap().to_owned())
    }

    #[test]
    fn statements() {
        let declare = |timeline: Timeline| timeline.declare(&Schema::default(), "c").unwrap().snapshot();
        insta::assert_snapshot!("everything", declare(Timeline::new()));
        insta::assert_snapshot!("tables_and_transactions", declare(Timeline::new().table("posts").request_id("r")));
        let history = RowHistory::by_id("public", "posts", 7).declare(&Schema::default(), "c").unwrap();
        insta::assert_snapshot!("row", history.snapshot());
    }

    #[test]
    fn it_goes_on_until_a_batch_is_short() {
        let mut reading = Reading::new(Timeline::new()).batch(2);
        let two = vec![LINKED.to_owned(), LINKED.to_owned()];
        assert_eq!(sql(&mut reading).as_deref(), Some("DECLARE"));
        assert!(reading.items(Vec::new()).unwrap().is_empty());
        for _ in 0..2 {
            assert_eq!(sql(&mut reading).as_deref(), Some("FETCH"));
            assert_eq!(reading.items(two.clone()).unwrap().len(), 2);
        }
        assert_eq!(sql(&mut reading).as_deref(), Some("FETCH"));
        assert_eq!(reading.items(two[..1].to_vec()).unwrap().len(), 1);
        assert_eq!(sql(&mut reading).as_deref(), Some("CLOSE"));
        assert!(reading.items(Vec::new()).unwrap().is_empty());
        assert_eq!(sql(&mut reading), None);
    }

    #[test]
    fn large_rows_are_fetched_few_at_a_time() {
        let mut reading = Reading::new(Text).batch(1_000);
        let mut fetched = |length: usize| {
            while let Some(statement) = reading.next_statement(&Schema::default()).unwrap() {
                let Some(rows) = statement.sql().strip_prefix("FETCH ") else {
                    reading.items(Vec::new()).unwrap();
                    continue;
                };
                let rows: usize = rows.split(' ').next().unwrap().parse().unwrap();
                reading.items(vec!["x".repeat(length); rows]).unwrap();
                return rows;
            }
            0
        };
        let sizes = [10, 10, 10, 5_000, 5_000, 1 << 20, 1 << 20, 10, 10];
        assert_eq!(sizes.map(&mut fetched), [100, 400, 1_000, 1_000, 209, 209, 1, 1, 4]);
    }

    /// Rows as they are.
    struct Text;

    impl Streamed for Text {
        type Item = String;

        fn declare(&self, _: &Schema, name: &str) -> Result<Statement, Error> {
            Ok(Statement::new(format!("DECLARE {name} CURSOR FOR SELECT 1")))
        }

        fn item(&self, row: String) -> Result<Option<String>, Error> {
            Ok(Some(row))
        }
    }

    #[test]
    fn a_question_without_an_answer_is_an_error_before_anything_is_read() {
        let mut reading = Reading::new(Timeline::new().table("posts"));
        assert_eq!(sql(&mut reading).as_deref(), Some("WITH"));
        let error = reading.items(vec![r#"{"captured": false, "missing": 0}"#.to_owned()]).unwrap_err();
        assert!(error.is_not_captured());
        let mut reading = Reading::new(Timeline::new().table("posts"));
        sql(&mut reading);
        reading.items(vec![r#"{"captured": true, "missing": null}"#.to_owned()]).unwrap();
        assert_eq!(sql(&mut reading).as_deref(), Some("DECLARE"));
    }

    #[test]
    fn it_can_be_stopped() {
        let mut reading = Reading::new(Timeline::new());
        reading.stop();
        assert_eq!(sql(&mut reading), None, "nothing is open yet");
        let mut reading = Reading::new(Timeline::new());
        sql(&mut reading);
        reading.stop();
        assert_eq!(sql(&mut reading).as_deref(), Some("CLOSE"));
        assert_eq!(sql(&mut reading), None);
    }

    #[test]
    fn a_wrong_read_does_not_begin() {
        let begin = |error: Result<_, Error>| error.unwrap_err().setting().unwrap().to_owned();
        let schema = Schema::default();
        let (row, nobody) = (RowHistory::by_id("public", "posts", 7), ActorHistory::of(None));
        let cursor: Cursor = "1000645e8f7a3c0000000000000000002a".parse().unwrap();
        assert_eq!(begin(Reading::new(Timeline::new().limit(5)).next_statement(&schema)), "limit");
        assert_eq!(begin(Reading::new(Timeline::new().cursor(cursor)).next_statement(&schema)), "cursor");
        assert_eq!(begin(Reading::new(row.clone().limit(5)).next_statement(&schema)), "limit");
        assert_eq!(begin(Reading::new(row.cursor(cursor)).next_statement(&schema)), "cursor");
        assert_eq!(begin(Reading::new(nobody.clone().limit(5)).next_statement(&schema)), "limit");
        assert_eq!(begin(Reading::new(nobody.cursor(cursor)).next_statement(&schema)), "cursor");
    }
}
