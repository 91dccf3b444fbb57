//! What one can ask of the trail, as a value.

use crate::{Error, Schema, Statement};

/// One thing to ask of the kernel or the trail: a value that knows its statement and how to read the answer.
///
/// An operation performs no I/O. An adapter runs its [`statement`](Self::statement) and hands the rows to
/// [`decode`](Self::decode); see [`AsyncConnection::run`](crate::AsyncConnection::run) and
/// [`BlockingConnection::run`](crate::BlockingConnection::run), which do just that.
///
/// # Examples
/// ```
/// use threadline_core::{InstalledVersion, Operation, Schema};
///
/// let statement = InstalledVersion.statement(&Schema::default())?;
/// assert!(statement.sql().starts_with("SELECT"));
/// assert_eq!(InstalledVersion.decode(vec!["1".to_owned()])?, Some(1));
/// # Ok::<(), threadline_core::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an operation on the trail",
    note = "operations are the structs of `threadline_core` such as `Timeline`, `RowHistory`, `AsOf` or `EnableCapture`"
)]
pub trait Operation {
    /// What the rows decode to.
    type Output;

    /// The statement to run, with every name qualified by `schema`.
    ///
    /// # Errors
    /// [`is_invalid_input`](Error::is_invalid_input) and its more specific siblings when a value of the operation is out
    /// of bounds; the error names the value.
    fn statement(&self, schema: &Schema) -> Result<Statement, Error>;

    /// Reads the rows that [`statement`](Self::statement) returned; each is the JSON text of the one column.
    ///
    /// # Errors
    /// What the operation documents, and [`is_unreadable`](Error::is_unreadable) when the rows are not what the
    /// statement promises, which means that kernel and crate are of incompatible versions.
    fn decode(&self, rows: Vec<String>) -> Result<Self::Output, Error>;
}
