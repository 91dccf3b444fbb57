//! Who and why: contexts and actions reach exactly the changes they belong to.

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use futures_util::future::try_join_all;
use threadline_core::{AccessMode, Action, ActorRef, AuditContext, IsolationLevel, RetryPolicy, TransactionOptions};
use threadline_diesel::Error;
use threadline_diesel::asynchronous::{AuditDsl, Trail, attach, begin, transaction};

use crate::support::{Target, actor, insert_post, run, text, user};

#[tokio::test]
async fn the_whole_context_is_recorded() {
    let target = Target::new();
    let context = AuditContext::new(ActorRef::admin("7").unwrap().on_behalf_of(ActorRef::user("42").unwrap()).unwrap())
        .correlation_id("c-1")
        .request_id("r-1")
        .job_id("j-1")
        .source("api")
        .remote_ip("2001:db8::1".parse().unwrap())
        .meta("tenant", "acme");
    target.connect().await.audited(&context, async |conn| insert_post(conn, 1).await).await.unwrap();
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

#[tokio::test]
async fn each_action_covers_what_follows_it_and_the_first_what_came_before() {
    let target = Target::new();
    target
        .connect()
        .await
        .audited(&user("42"), async |conn| {
            insert_post(conn, 1).await?;
            conn.record_action(&Action::new("first")).await?;
            insert_post(conn, 2).await?;
            conn.record_action(&Action::new("second")).await?;
            insert_post(conn, 3).await?;
            conn.record_action(&Action::new("third")).await?;
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 first", "posts insert 2 42 first", "posts insert 3 42 second"]);
    assert_eq!(target.actions(), ["first ok 42", "second ok 42", "third ok 42"]);
}

#[tokio::test]
async fn nothing_captured_is_no_audit_transaction() {
    let target = Target::new();
    let outcome = target
        .connect()
        .await
        .audited(&user("42"), async |conn| {
            run(conn, "INSERT INTO plain VALUES (1)").await?;
            run(conn, "UPDATE counters SET n = n WHERE id = 1").await
        })
        .await
        .unwrap();
    assert_eq!(outcome.transaction_id, None);
    assert_eq!(target.count("plain"), 1);
}

#[tokio::test]
async fn an_audit_transaction_is_told_by_its_id() {
    let target = Target::new();
    let mut conn = target.connect().await;
    let outcome = conn.audited(&user("42"), async |conn| insert_post(conn, 1).await).await.unwrap();
    let mut tx = conn.begin_audited(&user("43")).await.unwrap();
    insert_post(&mut tx, 2).await.unwrap();
    let by_guard = tx.commit().await.unwrap();
    let ids = target.rows("SELECT id FROM threadline.audit_transactions ORDER BY id");
    assert_eq!(ids.concat(), [outcome.transaction_id, by_guard].map(|id| Some(id.unwrap().to_string())));
}

#[tokio::test]
async fn a_context_ends_with_its_transaction() {
    let target = Target::new();
    let mut conn = target.connect().await;
    conn.audited(&user("42"), async |conn| insert_post(conn, 1).await).await.unwrap();
    assert_eq!(actor(&mut conn).await.unwrap(), "");
    insert_post(&mut conn, 2).await.unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 -", "posts insert 2 - -"]);
}

#[tokio::test]
async fn a_missing_actor_is_refused_before_anything_is_sent() {
    let target = Target::new();
    let (mut conn, proxy) = target.watched().await;
    proxy.round_trips();
    let error: Error = conn.audited(&AuditContext::without_actor(), async |_| Ok(())).await.unwrap_err();
    assert!(error.is_missing_actor(), "{error}");
    assert!(conn.begin_audited(&AuditContext::without_actor()).await.unwrap_err().is_missing_actor());
    assert_eq!(proxy.round_trips(), 0);
}

#[tokio::test]
async fn a_context_may_go_without_an_actor_when_it_says_so() {
    let target = Target::new();
    let context = AuditContext::without_actor().allow_missing_actor().source("import");
    target.connect().await.audited(&context, async |conn| insert_post(conn, 1).await).await.unwrap();
    assert_eq!(target.trail(), ["posts insert 1 - -"]);
}

#[tokio::test]
async fn a_table_that_requires_an_actor_refuses_the_rest() {
    let target = Target::new();
    let mut conn = target.connect().await;
    let pay = "INSERT INTO payments VALUES (1, 5)";
    let nobody = AuditContext::without_actor().allow_missing_actor();
    let error = conn.audited(&nobody, async |conn| run(conn, pay).await).await.unwrap_err();
    assert!(Error::from(error).is_missing_actor());
    let error = Error::from(run(&mut conn, pay).await.unwrap_err());
    assert!(error.is_missing_actor());
    assert_eq!(error.as_core().unwrap().table(), Some("payments"));
    conn.audited(&user("42"), async |conn| run(conn, pay).await).await.unwrap();
    assert_eq!(target.trail(), ["payments insert 1 42 -"]);
}

#[tokio::test]
async fn odd_texts_arrive_as_they_are() {
    let target = Target::new();
    let odd = r#"it's "quoted" \ and \' $1 $$ ; -- /* {} %s é 漢 🦀"#;
    let long = format!("{odd}\n").repeat(25_000);
    assert!(long.len() > 1 << 20);
    let context =
        AuditContext::new(ActorRef::user(odd).unwrap()).correlation_id(odd).meta(odd, odd).meta("long", long.as_str());
    target
        .connect()
        .await
        .audited(&context, async |conn| {
            insert_post(conn, 1).await?;
            conn.record_action(&Action::new(odd).reason(odd).comment(long.as_str())).await
        })
        .await
        .map_err(|error: Error| error)
        .unwrap();
    let transaction = "SELECT actor_ref ->> 'id', correlation_id, meta ->> 'long' FROM threadline.audit_transactions";
    assert_eq!(target.rows(transaction), [[odd, odd, &long].map(|text| Some(text.to_owned()))]);
    let action = "SELECT name, reason, comment FROM threadline.audit_actions";
    assert_eq!(target.rows(action), [[odd, odd, &long].map(|text| Some(text.to_owned()))]);
}

#[tokio::test]
async fn what_is_out_of_bounds_leaves_the_transaction_usable() {
    let target = Target::new();
    let mut conn = target.connect().await;
    let error = conn.begin_audited(&user("42").meta("note", "a\0b")).await.unwrap_err();
    assert!(error.as_core().unwrap().is_malformed_context(), "{error}");
    conn.audited(&user("42"), async |conn| {
        for action in [Action::new(" "), Action::new("a").comment("a\0b")] {
            let error = conn.record_action(&action).await.unwrap_err();
            assert!(error.as_core().unwrap().is_invalid_action(), "{error}");
        }
        insert_post(conn, 1).await
    })
    .await
    .unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 -"]);
}

#[tokio::test]
async fn an_action_outside_a_transaction_is_refused() {
    let target = Target::new();
    let error = target.connect().await.record_action(&Action::new("a")).await.unwrap_err();
    assert!(error.is_not_in_transaction(), "{error}");
    assert_eq!(target.actions(), [""; 0]);
}

#[tokio::test]
async fn begin_takes_an_isolation_level_and_an_access_mode() {
    let target = Target::new();
    let mut conn = target.connect().await;
    let options = TransactionOptions::new().isolation(IsolationLevel::Serializable).access_mode(AccessMode::ReadOnly);
    let mut tx = conn.with(&user("42")).options(options).begin().await.unwrap();
    assert_eq!(text(&mut tx, "current_setting('transaction_isolation')").await.unwrap(), "serializable");
    let error = Error::from(insert_post(&mut tx, 1).await.unwrap_err());
    assert_eq!(error.sqlstate(), Some("25006"));
    tx.rollback().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tasks_over_few_connections_never_swap_actors() {
    let target = Target::new();
    let pool = target.pool(4);
    let tasks = (0..64_i64).map(|task| {
        let pool = pool.clone();
        tokio::spawn(async move {
            let me = format!("actor-{task}");
            for round in 0..5_i64 {
                let id = task * 100 + round;
                let mut conn = pool.get().await.unwrap();
                let result: Result<_, Error> = conn
                    .audited(&user(&me), async |conn| {
                        insert_post(conn, id).await?;
                        assert_eq!(actor(conn).await?, me);
                        conn.record_action(&Action::new(format!("action-{task}"))).await?;
                        if round == 3 { Err(diesel::result::Error::NotFound.into()) } else { Ok(()) }
                    })
                    .await;
                if let Err(error) = result {
                    assert!(matches!(error.as_diesel(), Some(diesel::result::Error::NotFound)), "{error}");
                }
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

/// What a service has: functions that know of auditing, functions over any connection, and functions over one type.
async fn publish(conn: &mut impl AuditDsl, id: i64) -> Result<usize, Error> {
    conn.record_action(&Action::new("post.published")).await?;
    insert_post(conn, id).await?;
    Ok(1)
}

async fn on_one_type(conn: &mut AsyncPgConnection, id: i64) -> QueryResult<()> {
    insert_post(conn, id).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_closure_form_runs_in_a_spawned_task() {
    let target = Target::new();
    let pool = target.pool(2);
    let task = tokio::spawn(async move {
        let tag = String::from("borrowed by the closure");
        let tag = &tag;
        let mut conn = pool.get().await.unwrap();
        conn.audited(&user("42"), async |conn| {
            let published = publish(conn, 1).await?;
            let inner = conn.nested(Some(&user("43")), async |conn| publish(conn, 2).await).await?;
            on_one_type(conn, 3).await?;
            Ok::<_, Error>((published + inner, tag.len()))
        })
        .await
    });
    assert_eq!(task.await.unwrap().unwrap().value, (2, 23));
    let expected =
        ["posts insert 1 42 post.published", "posts insert 2 43 post.published", "posts insert 3 42 post.published"];
    assert_eq!(target.trail(), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_other_form_runs_in_a_spawned_task() {
    let target = Target::new();
    let pool = target.bb8(1).await;
    let plain = target.connect().await;
    let task = tokio::spawn(async move {
        let mut tx = begin(plain, &user("1")).await?;
        tx.nested(None, async |tx| insert_post(tx, 1).await).await?;
        tx.commit().await?;
        let mut conn = pool.get().await.unwrap();
        let tx = &mut *conn;
        diesel_async::AsyncConnection::transaction(tx, async |tx| {
            let mut attached = attach(&user("2"), tx).await?;
            attached.nested(Some(&user("3")), async |conn| insert_post(conn, 2).await).await?;
            attached.detach().await
        })
        .await?;
        conn.record_failure(&user("4"), &Action::new("login")).await?;
        conn.with(&user("5")).retry(&RetryPolicy::new(), async |conn| insert_post(conn, 3).await).await?;
        let six = user("6");
        let session = conn.with(&six).on_error_record(Action::new("login"));
        session.transaction(async |conn| insert_post(conn, 4).await).await?;
        transaction(&mut conn, &user("7"), async |conn| insert_post(conn, 5).await).await?;
        Ok::<_, Error>(conn.timeline(&threadline_core::Timeline::new()).await?.entries.len())
    });
    assert_eq!(task.await.unwrap().unwrap(), 5);
}

#[tokio::test]
async fn user_code_keeps_diesel_as_its_error_type() {
    async fn handler(conn: &mut AsyncPgConnection) -> QueryResult<()> {
        let mut tx = conn.begin_audited(&user("42")).await?;
        insert_post(&mut tx, 1).await?;
        tx.commit().await?;
        conn.audited(&AuditContext::without_actor(), async |conn| insert_post(conn, 2).await).await?;
        Ok(())
    }
    let target = Target::new();
    let error = handler(&mut target.connect().await).await.unwrap_err();
    assert!(Error::from_orm(&error).is_some_and(Error::is_missing_actor), "{error}");
    assert_eq!(target.trail(), ["posts insert 1 42 -"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generic_function_with_a_closure_runs_in_a_spawned_task() {
    async fn generic<C: AuditDsl>(conn: &mut C, context: &AuditContext, id: &i64) -> Result<(), Error> {
        conn.audited(context, async |conn| {
            insert_post(conn, *id).await?;
            conn.nested(None, async |conn| insert_post(conn, *id + 1).await).await
        })
        .await
        .map(drop)
        .map_err(|error: diesel::result::Error| error.into())
    }
    let target = Target::new();
    let pool = target.pool(1);
    let task = tokio::spawn(async move { generic(&mut pool.get().await.unwrap(), &user("42"), &1).await });
    task.await.unwrap().unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 -", "posts insert 2 42 -"]);
}
