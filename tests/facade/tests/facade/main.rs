//! Every adapter in one program, on one trail: each audits with its own `audited!`, derives its own model of the same table,
//! and reads what the others wrote.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod names;
mod on_diesel;
mod on_diesel_async;
mod on_seaorm;
mod on_sqlx;

use threadline::{ActorRef, AuditContext, Audited, LinkedChange, ModelColumn, TransactionId};
use threadline_testkit::{Database, require_server};
use time::OffsetDateTime;

/// The error of every function here, whichever adapter it uses.
type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// What one adapter does and sees.
struct Told {
    /// What `audited!` said it recorded the change under.
    transaction_id: TransactionId,
    /// What a function with the attribute returned: the title before.
    title_before: String,
    /// The row of the past, as title and masked column.
    row_of_the_past: (String, Option<String>),
    /// The whole trail.
    trail: Vec<String>,
}

const TABLES: &str = "
    CREATE SCHEMA blog;
    CREATE TABLE blog.posts (id bigint PRIMARY KEY, title text NOT NULL, mail text);
    INSERT INTO blog.posts VALUES (7, 'Draft', 'author@example.org');
";

fn database() -> Database {
    let database = require_server().database().unwrap();
    database.execute(TABLES).unwrap();
    database
}

fn context(user: &str) -> AuditContext {
    AuditContext::new(ActorRef::user(user).unwrap())
}

/// One entry as "op actor action".
fn tell(entry: LinkedChange) -> String {
    let actor = entry.transaction.and_then(|transaction| transaction.actor).unwrap();
    let action = entry.action.unwrap();
    format!("{} {actor} {}", entry.change.op, action.name)
}

fn now(database: &Database) -> OffsetDateTime {
    let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
    let microseconds = database.query_text(sql).unwrap().remove(0).remove(0).unwrap();
    OffsetDateTime::from_unix_timestamp_nanos(microseconds.parse::<i128>().unwrap() * 1000).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_adapters_write_one_trail() {
    let database = database();
    on_seaorm::install(database.url()).await.unwrap();
    let before = now(&database);

    let url = database.url().to_owned();
    let told = [
        on_sqlx::run(&url, before).await.unwrap(),
        on_seaorm::run(&url, before).await.unwrap(),
        tokio::task::spawn_blocking({
            let url = url.clone();
            move || on_diesel::run(&url, before)
        })
        .await
        .unwrap()
        .unwrap(),
        on_diesel_async::run(&url, before).await.unwrap(),
    ];

    let mut expected = Vec::new();
    for (adapter, told) in ["sqlx", "seaorm", "diesel", "diesel-async"].into_iter().zip(&told) {
        expected.insert(0, format!("update user:{adapter} post.titled"));
        expected.insert(0, format!("update user:{adapter} post.retitled"));
        assert_eq!(told.trail, expected, "{adapter} sees its own changes and those before it");
        assert_eq!(told.title_before, format!("by {adapter}"));
        assert_eq!(told.row_of_the_past, ("Draft".to_owned(), None), "{adapter}: with the masked column empty");
    }
    let ids: std::collections::BTreeSet<_> = told.iter().map(|told| told.transaction_id).collect();
    assert_eq!(ids.len(), 4, "each in an audit transaction of its own");
}

#[test]
fn four_models_of_one_table_say_the_same() {
    fn columns<M: Audited>() -> Vec<ModelColumn> {
        M::columns().to_vec()
    }
    let table = on_sqlx::Post::audited_table();
    assert_eq!(table.to_string(), "blog.posts");
    assert_eq!(on_seaorm::posts::Model::audited_table(), table);
    assert_eq!(on_diesel::Post::audited_table(), table);
    assert_eq!(on_diesel_async::Post::audited_table(), table);
    let [id, title, mail] =
        [ModelColumn::new("id").key(), ModelColumn::new("title"), ModelColumn::new("mail").nullable()];
    assert_eq!(columns::<on_sqlx::Post>(), [id, title, mail]);
    assert_eq!(columns::<on_seaorm::posts::Model>(), [id, title, mail]);
    assert_eq!(columns::<on_diesel::Post>(), [id, title, mail.labelled("author_mail")], "as its `table!` says");
    assert_eq!(columns::<on_diesel_async::Post>(), [id, title, mail]);
}
