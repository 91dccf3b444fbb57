//! Whose changes a reader may see.

use serde_json::Value;

use super::{conditions::Conditions, image};
use crate::{
    Error, Json,
    bounds::{self, Limit},
};

/// Which part of the trail a reader may see: a tenant's, for example. Several conditions must all hold.
///
/// A scope narrows a read beyond its filters, and cannot be widened by them. A read without a match looks the same whether
/// there is nothing or nothing in scope.
///
/// # Examples
/// ```
/// use threadline_core::{Operation, Schema, Scope, Timeline};
///
/// // Every audited transaction says `context.meta("tenant", "acme")`.
/// let acme = Scope::meta("tenant", "acme");
/// // Or: the rows have a column.
/// let acme_rows = Scope::field("tenant_id", 7);
/// let timeline = Timeline::new().table("posts").scope(&acme);
/// assert!(timeline.statement(&Schema::default())?.sql().contains("t.meta"));
/// # Ok::<(), threadline_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Scope {
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq)]
enum Condition {
    Meta(String, Value),
    Field(String, Value),
    Schemas(Vec<String>),
}

impl Scope {
    /// Changes made in a context whose notes have this value under this key ([`AuditContext::meta`]).
    ///
    /// [`AuditContext::meta`]: crate::AuditContext::meta
    pub fn meta(key: impl Into<String>, value: impl Into<Value>) -> Self {
        Self { conditions: vec![Condition::Meta(key.into(), value.into())] }
    }

    /// Changes of rows that have this value in this column, after the change or, when it went away, before.
    ///
    /// A change that does not tell (under lean images, for example) is out of scope. So is one that brought the row from
    /// another value: what it was before is somebody else's.
    pub fn field(column: impl Into<String>, value: impl Into<Value>) -> Self {
        Self { conditions: vec![Condition::Field(column.into(), value.into())] }
    }

    /// Changes of tables that were in one of these schemas when they were recorded: one schema for each tenant.
    pub fn schemas<S: Into<String>>(schemas: impl IntoIterator<Item = S>) -> Self {
        Self { conditions: vec![Condition::Schemas(schemas.into_iter().map(Into::into).collect())] }
    }

    /// Only what is in both.
    pub fn and(mut self, other: Self) -> Self {
        self.conditions.extend(other.conditions);
        self
    }

    fn validate(&self) -> Result<(), Error> {
        for condition in &self.conditions {
            let (names, value): (&[String], Option<&Value>) = match condition {
                Condition::Meta(name, value) | Condition::Field(name, value) => {
                    (std::slice::from_ref(name), Some(value))
                }
                Condition::Schemas(names) => (names, None),
            };
            let remedy = "Say whose changes the reader may see, or `unscoped`";
            for name in names {
                bounds::line(name, Limit::Bytes(256))
                    .map_err(|problem| Error::invalid_input("scope", &problem, remedy))?;
            }
            if let Some(value) = value
                && (value.is_null() || bounds::json_has_nul(value))
            {
                return Err(Error::invalid_input("scope", "has a value that nothing can be equal to", remedy));
            }
        }
        Ok(())
    }

    /// The same without the conditions on columns.
    pub(super) fn without_fields(&self) -> Self {
        let others = self.conditions.iter().filter(|condition| !matches!(condition, Condition::Field(..)));
        Self { conditions: others.cloned().collect() }
    }

    /// Whether it asks for nothing but columns' values.
    pub(super) fn has_fields_only(&self) -> bool {
        self.conditions.iter().all(|condition| matches!(condition, Condition::Field(..)))
    }

    /// Whether a row has the values that it asks for.
    pub(super) fn fields_are_in(&self, row: &Json) -> Result<bool, Error> {
        for condition in &self.conditions {
            if let Condition::Field(column, value) = condition
                && !image::has(row, column, value)?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A condition on one change `c` with the parameters that are there already.
    pub(super) fn of_change(&self, conditions: &mut Conditions) -> Result<String, Error> {
        let mut own = std::mem::take(conditions).with_params();
        self.conditions(&mut own)?;
        let text = own.of_change_and_transaction(&[]);
        *conditions = own.with_params();
        Ok(if text.is_empty() { "true".to_owned() } else { text })
    }

    pub(super) fn conditions(&self, conditions: &mut Conditions) -> Result<(), Error> {
        self.validate()?;
        for condition in &self.conditions {
            match condition {
                Condition::Meta(key, value) => {
                    let (key, value) = (conditions.text(key), conditions.text(value.to_string()));
                    conditions.on_transaction(format!("t.meta -> {key} = {value}::jsonb"));
                }
                Condition::Field(column, value) => {
                    let (column, value) = (conditions.text(column), conditions.text(value.to_string()));
                    conditions.on_change(format!(
                        "coalesce(c.data_after, c.changed_from) -> {column} = {value}::jsonb \
                         AND coalesce(c.changed_from -> {column}, {value}::jsonb) = {value}::jsonb"
                    ));
                }
                Condition::Schemas(schemas) => {
                    let schemas: Vec<String> = schemas.iter().map(|schema| conditions.text(schema)).collect();
                    conditions.on_change(match schemas.as_slice() {
                        [] => "false".to_owned(),
                        schemas => format!("c.table_schema IN ({})", schemas.join(", ")),
                    });
                }
            }
        }
        Ok(())
    }
}

/// A read that a [`Scope`] can narrow.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read in a scope",
    note = "say `unscoped()` on the handle to read it without one"
)]
pub trait ScopedRead: Clone {
    /// The same read, of what is in scope. A second scope narrows further.
    #[must_use]
    fn in_scope(self, scope: &Scope) -> Self;
}

/// Adds a scope to what is there.
pub(super) fn narrow(present: &mut Option<Scope>, scope: &Scope) {
    *present = Some(match present.take() {
        Some(present) => present.and(scope.clone()),
        None => scope.clone(),
    });
}
