//! Queries of the user's own over the trail's tables, with Diesel's query builder.

use diesel::prelude::*;
use threadline_core::{ActionStatus, ChangeOp};
use threadline_diesel::prelude::*;
use threadline_diesel::trail::{
    AuditAction, AuditChange, AuditTransaction, audit_actions, audit_changes, audit_transactions,
};

use crate::support::{Target, insert_post, on_both, run, user};

on_both! {
    every_column_is_what_the_core_reads,
    the_three_tables_join,
    an_absent_value_is_none,
}

fn write(conn: &mut PgConnection) {
    let context = user("42").request_id("r-1").meta("n", 7);
    conn.audited(&context, |conn| {
        conn.record_action(&Action::new("post.published").reason("editor approved"))?;
        insert_post(conn, 1)?;
        run(conn, "UPDATE posts SET title = 'new', id = 2 WHERE id = 1")
    })
    .unwrap();
}

fn every_column_is_what_the_core_reads(target: &Target) {
    let mut conn = target.connect();
    write(&mut conn);
    let page = conn.timeline(&Timeline::new()).unwrap();
    let rows: Vec<(AuditChange, AuditTransaction, Option<AuditAction>)> = audit_changes::table
        .inner_join(audit_transactions::table.left_join(audit_actions::table))
        .order((audit_changes::captured_at.desc(), audit_changes::id.desc()))
        .select((AuditChange::as_select(), AuditTransaction::as_select(), Option::<AuditAction>::as_select()))
        .load(&mut conn)
        .unwrap();
    assert_eq!((rows.len(), page.entries.len()), (2, 2));
    for ((change, transaction, action), read) in rows.iter().zip(&page.entries) {
        let expected = &read.change;
        assert_eq!(
            (change.id, change.transaction_id, change.xid),
            (expected.id, expected.transaction_id, expected.xid)
        );
        assert_eq!(change.captured_at, expected.captured_at);
        assert_eq!((&change.table_schema, &change.table_name), (&expected.table_schema, &expected.table_name));
        assert_eq!((change.op, &change.table_pk), (expected.op, &expected.table_pk));
        assert_eq!((&change.previous_pk, &change.data_after), (&expected.previous_pk, &expected.data_after));
        assert_eq!((&change.changed_fields, &change.changed_from), (&expected.changed_fields, &expected.changed_from));
        assert_eq!(change.withheld, expected.withheld);

        let expected = read.transaction.as_ref().unwrap();
        assert_eq!(
            (transaction.id, transaction.xid, transaction.occurred_at),
            (expected.id, expected.xid, expected.occurred_at)
        );
        let actor: ActorRef = transaction.actor_ref.as_ref().unwrap().decode().unwrap();
        assert_eq!(Some(&actor), expected.actor.as_ref());
        assert_eq!((transaction.action_id, &transaction.request_id), (expected.action_id, &expected.request_id));
        assert_eq!((&transaction.meta, &transaction.session_role), (&expected.meta, &expected.session_role));
        assert_eq!(transaction.current_role_name, expected.current_role_name);
        assert_eq!(transaction.application_name, expected.application_name);

        let (action, expected) = (action.as_ref().unwrap(), read.action.as_ref().unwrap());
        assert_eq!((action.id, &action.name, action.status), (expected.id, &expected.name, ActionStatus::Ok));
        assert_eq!((&action.reason, action.recorded_at), (&expected.reason, expected.recorded_at));
    }
    assert_eq!([rows[0].0.op, rows[1].0.op], [ChangeOp::Update, ChangeOp::Insert]);
}

fn the_three_tables_join(target: &Target) {
    let mut conn = target.connect();
    write(&mut conn);
    let touched: Vec<(String, Option<Vec<String>>)> = audit_changes::table
        .inner_join(audit_transactions::table.inner_join(audit_actions::table))
        .filter(audit_transactions::request_id.eq("r-1"))
        .filter(audit_actions::name.like("post.%"))
        .filter(audit_changes::op.eq(ChangeOp::Update.as_str()))
        .select((audit_changes::table_name, audit_changes::changed_fields))
        .load(&mut conn)
        .unwrap();
    assert_eq!(touched, [("posts".to_owned(), Some(vec!["id".to_owned(), "title".to_owned()]))]);
}

fn an_absent_value_is_none(target: &Target) {
    let mut conn = target.connect();
    insert_post(&mut conn, 1).unwrap();
    let (change, transaction): (AuditChange, AuditTransaction) = audit_changes::table
        .inner_join(audit_transactions::table)
        .select((AuditChange::as_select(), AuditTransaction::as_select()))
        .first(&mut conn)
        .unwrap();
    assert_eq!((change.previous_pk, change.changed_from), (None, None));
    assert_eq!((transaction.actor_ref, transaction.action_id, transaction.meta), (None, None, None));
}
