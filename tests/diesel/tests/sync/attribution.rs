//! Who and why: contexts and actions reach exactly the changes they belong to.

use std::thread;

use diesel::connection::LoadConnection;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::result::Error as DieselError;
use threadline_core::{AccessMode, ActorRef, AuditContext, IsolationLevel, TransactionOptions};
use threadline_diesel::Error;
use threadline_diesel::prelude::*;

use crate::support::{Target, actor, insert_post, on_both, run, text, user};

on_both! {
    the_whole_context_is_recorded,
    one_action_covers_the_changes_around_it,
    each_action_covers_what_follows_it,
    nothing_captured_is_no_audit_transaction,
    an_audit_transaction_is_told_by_its_id,
    a_context_ends_with_its_transaction,
    a_context_without_an_actor_is_refused_before_anything_is_sent,
    a_context_may_go_without_an_actor_when_it_says_so,
    a_table_that_requires_an_actor_refuses_the_rest,
    odd_texts_arrive_as_they_are,
    a_nul_character_is_refused_before_it_is_sent,
    an_action_out_of_bounds_leaves_the_transaction_usable,
    an_action_outside_a_transaction_is_refused,
    begin_takes_an_isolation_level_and_an_access_mode,
    many_threads_over_few_connections_never_swap_actors,
    code_generic_over_the_connection_audits,
    user_code_keeps_diesel_as_its_error_type,
}

