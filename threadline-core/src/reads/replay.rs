//! From changes back to rows.

use std::collections::{BTreeMap, VecDeque};

use super::image;
use crate::{AuditChange, ChangeOp, Error, Json};

/// Rebuilds a table from its changes: apply them in the order of the trail, then look at the rows.
///
/// Feed it the changes of one table, ordered by `(captured_at, id)`, from the beginning of capture (and, for a table that
/// was not empty then, from a baseline). It needs the images that full policies keep.
///
/// Inside one database transaction a key can be taken before its previous occupant has left it, as the trail tells it: a
/// deferrable key shifted by `SET id = id + 1`, a MERGE that inserts what it also deletes. So each key is a queue of
/// occupants, oldest first. Whoever leaves is the occupant that looks as the change says the row looked before; when
/// images do not tell, the oldest leaves. When the next transaction comes to the key, only the newest is left.
///
/// # Examples
/// ```
/// use threadline_core::{AuditChange, Replay};
///
/// # let template = r#"{"id": 1, "transaction_id": 1, "xid": "9", "captured_at": "2026-01-01T00:00:00Z",
/// #   "table_schema": "public", "table_name": "posts", "op": "insert", "table_pk": {"id": 7}, "previous_pk": null,
/// #   "data_after": {"id": 7, "title": "Ship it"}, "changed_fields": null, "changed_from": null, "withheld": null}"#;
/// # let changes: Vec<AuditChange> = vec![serde_json::from_str(template)?];
/// let mut replay = Replay::new();
/// for change in &changes {
///     replay.apply(change)?;
/// }
/// let rows: Vec<_> = replay.rows().collect();
/// assert_eq!(rows.len(), 1);
/// assert_eq!(rows[0].image.map(|image| image.get()), Some(r#"{"id": 7, "title": "Ship it"}"#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Replay {
    keyed: BTreeMap<String, Queue>,
    /// Rows of a table without a key: equal rows cannot be told apart and need not be.
    keyless: Vec<Option<Json>>,
}

/// One row that [`Replay`] rebuilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplayedRow<'a> {
    /// The row's key; `None` for a table without a key.
    pub key: Option<&'a Json>,
    /// The row; `None` when the change that made it kept no image.
    pub image: Option<&'a Json>,
}

/// The rows that hold one key, oldest first; more than one only inside a transaction.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    xid: u64,
    occupants: VecDeque<Occupant>,
}

#[derive(Clone, Debug)]
struct Occupant {
    /// As the change wrote it; not kept where all is about one key.
    key: Option<Json>,
    image: Option<Json>,
    /// The transaction in which it came.
    since: u64,
}

impl Replay {
    /// A table without rows.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies the next change.
    ///
    /// # Errors
    /// [`is_unreadable`](Error::is_unreadable) when an image or a key is not a JSON object.
    pub fn apply(&mut self, change: &AuditChange) -> Result<(), Error> {
        if change.op == ChangeOp::Truncate && change.table_pk.is_none() {
            self.keyed.clear();
            self.keyless.clear();
            return Ok(());
        }
        let prior = prior_image(change.op, change.data_after.as_ref(), change.changed_from.as_ref())?;
        let Some(key) = &change.table_pk else {
            return self.apply_keyless(change, prior.as_ref());
        };
        let place = image::canonical_key(key)?;
        let left = match &change.previous_pk {
            Some(previous) => Some(image::canonical_key(previous)?).filter(|previous| *previous != place),
            None => None,
        };
        let (key, image) = (Some(key), change.data_after.as_ref());
        match (change.op, left) {
            (ChangeOp::Insert, _) => self.queue(place, change.xid).arrive(key, image),
            (ChangeOp::Update, None) => self.queue(place, change.xid).replace(key, image, prior.as_ref())?,
            (ChangeOp::Update, Some(left)) => {
                self.leave(&left, change.xid, prior.as_ref())?;
                self.queue(place, change.xid).arrive(key, image);
            }
            (ChangeOp::Delete | ChangeOp::Truncate, _) => self.leave(&place, change.xid, prior.as_ref())?,
        }
        Ok(())
    }

