//! From the changes around an instant to the row at it.

use serde::Deserialize;
use time::OffsetDateTime;

use super::{
    image,
    replay::{Queue, prior_image},
    row_as_of::{Origin, RowAsOf},
    row_key::{KeyFacts, RowKey},
};
use crate::{ChangeOp, Error, Json, error::Kind, instant, trail};

/// What the trail, and where needed the table, tell about one key around one instant: the kernel's `row_evidence`.
#[derive(Debug, Deserialize)]
pub(super) struct Evidence {
    /// Told when nothing else is, but TRUNCATEs.
    facts: Option<KeyFacts>,
    #[serde(default, deserialize_with = "optional_instant")]
    enabled_at: Option<OffsetDateTime>,
    /// The last changes of the key at or before the instant, oldest first: one, or several when a row left the key in it.
    before: Vec<Touch>,
    /// The first changes of the key after the instant, oldest first, up to one that tells a whole row.
    after: Vec<Touch>,
    /// The row as it is now.
    live: Option<Json>,
}

/// How many changes [`Evidence::before`] has at most.
const MOST_BEFORE: usize = 32;

/// A change that touches the key: of a row that has it or had it, or a TRUNCATE.
#[derive(Debug, Deserialize)]
struct Touch {
    #[serde(with = "trail::xid")]
    xid: u64,
    op: ChangeOp,
    /// A row left the key.
    departs: bool,
    /// A row came to the key.
    arrives: bool,
    /// The row's key after the change.
    #[serde(default)]
    table_pk: Option<Json>,
    data_after: Option<Json>,
    changed_from: Option<Json>,
    /// The images were withheld.
    withheld: bool,
}

