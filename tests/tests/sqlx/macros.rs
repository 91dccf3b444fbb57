//! `audited!` on the handles of sqlx: what it records, and what it answers.

use threadline::sqlx::{AuditedPool, Error, attach, audited};
use threadline::{Action, AuditContext, IsolationLevel, Schema};
use threadline_testkit::Sweep;

use crate::support::{Target, actor, has_transaction, insert_post, on_both, text, user};

on_both! {
    the_action_covers_what_the_block_does,
    without_an_action_changes_are_captured,
    an_error_leaves_neither_changes_nor_action,
    a_session_keeps_its_options_and_takes_the_context,
    a_session_records_the_failure_it_was_told_to,
    a_block_in_a_transaction_is_a_scope_of_its_own,
    a_block_in_an_attached_transaction_is_one_too,
    an_action_that_cannot_be_recorded_is_refused_before_it_begins,
    without_a_kernel_it_says_so,
    an_odd_schema_is_no_obstacle,
    cancelled_blocks_leave_nothing_behind,
}

async fn the_action_covers_what_the_block_does(target: Target) {
    let db = target.audited(1);
    let outcome =
        audited!(db, user("42"), action = "post.published", reason = "it's \\ done", verb = "publish", |tx| {
            insert_post(tx, 1).await?;
            tx.record_action(&Action::new("post.announced")).await?;
            insert_post(tx, 2).await?;
            Ok::<_, Error>("value")
        })
        .await
        .unwrap();
    assert_eq!(outcome.value, "value");
    assert_eq!(target.trail(), ["posts insert 1 42 post.published", "posts insert 2 42 post.announced"]);
    // Each action has a row of its own that its changes are grouped under; the outcome tells the first one.
    let of_first_change = "SELECT transaction_id FROM threadline.audit_changes ORDER BY id LIMIT 1";
    assert_eq!(target.value(of_first_change), outcome.transaction_id.map(|id| id.to_string()));
    let recorded =
        "SELECT string_agg(concat_ws(' ', name, verb, reason), ', ' ORDER BY id) FROM threadline.audit_actions";
    assert_eq!(target.value(recorded).as_deref(), Some(r"post.published publish it's \ done, post.announced"));
}

async fn without_an_action_changes_are_captured(target: Target) {
    let db = target.audited(1);
    let outcome = audited!(db, user("42"), |tx| insert_post(tx, 1).await).await.unwrap();
    assert!(outcome.transaction_id.is_some());
    assert_eq!(target.trail(), ["posts insert 1 42 -"]);
    let outcome = audited!(db, user("42"), |_tx| Ok::<_, Error>(())).await.unwrap();
    assert_eq!(outcome.transaction_id, None, "nothing was captured");
}

async fn an_error_leaves_neither_changes_nor_action(target: Target) {
    let db = target.audited(1);
    let failed = audited!(db, user("42"), action = "post.published", |tx| {
        insert_post(tx, 1).await?;
        Err::<(), _>(sqlx::Error::RowNotFound)
    })
    .await;
    assert!(matches!(failed, Err(sqlx::Error::RowNotFound)));
    assert_eq!((target.trail(), target.actions()), (Vec::<String>::new(), Vec::<String>::new()));
}

async fn a_session_keeps_its_options_and_takes_the_context(target: Target) {
    let session = target.audited(1).with(&user("nobody")).options(IsolationLevel::Serializable);
    audited!(session, user("42"), action = "post.published", |tx| {
        assert_eq!(text(tx, "SHOW transaction_isolation").await?.as_deref(), Some("serializable"));
        insert_post(tx, 1).await
    })
    .await
    .unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 post.published"]);
}

async fn a_session_records_the_failure_it_was_told_to(target: Target) {
    let session = target.audited(1).with(&user("nobody")).on_error_record(Action::new("publish.failed"));
    let failed =
        audited!(session, user("42"), action = "post.published", |_tx| { Err::<(), _>(sqlx::Error::RowNotFound) })
            .await;
    assert!(failed.is_err());
    assert_eq!(target.actions(), ["publish.failed error 42"]);
}

