//! Whether the kernel is there, and its housekeeping.

use crate::{Error, Operation, Schema, Statement, decode, quote_literal};

/// The version of the installed kernel; `None` when the schema or the kernel in it does not exist.
///
/// Needs the right to read the kernel's `kernel_versions` table.
#[derive(Clone, Copy, Debug)]
pub struct InstalledVersion;

impl Operation for InstalledVersion {
    type Output = Option<u32>;

    fn statement(&self, schema: &Schema) -> Result<Statement, Error> {
        let table = format!("{}.kernel_versions", schema.quoted());
        let query = format!(
            "SELECT pg_catalog.array_to_tsvector(ARRAY[pg_catalog.max(version)::text]) FROM {table} HAVING pg_catalog.max(version) IS NOT NULL"
        );
        let (table, query) = (quote_literal(&table)?, quote_literal(&query)?);
        // A statement that names a missing table does not even parse. ts_stat runs a query that it is given as text, so
        // the table is looked at only when it is there: in one statement, and without a function of ours.
        Ok(Statement::new(format!(
            "SELECT CASE WHEN pg_catalog.to_regclass({table}) IS NULL THEN 'null' ELSE \
             (SELECT COALESCE(pg_catalog.max(s.word), 'null') FROM pg_catalog.ts_stat({query}) AS s) END"
        )))
    }

    fn decode(&self, rows: Vec<String>) -> Result<Option<u32>, Error> {
        decode::only_row(&rows, "the version of the kernel")
    }
}

/// Creates the monthly partitions of the trail from the current month on; answers how many were created.
///
/// # Examples
/// ```
/// use threadline_core::{CreatePartitions, Operation, Schema};
///
/// let operation = CreatePartitions::months_ahead(6);
/// assert_eq!(operation.statement(&Schema::default())?.params(), [Some("6".to_owned())]);
/// assert_eq!(operation.decode(vec!["14".to_owned()])?, 14);
/// # Ok::<(), threadline_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CreatePartitions {
    months_ahead: u16,
}

impl CreatePartitions {
    /// The longest time ahead the kernel prepares for: ten years.
    pub const MAX_MONTHS_AHEAD: u16 = 120;

    /// Partitions for the current month and this many after it, 0 to 120.
    #[must_use]
    pub fn months_ahead(months_ahead: u16) -> Self {
        Self { months_ahead }
    }
}

impl Operation for CreatePartitions {
    type Output = u32;

    fn statement(&self, schema: &Schema) -> Result<Statement, Error> {
        if self.months_ahead > Self::MAX_MONTHS_AHEAD {
            return Err(Error::invalid_input("months_ahead", "is more than 120", "Six months ahead is the default"));
        }
        let sql = "SELECT {schema}.create_partitions($1::text::integer)::text";
        Ok(Statement::new(schema.expand(sql)).bind(self.months_ahead.to_string()))
    }

    fn decode(&self, rows: Vec<String>) -> Result<u32, Error> {
        decode::only_row(&rows, "the number of partitions")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements() {
        let schema = Schema::new("an \"odd\" one").unwrap();
        insta::assert_snapshot!("installed_version", InstalledVersion.statement(&schema).unwrap().snapshot());
        let partitions = CreatePartitions::months_ahead(6).statement(&schema).unwrap();
        insta::assert_snapshot!("create_partitions", partitions.snapshot());
    }

    #[test]
    fn no_kernel_is_no_version() {
        assert_eq!(InstalledVersion.decode(vec!["null".to_owned()]).unwrap(), None);
        assert_eq!(InstalledVersion.decode(vec!["2".to_owned()]).unwrap(), Some(2));
    }

    #[test]
    fn too_far_ahead_is_refused() {
        let error = CreatePartitions::months_ahead(121).statement(&Schema::default()).unwrap_err();
        assert!(error.is_invalid_input());
        assert_eq!(error.setting(), Some("months_ahead"));
    }
}
