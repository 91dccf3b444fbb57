//! What a database with captured tables holds, looked at from outside: over sessions of their own that no pool knows.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot look fails by panicking")]

use crate::{Database, until};

/// The tables that the adapters' tests write to, captured by a kernel in the schema `threadline`:
///
/// - `posts (id, title)`, and `counters (id, n)` with two rows;
/// - `comments (id, post_id)`, whose foreign key is checked at COMMIT;
/// - `payments (id, amount)`, which requires an actor;
/// - `plain (id)`, which is not captured.
pub const CAPTURED_TABLES: &str = r#"
    CREATE TABLE posts (id bigint PRIMARY KEY, title text NOT NULL);
    CREATE TABLE counters (id int PRIMARY KEY, n int NOT NULL);
    INSERT INTO counters VALUES (1, 0), (2, 0);
    CREATE TABLE comments (id bigint PRIMARY KEY, post_id bigint NOT NULL
        REFERENCES posts DEFERRABLE INITIALLY DEFERRED);
    CREATE TABLE payments (id bigint PRIMARY KEY, amount int NOT NULL);
    CREATE TABLE plain (id bigint PRIMARY KEY);
    SELECT threadline.enable_capture('posts', '{}'), threadline.enable_capture('counters', '{}'),
        threadline.enable_capture('comments', '{}'), threadline.enable_capture('payments', '{"require_actor": true}');
"#;

impl Database {
    /// Rows as text.
    ///
    /// # Panics
    /// As all of these: when the server refuses, or there is not what was asked for.
    #[track_caller]
    pub fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        self.query_text(sql).unwrap()
    }

    /// The first value of each row; empty for NULL.
    #[must_use]
    #[track_caller]
    pub fn column(&self, sql: &str) -> Vec<String> {
        self.rows(sql).into_iter().map(|row| row.into_iter().next().flatten().unwrap_or_default()).collect()
    }

    /// The first value of the first row.
    #[must_use]
    #[track_caller]
    pub fn value(&self, sql: &str) -> Option<String> {
        self.rows(sql).into_iter().next().and_then(|row| row.into_iter().next()).expect("a row with a value")
    }

    /// How many rows there are in a table, or in any other FROM clause.
    #[must_use]
    #[track_caller]
    pub fn count(&self, table: &str) -> i64 {
        self.value(&format!("SELECT count(*) FROM {table}")).expect("a count").parse().unwrap()
    }

    /// The captured changes in order, each as "table op key actor action", with - for what is absent.
    #[must_use]
    #[track_caller]
    pub fn trail(&self) -> Vec<String> {
        self.column(
            "SELECT concat_ws(' ', c.table_name, c.op, c.table_pk ->> 'id',
                coalesce(t.actor_ref ->> 'id', '-'), coalesce(a.name, '-'))
            FROM threadline.audit_changes c JOIN threadline.audit_transactions t ON t.id = c.transaction_id
            LEFT JOIN threadline.audit_actions a ON a.id = t.action_id ORDER BY c.captured_at, c.id",
        )
    }

    /// The recorded actions in order, each as "name status actor".
    #[must_use]
    #[track_caller]
    pub fn actions(&self) -> Vec<String> {
        self.column("SELECT concat_ws(' ', name, status, actor_ref ->> 'id') FROM threadline.audit_actions ORDER BY id")
    }

    /// Waits until no session of this database is inside a transaction.
    pub async fn until_quiet(&self) {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
            AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND xact_start IS NOT NULL";
        until("every transaction to end", || self.value(sql).as_deref() == Some("0")).await;
    }
}
