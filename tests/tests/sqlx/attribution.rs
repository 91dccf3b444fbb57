//! Who and why: contexts and actions reach exactly the changes they belong to.

use futures_util::future::try_join_all;
use threadline::sqlx::{AuditedTransaction, BeginAudited, Error, RetryPolicy, Trail, attach, record_failure, retry};
use threadline::{AccessMode, Action, ActorRef, AuditContext, IsolationLevel, Timeline, TransactionOptions};

use crate::support::{Target, actor, insert_post, on_both, run, text, user};

on_both! {
    the_whole_context_is_recorded,
    one_action_covers_the_changes_around_it,
    each_action_covers_what_follows_it,
    nothing_captured_is_no_audit_transaction,
    an_audit_transaction_is_told_by_its_id,
    a_context_ends_with_its_transaction,
    a_context_without_an_actor_is_refused_before_a_connection_is_taken,
    a_context_may_go_without_an_actor_when_it_says_so,
    a_table_that_requires_an_actor_refuses_the_rest,
    odd_texts_arrive_as_they_are,
    a_nul_character_is_refused_before_it_is_sent,
    an_action_out_of_bounds_leaves_the_transaction_usable,
    begin_takes_an_isolation_level_and_an_access_mode,
    many_tasks_over_few_connections_never_swap_actors,
    the_closure_form_runs_in_a_spawned_task,
    every_other_form_runs_in_a_spawned_task,
    user_code_keeps_sqlx_as_its_error_type,
}

async fn the_whole_context_is_recorded(target: Target) {
    let context = AuditContext::new(ActorRef::admin("7").unwrap().on_behalf_of(ActorRef::user("42").unwrap()).unwrap())
        .correlation_id("c-1")
        .request_id("r-1")
        .job_id("j-1")
        .source("api")
        .remote_ip("2001:db8::1".parse().unwrap())
        .meta("tenant", "acme");
    let db = target.audited(2);
    db.transaction(&context, async |tx| insert_post(tx, 1).await).await.unwrap();
    let sql = "SELECT actor_ref::text, correlation_id, request_id, job_id, source, remote_ip, meta::text
        FROM threadline.audit_transactions";
    let expected = [
        r#"{"id": "7", "type": "admin", "on_behalf_of": {"id": "42", "type": "user"}}"#,
        "c-1",
        "r-1",
        "j-1",
        "api",
        "2001:db8::1",
        r#"{"tenant": "acme"}"#,
    ];
    assert_eq!(target.rows(sql), [expected.map(|text| Some(text.to_owned()))]);
}

