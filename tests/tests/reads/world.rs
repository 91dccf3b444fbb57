//! Random writes to three tables, told to the history as they happen.

use std::collections::BTreeMap;

use fastrand::Rng;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use sqlx::PgConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use threadline::sqlx::{AuditedPool, AuditedTransaction, Error};
use threadline::{Action, ActionStatus, ActorRef, AuditContext, ChangeOp, LinkedChange, Schema, kernel};
use threadline_testkit::{Database, require_server};

use crate::history::{History, Row, value};

const TABLES: &str = r#"
    CREATE TABLE posts (id int PRIMARY KEY, title text, n int, tenant text);
    CREATE SCHEMA app;
    CREATE TABLE app."Odd lines" (owner text, line int, n int, tenant text, PRIMARY KEY (owner, line));
    CREATE TABLE notes (id bigint PRIMARY KEY, title text, n int, tenant text);
"#;

const CAPTURE: &str = r#"
    SELECT threadline.enable_capture('posts', '{}'), threadline.enable_capture('app."Odd lines"', '{}'),
        threadline.enable_capture('notes', '{"images": "lean", "truncate": "refuse"}');
"#;

/// Rows that were there before capture began.
const OLDER: &str = r#"
    INSERT INTO posts (id, n, tenant, title) VALUES (1, 1, 'acme', 'older'), (2, NULL, 'umbrella', 'x'), (6, 2, 'acme', NULL);
    INSERT INTO app."Odd lines" (line, n, owner, tenant) VALUES (1, 1, 'a', 'acme'), (2, 2, 'a', 'umbrella'), (6, 0, 'b''"\', 'acme');
    INSERT INTO notes (id, n, tenant, title) VALUES (1, 1, 'acme', 'older'), (2, NULL, 'umbrella', 'x'), (6, 2, 'acme', 'older');
"#;

/// A table of the world: schema, name, key columns, all columns.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) schema: &'static str,
    pub(crate) name: &'static str,
    pub(crate) key: &'static [&'static str],
    pub(crate) columns: &'static [&'static str],
    lean: bool,
}

const POST: &[&str] = &["id", "title", "n", "tenant"];
const LINE: &[&str] = &["owner", "line", "n", "tenant"];

pub(crate) const WORLD: [Table; 3] = [
    Table { schema: "public", name: "posts", key: &["id"], columns: POST, lean: false },
    Table { schema: "app", name: "Odd lines", key: &["owner", "line"], columns: LINE, lean: false },
    Table { schema: "public", name: "notes", key: &["id"], columns: POST, lean: true },
];

pub(crate) const TENANTS: [&str; 2] = ["acme", "umbrella"];
pub(crate) const ACTIONS: [&str; 3] = ["post.published", "post.moved", "cleanup"];
pub(crate) const CATEGORIES: [&str; 2] = ["editing", "jobs"];

/// The tables as they should be, and everything that happened to them.
pub(crate) struct World {
    pub(crate) database: Database,
    pub(crate) db: AuditedPool,
    pub(crate) random: Rng,
    pub(crate) history: History,
    rows: [BTreeMap<String, Row>; 3],
}

/// A change as the history expects the trail to hold it.
struct Expected {
    table: usize,
    op: ChangeOp,
    key: Value,
    previous_key: Value,
    before: Option<Row>,
    after: Option<Row>,
}

pub(crate) fn actors() -> Vec<Option<ActorRef>> {
    let user = ActorRef::user("1").unwrap();
    vec![
        Some(user.clone()),
        Some(ActorRef::user("2").unwrap()),
        Some(ActorRef::admin("1").unwrap().on_behalf_of(user).unwrap()),
        Some(ActorRef::anonymous()),
        Some(ActorRef::job("nightly").unwrap()),
        None,
    ]
}

pub(crate) fn an_id(random: &mut Rng, kind: &str) -> String {
    format!("{kind}-{}", random.u32(0..4))
}

/// A fresh database with the kernel and the tables.
pub(crate) fn database() -> Database {
    let setup = format!("BEGIN; {} COMMIT; {TABLES} {CAPTURE}", kernel::install_script(&Schema::default()));
    require_server().database_from("reads", &setup).unwrap()
}

