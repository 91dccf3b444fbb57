//! A plain history in memory, and what the reads should say about it.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde_json::{Map, Value};
use threadline::{ActorRef, AuditChange, ChangeOp, Json, LinkedChange};
use time::OffsetDateTime;

use crate::world::{Table, WORLD};

/// A row of a table, by column.
pub(crate) type Row = Map<String, Value>;

/// Everything that happened, in the order of the trail.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) entries: Vec<LinkedChange>,
    /// The whole rows after the entries, which the trail does not always hold.
    rows: Vec<Option<Row>>,
    /// The rows that each table had before capture began, by key.
    pub(crate) older: BTreeMap<(&'static str, &'static str), BTreeMap<String, Row>>,
}

/// What a read asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) tables: Vec<(&'static str, &'static str)>,
    pub(crate) key: Option<Value>,
    pub(crate) ops: Vec<ChangeOp>,
    pub(crate) actor: Option<Option<ActorRef>>,
    pub(crate) action: Option<&'static str>,
    pub(crate) action_id: Option<i64>,
    pub(crate) category: Option<&'static str>,
    pub(crate) status: Option<&'static str>,
    pub(crate) correlation_id: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) job_id: Option<String>,
    pub(crate) transaction: Option<i64>,
    pub(crate) changed_fields: Vec<&'static str>,
    pub(crate) since: Option<OffsetDateTime>,
    pub(crate) until: Option<OffsetDateTime>,
    pub(crate) scope: Option<Bounds>,
}

#[derive(Clone, Debug)]
pub(crate) enum Bounds {
    Meta(&'static str),
    Field(&'static str),
    Schema(&'static str),
}

/// What is known of a key at an instant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Then {
    Never,
    Row(Row),
    Deleted,
    Moved(Value),
}

pub(crate) fn value(json: Option<&Json>) -> Value {
    json.map_or(Value::Null, |json| serde_json::from_str(json.get()).unwrap())
}

impl Wanted {
    pub(crate) fn matches(&self, entry: &LinkedChange) -> bool {
        let change = &entry.change;
        let transaction = entry.transaction.as_ref().unwrap();
        let action = entry.action.as_ref();
        let any = |tables: &[(&str, &str)]| {
            tables.is_empty()
                || tables.iter().any(|(schema, table)| {
                    (schema.is_empty() || change.table_schema == *schema)
                        && (table.is_empty() || change.table_name == *table)
                })
        };
        let key = |key: &Value| {
            change.op == ChangeOp::Truncate
                || value(change.table_pk.as_ref()) == *key
                || change.previous_pk.is_some() && value(change.previous_pk.as_ref()) == *key
        };
        let is = |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
        any(&self.tables)
            && self.key.as_ref().is_none_or(key)
            && (self.ops.is_empty() || self.ops.contains(&change.op))
            && self.actor.as_ref().is_none_or(|wanted| same_actor(wanted.as_ref(), transaction.actor.as_ref()))
            && self.action.is_none_or(|name| action.is_some_and(|action| action.name == name))
            && self.action_id.is_none_or(|id| action.is_some_and(|action| action.id.get() == id))
            && self.category.is_none_or(|category| action.is_some_and(|a| a.category.as_deref() == Some(category)))
            && self.status.is_none_or(|status| action.is_some_and(|action| action.status.as_str() == status))
            && self.correlation_id.as_ref().is_none_or(|id| {
                transaction.correlation_id.as_ref() == Some(id)
                    || action.is_some_and(|action| action.correlation_id.as_ref() == Some(id))
            })
            && is(&self.request_id, &transaction.request_id)
            && is(&self.job_id, &transaction.job_id)
            && self.transaction.is_none_or(|id| transaction.id.get() == id)
            && (self.changed_fields.is_empty()
                || change.changed_fields.iter().flatten().any(|field| self.changed_fields.contains(&field.as_str())))
            && self.since.is_none_or(|since| change.captured_at >= since)
            && self.until.is_none_or(|until| change.captured_at <= until)
            && self.scope.as_ref().is_none_or(|scope| scope.holds(entry))
    }

    /// The fields that are no column of any table that is meant.
    pub(crate) fn unknown_fields(&self) -> Vec<&'static str> {
        let is_meant = |table: &&Table| {
            self.tables.is_empty()
                || self.tables.iter().any(|(schema, name)| {
                    (schema.is_empty() || *schema == table.schema) && (name.is_empty() || *name == table.name)
                })
        };
        let known: Vec<&str> = WORLD.iter().filter(is_meant).flat_map(|table| table.columns).copied().collect();
        self.changed_fields.iter().copied().filter(|field| !known.contains(field)).collect()
    }

    /// Whether the reads should refuse it, because nothing narrows it.
    pub(crate) fn is_too_broad(&self) -> bool {
        let narrow = self.tables.iter().any(|(_, table)| !table.is_empty())
            || self.actor.is_some()
            || self.action.is_some()
            || self.action_id.is_some()
            || self.correlation_id.is_some()
            || self.request_id.is_some()
            || self.job_id.is_some()
            || self.transaction.is_some()
            || self.since.is_some();
        let broad =
            !self.ops.is_empty() || !self.changed_fields.is_empty() || self.category.is_some() || self.status.is_some();
        broad && !narrow
    }
}

fn same_actor(wanted: Option<&ActorRef>, found: Option<&ActorRef>) -> bool {
    match (wanted, found) {
        (None, None) => true,
        (Some(wanted), Some(found)) => {
            wanted.kind() == found.kind()
                && wanted.id() == found.id()
                && wanted.principal().is_none_or(|principal| found.principal() == Some(principal))
        }
        _ => false,
    }
}

impl Bounds {
    fn holds(&self, entry: &LinkedChange) -> bool {
        match self {
            Self::Meta(tenant) => {
                let meta = value(entry.transaction.as_ref().unwrap().meta.as_ref());
                meta.get("tenant") == Some(&Value::from(*tenant))
            }
            Self::Field(tenant) => {
                let (after, before) =
                    (value(entry.change.data_after.as_ref()), value(entry.change.changed_from.as_ref()));
                let image = if after.is_null() { &before } else { &after };
                image.get("tenant") == Some(&Value::from(*tenant))
                    && before.get("tenant").is_none_or(|was| was == *tenant)
            }
            Self::Schema(schema) => entry.change.table_schema == *schema,
        }
    }
}

impl History {
    pub(crate) fn push(&mut self, entry: LinkedChange, row: Option<Row>) {
        self.entries.push(entry);
        self.rows.push(row);
    }

