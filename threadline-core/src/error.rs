//! The error of this crate, which is also what every adapter's error wraps.

use std::{error::Error as StdError, fmt};

use crate::{Json, Schema};

/// A cause from elsewhere, such as the driver's error.
type Source = Box<dyn StdError + Send + Sync + 'static>;

/// What went wrong, which table, column or setting it concerns, and what to do next.
///
/// The kind is private: ask with the `is_` methods, or store the stable [`code`](Self::code). The message ends with the
/// remedy. Neither contains a row value, a key or an actor's id, so both are safe to log.
///
/// # Examples
/// ```
/// use threadline_core::ActorRef;
///
/// let error = ActorRef::user("").unwrap_err();
/// assert!(error.is_invalid_actor());
/// assert_eq!(error.code(), "invalid_actor");
/// assert_eq!(error.to_string(), "the id of a user actor is empty. Give the id that your service knows the actor by");
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    message: String,
    remedy: Option<String>,
    table: Option<String>,
    column: Option<String>,
    setting: Option<String>,
    moved_to: Option<Json>,
    source: Option<Source>,
}

/// Declares the private kinds with the stable code and the public predicate of each.
macro_rules! kinds {
    ($($(#[$documentation:meta])* $kind:ident, $code:literal, $predicate:ident;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Kind { $($kind,)* }

        impl Kind {
            fn code(self) -> &'static str {
                match self { $(Self::$kind => $code,)* }
            }
        }

        impl Error {
            $(
                $(#[$documentation])*
                #[must_use]
                pub fn $predicate(&self) -> bool {
                    self.0.kind == Kind::$kind
                }
            )*
        }
    };
}

kinds! {
    /// No actor is set where one is required, by the context or by the table's policy.
    MissingActor, "missing_actor", is_missing_actor;
    /// An actor ref is not one of the six kinds with a proper id.
    InvalidActor, "invalid_actor", is_invalid_actor;
    /// The audit context is malformed; [`setting`](Error::setting) names the field or the setting.
    MalformedContext, "malformed_context", is_malformed_context;
    /// Somebody tried to change or remove what the trail recorded.
    AppendOnly, "append_only", is_append_only;
    /// A capture policy contradicts itself or the table.
    InvalidPolicy, "invalid_policy", is_invalid_policy;
    /// The relation cannot be captured: a view, a foreign table, a temporary table or one of the kernel's own.
    UnsupportedTable, "unsupported_table", is_unsupported_table;
    /// A policy or a read names a column that the table does not have; in a read, nor had.
    UnknownColumn, "unknown_column", is_unknown_column;
    /// TRUNCATE of a table whose policy refuses it.
    TruncateRefused, "truncate_refused", is_truncate_refused;
    /// A semantic action is out of bounds; [`setting`](Error::setting) names the field.
    InvalidAction, "invalid_action", is_invalid_action;
    /// The table is not captured; in a read, [`setting`](Error::setting) names the filter that asked for it.
    NotCaptured, "not_captured", is_not_captured;
    /// The kernel is not installed in this database under this schema, or is too old.
    NotInstalled, "not_installed", is_not_installed;
    /// A value given by the caller is out of bounds; [`setting`](Error::setting) names it.
    InvalidInput, "invalid_input", is_invalid_input;
    /// The row had been deleted by the instant asked for.
    DeletedRecord, "deleted_record", is_deleted_record;
    /// The row had left its key for another one, [`moved_to`](Error::moved_to), by the instant asked for.
    MovedKey, "moved_key", is_moved_key;
    /// No row with that key had existed by the instant asked for.
    NeverExisted, "never_existed", is_never_existed;
    /// The trail does not reach back to the instant asked for.
    BeforeHorizon, "before_horizon", is_before_horizon;
    /// The trail knows that the row existed but not what was in it, because its image was withheld or not kept.
    ImageUnavailable, "image_unavailable", is_image_unavailable;
    /// A column that the model needs, or that is asked for, is masked, excluded or otherwise left out by the policy;
    /// [`column`](Error::column) names it.
    ColumnRedacted, "column_redacted", is_column_redacted;
    /// A column that the model reads was added, dropped, renamed or retyped since the instant asked for;
    /// [`column`](Error::column) names it.
    SchemaChanged, "schema_changed", is_schema_changed;
    /// What was asked for by its id is not in the trail.
    NotFound, "not_found", is_not_found;
    /// What was read could not be written where it should go.
    OutputFailed, "output_failed", is_output_failed;
    /// The connection broke during COMMIT: whether the work was committed is not known.
    UnknownCommit, "unknown_commit", is_unknown_commit;
    /// An operation that must own its transaction was started inside another one.
    Nested, "nested", is_nested;
    /// Code that a test watched wrote nothing, or without an actor or an action.
    Unattributed, "unattributed", is_unattributed;
    /// Rows came back in a shape that this version of the crate does not know.
    Unreadable, "unreadable", is_unreadable;
    /// The kernel raised an error that this version of the crate does not know.
    UnknownKernelError, "unknown_kernel_error", is_unknown_kernel_error;
}

impl Error {
    /// The stable name of the kind, for logs, metrics and exit codes; the kernel's codes are the same words.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.kind.code()
    }

    /// The table concerned, as `schema.table` where the schema is known.
    #[must_use]
    pub fn table(&self) -> Option<&str> {
        self.0.table.as_deref()
    }

    /// The column concerned.
    #[must_use]
    pub fn column(&self) -> Option<&str> {
        self.0.column.as_deref()
    }

    /// The context field, setting, option or filter concerned.
    #[must_use]
    pub fn setting(&self) -> Option<&str> {
        self.0.setting.as_deref()
    }

    /// The key that the row has gone to, an object of the key columns, when [`is_moved_key`](Error::is_moved_key). It is
    /// part of neither the message nor `Debug`.
    #[must_use]
    pub fn moved_to(&self) -> Option<&Json> {
        self.0.moved_to.as_ref()
    }

    /// What to do next; also the end of the message.
    #[must_use]
    pub fn remedy(&self) -> Option<&str> {
        self.0.remedy.as_deref()
    }

    /// The same error with its cause, for adapters that recognised a driver's error.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// COMMIT was sent and its answer never arrived; for adapters.
    #[must_use]
    pub fn unknown_commit() -> Self {
        Self::new(Kind::UnknownCommit, "the connection broke during COMMIT, whether it took effect is not known")
            .remedy_text("Look the work up before you repeat it, by correlation id for example")
    }

    /// `operation` must own its transaction and was started inside another one; for adapters.
    #[must_use]
    pub fn nested(operation: &str) -> Self {
        Self::new(Kind::Nested, format!("{operation} cannot run inside an open transaction"))
            .remedy_text("Call it on a connection or pool that has no transaction open")
    }

    /// The kernel is missing from the database; for adapters that found out by another way than an error.
    #[must_use]
    pub fn not_installed(schema: &Schema) -> Self {
        Self::new(
            Kind::NotInstalled,
            format!("the kernel is not installed in schema {}, or is too old", schema.quoted()),
        )
        .remedy_text("Install or upgrade it with `threadline install`, or name the schema it lives in")
    }

    /// An export could not be written; for adapters.
    #[must_use]
    pub fn output_failed(source: impl Into<Source>) -> Self {
        Self::new(Kind::OutputFailed, "what was read could not be written")
            .remedy_text("Look at the cause, and begin again: what was written so far is not all")
            .with_source(source)
    }

    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            remedy: None,
            table: None,
            column: None,
            setting: None,
            moved_to: None,
            source: None,
        }))
    }

    /// A caller's value called `setting` that `problem`, in the words "is empty".
    pub(crate) fn invalid_input(setting: &str, problem: &str, remedy: &str) -> Self {
        Self::new(Kind::InvalidInput, format!("{setting} {problem}")).setting_name(setting).remedy_text(remedy)
    }

    /// Rows that are not what the statement promises. The text names what was read, never the row.
    pub(crate) fn unreadable(what: &str, source: impl Into<Source>) -> Self {
        Self::new(Kind::Unreadable, format!("{what} came back in a shape that this version does not know"))
            .remedy_text("Use versions of the crate and of the kernel that belong together")
            .with_source(source)
    }

    pub(crate) fn remedy_text(mut self, remedy: impl Into<String>) -> Self {
        self.0.remedy = Some(remedy.into());
        self
    }

    pub(crate) fn table_name(mut self, schema: &str, table: &str) -> Self {
        self.0.table = Some(format!("{schema}.{table}"));
        self
    }

    pub(crate) fn table_text(mut self, table: Option<String>) -> Self {
        self.0.table = table;
        self
    }

    pub(crate) fn column_name(mut self, column: impl Into<String>) -> Self {
        self.0.column = Some(column.into());
        self
    }

    pub(crate) fn moved_to_key(mut self, key: Option<Json>) -> Self {
        self.0.moved_to = key;
        self
    }

    pub(crate) fn setting_name(mut self, setting: impl Into<String>) -> Self {
        self.0.setting = Some(setting.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { message, remedy, .. } = &*self.0;
        match remedy {
            Some(remedy) => write!(f, "{}. {}", message.trim_end_matches('.'), remedy.trim_end_matches('.')),
            None => f.write_str(message),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Error");
        debug.field("code", &self.code()).field("message", &self.to_string());
        for (name, value) in [("table", self.table()), ("column", self.column()), ("setting", self.setting())] {
            if let Some(value) = value {
                debug.field(name, &value);
            }
        }
        if let Some(source) = &self.0.source {
            debug.field("source", source);
        }
        debug.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_travels_between_threads_and_fits_a_pointer() {
        fn travels<T: Send + Sync + 'static>() {}
        travels::<Error>();
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }

    #[test]
    fn the_message_ends_with_the_remedy() {
        let error = Error::nested("a purge");
        assert_eq!(
            error.to_string(),
            "a purge cannot run inside an open transaction. Call it on a connection or pool that has no transaction open"
        );
        assert_eq!(error.remedy(), Some("Call it on a connection or pool that has no transaction open"));
        assert!(error.is_nested() && !error.is_missing_actor());
    }

    #[test]
    fn the_source_is_kept() {
        let error = Error::unknown_commit().with_source("connection reset");
        assert_eq!(error.source().unwrap().to_string(), "connection reset");
        assert!(format!("{error:?}").contains("connection reset"));
    }
}
