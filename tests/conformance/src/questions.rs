//! Every read that there is, asked of a handle of any adapter.

use std::fmt::Display;

use threadline_core::{
    ActorHistory, ActorRef, AsOf, ChangeDiff, Correlation, CountChanges, DiffOptions, Export, ExportPiece, Incident,
    LinkedChange, RowHistory, Timeline, TransactionId,
};
use time::OffsetDateTime;

use crate::Failure;

/// A question for each read.
#[derive(Clone, Debug)]
pub struct Questions {
    /// For pages, streams, counts, diffs and exports.
    pub timeline: Timeline,
    /// For pages and streams.
    pub row_history: RowHistory,
    /// For pages and streams.
    pub actor_history: ActorHistory,
    /// A transaction by its id.
    pub transaction_id: TransactionId,
    /// A transaction with all its changes.
    pub incident: Incident,
    /// Under a correlation id.
    pub correlation: Correlation,
    /// A row as JSON.
    pub as_of: AsOf,
    /// The key of the row of `Note`s that is read as a struct.
    pub key: i64,
    /// The instant for which it is.
    pub at: OffsetDateTime,
}

impl Questions {
    /// About one note, one transaction, one actor and one correlation id, as of now.
    #[must_use]
    pub fn about(key: i64, transaction_id: TransactionId, actor: &ActorRef, correlation_id: &str) -> Self {
        let at = OffsetDateTime::now_utc() + time::Duration::hours(1);
        Self {
            timeline: Timeline::new().table("notes"),
            row_history: RowHistory::by_id("public", "notes", key),
            actor_history: ActorHistory::of(actor),
            transaction_id,
            incident: Incident::of(transaction_id),
            correlation: Correlation::of(correlation_id),
            as_of: AsOf::by_id("public", "notes", key, at),
            key,
            at,
        }
    }

    pub(crate) fn count(&self) -> CountChanges {
        CountChanges::of(self.timeline.clone())
    }

    pub(crate) fn export(&self) -> Export {
        Export::new(self.timeline.clone()).all_rows()
    }
}

