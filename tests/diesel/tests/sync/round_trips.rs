//! What auditing costs in round trips, counted on the wire.

use diesel::prelude::*;
use threadline_core::InstalledVersion;
use threadline_diesel::prelude::*;

use crate::reading::now;
use crate::support::{Target, insert_post, on_both, run, user};
use crate::typed_rows::Post;

on_both! {
    an_audited_transaction_costs_one_more_than_a_plain_one,
    a_nested_scope_costs_two_or_four,
    attaching_costs_two,
    a_read_costs_one_inside_a_transaction_and_five_with_one_of_its_own,
    a_pooled_connection_costs_no_more,
}

fn an_audited_transaction_costs_one_more_than_a_plain_one(target: &Target) {
    let (mut conn, proxy, _runtime) = target.through_proxy();
    proxy.round_trips();
    conn.transaction(|conn| run(conn, "INSERT INTO posts VALUES (1, '')")).unwrap();
    assert_eq!(proxy.round_trips(), 3, "BEGIN, INSERT, COMMIT");

    conn.audited(&user("42"), |conn| {
        assert_eq!(proxy.round_trips(), 1, "BEGIN with the context");
        run(conn, "INSERT INTO posts VALUES (2, '')")?;
        assert_eq!(proxy.round_trips(), 1);
        conn.record_action(&Action::new("post.published").comment("it's done"))?;
        assert_eq!(proxy.round_trips(), 1, "the action");
        QueryResult::Ok(())
    })
    .unwrap();
    assert_eq!(proxy.round_trips(), 2, "the audit transaction's id, and COMMIT");

    let tx = conn.begin_audited(&user("42")).unwrap();
    proxy.round_trips();
    tx.rollback();
    assert_eq!(proxy.round_trips(), 1);
}

fn a_nested_scope_costs_two_or_four(target: &Target) {
    let (mut conn, proxy, _runtime) = target.through_proxy();
    conn.audited(&user("42"), |conn| {
        proxy.round_trips();
        conn.nested(None, |_| QueryResult::Ok(()))?;
        assert_eq!(proxy.round_trips(), 2, "SAVEPOINT, RELEASE");
        conn.audited(&user("43"), |_| QueryResult::Ok(()))?;
        assert_eq!(proxy.round_trips(), 4, "SAVEPOINT, context, context with the id, RELEASE");
        QueryResult::Ok(())
    })
    .unwrap();
}

fn attaching_costs_two(target: &Target) {
    let (mut conn, proxy, _runtime) = target.through_proxy();
    conn.transaction(|conn| {
        proxy.round_trips();
        let mut audited = attach(&user("42"), conn)?;
        assert_eq!(proxy.round_trips(), 1);
        insert_post(&mut *audited, 1)?;
        proxy.round_trips();
        audited.detach()?;
        assert_eq!(proxy.round_trips(), 1);
        QueryResult::Ok(())
    })
    .unwrap();
}

fn a_read_costs_one_inside_a_transaction_and_five_with_one_of_its_own(target: &Target) {
    let (mut conn, proxy, _runtime) = target.through_proxy();
    conn.transaction(|conn| {
        proxy.round_trips();
        conn.run(&InstalledVersion)?;
        assert_eq!(proxy.round_trips(), 1);
        QueryResult::Ok(())
    })
    .unwrap();
    conn.audited(&user("42"), |conn| insert_post(conn, 1)).unwrap();
    let then = now(&mut conn);
    conn.transaction(|conn| {
        proxy.round_trips();
        conn.as_of::<Post>(1, then)?;
        assert_eq!(proxy.round_trips(), 2, "the image, then the row made of it");
        QueryResult::Ok(())
    })
    .unwrap();
    proxy.round_trips();
    conn.run(&InstalledVersion).unwrap();
    assert_eq!(proxy.round_trips(), 5, "two to see that no transaction is open, BEGIN READ ONLY, the read, COMMIT");
}

fn a_pooled_connection_costs_no_more(target: &Target) {
    let (_conn, proxy, _runtime) = target.through_proxy();
    let mut conn = target.pool_at(proxy.url(), 1).get().unwrap();
    run(&mut conn, "SELECT 1").unwrap();
    proxy.round_trips();
    conn.audited(&user("42"), |conn| run(conn, "INSERT INTO posts VALUES (1, '')")).unwrap();
    assert_eq!(proxy.round_trips(), 4, "BEGIN with the context, INSERT, the audit transaction's id, COMMIT");
}
