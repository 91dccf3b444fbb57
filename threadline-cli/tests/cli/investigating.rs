//! `count`, `transaction`, `incident`, `correlation`, `actor` and `diff`.

use serde_json::{Value, json};

use crate::support::{on, pretty, steady, story};

#[test]
fn changes_are_counted_up_to_a_cap() {
    let database = story();
    assert_eq!(on(&database, &["count"]).text(), "7\n");
    assert_eq!(on(&database, &["count", "--cap", "3"]).text(), "more than 3\n");
    assert_eq!(on(&database, &["count", "--cap", "3", "--json"]).json(), json!({"count": 3, "capped": true}));
}

#[test]
fn a_transaction_is_shown_with_its_action() {
    let database = story();
    let text = |id: &str| {
        let run = on(&database, &["transaction", id]);
        assert_eq!(run.stderr, format!("Its changes: incident {id}\n"));
        steady(&run.text(), &database)
    };
    insta::assert_snapshot!("transaction", text("2"));
    insta::assert_snapshot!("transaction_of_nobody", text("4"));
    let json = on(&database, &["transaction", "2", "--json"]).json();
    assert_eq!(json["transaction"]["id"], 2);
    assert_eq!(json["action"]["name"], "post.published");
}

#[test]
fn an_incident_is_shown_whole() {
    let database = story();
    let text = on(&database, &["incident", "2"]).text();
    insta::assert_snapshot!("incident", steady(&text, &database));
    let all = on(&database, &["incident", "1"]).text();
    insta::assert_snapshot!("incident_of_inserts", steady(&all, &database));
    let json = on(&database, &["incident", "2", "--json"]).json();
    insta::assert_snapshot!("incident_json", pretty(json, &database));
}

#[test]
fn an_incident_goes_on_by_cursor() {
    let database = story();
    let first = on(&database, &["incident", "1", "--limit", "2", "--json"]).json();
    assert_eq!(first["changes"].as_array().unwrap().len(), 2);
    let cursor = first["next"].as_str().unwrap();
    let second = on(&database, &["incident", "1", "--limit", "2", "--cursor", cursor, "--json"]).json();
    assert_eq!((second["changes"].as_array().unwrap().len(), &second["next"]), (1, &Value::Null));
    let run = on(&database, &["incident", "1", "--limit", "2"]);
    assert!(run.stderr.contains(&format!("--cursor {cursor}")), "{run:?}");
}

#[test]
fn what_is_not_there_is_said_with_code_1() {
    let database = story();
    for arguments in [
        &["transaction", "99"][..],
        &["incident", "99"],
        &["diff", "99"],
        &["diff", "1", "--transaction", "2"],
        &["diff", "1", "--at", "1 year ago"],
    ] {
        let stderr = on(&database, arguments).failed(1);
        assert!(stderr.starts_with("error: there is no") && stderr.contains("\nhelp: "), "{stderr}");
        let stderr = on(&database, &[arguments, &["--json"]].concat()).failed(1);
        let document: Value = serde_json::from_str(&stderr).unwrap();
        assert_eq!(document["error"]["code"], "not_found", "{stderr}");
    }
}

#[test]
fn a_correlation_is_shown_with_actions_that_changed_nothing() {
    let database = story();
    database
        .execute(
            r#"BEGIN; SELECT threadline.set_context('{"type": "user", "id": "43"}', '{"correlation_id": "corr-2"}');
               SELECT threadline.record_action('{"name": "post.refused", "status": "error", "reason": "no right"}'); COMMIT"#,
        )
        .unwrap();
    let text = on(&database, &["correlation", "corr-2"]).text();
    insta::assert_snapshot!("correlation", steady(&text, &database));
    let json = on(&database, &["correlation", "corr-2", "--json"]).json();
    assert_eq!(json["actions"].as_array().unwrap().len(), 2);
    assert_eq!(json["changes"]["entries"].as_array().unwrap().len(), 1);
    let run = on(&database, &["correlation", "corr-99"]);
    assert_eq!((run.code, &*run.stdout, &*run.stderr), (Some(0), "", "Nothing was recorded under that id.\n"));
    let page = on(&database, &["correlation", "corr-1", "--limit", "2"]);
    assert!(page.stderr.contains("--cursor"), "{page:?}");
    on(&database, &["correlation", " "]).failed(2);
}

