//! Reads the trail as plain SQL, and replays it.

use std::collections::{HashMap, VecDeque};
use std::fmt;

use super::session::{Failure, Session};
use super::sql::literal;

/// One row of `audit_changes`. JSON stays text: `jsonb` writes equal values alike, and no number passes through a float.
#[derive(Clone, Debug)]
pub struct Change {
    /// The second part of the trail's order.
    pub id: u64,
    /// The database transaction.
    pub xid: String,
    /// Microseconds since 1970: the first part of the trail's order.
    pub at: i64,
    /// The table's name.
    pub table: String,
    /// insert, update, delete or truncate.
    pub op: String,
    /// The key after the change; the key of a deleted row.
    pub key: Option<String>,
    /// The key before, where the change changed it.
    pub previous_key: Option<String>,
    /// The row after the change.
    pub after: Option<String>,
    /// The row before the change: what was stored, completed with what did not change.
    pub before: Option<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |text: &Option<String>| text.as_deref().unwrap_or("-").chars().take(160).collect::<String>();
        write!(f, "{} +{} {} {}", self.id, self.at % 10_000_000, self.op, short(&self.key))?;
        if self.previous_key.is_some() {
            write!(f, " was {}", short(&self.previous_key))?;
        }
        write!(f, ": {} -> {}", short(&self.before), short(&self.after))
    }
}

/// The changes of all tables of one schema, in the trail's order.
///
/// # Errors
///
/// When the trail cannot be read, or when a change does not belong to an audit transaction of its database transaction.
pub fn read_trail(session: &mut Session, schema_name: &str) -> Result<Vec<Change>, Failure> {
    let rows = session.rows(&format!(
        "SELECT c.id, c.xid, (extract(epoch FROM c.captured_at) * 1000000)::bigint, c.table_name, c.op, c.table_pk, c.previous_pk, c.data_after,
                CASE c.op WHEN 'update' THEN c.data_after || c.changed_from WHEN 'delete' THEN c.changed_from END,
                c.withheld, t.xid
         FROM threadline.audit_changes AS c LEFT JOIN threadline.audit_transactions AS t ON t.id = c.transaction_id
         WHERE c.table_schema = {}
         ORDER BY c.captured_at, c.id",
        literal(schema_name)
    ))?;
    let mut changes = Vec::with_capacity(rows.len());
    for row in rows {
        let mut fields = row.into_iter();
        let mut next = || fields.next().flatten();
        let change = (|| {
            Some(Change {
                id: next()?.parse().ok()?,
                xid: next()?,
                at: next()?.parse().ok()?,
                table: next()?,
                op: next()?,
                key: next(),
                previous_key: next(),
                after: next(),
                before: next(),
            })
        })();
        let change = change.ok_or_else(|| Failure::new("a row of audit_changes has NULL where it must not"))?;
        if let Some(withheld) = next() {
            return Err(Failure::new(format!("change {} has no image: {withheld}", change.id)));
        }
        if next().as_ref() != Some(&change.xid) {
            return Err(Failure::new(format!(
                "change {} has no audit transaction, or one of another database transaction",
                change.id
            )));
        }
        changes.push(change);
    }
    Ok(changes)
}

/// The rows of one table, replayed.
#[derive(Clone, Debug)]
pub struct Replay {
    keyed: bool,
    /// Every key with those who have it, oldest first. Only a deferrable key has more than one, and only inside a
    /// transaction.
    occupants: HashMap<String, VecDeque<String>>,
    /// The rows of a table without key, each with how often it occurs.
    rows: HashMap<String, u64>,
    xid: String,
}

impl Replay {
    /// An empty table, with or without a key.
    #[must_use]
    pub fn new(keyed: bool) -> Self {
        Self { keyed, occupants: HashMap::new(), rows: HashMap::new(), xid: String::new() }
    }

    /// Applies the next change of the trail.
    ///
    /// # Errors
    ///
    /// When the change does not follow from the ones before: it ends or changes a row that is not there, or that looked
    /// different.
    pub fn apply(&mut self, change: &Change) -> Result<(), Failure> {
        if change.xid != self.xid {
            self.xid.clone_from(&change.xid);
            self.settle()?;
        }
        let wrong =
            |what: &str| Failure::new(format!("change {} ({} of {:?}): {what}", change.id, change.op, change.table));
        if change.op == "truncate" {
            self.occupants.clear();
            self.rows.clear();
            return Ok(());
        }
        if self.keyed != change.key.is_some() {
            return Err(wrong("table_pk is NULL for a table with a key, or the reverse"));
        }
        let image = |image: &Option<String>| image.clone().ok_or_else(|| wrong("an image is missing"));
        let before = if change.op == "insert" { None } else { Some(image(&change.before)?) };
        let after = if change.op == "delete" { None } else { Some(image(&change.after)?) };
        let Some(key) = &change.key else {
            if let Some(before) = before {
                self.take(&before).ok_or_else(|| wrong("no row looks like the row before"))?;
            }
            if let Some(after) = after {
                *self.rows.entry(after).or_default() += 1;
            }
            return Ok(());
        };
        if let Some(before) = before {
            // Which of two rows with one key it is, the image tells; of two equal rows it does not matter.
            let left = change.previous_key.as_ref().unwrap_or(key);
            let queue = self.occupants.get_mut(left).ok_or_else(|| wrong(&format!("no row has the key {left}")))?;
            let Some(place) = queue.iter().position(|row| *row == before) else {
                return Err(wrong(&format!("the row looked different before: {queue:?}, not {before}")));
            };
            queue.remove(place);
            if queue.is_empty() {
                self.occupants.remove(left);
            }
        }
        if let Some(after) = after {
            self.occupants.entry(key.clone()).or_default().push_back(after);
        }
        Ok(())
    }

    /// A transaction is over: every key has one row.
    ///
    /// # Errors
    ///
    /// When a key has more.
    pub fn settle(&mut self) -> Result<(), Failure> {
        match self.occupants.iter().find(|(_, queue)| queue.len() != 1) {
            Some((key, queue)) => {
                Err(Failure::new(format!("{} rows have the key {key} at the end of a transaction", queue.len())))
            }
            None => Ok(()),
        }
    }

    /// The images of all rows, as the text of one JSON array.
    #[must_use]
    pub fn images(&self) -> String {
        let keyed = self.occupants.values().flatten().map(String::as_str);
        let plain = self.rows.iter().flat_map(|(image, count)| (0..*count).map(move |_| image.as_str()));
        format!("[{}]", keyed.chain(plain).collect::<Vec<_>>().join(","))
    }

    fn take(&mut self, image: &str) -> Option<()> {
        let count = self.rows.get_mut(image)?;
        *count -= 1;
        if *count == 0 {
            self.rows.remove(image);
        }
        Some(())
    }
}