fn the_whole_context_is_recorded(target: &Target) {
    let context = AuditContext::new(ActorRef::admin("7").unwrap().on_behalf_of(ActorRef::user("42").unwrap()).unwrap())
        .correlation_id("c-1")
        .request_id("r-1")
        .job_id("j-1")
        .source("api")
        .remote_ip("2001:db8::1".parse().unwrap())
        .meta("tenant", "acme");
    target.connect().audited(&context, |conn| insert_post(conn, 1)).unwrap();
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

fn one_action_covers_the_changes_around_it(target: &Target) {
    target
        .connect()
        .audited(&user("42"), |conn| {
            insert_post(conn, 1)?;
            conn.record_action(&Action::new("post.published"))?;
            insert_post(conn, 2)
        })
        .unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 post.published", "posts insert 2 42 post.published"]);
}

fn each_action_covers_what_follows_it(target: &Target) {
    target
        .connect()
        .audited(&user("42"), |conn| {
            conn.record_action(&Action::new("first"))?;
            insert_post(conn, 1)?;
            conn.record_action(&Action::new("second"))?;
            insert_post(conn, 2)?;
            conn.record_action(&Action::new("third"))
        })
        .unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 first", "posts insert 2 42 second"]);
    assert_eq!(target.actions(), ["first ok 42", "second ok 42", "third ok 42"]);
}

fn nothing_captured_is_no_audit_transaction(target: &Target) {
    let outcome =
        target.connect().audited(&user("42"), |conn| run(conn, "UPDATE counters SET n = n WHERE id = 1")).unwrap();
    assert_eq!(outcome.transaction_id, None);
}

fn an_audit_transaction_is_told_by_its_id(target: &Target) {
    let mut conn = target.connect();
    let outer = conn
        .audited(&user("42"), |conn| {
            insert_post(conn, 1)?;
            conn.audited(&user("43"), |conn| insert_post(conn, 2))
        })
        .unwrap();
    let mut tx = conn.begin_audited(&user("44")).unwrap();
    insert_post(&mut *tx, 3).unwrap();
    let by_guard = tx.commit().unwrap();

    let ids = target.rows("SELECT id FROM threadline.audit_transactions ORDER BY id");
    let told = [outer.transaction_id, outer.value.transaction_id, by_guard].map(|id| Some(id.unwrap().to_string()));
    assert_eq!(ids.concat(), told);
    assert_eq!(target.trail(), ["posts insert 1 42 -", "posts insert 2 43 -", "posts insert 3 44 -"]);
}

fn a_context_ends_with_its_transaction(target: &Target) {
    let pool = target.pool(1);
    pool.get().unwrap().audited(&user("42"), |conn| insert_post(conn, 1)).unwrap();
    let mut conn = pool.get().unwrap();
    assert_eq!(actor(&mut conn), "");
    conn.transaction(|conn| insert_post(conn, 2)).unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 -", "posts insert 2 - -"]);
}

fn a_context_without_an_actor_is_refused_before_anything_is_sent(target: &Target) {
    let (mut conn, proxy, _runtime) = target.through_proxy();
    proxy.round_trips();
    let error = conn.begin_audited(&AuditContext::without_actor()).unwrap_err();
    assert!(error.is_missing_actor(), "{error}");
    let error = conn.audited(&AuditContext::without_actor(), |_| Ok::<_, Error>(())).unwrap_err();
    assert!(error.is_missing_actor(), "{error}");
    assert_eq!(proxy.round_trips(), 0);
}

fn a_context_may_go_without_an_actor_when_it_says_so(target: &Target) {
    let context = AuditContext::without_actor().allow_missing_actor().source("import");
    target.connect().audited(&context, |conn| insert_post(conn, 1)).unwrap();
    assert_eq!(target.trail(), ["posts insert 1 - -"]);
}

fn a_table_that_requires_an_actor_refuses_the_rest(target: &Target) {
    let mut conn = target.connect();
    let pay = "INSERT INTO payments VALUES (1, 5)";
    let nobody = AuditContext::without_actor().allow_missing_actor();
    let error: DieselError = conn.audited(&nobody, |conn| run(conn, pay)).unwrap_err();
    assert!(Error::from(error).is_missing_actor());
    let error = conn.transaction(|conn| run(conn, pay)).unwrap_err();
    assert!(Error::from(error).is_missing_actor());

    conn.audited(&user("42"), |conn| run(conn, pay)).unwrap();
    assert_eq!(target.trail(), ["payments insert 1 42 -"]);
}

fn odd_texts_arrive_as_they_are(target: &Target) {
    let odd = r#"it's "quoted" \ and \' $1 $$ ; -- /* {} %s é 漢 🦀"#;
    let long = format!("{odd}\n").repeat(25_000);
    assert!(long.len() > 1 << 20);
    let context =
        AuditContext::new(ActorRef::user(odd).unwrap()).correlation_id(odd).meta(odd, odd).meta("long", long.as_str());
    target
        .connect()
        .audited(&context, |conn| {
            insert_post(conn, 1)?;
            conn.record_action(&Action::new(odd).reason(odd).comment(long.as_str()))
        })
        .unwrap();
    let transaction = "SELECT actor_ref ->> 'id', correlation_id, meta ->> 'long' FROM threadline.audit_transactions";
    assert_eq!(target.rows(transaction), [[odd, odd, &long].map(|text| Some(text.to_owned()))]);
    let action = "SELECT name, reason, comment FROM threadline.audit_actions";
    assert_eq!(target.rows(action), [[odd, odd, &long].map(|text| Some(text.to_owned()))]);
}

fn a_nul_character_is_refused_before_it_is_sent(target: &Target) {
    let mut conn = target.connect();
    let error = conn.begin_audited(&user("42").meta("note", "a\0b")).unwrap_err();
    assert!(error.as_core().unwrap().is_malformed_context(), "{error}");
    let mut tx = conn.begin_audited(&user("42")).unwrap();
    let error = tx.record_action(&Action::new("a").comment("a\0b")).unwrap_err();
    assert!(error.as_core().unwrap().is_invalid_action(), "{error}");
    insert_post(&mut *tx, 1).unwrap();
    tx.commit().unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 -"]);
}

fn an_action_out_of_bounds_leaves_the_transaction_usable(target: &Target) {
    target
        .connect()
        .audited(&user("42"), |conn| {
            let error = conn.record_action(&Action::new(" ")).unwrap_err();
            assert!(error.as_core().unwrap().is_invalid_action(), "{error}");
            insert_post(conn, 1)
        })
        .unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 -"]);
}

fn an_action_outside_a_transaction_is_refused(target: &Target) {
    let mut conn = target.connect();
    let error = conn.record_action(&Action::new("post.published")).unwrap_err();
    assert!(error.is_not_in_transaction(), "{error}");
    assert_eq!(target.actions(), [""; 0]);
}

fn begin_takes_an_isolation_level_and_an_access_mode(target: &Target) {
    let mut conn = target.connect();
    let context = user("42");
    let options = TransactionOptions::new().isolation(IsolationLevel::Serializable).access_mode(AccessMode::ReadOnly);
    let mut tx = conn.with(&context).options(options).begin().unwrap();
    let isolation = text(&mut *tx, "current_setting('transaction_isolation')").unwrap();
    assert_eq!(isolation.as_deref(), Some("serializable"));
    let error = Error::from(insert_post(&mut *tx, 1).unwrap_err());
    assert_eq!(error.sqlstate(), Some("25006"), "read-only");
    tx.rollback();

    let session = conn.with(&context).options(IsolationLevel::RepeatableRead);
    let outcome = session.transaction(|conn| text(conn, "current_setting('transaction_isolation')")).unwrap();
    assert_eq!(outcome.value.as_deref(), Some("repeatable read"));

    conn.transaction(|conn| {
        let session = conn.with(&context).options(IsolationLevel::Serializable);
        let error: Error = session.transaction(|_| Ok(())).unwrap_err();
        assert!(error.is_nested(), "{error}");
        insert_post(conn, 2)
    })
    .unwrap();
}

fn many_threads_over_few_connections_never_swap_actors(target: &Target) {
    let pool = target.pool(4);
    thread::scope(|scope| {
        for task in 0..64_i64 {
            let pool = pool.clone();
            scope.spawn(move || {
                let me = format!("actor-{task}");
                for round in 0..5_i64 {
                    let outcome = pool.get().unwrap().audited(&user(&me), |conn| {
                        insert_post(conn, task * 100 + round)?;
                        assert_eq!(actor(conn), me);
                        conn.record_action(&Action::new(format!("action-{task}")))?;
                        if round == 3 { Err(DieselError::RollbackTransaction) } else { Ok(()) }
                    });
                    match outcome {
                        Ok(_) => assert_ne!(round, 3),
                        Err(error) => assert!(matches!(error, DieselError::RollbackTransaction), "{error}"),
                    }
                }
            });
        }
    });
    assert_eq!(target.count("threadline.audit_changes"), 64 * 4);
    let wrong = "threadline.audit_changes c JOIN threadline.audit_transactions t ON t.id = c.transaction_id
        LEFT JOIN threadline.audit_actions a ON a.id = t.action_id
        WHERE (t.actor_ref ->> 'id', a.name) IS DISTINCT FROM (
            'actor-' || (c.table_pk ->> 'id')::int / 100, 'action-' || (c.table_pk ->> 'id')::int / 100)";
    assert_eq!(target.count(wrong), 0);
}

fn code_generic_over_the_connection_audits(target: &Target) {
    fn publish<C>(conn: &mut C, context: &AuditContext, id: i64) -> Result<usize, Error>
    where
        C: LoadConnection<Backend = Pg>,
    {
        conn.audited(context, |conn| {
            conn.record_action(&Action::new("post.published"))?;
            Ok(insert_post(conn, id)?)
        })
        .map(Outcome::into_value)
    }
    publish(&mut target.connect(), &user("1"), 1).unwrap();
    publish(&mut target.pool(1).get().unwrap(), &user("2"), 2).unwrap();
    publish(&mut *target.connect().begin_audited(&user("rolled back")).unwrap(), &user("3"), 3).unwrap();
    assert_eq!(target.trail(), ["posts insert 1 1 post.published", "posts insert 2 2 post.published"]);
}

fn user_code_keeps_diesel_as_its_error_type(target: &Target) {
    fn handler(conn: &mut PgConnection) -> QueryResult<()> {
        let mut tx = conn.begin_audited(&user("42"))?;
        insert_post(&mut *tx, 1)?;
        tx.commit()?;
        conn.audited(&AuditContext::without_actor(), |conn| insert_post(conn, 2))?;
        Ok(())
    }
    let error = handler(&mut target.connect()).unwrap_err();
    assert!(Error::from_orm(&error).is_some_and(Error::is_missing_actor), "{error}");
    assert_eq!(target.trail(), ["posts insert 1 42 -"]);
}