#[test]
fn the_transactions_of_an_actor_are_listed() {
    let database = story();
    let list = |arguments: &[&str]| {
        let page = on(&database, &[&["actor", "--json"], arguments].concat()).json();
        page["entries"].as_array().unwrap().len()
    };
    insta::assert_snapshot!("actor", steady(&on(&database, &["actor", "admin:7"]).text(), &database));
    assert_eq!(list(&["user:42"]), 1);
    assert_eq!(list(&["nobody"]), 1);
    assert_eq!(list(&["user:43"]), 0);
    assert_eq!(list(&["user:42", "--since", "1h ago", "--until", "now"]), 1);
    assert_eq!(list(&["user:42", "--until", "1h ago"]), 0);
    let run = on(&database, &["actor", "user:43"]);
    assert_eq!((run.code, &*run.stdout, &*run.stderr), (Some(0), "", "No transactions.\n"));
}

#[test]
fn a_change_is_told_column_by_column() {
    let database = story();
    let page = on(&database, &["timeline", "--json"]).json();
    let id = |op: &str, table: &str| {
        let entries = page["entries"].as_array().unwrap().iter();
        let mut found = entries.filter(|entry| entry["change"]["op"] == op && entry["change"]["table_name"] == table);
        let change = &found.next().unwrap()["change"];
        (change["id"].to_string(), change["transaction_id"].to_string())
    };
    let (update, transaction) = id("update", "posts");
    let text = on(&database, &["diff", &update, "--transaction", &transaction]).text();
    insta::assert_snapshot!("diff", steady(&text, &database));
    assert_eq!(on(&database, &["diff", &update]).text(), text);
    let json = on(&database, &["diff", &update, "--json"]).json();
    assert_eq!((&json["schema_version"], &json["before_values"]), (&json!(1), &json!("sparse")));
    let fields = |arguments: &[&str]| {
        let diff = on(&database, &[&["diff", "--json"], arguments].concat()).json();
        diff["field_changes"].as_array().unwrap().len()
    };
    let (insert, delete) = (id("insert", "posts").0, id("delete", "lines").0);
    assert_eq!((fields(&[&insert]), fields(&[&insert, "--expand"])), (0, 5));
    assert_eq!((fields(&[&delete]), fields(&[&delete, "--expand"])), (0, 3));
}

#[test]
fn an_old_change_is_found_when_its_time_or_its_transaction_is_told() {
    let database = story();
    let page = on(&database, &["timeline", "--json", "--limit", "1"]).json();
    let change = &page["entries"][0]["change"];
    let told = |name: &str| change[name].as_str().map_or_else(|| change[name].to_string(), str::to_owned);
    let (id, at, transaction) = (told("id"), told("captured_at"), told("transaction_id"));
    let text = on(&database, &["diff", &id]).text();
    assert_eq!(on(&database, &["diff", &id, "--at", &at]).text(), text);
    assert_eq!(on(&database, &["diff", &id, "--transaction", &transaction]).text(), text);

    let later = "INSERT INTO threadline.audit_changes (transaction_id, xid, captured_at, key_hash, table_schema, table_name, op)
        SELECT 9, '9', now(), g, 'public', 'posts', 'insert' FROM generate_series(1, 100000) AS g";
    database.execute(later).unwrap();
    let stderr = on(&database, &["diff", &id]).failed(1);
    assert!(stderr.contains("among the newest 100000") && stderr.contains("--at"), "{stderr}");
    assert_eq!(on(&database, &["diff", &id, "--at", &at]).text(), text);
    // To the second, as somebody may have noted it.
    let second = format!("{}Z", &at[..19]);
    assert_eq!(on(&database, &["diff", &id, "--at", &second]).text(), text);
    assert_eq!(on(&database, &["diff", &id, "--transaction", &transaction]).text(), text);
}