pub(super) fn optional_instant<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<OffsetDateTime>, D::Error> {
    #[derive(Deserialize)]
    struct Instant(#[serde(with = "instant")] OffsetDateTime);
    Ok(Option::<Instant>::deserialize(deserializer)?.map(|Instant(at)| at))
}

/// Who held the key at the instant, as far as the changes before it tell.
enum Holder {
    /// No change by then: the row is older than its first change, or did not exist yet.
    Unknown,
    Nobody,
    Row(Json),
    /// A row whose image the trail does not keep.
    WithoutImage,
}

impl Evidence {
    /// The row that had the key at the instant.
    pub(super) fn row(
        &self,
        schema: &str,
        table: &str,
        key: &RowKey,
        at: OffsetDateTime,
    ) -> Result<RowAsOf<Json>, Error> {
        if let Some(facts) = &self.facts {
            key.explain(schema, table, facts)?;
        }
        self.at_instant(schema, table, at)
    }

    /// The same when the question is known to be right.
    pub(super) fn at_instant(&self, schema: &str, table: &str, at: OffsetDateTime) -> Result<RowAsOf<Json>, Error> {
        let answer = |kind, message: String, remedy: &str| {
            Err(Error::new(kind, message).table_name(schema, table).remedy_text(remedy))
        };
        let nobody = || {
            if let Some(last) = self.before.iter().rfind(|touch| touch.op != ChangeOp::Truncate)
                && last.departs
                && last.op == ChangeOp::Update
            {
                let message = format!("the row of {schema}.{table} had moved to another key by that instant");
                return Err(Error::new(Kind::MovedKey, message)
                    .table_name(schema, table)
                    .moved_to_key(last.table_pk.clone())
                    .remedy_text("Ask for the row with the key that the error holds, or for an earlier instant"));
            }
            let message = format!("the row of {schema}.{table} had been deleted by that instant");
            answer(Kind::DeletedRecord, message, "Read its history, or ask for an earlier instant")
        };
        let nobody_yet = || {
            let message = format!("no row of {schema}.{table} had had that key by that instant");
            answer(Kind::NeverExisted, message, "Check the key, or ask for a later instant")
        };
        let unavailable = |problem: &str| {
            let message = format!("what was in the row of {schema}.{table} at that instant cannot be told: {problem}");
            answer(Kind::ImageUnavailable, message, "Read its history for what is known")
        };

        let rebuilt = |image| Ok(RowAsOf::new(image, Origin::Reconstructed));

        match self.holder()? {
            Holder::Row(image) => return Ok(RowAsOf::new(image, Origin::Image)),
            Holder::Nobody if self.before.iter().all(|touch| touch.op == ChangeOp::Truncate) => return nobody_yet(),
            Holder::Nobody => return nobody(),
            Holder::WithoutImage => {
                return match self.undone()? {
                    Ok(image) => rebuilt(image),
                    Err(problem) => unavailable(problem),
                };
            }
            Holder::Unknown => {}
        }
        if self.enabled_at.is_none_or(|enabled_at| at < enabled_at) {
            let message = format!("{schema}.{table} was not captured at that instant, so nothing is known of the row");
            return answer(Kind::BeforeHorizon, message, "Ask for an instant after capture was enabled");
        }
        match self.after.first() {
            Some(first) if first.arrives => match self.displaced(first.xid)? {
                Some(image) => rebuilt(image),
                None => nobody_yet(),
            },
            None if self.live.is_none() => nobody_yet(),
            Some(first) if first.op == ChangeOp::Truncate => {
                unavailable("a later TRUNCATE took what was there, if anything, and was recorded as one event")
            }
            _ => match self.undone()? {
                Ok(image) => rebuilt(image),
                Err(problem) => unavailable(problem),
            },
        }
    }

    /// What would be known if no row had ever had the key.
    pub(super) fn of_no_row(self) -> Self {
        Self { before: Vec::new(), after: Vec::new(), live: None, ..self }
    }

    fn holder(&self) -> Result<Holder, Error> {
        let since_truncate =
            self.before.iter().rposition(|touch| touch.op == ChangeOp::Truncate).map_or(0, |at| at + 1);
        let Some((_, before)) = self.before.split_at_checked(since_truncate) else { return Ok(Holder::Unknown) };
        let Some(last) = before.last() else {
            return Ok(if self.before.is_empty() { Holder::Unknown } else { Holder::Nobody });
        };
        if !last.departs {
            return Ok(last.data_after.clone().map_or(Holder::WithoutImage, Holder::Row));
        }
        let mut queue = Queue::default();
        // Only at the beginning of capture can there be a row that no change has told of.
        let from_the_beginning = since_truncate == 0 && before.len() < MOST_BEFORE;
        for touch in before {
            let unseen = from_the_beginning && before.first().is_some_and(|first| first.xid == touch.xid);
            touch.apply(&mut queue, unseen)?;
        }
        Ok(match queue.newest() {
            None => Holder::Nobody,
            Some(Some(image)) => Holder::Row(image.clone()),
            Some(None) => Holder::WithoutImage,
        })
    }

    /// A row older than its first change, whose key another row took before it left, in the transaction `xid`.
    fn displaced(&self, xid: u64) -> Result<Option<Json>, Error> {
        let mut queue = Queue::default();
        for touch in self.after.iter().take_while(|touch| touch.xid == xid) {
            let held = queue.len();
            touch.apply(&mut queue, true)?;
            if touch.departs && queue.len() == held {
                return touch.prior();
            }
        }
        Ok(None)
    }

    /// The row that holds the key at the instant, from the first whole row after it backwards; or what is in the way.
    fn undone(&self) -> Result<Result<Json, &'static str>, Error> {
        let mut changes = Vec::new();
        let mut base = None;
        let mut successor_since = None;
        for touch in &self.after {
            if touch.op == ChangeOp::Truncate {
                return Ok(Err("it went with a TRUNCATE that was recorded as one event"));
            }
            if successor_since.is_some_and(|xid| xid != touch.xid) {
                return Ok(Err("the trail does not tell how it left its key"));
            }
            if touch.departs {
                // Whoever came after it, the row that was there first leaves first.
                base = touch.prior()?;
                if base.is_none() {
                    return Ok(Err("it moved to another key without an image being kept"));
                }
                break;
            }
            if touch.arrives {
                successor_since = Some(touch.xid);
            }
            if successor_since.is_some() {
                continue;
            }
            if touch.withheld {
                return Ok(Err("an image was withheld"));
            }
            let Some(changed_from) = &touch.changed_from else {
                return Ok(Err("its policy keeps no values from before a change"));
            };
            changes.push(changed_from);
            if let Some(after) = &touch.data_after {
                base = Some(after.clone());
                break;
            }
        }
        let Some(base) = base.or_else(|| self.live.clone()) else {
            return Ok(Err("it is gone and no change tells how"));
        };
        image::undo(&base, changes.into_iter().rev()).map(Ok)
    }
}

impl Touch {
    fn prior(&self) -> Result<Option<Json>, Error> {
        prior_image(self.op, self.data_after.as_ref(), self.changed_from.as_ref())
    }

    fn apply(&self, queue: &mut Queue, unseen: bool) -> Result<(), Error> {
        queue.enter(self.xid);
        if self.departs {
            queue.depart(self.prior()?.as_ref(), unseen)
        } else if self.arrives {
            queue.arrive(None, self.data_after.as_ref());
            Ok(())
        } else {
            queue.replace(None, self.data_after.as_ref(), self.prior()?.as_ref())
        }
    }
}

#[cfg(test)]
#[path = "reconstruct_tests.rs"]
mod tests;
