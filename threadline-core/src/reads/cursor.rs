//! Pages and where they go on.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use time::OffsetDateTime;

use crate::{AuditChange, ChangeId, Error};

/// The position after the last entry of a page. Opaque: keep it as text and give it back.
///
/// It stays valid for as long as the trail lives, whatever is recorded or expires meanwhile, and may be given to another
/// process. It carries no filter: give it to a read with the same filters.
///
/// # Examples
/// ```
/// use threadline_core::Cursor;
///
/// let text = "1000645e8f7a3c0000000000000000002a";
/// assert_eq!(text.parse::<Cursor>()?.to_string(), text);
/// assert!("garbage".parse::<Cursor>().unwrap_err().is_invalid_input());
/// # Ok::<(), threadline_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cursor {
    captured_at: OffsetDateTime,
    id: ChangeId,
}

/// Says how the rest is to be read.
const VERSION: &str = "10";
const HEX_DIGITS: usize = 16;

impl Cursor {
    /// The position of this change.
    #[must_use]
    pub fn at(change: &AuditChange) -> Self {
        Self { captured_at: change.captured_at, id: change.id }
    }

    pub(super) fn new(captured_at: OffsetDateTime, id: ChangeId) -> Self {
        Self { captured_at, id }
    }

    pub(super) fn captured_at(&self) -> OffsetDateTime {
        self.captured_at
    }

    pub(super) fn id(&self) -> ChangeId {
        self.id
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Microseconds of every representable instant fit 64 bits.
        let micros = (self.captured_at.unix_timestamp_nanos() / 1_000) as i64;
        write!(f, "{VERSION}{micros:016x}{:016x}", self.id.get())
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        read(text).ok_or_else(|| {
            Error::invalid_input("cursor", "is malformed", "Give back the cursor of a page, unchanged, or none")
        })
    }
}

fn read(text: &str) -> Option<Cursor> {
    let digits = text.strip_prefix(VERSION)?;
    if digits.len() != 2 * HEX_DIGITS || !digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        return None;
    }
    let (micros, id) = digits.split_at(HEX_DIGITS);
    let micros = u64::from_str_radix(micros, 16).ok()?.cast_signed();
    let id = u64::from_str_radix(id, 16).ok()?.cast_signed();
    let captured_at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).ok()?;
    Some(Cursor { captured_at, id: ChangeId(id) })
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// One page of a read, newest entry first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Page<T> {
    /// The entries, at most as many as the limit.
    pub entries: Vec<T>,
    /// Where the next page begins; `None` when this was the last, exactly.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// Makes a page of what was read with one entry more than `limit`.
    pub(super) fn of(mut entries: Vec<T>, limit: u32, position: impl FnOnce(&T) -> Cursor) -> Self {
        let limit = limit as usize;
        let more = entries.len() > limit;
        entries.truncate(limit);
        let next = if more { entries.last().map(position) } else { None };
        Self { entries, next }
    }

    /// Whether there is nothing on this page.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<T> IntoIterator for Page<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

/// Refuses what belongs to pages, in a read that has none.
pub(super) fn without_page(limit: Option<u32>, cursor: Option<Cursor>) -> Result<(), Error> {
    let remedy = "Leave it out: this read has no pages";
    match (limit, cursor) {
        (Some(_), _) => Err(Error::invalid_input("limit", "belongs to pages", remedy)),
        (None, Some(_)) => Err(Error::invalid_input("cursor", "belongs to pages", remedy)),
        (None, None) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn malformed_cursors_are_refused() {
        let good = "1000645e8f7a3c0000000000000000002a";
        assert!(good.parse::<Cursor>().is_ok());
        for bad in [
            "",
            "10",
            "1000645e8f7a3c0000000000000000002",
            "1000645e8f7a3c0000000000000000002aa",
            "1000645E8F7A3C0000000000000000002A",
            "2000645e8f7a3c0000000000000000002a",
            "10+0645e8f7a3c0000000000000000002a",
            "107fffffffffffffff000000000000002a",
            "10\u{e9}0645e8f7a3c00000000000000002a",
        ] {
            let error = bad.parse::<Cursor>().unwrap_err();
            assert!(error.is_invalid_input(), "{bad}");
            assert_eq!(error.setting(), Some("cursor"));
        }
    }

    #[test]
    fn a_page_knows_exactly_whether_there_is_more() {
        let position = |_: &i32| Cursor { captured_at: OffsetDateTime::UNIX_EPOCH, id: ChangeId(1) };
        assert_eq!(Page::of(vec![1, 2], 2, position).next, None);
        let page = Page::of(vec![1, 2, 3], 2, position);
        assert_eq!(page.entries, [1, 2]);
        assert!(page.next.is_some());
        assert!(Page::of(Vec::new(), 2, position).is_empty());
    }

    proptest! {
        #[test]
        fn every_position_round_trips(seconds in -62_135_596_800_i64..253_402_300_800, micros in 0_i64..1_000_000, id: i64) {
            let captured_at = OffsetDateTime::from_unix_timestamp(seconds)? + time::Duration::microseconds(micros);
            let cursor = Cursor { captured_at, id: ChangeId(id) };
            prop_assert_eq!(cursor.to_string().parse::<Cursor>()?, cursor);
        }
    }
}
