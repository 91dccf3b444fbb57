//! Reading the trail: history of a row, timeline, the row as it was.
//!
//! Every read names tables as they are called today and finds what was recorded under former names as well. A read that
//! finds nothing says why when the question itself was wrong: a table that is not captured, a key of the wrong shape.

mod as_of;
mod cursor;
mod image;
mod probe;
mod query;
mod reconstruct;
mod replay;
mod row_history;
mod row_key;
mod timeline;

pub use as_of::AsOf;
pub use cursor::{Cursor, Page};
pub use probe::{FinishProbe, Probe, Probed, StartProbe};
pub use replay::{Replay, ReplayedRow};
pub use row_history::RowHistory;
pub use row_key::RowKey;
pub use timeline::Timeline;
