//! Who and why: contexts and actions reach exactly the changes they belong to.

use futures_util::future::try_join_all;
use sea_orm::{ConnectionTrait, DbErr, TransactionOptions, TransactionTrait};
use threadline_core::{Action, ActorRef, AuditContext, IsolationLevel, Timeline};
use threadline_seaorm::{AuditedTransaction, Error, Trail};

use crate::support::{Target, actor, insert_post, is_clean, text, user};

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
    target.audited(2).transaction(&context, async |tx| insert_post(tx, 1).await).await.unwrap();
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
async fn each_action_covers_what_follows_it() {
    let target = Target::new();
    target
        .audited(2)
        .transaction(&user("42"), async |tx| {
            insert_post(tx, 1).await?;
            tx.record_action(&Action::new("first")).await?;
            insert_post(tx, 2).await?;
            tx.record_action(&Action::new("second")).await?;
            insert_post(tx, 3).await?;
            tx.record_action(&Action::new("third")).await?;
            Ok::<_, DbErr>(())
        })
        .await
        .unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 first", "posts insert 2 42 first", "posts insert 3 42 second"]);
    assert_eq!(target.actions(), ["first ok 42", "second ok 42", "third ok 42"]);
}

#[tokio::test]
async fn the_macros_form_records_its_action_first() {
    let target = Target::new();
    let db = target.audited(1);
    let outcome = db
        .__audited(&user("42"), Some(Action::new("post.published").reason("why")), async |tx| {
            insert_post(tx, 1).await?;
            // A nested scope with a context and an action of its own, which tells its own audit transaction.
            let inner = user("inner");
            let inner = tx.__audited(&inner, Some(Action::new("billed")), async |tx| insert_post(tx, 2).await).await;
            insert_post(tx, 3).await?;
            Ok::<_, DbErr>(inner?.transaction_id)
        })
        .await
        .unwrap();
    assert_eq!(
        target.trail(),
        ["posts insert 1 42 post.published", "posts insert 2 inner billed", "posts insert 3 42 post.published"]
    );
    let of = |actor: &str| {
        let sql =
            format!("SELECT min(id)::text FROM threadline.audit_transactions WHERE actor_ref ->> 'id' = '{actor}'");
        target.value(&sql)
    };
    assert_eq!(outcome.value.map(|id| id.to_string()), of("inner"));
    assert_eq!(outcome.transaction_id.map(|id| id.to_string()), of("42"));

    db.with(&user("session")).__audited(&user("43"), None, async |tx| insert_post(tx, 4).await).await.unwrap();
    assert_eq!(target.trail().last().unwrap(), "posts insert 4 43 -");
}

#[tokio::test]
async fn an_audit_transaction_is_told_by_its_id() {
    let target = Target::new();
    let db = target.audited(2);
    let outcome = db.transaction(&user("42"), async |tx| insert_post(tx, 1).await).await.unwrap();
    let tx = db.begin(&user("43")).await.unwrap();
    insert_post(&tx, 2).await.unwrap();
    let by_guard = tx.commit().await.unwrap();
    let ids = target.rows("SELECT id FROM threadline.audit_transactions ORDER BY id");
    let told = [outcome.transaction_id, by_guard].map(|id| Some(id.unwrap().to_string()));
    assert_eq!(ids.concat(), told);

    let nothing = db
        .transaction(&user("42"), async |tx| {
            tx.execute_unprepared("INSERT INTO plain VALUES (1)").await?;
            tx.execute_unprepared("UPDATE counters SET n = n WHERE id = 1").await
        })
        .await
        .unwrap();
    assert_eq!(nothing.transaction_id, None);
    assert_eq!(target.count("plain"), 1);
}

#[tokio::test]
async fn a_context_ends_with_its_transaction() {
    let target = Target::new();
    let db = target.audited(1);
    db.transaction(&user("42"), async |tx| insert_post(tx, 1).await).await.unwrap();
    assert!(is_clean(db.unaudited()).await);
    insert_post(db.unaudited(), 2).await.unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 -", "posts insert 2 - -"]);
}

