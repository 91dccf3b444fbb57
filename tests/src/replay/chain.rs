//! Replays the trail change by change, in its order, and finds what contradicts it.

use std::collections::{HashMap, VecDeque};

use super::session::Failure;
use super::trail::Change;

/// The rows of one table, as the changes so far tell them one by one.
#[derive(Clone, Debug)]
pub struct Chain {
    keyed: bool,
    /// Every key with those who have it, oldest first. Only a deferrable key has more than one, and only inside a
    /// transaction. All rows of a table without a key are under one.
    occupants: HashMap<String, VecDeque<String>>,
}

impl Chain {
    /// An empty table, with or without a key.
    #[must_use]
    pub fn new(keyed: bool) -> Self {
        Self { keyed, occupants: HashMap::new() }
    }

    /// Applies the next change of the trail.
    ///
    /// # Errors
    ///
    /// When the change does not follow from the ones before: it ends or changes a row that is not there, or that looked
    /// different.
    pub fn apply(&mut self, change: &Change) -> Result<(), Failure> {
        if change.op == "truncate" {
            self.occupants.clear();
            return Ok(());
        }
        if self.keyed != change.key.is_some() {
            return Err(wrong(change, "table_pk is NULL for a table with a key, or the reverse"));
        }
        let key = change.key.clone().unwrap_or_default();
        if let Some(before) = change.before()? {
            let left = change.previous_key.as_ref().unwrap_or(&key);
            let queue = self.occupants.get_mut(left).ok_or_else(|| wrong(change, "no row has the key it leaves"))?;
            // Which of two rows with one key it is, the image tells; of two equal rows it does not matter.
            let Some(place) = queue.iter().position(|row| row == before) else {
                let there = if self.keyed { format!("{queue:?}") } else { "no row".to_owned() };
                return Err(wrong(change, &format!("the row looked different before: {there}, not {before}")));
            };
            queue.remove(place);
            if queue.is_empty() {
                self.occupants.remove(left);
            }
        }
        if let Some(after) = change.after()? {
            self.occupants.entry(key).or_default().push_back(after.to_owned());
        }
        Ok(())
    }

    /// A transaction is over: every key has one row.
    ///
    /// # Errors
    ///
    /// When a key has more.
    pub fn settle(&self) -> Result<(), Failure> {
        match self.occupants.iter().find(|(_, queue)| self.keyed && queue.len() != 1) {
            Some((key, queue)) => {
                Err(Failure::new(format!("{} rows have the key {key} at the end of a transaction", queue.len())))
            }
            None => Ok(()),
        }
    }

    /// The images of all rows, sorted.
    #[must_use]
    pub fn images(&self) -> Vec<&str> {
        let mut images: Vec<&str> = self.occupants.values().flatten().map(String::as_str).collect();
        images.sort_unstable();
        images
    }
}

fn wrong(change: &Change, what: &str) -> Failure {
    Failure::new(format!("change {} ({} of {:?}): {what}", change.id, change.op, change.table))
}
