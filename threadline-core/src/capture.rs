//! Switching capture on and off, table by table.

use crate::{AuditedTable, Error, Operation, Schema, Statement, decode, manifest::qualified};

/// The script that [`EnableCapture`] would run for a table, comments included; nothing is changed.
///
/// # Examples
/// ```
/// use threadline_core::{AuditedTable, Operation, PlanCapture, Schema};
///
/// let operation = PlanCapture::new(AuditedTable::new("public", "posts"));
/// assert_eq!(
///     operation.statement(&Schema::default())?.params(),
///     [Some(r#""public"."posts""#.to_owned()), Some("{}".to_owned())],
/// );
/// # Ok::<(), threadline_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PlanCapture(AuditedTable);

/// Captures a table from now on, or changes the policy of one that is captured; answers the script that was run.
///
/// The kernel refuses what cannot be captured with [`is_unsupported_table`](Error::is_unsupported_table),
/// [`is_unknown_column`](Error::is_unknown_column) or [`is_invalid_policy`](Error::is_invalid_policy).
#[derive(Clone, Debug)]
pub struct EnableCapture(AuditedTable);

/// Generates the capture of a table again under its recorded policy, after its columns, key or name changed; answers the
/// script that was run. A table that is not captured is [`is_not_captured`](Error::is_not_captured).
#[derive(Clone, Debug)]
pub struct RefreshCapture {
    schema: String,
    table: String,
}

/// Stops capturing a table; its history stays. A table that is not captured is
/// [`is_not_captured`](Error::is_not_captured).
#[derive(Clone, Debug)]
pub struct DisableCapture {
    schema: String,
    table: String,
}

impl PlanCapture {
    /// The plan for this table under its policy.
    #[must_use]
    pub fn new(table: AuditedTable) -> Self {
        Self(table)
    }
}

impl EnableCapture {
    /// Captures this table under its policy.
    #[must_use]
    pub fn new(table: AuditedTable) -> Self {
        Self(table)
    }
}

impl RefreshCapture {
    /// Generates the capture of this table again.
    #[must_use]
    pub fn new(schema: impl Into<String>, table: impl Into<String>) -> Self {
        Self { schema: schema.into(), table: table.into() }
    }
}

impl DisableCapture {
    /// Stops capturing this table.
    #[must_use]
    pub fn new(schema: impl Into<String>, table: impl Into<String>) -> Self {
        Self { schema: schema.into(), table: table.into() }
    }
}

/// What a script comes back as.
const SCRIPT: &str = "the capture script";

impl Operation for PlanCapture {
    type Output = String;

    fn statement(&self, schema: &Schema) -> Result<Statement, Error> {
        with_policy(schema, "capture_plan", &self.0)
    }

    fn decode(&self, rows: Vec<String>) -> Result<String, Error> {
        decode::only_row(&rows, SCRIPT)
    }
}

impl Operation for EnableCapture {
    type Output = String;

    fn statement(&self, schema: &Schema) -> Result<Statement, Error> {
        with_policy(schema, "enable_capture", &self.0)
    }

    fn decode(&self, rows: Vec<String>) -> Result<String, Error> {
        decode::only_row(&rows, SCRIPT)
    }
}

impl Operation for RefreshCapture {
    type Output = String;

    fn statement(&self, schema: &Schema) -> Result<Statement, Error> {
        let sql = "SELECT pg_catalog.to_json({schema}.refresh_capture($1::text::regclass))::text";
        Ok(Statement::new(schema.expand(sql)).bind(qualified(&self.schema, &self.table)?))
    }

    fn decode(&self, rows: Vec<String>) -> Result<String, Error> {
        decode::only_row(&rows, SCRIPT)
    }
}

impl Operation for DisableCapture {
    type Output = ();

    fn statement(&self, schema: &Schema) -> Result<Statement, Error> {
        let sql = "SELECT pg_catalog.to_json({schema}.disable_capture($1::text::regclass)::text)::text";
        Ok(Statement::new(schema.expand(sql)).bind(qualified(&self.schema, &self.table)?))
    }

    fn decode(&self, rows: Vec<String>) -> Result<(), Error> {
        decode::only_row::<String>(&rows, "the answer of disable_capture").map(drop)
    }
}

fn with_policy(schema: &Schema, function: &str, table: &AuditedTable) -> Result<Statement, Error> {
    let policy = table.policy.to_json().map_err(|error| error.table_name(&table.schema, &table.table))?;
    let sql =
        format!("SELECT pg_catalog.to_json({}.{function}($1::text::regclass, $2::text::jsonb))::text", schema.quoted());
    Ok(Statement::new(sql).bind(qualified(&table.schema, &table.table)?).bind(policy))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CapturePolicy;

    #[test]
    fn statements() {
        let schema = Schema::default();
        let table = AuditedTable::new("public", "Odd \"table\"").policy(CapturePolicy::new().lean());
        insta::assert_snapshot!("plan", PlanCapture::new(table.clone()).statement(&schema).unwrap().snapshot());
        insta::assert_snapshot!("enable", EnableCapture::new(table).statement(&schema).unwrap().snapshot());
        let refresh = RefreshCapture::new("public", "posts").statement(&schema).unwrap();
        insta::assert_snapshot!("refresh", refresh.snapshot());
        let disable = DisableCapture::new("public", "posts").statement(&schema).unwrap();
        insta::assert_snapshot!("disable", disable.snapshot());
    }

    #[test]
    fn answers() {
        let plan = PlanCapture::new(AuditedTable::new("public", "posts"));
        assert_eq!(plan.decode(vec![r#""-- script\n""#.to_owned()]).unwrap(), "-- script\n");
        DisableCapture::new("public", "posts").decode(vec!["\"\"".to_owned()]).unwrap();
    }

    #[test]
    fn an_invalid_policy_never_reaches_the_database() {
        let table = AuditedTable::new("public", "posts").policy(CapturePolicy::new().exclude(["a"]).mask(["a"]));
        let error = EnableCapture::new(table).statement(&Schema::default()).unwrap_err();
        assert!(error.is_invalid_policy());
        assert_eq!(error.table(), Some("public.posts"));
    }
}