#[tokio::test]
async fn a_context_without_an_actor_is_refused_before_a_connection_is_taken() {
    let db = threadline_seaorm::AuditedDatabase::new(Target::connection_to("postgres://nobody@127.0.0.1:1/nowhere", 1));
    let error = db.begin(&AuditContext::without_actor()).await.unwrap_err();
    assert!(error.is_missing_actor(), "{error}");
    let error = db.transaction(&AuditContext::without_actor(), async |_| Ok::<_, Error>(())).await.unwrap_err();
    assert!(error.is_missing_actor(), "{error}");
    let error = TransactionTrait::begin(&db).await.unwrap_err();
    assert!(Error::from_orm(&error).is_some_and(Error::is_missing_actor), "{error}");
}

#[tokio::test]
async fn a_table_that_requires_an_actor_refuses_the_rest() {
    let target = Target::new();
    let db = target.audited(1);
    let pay = "INSERT INTO payments VALUES (1, 5)";
    let nobody = AuditContext::without_actor().allow_missing_actor().source("import");
    let error: DbErr = db.transaction(&nobody, async |tx| tx.execute_unprepared(pay).await).await.unwrap_err();
    assert!(Error::from(error).is_missing_actor());
    let error = db.unaudited().execute_unprepared(pay).await.unwrap_err();
    assert!(Error::from(error).is_missing_actor());

    db.transaction(&user("42"), async |tx| tx.execute_unprepared(pay).await).await.unwrap();
    db.transaction(&nobody, async |tx| insert_post(tx, 1).await).await.unwrap();
    assert_eq!(target.trail(), ["payments insert 1 42 -", "posts insert 1 - -"]);
}

#[tokio::test]
async fn odd_texts_arrive_as_they_are() {
    let target = Target::new();
    let odd = r#"it's "quoted" \ and \' $1 $$ ; -- /* {} %s ? é 漢 🦀"#;
    let long = format!("{odd}\n").repeat(25_000);
    assert!(long.len() > 1 << 20);
    let context =
        AuditContext::new(ActorRef::user(odd).unwrap()).correlation_id(odd).meta(odd, odd).meta("long", long.as_str());
    target
        .audited(1)
        .transaction(&context, async |tx| {
            insert_post(tx, 1).await?;
            tx.record_action(&Action::new(odd).reason(odd).comment(long.as_str())).await?;
            tx.nested(Some(&context), async |tx| insert_post(tx, 2).await).await
        })
        .await
        .unwrap();
    let transaction =
        "SELECT DISTINCT actor_ref ->> 'id', correlation_id, meta ->> 'long' FROM threadline.audit_transactions";
    assert_eq!(target.rows(transaction), [[odd, odd, &long].map(|text| Some(text.to_owned()))]);
    let action = "SELECT name, reason, comment FROM threadline.audit_actions";
    assert_eq!(target.rows(action), [[odd, odd, &long].map(|text| Some(text.to_owned()))]);
}

#[tokio::test]
async fn a_nul_character_is_refused_before_it_is_sent() {
    let target = Target::new();
    let db = target.audited(1);
    let error = db.begin(&user("42").meta("note", "a\0b")).await.unwrap_err();
    assert!(error.as_core().unwrap().is_malformed_context(), "{error}");
    let tx = db.begin(&user("42")).await.unwrap();
    let error = tx.record_action(&Action::new("a").comment("a\0b")).await.unwrap_err();
    assert!(error.as_core().unwrap().is_invalid_action(), "{error}");
    insert_post(&tx, 1).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 -"]);
}

async fn modes(tx: &AuditedTransaction) -> Result<String, DbErr> {
    text(tx, "SELECT current_setting('transaction_isolation') || ' ' || current_setting('transaction_read_only')").await
}

