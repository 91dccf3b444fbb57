//! Reading the trail: history of a row, timeline, the row as it was.
//!
//! Every read names tables as they are called today and finds what was recorded under former names as well. A read that
//! finds nothing says why when the question itself was wrong: a table that is not captured, a key of the wrong shape, a
//! field that no table has.

mod actor_history;
mod actor_pairs;
mod as_of;
mod conditions;
mod copying;
mod correlation;
mod count;
mod cursor;
mod diff;
mod export;
mod export_lines;
mod export_output;
mod export_pieces;
mod export_row;
mod export_writer;
mod exporting;
mod field_check;
mod filter_pairs;
mod filters;
mod image;
mod pairs;
mod probe;
mod query;
mod reading;
mod reconstruct;
mod replay;
mod row_as_of;
mod row_history;
mod row_key;
mod scope;
mod search;
mod table_as_of;
mod timeline;
mod transaction;

pub use actor_history::ActorHistory;
pub use as_of::AsOf;
pub use copying::Copying;
pub use correlation::{Correlation, CorrelationBundle};
pub use count::{ChangeCount, CountChanges};
pub use cursor::{Cursor, Page};
pub use diff::{BeforeValues, ChangeDiff, DiffOptions, FieldChange, FieldChangeKind, Omitted};
pub use export::{Compression, Export, ExportFormat, ExportPiece, ExportSummary};
pub use export_pieces::{ExportPieces, Outlet};
pub use exporting::Exporting;
pub use probe::{FinishProbe, Probe, Probed, StartProbe};
pub use reading::{Reading, Streamed};
pub use replay::{Replay, ReplayedRow};
pub use row_as_of::{Origin, RowAsOf};
pub use row_history::RowHistory;
pub use row_key::RowKey;
pub use scope::{Scope, ScopedRead};
pub use table_as_of::TableAsOf;
pub use timeline::Timeline;
pub use transaction::{Incident, IncidentBundle, IncidentChange, LinkedTransaction, TransactionLookup};