async fn a_block_in_a_transaction_is_a_scope_of_its_own(target: Target) {
    let db = target.audited(1);
    let mut ids = Vec::new();
    let outcome = audited!(db, user("outer"), action = "post.published", |tx| {
        insert_post(tx, 1).await?;
        let inner = audited!(tx, user("inner"), action = "post.indexed", |tx| insert_post(tx, 2).await).await?;
        ids.push(inner.transaction_id.unwrap());
        let failed = audited!(tx, user("inner"), action = "post.lost", |tx| {
            insert_post(tx, 3).await?;
            Err::<(), _>(sqlx::Error::RowNotFound)
        })
        .await;
        assert!(failed.is_err());
        assert_eq!(tx.context(), &user("outer"));
        insert_post(tx, 4).await?;
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
    assert_ne!(ids, [outcome.transaction_id.unwrap()], "the scope has an audit transaction of its own");
    assert_eq!(
        target.trail(),
        [
            "posts insert 1 outer post.published",
            "posts insert 2 inner post.indexed",
            "posts insert 4 outer post.published"
        ]
    );
}

async fn a_block_in_an_attached_transaction_is_one_too(target: Target) {
    let pool = target.pool(1);
    let mut tx = pool.begin().await.unwrap();
    let mut attached = attach(&user("outer"), &mut tx).await.unwrap();
    audited!(attached, user("inner"), action = "post.indexed", |tx| insert_post(tx, 1).await).await.unwrap();
    insert_post(&mut attached, 2).await.unwrap();
    attached.detach().await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(target.trail(), ["posts insert 1 inner post.indexed", "posts insert 2 outer -"]);
}

async fn an_action_that_cannot_be_recorded_is_refused_before_it_begins(target: Target) {
    let pool = target.pool(1);
    let _held = pool.acquire().await.unwrap();
    let db = AuditedPool::new(pool.clone());
    let name = String::from(" ");
    let failed = audited!(db, user("42"), action = name, |_tx| Ok::<_, Error>(())).await.unwrap_err();
    assert!(failed.as_core().is_some_and(threadline::Error::is_invalid_action), "{failed}");
    let failed = audited!(db, AuditContext::without_actor(), action = "a", |_tx| Ok::<_, Error>(())).await.unwrap_err();
    assert!(failed.is_missing_actor(), "{failed}");
}

async fn without_a_kernel_it_says_so(target: Target) {
    let db = AuditedPool::new(target.pool(1)).with_schema(Schema::new("elsewhere").unwrap());
    let failed = audited!(db, user("42"), action = "post.published", |tx| {
        insert_post(tx, 1).await?;
        Ok::<_, Error>(())
    })
    .await
    .unwrap_err();
    assert!(failed.is_not_installed(), "{failed}");
    assert_eq!(target.count("posts"), 0);
    let outcome = audited!(target.audited(1), user("42"), |tx| insert_post(tx, 1).await).await.unwrap();
    assert!(outcome.transaction_id.is_some(), "the pool is of use again");
}

async fn an_odd_schema_is_no_obstacle(target: Target) {
    let schema = Schema::new("Odd schema").unwrap();
    let pool = target.pool(1);
    threadline::sqlx::install(&pool, &schema).await.unwrap();
    let db = AuditedPool::new(pool).with_schema(schema);
    audited!(db, user("42"), action = "post.published", |_tx| Ok::<_, Error>(())).await.unwrap();
    let actions = r#"SELECT name FROM "Odd schema".audit_actions"#;
    assert_eq!(target.value(actions).as_deref(), Some("post.published"));
}

async fn cancelled_blocks_leave_nothing_behind(target: Target) {
    let db = target.audited(1);
    let mut sweep = Sweep::new(20, 2);
    while let Some(round) = sweep.next_round() {
        let id = i64::try_from(round).unwrap();
        let block = async {
            audited!(db, user("gone"), action = "post.published", |tx| insert_post(tx, id).await).await.unwrap();
        };
        sweep.cancel(block).await;
        let mut connection = db.unaudited().acquire().await.unwrap();
        assert_eq!(actor(&mut connection).await.unwrap(), "", "{sweep}");
        assert!(!has_transaction(&mut connection).await, "{sweep}");
    }
    target.until_quiet().await;
    assert_eq!(target.count("posts"), target.count("threadline.audit_actions"));
    assert_eq!(target.count("threadline.audit_changes"), target.count("threadline.audit_actions"));
}
