//! Trails whose instants are not those of an ordinary day.

use threadline::sqlx::Trail;
use threadline::{ActorRef, Timeline, TransactionId};
use threadline_testkit::Database;

use crate::world::{database, pool};

/// A change of post 1 made `changed` before now, in a transaction that began `began` before now.
fn recorded(began: &str, changed: &str) -> Database {
    let database = database();
    database
        .execute(&format!(
            r#"INSERT INTO threadline.audit_transactions (id, xid, occurred_at, actor_ref, session_role, current_role_name, application_name)
               VALUES (7, '9', now() - interval '{began}', '{{"type": "user", "id": "42"}}', 'app', 'none', '');
               INSERT INTO threadline.audit_changes (id, transaction_id, xid, captured_at, key_hash, table_schema, table_name, op, table_pk, data_after)
               SELECT 1, 7, '9', now() - interval '{changed}', threadline.key_hash('public', 'posts', pk), 'public', 'posts', 'insert', pk, pk
               FROM (SELECT '{{"id": 1}}'::jsonb AS pk) AS k"#
        ))
        .unwrap();
    database
}

#[tokio::test]
async fn a_trail_that_has_been_quiet_for_months_is_read() {
    let database = recorded("100 days", "100 days");
    let db = pool(database.url());
    let posts = Timeline::new().table("posts");
    for timeline in [Timeline::new(), posts.clone(), posts.actor(&ActorRef::user("42").unwrap())] {
        assert_eq!(db.timeline(&timeline).await.unwrap().entries.len(), 1, "{timeline:?}");
    }
}

/// The clock was set back in between, or the change says what is not so: it is told with the transaction that it names.
#[tokio::test]
async fn a_transaction_of_another_day_is_told_with_its_change() {
    let database = recorded("40 days", "1 day");
    let page = pool(database.url()).timeline(&Timeline::new()).await.unwrap();
    let transaction = page.entries[0].transaction.as_ref().expect("found in another month");
    assert_eq!((transaction.id, transaction.actor.as_ref()), (TransactionId(7), Some(&ActorRef::user("42").unwrap())));
}