    /// The rows, in the order of their keys' text.
    pub fn rows(&self) -> impl Iterator<Item = ReplayedRow<'_>> {
        let keyed = self.keyed.values().filter_map(|queue| queue.occupants.back());
        keyed
            .map(|row| ReplayedRow { key: row.key.as_ref(), image: row.image.as_ref() })
            .chain(self.keyless.iter().map(|image| ReplayedRow { key: None, image: image.as_ref() }))
    }

    fn queue(&mut self, place: String, xid: u64) -> &mut Queue {
        let queue = self.keyed.entry(place).or_default();
        queue.enter(xid);
        queue
    }

    fn leave(&mut self, place: &str, xid: u64, prior: Option<&Json>) -> Result<(), Error> {
        if let Some(queue) = self.keyed.get_mut(place) {
            queue.enter(xid);
            queue.depart(prior, false)?;
            if queue.occupants.is_empty() {
                self.keyed.remove(place);
            }
        }
        Ok(())
    }

    fn apply_keyless(&mut self, change: &AuditChange, prior: Option<&Json>) -> Result<(), Error> {
        if let Some(prior) = prior {
            let mut found = None;
            for (index, row) in self.keyless.iter().enumerate() {
                if let Some(row) = row
                    && image::agree(row, prior)?
                {
                    found = Some(index);
                    break;
                }
            }
            if let Some(index) = found {
                self.keyless.remove(index);
            }
        }
        if matches!(change.op, ChangeOp::Insert | ChangeOp::Update) {
            self.keyless.push(change.data_after.clone());
        }
        Ok(())
    }
}

/// The row before the change, as far as the change tells.
pub(super) fn prior_image(
    op: ChangeOp,
    data_after: Option<&Json>,
    changed_from: Option<&Json>,
) -> Result<Option<Json>, Error> {
    match (op, data_after, changed_from) {
        (ChangeOp::Delete | ChangeOp::Truncate, _, Some(row)) => Ok(Some(row.clone())),
        (ChangeOp::Update, Some(after), Some(from)) => image::before(after, from).map(Some),
        _ => Ok(None),
    }
}

impl Queue {
    /// A transaction comes to the key: of those before it only the newest occupant is left.
    pub(super) fn enter(&mut self, xid: u64) {
        if self.xid != xid {
            let keep = self.occupants.len().saturating_sub(1);
            self.occupants.drain(..keep);
            self.xid = xid;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.occupants.len()
    }

    /// The image of the newest occupant; `None` without an occupant, `Some(None)` when it has no image.
    pub(super) fn newest(&self) -> Option<Option<&Json>> {
        self.occupants.back().map(|row| row.image.as_ref())
    }

    /// A row takes the key; `image` as far as it is kept.
    pub(super) fn arrive(&mut self, key: Option<&Json>, image: Option<&Json>) {
        let since = self.xid;
        self.occupants.push_back(Occupant { key: key.cloned(), image: image.cloned(), since });
    }

    /// The occupant that looked like `prior` changes in place; when images do not tell, the newest: who changes a row of
    /// a key that is taken twice means the one it put there.
    pub(super) fn replace(
        &mut self,
        key: Option<&Json>,
        image: Option<&Json>,
        prior: Option<&Json>,
    ) -> Result<(), Error> {
        let newest = self.occupants.len().saturating_sub(1);
        let index = if newest > 0 { self.find(prior)?.unwrap_or(newest) } else { newest };
        match self.occupants.get_mut(index) {
            Some(occupant) => {
                occupant.key = key.cloned();
                occupant.image = image.cloned();
            }
            // It was there before capture began.
            None => self.arrive(key, image),
        }
        Ok(())
    }

    /// The occupant that looked like `prior` leaves; when images do not tell, the oldest. With `unseen`, the key may have
    /// had an occupant that was never seen: it is the one that leaves if the only other came in this same transaction and
    /// looks different.
    pub(super) fn depart(&mut self, prior: Option<&Json>, unseen: bool) -> Result<(), Error> {
        if self.occupants.len() > 1 {
            let index = self.find(prior)?.unwrap_or(0);
            self.occupants.remove(index);
            return Ok(());
        }
        if unseen
            && let (Some(only), Some(prior)) = (self.occupants.front(), prior)
            && only.since == self.xid
            && let Some(image) = &only.image
            && !image::agree(image, prior)?
        {
            return Ok(());
        }
        self.occupants.pop_front();
        Ok(())
    }

    fn find(&self, prior: Option<&Json>) -> Result<Option<usize>, Error> {
        let Some(prior) = prior else { return Ok(None) };
        for (index, row) in self.occupants.iter().enumerate() {
            if let Some(image) = &row.image
                && image::agree(image, prior)?
            {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