/// What each read told, as text that holds all of it, by the name of the read.
pub type Answers = Vec<(&'static str, Result<String, Failure>)>;

/// The reads, in the order of [`Answers`].
pub const READS: &[&str] = &[
    "timeline",
    "change_diff",
    "row_history",
    "count_changes",
    "find_transaction",
    "incident",
    "correlation",
    "actor_history",
    "stream",
    "stream of a row",
    "stream of an actor",
    "export",
    "export_to csv",
    "export_to json",
    "export_to ndjson",
    "as_of_json",
    "as_of",
];

/// The reads that are told in which schema the kernel is.
pub const READS_ELSEWHERE: &[&str] =
    &["run_in", "stream_in", "export_in", "export_to_in", "export_to_async_in", "as_of_in", "table_as_of_in"];

/// What the changes changed, in both forms and inserts too.
pub(crate) fn diffs(entries: &[LinkedChange]) -> String {
    let diffs = entries.iter().map(|entry| ChangeDiff::with(&entry.change, DiffOptions::new().with_inserts()));
    diffs.map(|diff| format!("{diff}\n{}\n", serde_json::to_string(&diff).unwrap())).collect()
}

/// What an export wrote.
#[cfg(any(feature = "sqlx", feature = "seaorm", feature = "diesel-async"))]
pub(crate) fn written(pieces: &[ExportPiece]) -> String {
    let bytes = pieces.iter().filter_map(|piece| match piece {
        ExportPiece::Bytes(bytes) => Some(&bytes[..]),
        _ => None,
    });
    String::from_utf8(bytes.collect::<Vec<_>>().concat()).unwrap()
}

/// A row of `notes` as it is told.
pub(crate) fn note(id: i64, tenant: impl Display, body: impl Display) -> String {
    format!("{id} {tenant} {body}")
}

/// The struct that an adapter decodes a row of `notes` into, with the derive that its ORM wants.
macro_rules! note_struct {
    ($(#[$attribute:meta])*) => {
        $(#[$attribute])*
        struct Note {
            id: i64,
            tenant: String,
            body: String,
        }

        impl threadline_core::Audited for Note {
            fn audited_table() -> threadline_core::AuditedTable {
                threadline_core::AuditedTable::new("public", "notes")
            }

            fn columns() -> &'static [threadline_core::ModelColumn] {
                use threadline_core::ModelColumn;

                const { &[ModelColumn::new("id").key(), ModelColumn::new("tenant"), ModelColumn::new("body")] }
            }
        }
    };
}

/// Asks every question of a handle, which is evaluated for each; `$note` is what a row is decoded into. The methods have the
/// same names on every adapter, so that only `.await` makes the difference.
macro_rules! ask_everything {
    (async, $handle:expr, $questions:expr, $note:ty) => {
        ask_everything!(
            $handle, $questions, $note, [.await],
            |read| futures_util::TryStreamExt::try_collect::<Vec<_>>($handle.stream(read)).await,
            |export| match futures_util::TryStreamExt::try_collect::<Vec<_>>($handle.export(export.clone())).await {
                Ok(pieces) => {
                    let mut file = $crate::questions::written(&pieces).into_bytes();
                    $handle.export_to_async(export, &mut file).await.map(|_| String::from_utf8(file).unwrap())
                }
                Err(error) => Err(error),
            }
        )
    };
    (blocking, $handle:expr, $questions:expr, $note:ty) => {
        ask_everything!(
            $handle, $questions, $note, [],
            |read| $handle.stream(read).and_then(|entries| entries.collect::<Result<Vec<_>, _>>()),
            // It has no export but the one that writes.
            |export| {
                let mut file = Vec::new();
                $handle.export_to(export, &mut file).map(|_| String::from_utf8(file).unwrap())
            }
        )
    };
    ($handle:expr, $questions:expr, $note:ty, [$($await:tt)*], |$read:ident| $stream:expr, |$export:ident| $pieces:expr) => {{
        use threadline_core::ExportFormat;

        let questions: &$crate::questions::Questions = $questions;
        let mut answers: $crate::questions::Answers = Vec::new();
        macro_rules! tell {
            ($name:literal, $answer:expr) => {
                let answer = $answer.map(|answer| serde_json::to_string(&answer).unwrap());
                answers.push(($name, answer.map_err($crate::Failure::from)));
            };
        }
        let page = $handle.timeline(&questions.timeline)$($await)*;
        let diffs = $handle.timeline(&questions.timeline)$($await)*.map(|page| $crate::questions::diffs(&page.entries));
        tell!("timeline", page);
        tell!("change_diff", diffs);
        tell!("row_history", $handle.row_history(&questions.row_history)$($await)*);
        tell!("count_changes", $handle.count_changes(&questions.count())$($await)*);
        tell!("find_transaction", $handle.find_transaction(questions.transaction_id)$($await)*);
        tell!("incident", $handle.incident(&questions.incident)$($await)*);
        tell!("correlation", $handle.correlation(&questions.correlation)$($await)*);
        tell!("actor_history", $handle.actor_history(&questions.actor_history)$($await)*);
        let $read = questions.timeline.clone();
        tell!("stream", $stream);
        let $read = questions.row_history.clone();
        tell!("stream of a row", $stream);
        let $read = questions.actor_history.clone();
        tell!("stream of an actor", $stream);
        let $export = questions.export();
        tell!("export", $pieces);
        macro_rules! export_to {
            ($name:literal, $format:expr) => {
                let mut file = Vec::new();
                let summary = $handle.export_to(questions.export().format($format), &mut file)$($await)*;
                tell!($name, summary.map(|summary| (summary, String::from_utf8(file).unwrap())));
            };
        }
        export_to!("export_to csv", ExportFormat::Csv);
        export_to!("export_to json", ExportFormat::Json);
        export_to!("export_to ndjson", ExportFormat::Ndjson);
        tell!("as_of_json", $handle.as_of_json(&questions.as_of)$($await)*);
        let row = $handle.as_of::<$note>(questions.key, questions.at)$($await)*;
        tell!("as_of", row.map(|row| $crate::questions::note(row.row.id, row.row.tenant, row.row.body)));
        answers
    }};
}

/// Asks what can be asked of a kernel in any schema, as [`ask_everything`] does.
macro_rules! ask_elsewhere {
    (async, $handle:expr, $schema:expr, $questions:expr, $note:ty) => {
        ask_elsewhere!(
            $handle, $schema, $questions, $note, [.await],
            |stream| futures_util::TryStreamExt::try_collect::<Vec<_>>(stream).await,
            |schema| schema.clone(),
            |export| {
                let pieces = futures_util::TryStreamExt::try_collect::<Vec<_>>($handle.export_in($schema.clone(), export));
                pieces.await.map(|pieces| $crate::questions::written(&pieces))
            },
            |export, file| $handle.export_to_async_in($schema, export, &mut file).await
        )
    };
    (blocking, $handle:expr, $schema:expr, $questions:expr, $note:ty) => {
        ask_elsewhere!(
            $handle, $schema, $questions, $note, [],
            |stream| stream.and_then(|entries| entries.collect::<Result<Vec<_>, _>>()),
            |schema| schema,
            // It has no export but the one that writes, to what blocks.
            |export| {
                let mut file = Vec::new();
                $handle.export_to_in($schema, export, &mut file).map(|_| String::from_utf8(file).unwrap())
            },
            |export, file| $handle.export_to_in($schema, export, &mut file)
        )
    };
    (
        $handle:expr, $schema:expr, $questions:expr, $note:ty, [$($await:tt)*],
        |$stream:ident| $collected:expr, |$of:ident| $given:expr, |$export:ident| $pieces:expr, |$to:ident, $file:ident| $written:expr
    ) => {{
        let questions: &$crate::questions::Questions = $questions;
        let $of: &threadline_core::Schema = $schema;
        let mut answers: $crate::questions::Answers = Vec::new();
        macro_rules! tell {
            ($name:literal, $answer:expr) => {
                let answer = $answer.map(|answer| serde_json::to_string(&answer).unwrap());
                answers.push(($name, answer.map_err($crate::Failure::from)));
            };
        }
        tell!("run_in", $handle.run_in($schema, &questions.timeline)$($await)*);
        let $stream = $handle.stream_in($given, questions.timeline.clone());
        tell!("stream_in", $collected);
        let $export = questions.export();
        tell!("export_in", $pieces);
        let mut file = Vec::new();
        let summary = $handle.export_to_in($schema, questions.export(), &mut file)$($await)*;
        tell!("export_to_in", summary.map(|summary| (summary, String::from_utf8(file).unwrap())));
        let mut $file = Vec::new();
        let $to = questions.export();
        let summary = $written;
        tell!("export_to_async_in", summary.map(|summary| (summary, String::from_utf8($file).unwrap())));
        let row = $handle.as_of_in::<$note>($schema, questions.key, questions.at)$($await)*;
        tell!("as_of_in", row.map(|row| $crate::questions::note(row.row.id, row.row.tenant, row.row.body)));
        let read = threadline_core::TableAsOf::model::<$note>(questions.at);
        let $stream = $handle.table_as_of_in::<$note>($given, read);
        let notes = |rows: Vec<threadline_core::RowAsOf<$note>>| -> Vec<String> {
            rows.into_iter().map(|row| $crate::questions::note(row.row.id, row.row.tenant, row.row.body)).collect()
        };
        tell!("table_as_of_in", $collected.map(notes));
        answers
    }};
}

pub(crate) use {ask_elsewhere, ask_everything, note_struct};
