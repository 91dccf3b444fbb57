//! Replays the trail transaction by transaction, each as a sum: rows before, plus images after, minus images before.
//!
//! The order of changes inside a transaction takes no part, so this tells a change that is lost, recorded twice or
//! recorded wrongly from one that is merely in the wrong place.

use std::collections::HashMap;

use super::session::Failure;
use super::trail::Change;

/// The rows of one table as a multiset of images.
#[derive(Clone, Debug, Default)]
pub struct Sum {
    /// Each image with how often it occurs: below zero while its arrival is still to come.
    rows: HashMap<String, i64>,
}

impl Sum {
    /// Adds a change.
    ///
    /// # Errors
    ///
    /// When an image is missing.
    pub fn apply(&mut self, change: &Change) -> Result<(), Failure> {
        if change.op == "truncate" {
            self.rows.clear();
            return Ok(());
        }
        if let Some(before) = change.before()? {
            self.add(before, -1);
        }
        if let Some(after) = change.after()? {
            self.add(after, 1);
        }
        Ok(())
    }

    /// A transaction is over: nothing left that had not come.
    ///
    /// # Errors
    ///
    /// When a row left that never was.
    pub fn settle(&self) -> Result<(), Failure> {
        match self.rows.iter().find(|(_, count)| **count < 0) {
            Some((image, _)) => Err(Failure::new(format!("a row ended that never was: {image}"))),
            None => Ok(()),
        }
    }

    /// The images of all rows, sorted.
    #[must_use]
    pub fn images(&self) -> Vec<&str> {
        let mut images: Vec<&str> =
            self.rows.iter().flat_map(|(image, count)| (0..*count).map(|_| image.as_str())).collect();
        images.sort_unstable();
        images
    }

    fn add(&mut self, image: &str, more: i64) {
        if let Some(count) = self.rows.get_mut(image) {
            *count += more;
            if *count == 0 {
                self.rows.remove(image);
            }
        } else {
            self.rows.insert(image.to_owned(), more);
        }
    }
}
