//! Which tables of an application are audited.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{CapturePolicy, Error, error::Kind, quote_identifier};

/// A table to audit and the policy it is captured under.
///
/// # Examples
/// ```
/// use threadline_core::{AuditedTable, CapturePolicy};
///
/// let posts = AuditedTable::new("public", "posts").policy(CapturePolicy::new().mask(["author_email"]));
/// assert_eq!(posts.to_string(), "public.posts");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
#[must_use]
pub struct AuditedTable {
    /// The schema it lives in, as PostgreSQL stores the name.
    pub schema: String,
    /// Its name, as PostgreSQL stores it.
    pub table: String,
    /// What is captured of it.
    #[serde(default)]
    pub policy: CapturePolicy,
}

impl AuditedTable {
    /// A table captured under the default policy.
    pub fn new(schema: impl Into<String>, table: impl Into<String>) -> Self {
        Self { schema: schema.into(), table: table.into(), policy: CapturePolicy::new() }
    }

    /// The same table under this policy.
    pub fn policy(mut self, policy: CapturePolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Checks the names and the policy, without a look at the database.
    ///
    /// # Errors
    /// [`is_invalid_input`](Error::is_invalid_input) for an impossible name and
    /// [`is_invalid_policy`](Error::is_invalid_policy) for the policy; [`table`](Error::table) names the table.
    pub fn validate(&self) -> Result<(), Error> {
        qualified(&self.schema, &self.table)?;
        self.policy.validate().map_err(|error| error.table_name(&self.schema, &self.table))
    }
}

impl fmt::Display for AuditedTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

/// The quoted and qualified name of a table, as a cast to regclass reads it.
pub(crate) fn qualified(schema: &str, table: &str) -> Result<String, Error> {
    Ok(format!("{}.{}", quote_identifier(schema)?, quote_identifier(table)?))
}

/// The tables that an application wants audited: what is installed, checked by coverage and typed by the derive macro.
///
/// # Examples
/// ```
/// use threadline_core::{AuditedTable, CapturePolicy, Manifest};
///
/// let manifest = Manifest::new()
///     .table(AuditedTable::new("public", "posts").policy(CapturePolicy::new().require_actor()))
///     .table(AuditedTable::new("public", "comments"));
/// manifest.validate()?;
/// assert_eq!(manifest.tables().len(), 2);
///
/// let twice = manifest.table(AuditedTable::new("public", "posts"));
/// assert!(twice.validate().unwrap_err().is_invalid_policy());
/// # Ok::<(), threadline_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
#[must_use]
pub struct Manifest {
    tables: Vec<AuditedTable>,
}

impl Manifest {
    /// No table.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more table.
    pub fn table(mut self, table: AuditedTable) -> Self {
        self.tables.push(table);
        self
    }

    /// The tables in the order they were added.
    pub fn tables(&self) -> &[AuditedTable] {
        &self.tables
    }

    /// Checks every table, and that none is named twice.
    ///
    /// # Errors
    /// As for [`AuditedTable::validate`]; a table named twice is [`is_invalid_policy`](Error::is_invalid_policy).
    pub fn validate(&self) -> Result<(), Error> {
        for (index, table) in self.tables.iter().enumerate() {
            table.validate()?;
            let earlier = self.tables.iter().take(index);
            if earlier.into_iter().any(|other| other.schema == table.schema && other.table == table.table) {
                return Err(Error::new(Kind::InvalidPolicy, format!("table {table} is named twice in the manifest"))
                    .table_name(&table.schema, &table.table)
                    .remedy_text("Name it once, under one policy"));
            }
        }
        Ok(())
    }
}

impl FromIterator<AuditedTable> for Manifest {
    fn from_iter<I: IntoIterator<Item = AuditedTable>>(tables: I) -> Self {
        Self { tables: tables.into_iter().collect() }
    }
}

impl Extend<AuditedTable> for Manifest {
    fn extend<I: IntoIterator<Item = AuditedTable>>(&mut self, tables: I) {
        self.tables.extend(tables);
    }
}

impl<'a> IntoIterator for &'a Manifest {
    type Item = &'a AuditedTable;
    type IntoIter = std::slice::Iter<'a, AuditedTable>;

    fn into_iter(self) -> Self::IntoIter {
        self.tables.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_a_json_list() {
        let manifest: Manifest = [
            AuditedTable::new("public", "posts").policy(CapturePolicy::new().mask(["email"])),
            AuditedTable::new("app", "Odd table"),
        ]
        .into_iter()
        .collect();
        let json = serde_json::to_string(&manifest).unwrap();
        insta::assert_snapshot!("manifest", json);
        assert_eq!(serde_json::from_str::<Manifest>(&json).unwrap(), manifest);
    }

    #[test]
    fn a_policy_error_names_the_table() {
        let table = AuditedTable::new("public", "posts").policy(CapturePolicy::new().exclude(["a"]).mask(["a"]));
        let error = Manifest::new().table(table).validate().unwrap_err();
        assert_eq!((error.table(), error.column()), (Some("public.posts"), Some("a")));
        assert!(Manifest::new().table(AuditedTable::new("", "posts")).validate().unwrap_err().is_invalid_input());
    }
}
