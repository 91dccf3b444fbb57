//! Which changes are meant.

use time::OffsetDateTime;

use super::{conditions::Conditions, row_history::table_name, row_key::RowKey, scope::Scope};
use crate::{
    ActionId, ActionStatus, ActorRef, ChangeOp, Error, TransactionId,
    bounds::{self, Limit},
    context::MAX_ID_BYTES,
};

/// The longest action name and category, in characters.
const MAX_ACTION_CHARACTERS: usize = 255;
/// The most tables, and the most fields, that one read can name.
const MOST_NAMES: usize = 100;

/// A table by the name it has today; without a schema, every table called so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TableFilter {
    pub(super) schema: Option<String>,
    pub(super) table: String,
}

/// Every filter that a read of changes knows. Several values of one filter mean any of them; several filters, all of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Filters {
    pub(super) schema: Option<String>,
    pub(super) tables: Vec<TableFilter>,
    pub(super) key: Option<RowKey>,
    pub(super) ops: Vec<ChangeOp>,
    pub(super) actor: Option<Option<ActorRef>>,
    pub(super) action: Option<String>,
    pub(super) action_id: Option<ActionId>,
    pub(super) action_category: Option<String>,
    pub(super) action_status: Option<ActionStatus>,
    pub(super) correlation_id: Option<String>,
    pub(super) request_id: Option<String>,
    pub(super) job_id: Option<String>,
    pub(super) transaction: Option<TransactionId>,
    pub(super) changed_fields: Vec<String>,
    pub(super) since: Option<OffsetDateTime>,
    pub(super) until: Option<OffsetDateTime>,
    pub(super) scope: Option<Scope>,
}

/// Where the changes are looked for.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// In every table.
    Everywhere,
    /// In tables, today and under former names.
    Tables,
    /// In one row.
    Row(Row<'a>),
}

/// One row of one table.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) schema: &'a str,
    pub(super) table: &'a str,
    pub(super) key: &'a RowKey,
}

impl Filters {
    /// The tables with the schema that was said for all of them.
    pub(super) fn named_tables(&self) -> Vec<(Option<&str>, Option<&str>)> {
        if self.tables.is_empty() {
            return self.schema.as_deref().map(|schema| vec![(Some(schema), None)]).unwrap_or_default();
        }
        let of_all = self.schema.as_deref();
        self.tables.iter().map(|table| (table.schema.as_deref().or(of_all), Some(table.table.as_str()))).collect()
    }

    pub(super) fn place(&self) -> Result<Place<'_>, Error> {
        let Some(key) = &self.key else {
            let named = !self.tables.is_empty() || self.schema.is_some();
            return Ok(if named { Place::Tables } else { Place::Everywhere });
        };
        match self.named_tables().as_slice() {
            [(Some(schema), Some(table))] => Ok(Place::Row(Row { schema, table, key })),
            _ => {
                let remedy = "Name schema and table of the row as well, and no other table";
                Err(Error::invalid_input("key", "needs a schema and one table", remedy))
            }
        }
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        self.validate_values()?;
        self.validate_effort()
    }

    /// Refuses values that cannot match anything.
    pub(super) fn validate_values(&self) -> Result<(), Error> {
        if let Some(schema) = &self.schema {
            table_name(schema, "schema")?;
        }
        for table in &self.tables {
            table_name(&table.table, "table")?;
            if let Some(schema) = &table.schema {
                table_name(schema, "schema")?;
            }
        }
        for field in &self.changed_fields {
            table_name(field, "changed_field")?;
        }
        for (setting, names) in [("table", self.tables.len()), ("changed_field", self.changed_fields.len())] {
            if names > MOST_NAMES {
                let problem = format!("is given more than {MOST_NAMES} times");
                return Err(Error::invalid_input(setting, &problem, "Ask for fewer at a time"));
            }
        }
        let lines = [
            ("action", &self.action, Limit::Characters(MAX_ACTION_CHARACTERS)),
            ("action_category", &self.action_category, Limit::Characters(MAX_ACTION_CHARACTERS)),
            ("correlation_id", &self.correlation_id, Limit::Bytes(MAX_ID_BYTES)),
            ("request_id", &self.request_id, Limit::Bytes(MAX_ID_BYTES)),
            ("job_id", &self.job_id, Limit::Bytes(MAX_ID_BYTES)),
        ];
        for (setting, text, limit) in lines {
            if let Some(text) = text {
                bounds::line(text, limit).map_err(|problem| {
                    Error::invalid_input(setting, &problem, "Give the value to look for, or leave the filter out")
                })?;
            }
        }
        if let (Some(since), Some(until)) = (self.since, self.until)
            && since > until
        {
            return Err(Error::invalid_input("since", "is later than until", "Swap the two, or leave one out"));
        }
        Ok(())
    }

    /// Refuses what would have to look at the whole trail: filters that no index helps with, on their own.
    fn validate_effort(&self) -> Result<(), Error> {
        let narrow = !self.tables.is_empty()
            || self.actor.is_some()
            || self.action.is_some()
            || self.action_id.is_some()
            || self.correlation_id.is_some()
            || self.request_id.is_some()
            || self.job_id.is_some()
            || self.transaction.is_some()
            || self.since.is_some();
        if narrow {
            return Ok(());
        }
        let broad = [
            ("op", !self.ops.is_empty()),
            ("changed_field", !self.changed_fields.is_empty()),
            ("action_category", self.action_category.is_some()),
            ("action_status", self.action_status.is_some()),
        ];
        match broad.into_iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((setting, _)) => Err(Error::invalid_input(
                setting,
                "alone would have to look at the whole trail",
                "Add a table, key, transaction, actor, action, correlation, request or job id, or a since",
            )),
        }
    }

    pub(super) fn conditions(&self, conditions: &mut Conditions) -> Result<(), Error> {
        conditions.ops(&self.ops);
        conditions.changed_fields(&self.changed_fields);
        if let Some(id) = self.transaction {
            conditions.transaction(id);
        }
        conditions.between(self.since, self.until)?;
        match &self.actor {
            Some(Some(actor)) => conditions.actor(actor),
            Some(None) => conditions.nobody(),
            None => {}
        }
        conditions.action(self.action_id, self.action.as_deref(), self.action_category.as_deref(), self.action_status);
        if let Some(id) = &self.correlation_id {
            conditions.correlation(id);
        }
        for (column, id) in [("request_id", &self.request_id), ("job_id", &self.job_id)] {
            if let Some(id) = id {
                conditions.of_transaction(column, id);
            }
        }
        if let Some(scope) = &self.scope {
            scope.conditions(conditions)?;
        }
        Ok(())
    }
}