pub(crate) fn pool(url: &str) -> AuditedPool {
    let options = url.parse::<PgConnectOptions>().unwrap();
    AuditedPool::new(PgPoolOptions::new().max_connections(2).connect_lazy_with(options))
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let setup = format!("BEGIN; {} COMMIT; {TABLES} {OLDER} {CAPTURE}", kernel::install_script(&Schema::default()));
        let database = require_server().database_from("reads world", &setup).unwrap();
        let db = pool(database.url());
        let mut rows: [BTreeMap<String, Row>; 3] = Default::default();
        let mut history = History::default();
        for (index, table) in WORLD.iter().enumerate() {
            let older = database.query_text(&format!("SELECT to_jsonb(t)::text FROM {} AS t", name(index))).unwrap();
            for row in older {
                let row: Row = serde_json::from_str(row[0].as_deref().unwrap()).unwrap();
                rows[index].insert(key_of(index, &row).to_string(), row);
            }
            history.older.insert((table.schema, table.name), rows[index].clone());
        }
        Self { database, db, random: Rng::with_seed(seed), history, rows }
    }

    /// One audited transaction with some statements, perhaps in two contexts, perhaps with actions.
    pub(crate) async fn write(&mut self) {
        let db = self.db.clone();
        let context = self.context();
        let seen = self.history.entries.iter().map(|entry| entry.change.id.get()).collect::<Vec<_>>();
        let expected = db
            .transaction(&context, async |tx| {
                let mut expected = Vec::new();
                self.statements(tx, &mut expected).await?;
                if self.random.u8(0..4) == 0 {
                    let inner = self.context();
                    tx.nested(Some(&inner), async |tx| {
                        self.statements(tx, &mut expected).await?;
                        Ok::<_, Error>(())
                    })
                    .await?;
                    self.statements(tx, &mut expected).await?;
                }
                Ok::<_, Error>(expected)
            })
            .await
            .unwrap()
            .value;
        self.learn(expected, &seen);
    }

    fn context(&mut self) -> AuditContext {
        let actors = actors();
        let mut context = match &actors[self.random.usize(..actors.len())] {
            Some(actor) => AuditContext::new(actor.clone()),
            None => AuditContext::without_actor().allow_missing_actor(),
        };
        if self.random.bool() {
            context = context.correlation_id(an_id(&mut self.random, "c"));
        }
        if self.random.bool() {
            context = context.request_id(an_id(&mut self.random, "r"));
        }
        if self.random.bool() {
            context = context.job_id(an_id(&mut self.random, "j"));
        }
        if self.random.bool() {
            context = context.meta("tenant", TENANTS[self.random.usize(..TENANTS.len())]);
        }
        context
    }

    fn action(&mut self) -> Action {
        let mut action = Action::new(ACTIONS[self.random.usize(..ACTIONS.len())]);
        if self.random.bool() {
            action = action.category(CATEGORIES[self.random.usize(..CATEGORIES.len())]);
        }
        if self.random.bool() {
            action = action.status(ActionStatus::Error);
        }
        if self.random.bool() {
            action = action.correlation_id(an_id(&mut self.random, "c"));
        }
        action.actor(ActorRef::system("world").unwrap())
    }

    async fn statements(&mut self, tx: &mut AuditedTransaction<'_>, expected: &mut Vec<Expected>) -> Result<(), Error> {
        for _ in 0..self.random.usize(1..4) {
            if self.random.u8(0..3) == 0 {
                tx.record_action(&self.action()).await?;
            }
            self.statement(tx, expected).await?;
        }
        Ok(())
    }

    async fn statement(&mut self, connection: &mut PgConnection, expected: &mut Vec<Expected>) -> Result<(), Error> {
        let table = self.random.usize(..WORLD.len());
        let at = self.random.usize(..self.rows[table].len().max(1));
        let chosen = self.rows[table].values().nth(at).cloned();
        let (sql, changes) = match (self.random.u8(0..20), chosen) {
            (0..6, _) | (_, None) => self.insert(table),
            (6..10, Some(row)) => self.update(table, &row),
            (10, Some(_)) => self.update_all(table),
            (11..13, Some(row)) => self.move_key(table, &row),
            (13..17, Some(row)) => self.delete(table, vec![row]),
            (17, Some(_)) => {
                let rows = self.rows[table].values().cloned().collect();
                self.delete(table, rows)
            }
            (_, Some(_)) if !WORLD[table].lean => self.truncate(table),
            (_, Some(row)) => self.update(table, &row),
        };
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
        for change in &changes {
            if let Some(before) = &change.before {
                self.rows[table].remove(&key_of(table, before).to_string());
            }
        }
        for change in &changes {
            if let Some(after) = &change.after {
                self.rows[table].insert(key_of(table, after).to_string(), after.clone());
            }
        }
        expected.extend(changes);
        Ok(())
    }

    fn a_key(&mut self, table: usize) -> Row {
        let mut key = Row::new();
        for column in WORLD[table].key {
            let value = match *column {
                "owner" => json!(["a", "b'\"\\"][self.random.usize(..2)]),
                _ => json!(self.random.i32(1..7)),
            };
            key.insert((*column).to_owned(), value);
        }
        key
    }

    fn a_value(&mut self, column: &str) -> Value {
        match column {
            "n" if self.random.u8(0..5) == 0 => Value::Null,
            "n" => json!(self.random.i32(0..3)),
            "tenant" => json!(TENANTS[self.random.usize(..TENANTS.len())]),
            _ => json!(["x", "", "a \u{2603}"][self.random.usize(..3)]),
        }
    }

    fn insert(&mut self, table: usize) -> (String, Vec<Expected>) {
        let mut rows: BTreeMap<String, Row> = BTreeMap::new();
        for _ in 0..self.random.usize(1..4) {
            let mut row = self.a_key(table);
            for column in columns(table) {
                let value = self.a_value(column);
                row.insert((*column).to_owned(), value);
            }
            let key = key_of(table, &row).to_string();
            if !self.rows[table].contains_key(&key) {
                rows.insert(key, row);
            }
        }
        let tuples: Vec<String> = rows
            .values()
            .map(|row| format!("({})", row.values().map(literal).collect::<Vec<_>>().join(", ")))
            .collect();
        let Some(first) = rows.values().next() else { return ("SELECT 1".to_owned(), Vec::new()) };
        let names: Vec<&str> = first.keys().map(String::as_str).collect();
        let sql = format!("INSERT INTO {} ({}) VALUES {}", name(table), names.join(", "), tuples.join(", "));
        let changes = rows.into_values().map(|row| change(table, ChangeOp::Insert, None, Some(row)));
        (sql, changes.collect())
    }

    fn update(&mut self, table: usize, row: &Row) -> (String, Vec<Expected>) {
        let column = columns(table)[self.random.usize(..columns(table).len())];
        let value = self.a_value(column);
        let sql = format!("UPDATE {} SET {column} = {} WHERE {}", name(table), literal(&value), is(table, row));
        let mut after = row.clone();
        after.insert(column.to_owned(), value);
        let changes = if after == *row {
            Vec::new()
        } else {
            vec![change(table, ChangeOp::Update, Some(row.clone()), Some(after))]
        };
        (sql, changes)
    }

    fn update_all(&mut self, table: usize) -> (String, Vec<Expected>) {
        let changes = self.rows[table].values().filter(|row| !row["n"].is_null()).map(|row| {
            let mut after = row.clone();
            after.insert("n".to_owned(), json!(row["n"].as_i64().unwrap() + 1));
            change(table, ChangeOp::Update, Some(row.clone()), Some(after))
        });
        (format!("UPDATE {} SET n = n + 1", name(table)), changes.collect())
    }

    fn move_key(&mut self, table: usize, row: &Row) -> (String, Vec<Expected>) {
        let key = self.a_key(table);
        let mut after = row.clone();
        after.extend(key);
        if self.rows[table].contains_key(&key_of(table, &after).to_string()) {
            return self.update(table, row);
        }
        let set: Vec<String> =
            WORLD[table].key.iter().map(|column| format!("{column} = {}", literal(&after[*column]))).collect();
        let sql = format!("UPDATE {} SET {} WHERE {}", name(table), set.join(", "), is(table, row));
        (sql, vec![change(table, ChangeOp::Update, Some(row.clone()), Some(after))])
    }

    fn delete(&mut self, table: usize, rows: Vec<Row>) -> (String, Vec<Expected>) {
        let which: Vec<String> = rows.iter().map(|row| format!("({})", is(table, row))).collect();
        let sql = format!("DELETE FROM {} WHERE {}", name(table), which.join(" OR "));
        (sql, rows.into_iter().map(|row| change(table, ChangeOp::Delete, Some(row), None)).collect())
    }

    fn truncate(&mut self, table: usize) -> (String, Vec<Expected>) {
        self.rows[table].clear();
        let event = Expected {
            table,
            op: ChangeOp::Truncate,
            key: Value::Null,
            previous_key: Value::Null,
            before: None,
            after: None,
        };
        (format!("TRUNCATE {}", name(table)), vec![event])
    }

    /// Takes over what the trail holds now, after comparing it with what was expected.
    fn learn(&mut self, expected: Vec<Expected>, seen: &[i64]) {
        let sql = "SELECT jsonb_build_object('change', to_jsonb(c) - 'key_hash' - 'previous_key_hash', 'transaction', to_jsonb(t),
                'action', to_jsonb(a))::text
            FROM threadline.audit_changes c JOIN threadline.audit_transactions t ON t.id = c.transaction_id
            LEFT JOIN threadline.audit_actions a ON a.id = t.action_id ORDER BY c.captured_at, c.id";
        let mut fresh: Vec<LinkedChange> = Vec::new();
        for row in self.database.query_text(sql).unwrap() {
            let entry: LinkedChange = serde_json::from_str(row[0].as_deref().unwrap()).unwrap();
            if !seen.contains(&entry.change.id.get()) {
                fresh.push(entry);
            }
        }
        assert_eq!(fresh.len(), expected.len(), "every change is recorded, and nothing else");
        // The rows of one statement are recorded in any order.
        for expected in expected {
            let index = fresh.iter().position(|entry| expected.is(entry)).expect("a change as it was made");
            let entry = fresh.remove(index);
            self.history.push(entry, expected.after);
        }
        self.history.sort();
    }
}