    /// Brings the entries into the order of the trail, and the rows with them.
    pub(crate) fn sort(&mut self) {
        let mut both: Vec<_> = self.entries.drain(..).zip(self.rows.drain(..)).collect();
        both.sort_by_key(|(entry, _)| (entry.change.captured_at, entry.change.id));
        (self.entries, self.rows) = both.into_iter().unzip();
    }

    /// What matches, newest first.
    pub(crate) fn matching(&self, wanted: &Wanted) -> Vec<LinkedChange> {
        let mut found: Vec<_> = self.entries.iter().filter(|entry| wanted.matches(entry)).cloned().collect();
        found.sort_by_key(|entry| Reverse((entry.change.captured_at, entry.change.id)));
        found
    }

    /// What is known of each key of a table at an instant.
    pub(crate) fn at(&self, schema: &str, table: &str, at: OffsetDateTime) -> BTreeMap<String, Then> {
        let older = self.older.get(&(schema, table));
        let mut keys: BTreeMap<String, Then> =
            older.into_iter().flatten().map(|(key, row)| (key.clone(), Then::Row(row.clone()))).collect();
        let mut untouched: Vec<String> = keys.keys().cloned().collect();
        for (entry, row) in self.entries.iter().zip(&self.rows) {
            let change = &entry.change;
            if (change.table_schema.as_str(), change.table_name.as_str()) != (schema, table) || change.captured_at > at
            {
                continue;
            }
            if change.op == ChangeOp::Truncate {
                // Of rows older than capture that it took nothing tells.
                for key in untouched.drain(..) {
                    keys.remove(&key);
                }
                keys.values_mut().filter(|then| matches!(then, Then::Row(_))).for_each(|then| *then = Then::Deleted);
                continue;
            }
            let key = value(change.table_pk.as_ref());
            let (now, before) = (key.to_string(), value(change.previous_pk.as_ref()).to_string());
            untouched.retain(|older| *older != now && *older != before);
            if change.previous_pk.is_some() {
                keys.insert(value(change.previous_pk.as_ref()).to_string(), Then::Moved(key.clone()));
            }
            let then = match row {
                Some(row) => Then::Row(row.clone()),
                None => Then::Deleted,
            };
            keys.insert(key.to_string(), then);
        }
        keys
    }

    /// Whether the row that had this key at an instant was older than capture and went with a TRUNCATE, without anything that
    /// tells of it.
    pub(crate) fn is_lost(&self, schema: &str, table: &str, key: &str, at: OffsetDateTime) -> bool {
        let is_key = |json: &Option<Json>| {
            let text = value(json.as_ref()).to_string();
            text == key
        };
        let touches = |change: &AuditChange| {
            change.op == ChangeOp::Truncate || is_key(&change.table_pk) || is_key(&change.previous_pk)
        };
        let of_table = |change: &&AuditChange| change.table_schema == schema && change.table_name == table;
        let first = self.entries.iter().map(|entry| &entry.change).filter(of_table).find(|change| touches(change));
        let is_older = self.older.iter().any(|((s, t), rows)| (*s, *t) == (schema, table) && rows.contains_key(key));
        is_older && first.is_some_and(|change| change.op == ChangeOp::Truncate && change.captured_at > at)
    }
}