async fn one_action_covers_the_changes_around_it(target: Target) {
    target
        .audited(2)
        .transaction(&user("42"), async |tx| {
            insert_post(tx, 1).await?;
            tx.record_action(&Action::new("post.published")).await?;
            insert_post(tx, 2).await?;
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 post.published", "posts insert 2 42 post.published"]);
}

async fn each_action_covers_what_follows_it(target: Target) {
    target
        .audited(2)
        .transaction(&user("42"), async |tx| {
            tx.record_action(&Action::new("first")).await?;
            insert_post(tx, 1).await?;
            tx.record_action(&Action::new("second")).await?;
            insert_post(tx, 2).await?;
            tx.record_action(&Action::new("third")).await?;
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 first", "posts insert 2 42 second"]);
    assert_eq!(target.actions(), ["first ok 42", "second ok 42", "third ok 42"]);
}

async fn nothing_captured_is_no_audit_transaction(target: Target) {
    let outcome = target
        .audited(2)
        .transaction(&user("42"), async |tx| {
            run(tx, "INSERT INTO plain VALUES (1)").await?;
            run(tx, "UPDATE counters SET n = n WHERE id = 1").await
        })
        .await
        .unwrap();
    assert_eq!(outcome.transaction_id, None);
    assert_eq!(target.count("plain"), 1);
}

async fn an_audit_transaction_is_told_by_its_id(target: Target) {
    let db = target.audited(2);
    let outcome = db.transaction(&user("42"), async |tx| insert_post(tx, 1).await).await.unwrap();
    let mut tx = db.begin(&user("43")).await.unwrap();
    insert_post(&mut tx, 2).await.unwrap();
    let by_guard = tx.commit().await.unwrap();

    let ids = target.rows("SELECT id FROM threadline.audit_transactions ORDER BY id");
    let told = [outcome.transaction_id, by_guard].map(|id| Some(id.unwrap().to_string()));
    assert_eq!(ids.concat(), told);
}

async fn a_context_ends_with_its_transaction(target: Target) {
    let db = target.audited(1);
    let pool = db.unaudited();
    db.transaction(&user("42"), async |tx| insert_post(tx, 1).await).await.unwrap();
    assert_eq!(actor(&mut pool.acquire().await.unwrap()).await.unwrap(), "");
    insert_post(&mut pool.begin().await.unwrap(), 2).await.unwrap();

    let mut tx = pool.begin().await.unwrap();
    insert_post(&mut tx, 3).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 -", "posts insert 3 - -"]);
}

async fn a_context_without_an_actor_is_refused_before_a_connection_is_taken(target: Target) {
    let pool = target.pool_at("postgres://nobody@127.0.0.1:1/nowhere", 1);
    let error = pool.begin_audited(&AuditContext::without_actor()).await.unwrap_err();
    assert!(error.is_missing_actor(), "{error}");

    let db = target.audited(1);
    let error = db.transaction(&AuditContext::without_actor(), async |_| Ok::<_, Error>(())).await.unwrap_err();
    assert!(error.is_missing_actor(), "{error}");
}

async fn a_context_may_go_without_an_actor_when_it_says_so(target: Target) {
    let context = AuditContext::without_actor().allow_missing_actor().source("import");
    target.audited(1).transaction(&context, async |tx| insert_post(tx, 1).await).await.unwrap();
    assert_eq!(target.trail(), ["posts insert 1 - -"]);
}

async fn a_table_that_requires_an_actor_refuses_the_rest(target: Target) {
    let db = target.audited(1);
    let pay = "INSERT INTO payments VALUES (1, 5)";
    let nobody = AuditContext::without_actor().allow_missing_actor();
    let error: sqlx::Error = db.transaction(&nobody, async |tx| run(tx, pay).await).await.unwrap_err();
    assert!(Error::from(error).is_missing_actor());
    let error = run(&mut db.unaudited().begin().await.unwrap(), pay).await.unwrap_err();
    assert!(Error::from(error).is_missing_actor());

    db.transaction(&user("42"), async |tx| run(tx, pay).await).await.unwrap();
    assert_eq!(target.trail(), ["payments insert 1 42 -"]);
}

async fn odd_texts_arrive_as_they_are(target: Target) {
    let odd = r#"it's "quoted" \ and \' $1 $$ ; -- /* {} %s é 漢 🦀"#;
    let long = format!("{odd}\n").repeat(25_000);
    assert!(long.len() > 1 << 20);
    let context =
        AuditContext::new(ActorRef::user(odd).unwrap()).correlation_id(odd).meta(odd, odd).meta("long", long.as_str());
    target
        .audited(1)
        .transaction(&context, async |tx| {
            insert_post(tx, 1).await?;
            tx.record_action(&Action::new(odd).reason(odd).comment(long.as_str())).await?;
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
    let transaction = "SELECT actor_ref ->> 'id', correlation_id, meta ->> 'long' FROM threadline.audit_transactions";
    assert_eq!(target.rows(transaction), [[odd, odd, &long].map(|text| Some(text.to_owned()))]);
    let action = "SELECT name, reason, comment FROM threadline.audit_actions";
    assert_eq!(target.rows(action), [[odd, odd, &long].map(|text| Some(text.to_owned()))]);
}

async fn a_nul_character_is_refused_before_it_is_sent(target: Target) {
    let db = target.audited(1);
    let error = db.begin(&user("42").meta("note", "a\0b")).await.unwrap_err();
    assert!(error.as_core().unwrap().is_malformed_context(), "{error}");
    let mut tx = db.begin(&user("42")).await.unwrap();
    let error = tx.record_action(&Action::new("a").comment("a\0b")).await.unwrap_err();
    assert!(error.as_core().unwrap().is_invalid_action(), "{error}");
    insert_post(&mut tx, 1).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 -"]);
}

async fn an_action_out_of_bounds_leaves_the_transaction_usable(target: Target) {
    let db = target.audited(1);
    db.transaction(&user("42"), async |tx| {
        let error = tx.record_action(&Action::new(" ")).await.unwrap_err();
        assert!(error.as_core().unwrap().is_invalid_action(), "{error}");
        insert_post(tx, 1).await
    })
    .await
    .unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 -"]);
}

async fn begin_takes_an_isolation_level_and_an_access_mode(target: Target) {
    let db = target.audited(1);
    let options = TransactionOptions::new().isolation(IsolationLevel::Serializable).access_mode(AccessMode::ReadOnly);
    let mut tx = db.with(&user("42")).options(options).begin().await.unwrap();
    let isolation = text(&mut tx, "SELECT current_setting('transaction_isolation')").await.unwrap();
    assert_eq!(isolation.as_deref(), Some("serializable"));
    assert!(insert_post(&mut tx, 1).await.is_err(), "read-only");
    tx.rollback().await.unwrap();

    let pool = db.unaudited();
    let mut tx = pool.begin_audited_with(&user("42"), IsolationLevel::RepeatableRead).await.unwrap();
    let isolation = text(&mut tx, "SELECT current_setting('transaction_isolation')").await.unwrap();
    assert_eq!(isolation.as_deref(), Some("repeatable read"));
    assert_eq!(tx.commit().await.unwrap(), None);
}

async fn many_tasks_over_few_connections_never_swap_actors(target: Target) {
    let db = target.audited(4);
    let tasks = (0..64_i64).map(|task| {
        let db = db.clone();
        tokio::spawn(async move {
            let me = format!("actor-{task}");
            for round in 0..5_i64 {
                let id = task * 100 + round;
                db.transaction(&user(&me), async |tx| {
                    insert_post(tx, id).await?;
                    assert_eq!(actor(tx).await?, me);
                    tx.record_action(&Action::new(format!("action-{task}"))).await?;
                    if round == 3 {
                        return Err(Error::from(sqlx::Error::RowNotFound));
                    }
                    Ok(())
                })
                .await
                .map_or_else(|error| assert!(matches!(error.as_sqlx(), Some(sqlx::Error::RowNotFound))), drop);
            }
        })
    });
    try_join_all(tasks).await.unwrap();

    assert_eq!(target.count("threadline.audit_changes"), 64 * 4);
    let wrong = "threadline.audit_changes c JOIN threadline.audit_transactions t ON t.id = c.transaction_id
        LEFT JOIN threadline.audit_actions a ON a.id = t.action_id
        WHERE (t.actor_ref ->> 'id', a.name) IS DISTINCT FROM (
            'actor-' || (c.table_pk ->> 'id')::int / 100, 'action-' || (c.table_pk ->> 'id')::int / 100)";
    assert_eq!(target.count(wrong), 0);
}

async fn the_closure_form_runs_in_a_spawned_task(target: Target) {
    /// What a service has: functions over the transaction and over any connection.
    async fn publish(tx: &mut AuditedTransaction<'_>, id: i64) -> Result<usize, Error> {
        tx.record_action(&Action::new("post.published")).await?;
        insert_post(tx, id).await?;
        Ok(1)
    }
    let db = target.audited(2);
    let task = tokio::spawn(async move {
        let tag = String::from("borrowed by the closure");
        let tag = &tag;
        db.transaction(&user("42"), async |tx| {
            let published = publish(tx, 1).await?;
            let inner = tx.nested(Some(&user("43")), async |tx| publish(tx, 2).await).await?;
            Ok::<_, Error>((published + inner, tag.len()))
        })
        .await
    });
    assert_eq!(task.await.unwrap().unwrap().value, (2, 23));
    assert_eq!(target.trail(), ["posts insert 1 42 post.published", "posts insert 2 43 post.published"]);
}

async fn every_other_form_runs_in_a_spawned_task(target: Target) {
    let db = target.audited(1);
    let pool = db.unaudited().clone();
    let task = tokio::spawn(async move {
        let mut tx = pool.begin_audited(&user("1")).await?;
        tx.nested(None, async |tx| insert_post(tx, 1).await).await?;
        tx.commit().await?;
        let mut tx = pool.begin().await?;
        let mut attached = attach(&user("2"), &mut tx).await?;
        attached.nested(Some(&user("3")), async |tx| insert_post(tx, 2).await).await?;
        attached.detach().await?;
        tx.commit().await?;
        let mut connection = pool.acquire().await?;
        record_failure(&mut connection, &user("4"), &Action::new("login")).await?;
        retry(&mut connection, &user("5"), &RetryPolicy::new(), async |tx| insert_post(tx, 3).await).await?;
        drop(connection);
        let session = db.with(&user("6")).on_error_record(Action::new("login"));
        session.record_failure(&Action::new("login")).await?;
        session.transaction(async |tx| insert_post(tx, 4).await).await?;
        Ok::<_, Error>(db.timeline(&Timeline::new()).await?.entries.len())
    });
    assert_eq!(task.await.unwrap().unwrap(), 4);
}

async fn user_code_keeps_sqlx_as_its_error_type(target: Target) {
    async fn handler(db: &threadline::sqlx::AuditedPool) -> Result<(), sqlx::Error> {
        let mut tx = db.begin(&user("42")).await?;
        insert_post(&mut tx, 1).await?;
        tx.commit().await?;
        db.transaction(&AuditContext::without_actor(), async |tx| insert_post(tx, 2).await).await?;
        Ok(())
    }
    let error = handler(&target.audited(1)).await.unwrap_err();
    assert!(Error::from_sqlx(&error).is_some_and(Error::is_missing_actor), "{error}");
    assert_eq!(target.trail(), ["posts insert 1 42 -"]);
}