impl Expected {
    fn is(&self, entry: &LinkedChange) -> bool {
        let change = &entry.change;
        let table = &WORLD[self.table];
        let whole = |row: &Option<Row>| row.clone().map_or(Value::Null, Value::Object);
        let changed: Row = match (&self.before, &self.after) {
            (Some(before), Some(after)) => before
                .iter()
                .filter(|(name, was)| after[*name] != **was)
                .map(|(name, was)| (name.clone(), was.clone()))
                .collect(),
            _ => Row::new(),
        };
        let fields: Option<Vec<String>> = (self.op == ChangeOp::Update).then(|| changed.keys().cloned().collect());
        let from = if self.op == ChangeOp::Update { Value::Object(changed) } else { whole(&self.before) };
        let after = if table.lean && self.previous_key.is_null() { Value::Null } else { whole(&self.after) };
        (change.table_schema.as_str(), change.table_name.as_str(), change.op) == (table.schema, table.name, self.op)
            && value(change.table_pk.as_ref()) == self.key
            && value(change.previous_pk.as_ref()) == self.previous_key
            && value(change.data_after.as_ref()) == after
            && value(change.changed_from.as_ref()) == from
            && change.changed_fields == fields
    }
}

fn change(table: usize, op: ChangeOp, before: Option<Row>, after: Option<Row>) -> Expected {
    let key = |row: &Option<Row>| row.as_ref().map_or(Value::Null, |row| key_of(table, row));
    let (was, is) = (key(&before), key(&after));
    let previous_key = if op == ChangeOp::Update && was != is { was.clone() } else { Value::Null };
    Expected { table, op, key: if is.is_null() { was } else { is }, previous_key, before, after }
}

pub(crate) fn key_of(table: usize, row: &Row) -> Value {
    WORLD[table].key.iter().map(|column| ((*column).to_owned(), row[*column].clone())).collect::<Row>().into()
}

fn columns(table: usize) -> &'static [&'static str] {
    if table == 1 { &["n", "tenant"] } else { &["title", "n", "tenant"] }
}

fn name(table: usize) -> String {
    format!("{}.\"{}\"", WORLD[table].schema, WORLD[table].name)
}

fn literal(value: &Value) -> String {
    match value {
        Value::String(text) => threadline::quote_literal(text).unwrap(),
        value => value.to_string(),
    }
}

fn is(table: usize, row: &Row) -> String {
    let columns: Vec<String> =
        WORLD[table].key.iter().map(|column| format!("{column} = {}", literal(&row[*column]))).collect();
    columns.join(" AND ")
}