#[tokio::test]
async fn begin_takes_threadlines_and_seaorms_options() {
    let target = Target::new();
    let session = target.audited(1).with(&user("42"));
    let ours = session.clone().options(IsolationLevel::Serializable);
    assert_eq!(ours.transaction(async |tx| modes(tx).await).await.unwrap().value, "serializable off");
    let seaorms = session.clone().options(TransactionOptions {
        isolation_level: Some(sea_orm::IsolationLevel::RepeatableRead),
        access_mode: Some(sea_orm::AccessMode::ReadOnly),
        ..TransactionOptions::default()
    });
    assert_eq!(seaorms.transaction(async |tx| modes(tx).await).await.unwrap().value, "repeatable read on");
    let read_only = ours.begin_with_config(None, Some(sea_orm::AccessMode::ReadOnly)).await.unwrap();
    assert_eq!(modes(&read_only).await.unwrap(), "serializable on", "the session's level stays");
    let error = insert_post(&read_only, 1).await.unwrap_err();
    assert_eq!(Error::from(error).sqlstate().as_deref(), Some("25006"));
    drop(read_only);
    assert_eq!(session.transaction(async |tx| modes(tx).await).await.unwrap().value, "read committed off");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tasks_over_few_connections_never_swap_actors() {
    let target = Target::new();
    let db = target.audited(4);
    let tasks = (0..64_i64).map(|task| {
        let db = db.clone();
        tokio::spawn(async move {
            for round in 0..4 {
                let id = task * 100 + round;
                db.transaction(&user(&id.to_string()), async |tx| {
                    insert_post(tx, id).await?;
                    tx.record_action(&Action::new(id.to_string())).await?;
                    Ok::<_, DbErr>(())
                })
                .await?;
            }
            Ok::<_, DbErr>(())
        })
    });
    for result in try_join_all(tasks).await.unwrap() {
        result.unwrap();
    }
    let trail = target.trail();
    assert_eq!(trail.len(), 256);
    for change in trail {
        let parts: Vec<&str> = change.split(' ').collect();
        assert!(parts[2] == parts[3] && parts[3] == parts[4], "{change}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_form_runs_in_a_spawned_task() {
    let target = Target::new();
    let db = target.audited(2);
    let task = tokio::spawn(async move {
        let context = user("42");
        db.with(&context)
            .transaction(async |tx| {
                insert_post(tx, 1).await?;
                tx.nested(Some(&context), async |tx| insert_post(tx, 2).await).await?;
                let savepoint = tx.begin().await?;
                insert_post(&savepoint, 3).await?;
                savepoint.commit().await?;
                tx.transaction::<_, (), DbErr>(|tx| Box::pin(async move { insert_post(tx, 4).await })).await.unwrap();
                Ok::<_, DbErr>(())
            })
            .await?;
        let policy = threadline_core::RetryPolicy::new();
        db.retry(&context, &policy, async |tx| insert_post(tx, 5).await).await?;
        db.record_failure(&context, &Action::new("login")).await?;
        db.timeline(&Timeline::new()).await.map_err(DbErr::from)
    });
    assert_eq!(task.await.unwrap().unwrap().entries.len(), 5);
}

#[tokio::test]
async fn where_seaorm_begins_on_the_database_the_current_context_counts() {
    let target = Target::new();
    let db = target.audited(1);
    let tx = user("42").scope(TransactionTrait::begin(&db)).await.unwrap();
    insert_post(&tx, 1).await.unwrap();
    assert_eq!(actor(&tx).await.unwrap(), "42");
    tx.commit().await.unwrap();
    // It does not follow a spawned task.
    let spawned = user("42").scope(async { tokio::spawn(async move { TransactionTrait::begin(&db).await }).await });
    let error = spawned.await.unwrap().unwrap_err();
    assert!(Error::from(error).is_missing_actor());
    assert_eq!(target.trail(), ["posts insert 1 42 -"]);
}
