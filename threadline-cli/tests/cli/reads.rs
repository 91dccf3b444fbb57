//! `timeline`, `history` and `as-of`.

use serde_json::Value;
use threadline_testkit::Database;

use crate::support::{on, pretty, steady, story};

fn timeline(database: &Database, filters: &[&str]) -> Vec<Value> {
    let page = on(database, &[&["timeline", "--json"], filters].concat()).json();
    page["entries"].as_array().unwrap().clone()
}

/// When the newest change that matches was captured.
fn instant(database: &Database, condition: &str) -> String {
    let sql = format!(
        "SELECT to_char(max(captured_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') \
         FROM threadline.audit_changes WHERE {condition}"
    );
    database.query_text(&sql).unwrap()[0][0].clone().unwrap()
}

#[test]
fn a_timeline_is_readable() {
    let database = story();
    let text = on(&database, &["timeline"]).text();
    insta::assert_snapshot!("timeline", steady(&text, &database));
    assert!(!text.contains("secret"), "{text}");
    assert!(!text.contains('\u{1b}'), "no colour and no escape of a value: {text}");
}

#[test]
fn a_timeline_as_json_is_one_document() {
    let database = story();
    let page = on(&database, &["timeline", "--json", "--table", "posts", "--op", "update", "--limit", "1"]).json();
    insta::assert_snapshot!("timeline_json", pretty(page, &database));
}

#[test]
fn colour_is_for_those_who_ask_without_a_terminal() {
    let database = story();
    let mut command = crate::support::command(&["timeline"]);
    command.env("DATABASE_URL", database.url()).env("CLICOLOR_FORCE", "1");
    let coloured = crate::support::run(command).text();
    assert!(coloured.contains("\u{1b}[33mupdate"), "{coloured}");
    // The value's own escape is shown, not sent.
    assert!(coloured.contains(r"\u001b[2J") && !coloured.contains("\u{1b}[2J"), "{coloured}");
}

#[test]
fn every_filter_finds_what_it_names() {
    let database = story();
    let published = instant(&database, "changed_fields @> '{title}'");
    let transaction = timeline(&database, &["--action", "post.published"])[0]["change"]["transaction_id"].to_string();
    let cases: [(&[&str], usize); 27] = [
        (&[], 7),
        (&["--table", "posts"], 3),
        (&["--table", "posts", "--table", "billing.lines"], 6),
        (&["--in-schema", "billing"], 3),
        (&["--in-schema", "billing", "--since", "1h ago", "--op", "delete"], 1),
        (&["--table", "posts", "--op", "insert", "--op", "update"], 3),
        (&["--table", "posts", "--changed-field", "title"], 1),
        (&["--table", "posts", "--changed-field", "title", "--changed-field", "note"], 2),
        (&["--action-id", "1"], 3),
        (&["--actor", "user:42", "--action-category", "editing"], 0),
        (&["--since", "1h ago", "--action-status", "ok"], 4),
        (&["--since", "1h ago", "--action-status", "error"], 0),
        (&["--table", "BILLING.Lines"], 3),
        (&["--table", "posts", "--key", "7"], 3),
        (&["--table", "posts", "--key", r#"{"id": 7}"#], 3),
        (&["--table", "billing.lines", "--key", r#"{"line": 2, "invoice": "A-1"}"#], 2),
        (&["--table", r#""Odd ""name"""."T; DROP TABLE posts; --""#], 1),
        (&["--op", "delete", "--since", "1h ago"], 1),
        (&["--actor", "user:42"], 3),
        (&["--actor", "nobody"], 1),
        (&["--action", "post.published"], 1),
        (&["--correlation-id", "corr-1"], 3),
        (&["--request-id", "req-1"], 3),
        (&["--job-id", "job-9"], 2),
        (&["--transaction", &transaction], 1),
        (&["--since", &published], 4),
        (&["--until", &published], 4),
    ];
    for (filters, expected) in cases {
        assert_eq!(timeline(&database, filters).len(), expected, "{filters:?}");
        let count = on(&database, &[&["count", "--json"], filters].concat()).json();
        assert_eq!(count, serde_json::json!({"count": expected, "capped": false}), "{filters:?}");
        let lines = on(&database, &[&["export", "--format", "ndjson"], filters].concat()).text();
        assert_eq!(lines.lines().count(), expected, "{filters:?}");
    }
    assert_eq!(timeline(&database, &["--since", "1h ago"]).len(), 7);
    assert_eq!(timeline(&database, &["--until", "1h ago"]).len(), 0);
    let on_behalf = r#"{"type":"admin","id":"7","on_behalf_of":{"type":"user","id":"42"}}"#;
    assert_eq!(timeline(&database, &["--actor", on_behalf]).len(), 1);
}

#[test]
fn pages_follow_one_another_by_cursor() {
    let database = story();
    let all = timeline(&database, &[]);
    let (mut found, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let mut arguments = vec!["timeline", "--json", "--limit", "3"];
        if let Some(cursor) = &cursor {
            arguments.extend(["--cursor", cursor]);
        }
        let page = on(&database, &arguments).json();
        found.extend(page["entries"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(found, all);
    let run = on(&database, &["timeline", "--limit", "3"]);
    assert!(run.stderr.contains("--cursor"), "{run:?}");
}

#[test]
fn an_empty_timeline_says_so_beside_the_result() {
    let database = story();
    let run = on(&database, &["timeline", "--actor", "user:43"]);
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (Some(0), "", "No changes.\n"));
    let page = on(&database, &["timeline", "--actor", "user:43", "--json"]).json();
    assert_eq!(page, serde_json::json!({"entries": [], "next": null}));
}

#[test]
fn the_history_of_a_row_is_readable() {
    let database = story();
    let text = on(&database, &["history", "posts", "7"]).text();
    insta::assert_snapshot!("history", steady(&text, &database));
}

#[test]
fn keys_are_read_by_the_type_of_their_column() {
    let database = story();
    let count = |arguments: &[&str]| {
        let page = on(&database, &[&["history", "--json"], arguments].concat()).json();
        page["entries"].as_array().unwrap().len()
    };
    let odd = r#""Odd ""name"""."T; DROP TABLE posts; --""#;
    assert_eq!(count(&["posts", "7"]), 3);
    assert_eq!(count(&["posts", " 7 "]), 3);
    assert_eq!(count(&["posts", "-7"]), 0);
    assert_eq!(count(&["billing.lines", r#"{"invoice": "A-1", "line": 1}"#]), 1);
    assert_eq!(count(&[odd, "0190163D-8694-739B-AEA5-966C26F8AD91"]), 1);
    assert_eq!(count(&[odd, r#"{"The \"id\"": "0190163d-8694-739b-aea5-966c26f8ad91"}"#]), 1);
}

#[test]
fn a_key_that_no_row_can_have_is_wrong_input() {
    let database = story();
    let cases: [(&[&str], &str); 4] = [
        (&["posts", "seven"], "the key of public.posts has the type bigint, KEY has not"),
        (&["posts", r#"{"number": 7}"#], "the key does not have the columns of the key of public.posts"),
        (&["billing.lines", "1"], "the key does not have the columns of the key of billing.lines"),
        (&["plain", "1"], "table public.plain is not captured"),
    ];
    for (arguments, message) in cases {
        let stderr = on(&database, &[&["history"], arguments].concat()).failed(2);
        assert!(stderr.starts_with(&format!("error: {message}")), "{stderr}");
        let at = [&["as-of"], arguments, &["--at", "now"]].concat();
        let stderr = on(&database, &at).failed(2);
        assert!(stderr.starts_with(&format!("error: {message}")), "{stderr}");
    }
}

#[test]
fn a_row_is_shown_as_it_was() {
    let database = story();
    let drafted = instant(&database, "table_name = 'posts' AND op = 'insert'");
    let text = on(&database, &["as-of", "posts", "7", "--at", &drafted]).text();
    insta::assert_snapshot!("as_of", text);
    let now = on(&database, &["as-of", "posts", "7", "--at", "now", "--json"]).json();
    assert_eq!((&now["table_schema"], &now["table_name"]), (&"public".into(), &"posts".into()));
    assert_eq!((&now["row"]["title"], &now["row"]["author_email"]), (&"Ship it".into(), &"[REDACTED]".into()));
    assert!(on(&database, &["as-of", "posts", "7", "--at", "now", "--json"]).stdout.contains(r#""price": 2.00"#));
}

#[test]
fn a_row_that_was_rebuilt_says_so() {
    let database = story();
    let sql = "CREATE TABLE older (id int PRIMARY KEY, v text); INSERT INTO older VALUES (1, 'a');
        SELECT threadline.enable_capture('older')";
    database.execute(sql).unwrap();
    let rebuilt = on(&database, &["as-of", "older", "1", "--at", "now", "--json"]).json();
    assert_eq!((&rebuilt["row"]["v"], &rebuilt["origin"]), (&"a".into(), &"reconstructed".into()));
    let text = on(&database, &["as-of", "older", "1", "--at", "now"]).text();
    insta::assert_snapshot!("as_of_reconstructed", text);
    let image = on(&database, &["as-of", "posts", "7", "--at", "now", "--json"]).json();
    assert_eq!(image["origin"], "image");
    assert!(!on(&database, &["as-of", "posts", "7", "--at", "now"]).text().contains("reconstructed"));
}

#[test]
fn every_row_of_a_table_is_shown_as_it_was() {
    let database = story();
    let first = instant(&database, "table_name = 'lines' AND op = 'insert'");
    let table = on(&database, &["as-of", "billing.lines", "--all-rows", "--at", &first, "--json"]).json();
    assert_eq!((&table["table_schema"], &table["table_name"]), (&"billing".into(), &"lines".into()));
    let rows = table["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "one has been deleted since: {table}");
    assert!(rows.iter().all(|row| row["origin"] == "image" && row["row"]["invoice"] == "A-1"), "{table}");
    let text = on(&database, &["as-of", "billing.lines", "--all-rows", "--at", &first]).text();
    assert_eq!(text.matches("invoice").count(), 2, "{text}");

    database.execute("CREATE TABLE none (id int PRIMARY KEY); SELECT threadline.enable_capture('none')").unwrap();
    let none = on(&database, &["as-of", "none", "--all-rows", "--at", "now", "--json"]).json();
    assert_eq!(none, serde_json::json!({"table_schema": "public", "table_name": "none", "rows": []}));
    let none = on(&database, &["as-of", "none", "--all-rows", "--at", "now"]);
    assert_eq!((none.code, none.stdout.as_str(), none.stderr.as_str()), (Some(0), "", "No rows.\n"));

    database.execute("TRUNCATE none").unwrap();
    let before = instant(&database, "table_name = 'lines'");
    let unsure = on(&database, &["as-of", "none", "--all-rows", "--at", &before, "--json"]).failed(1);
    assert!(unsure.contains("before_horizon"), "{unsure}");
    on(&database, &["as-of", "posts", "--at", "now"]).failed(2);
    on(&database, &["as-of", "posts", "7", "--all-rows", "--at", "now"]).failed(2);
    on(&database, &["as-of", "posts", "7", "--known-rows", "--at", "now"]).failed(2);
}

#[test]
fn why_there_was_no_row_is_told() {
    let database = story();
    let line = r#"{"invoice": "A-1", "line": 2}"#;
    let cases: [(&[&str], &str); 3] = [
        (&["billing.lines", line, "--at", "now"], "deleted_record"),
        (&["posts", "8", "--at", "now"], "never_existed"),
        (&["posts", "7", "--at", "2001-01-01T00:00:00Z"], "before_horizon"),
    ];
    for (arguments, code) in cases {
        let stderr = on(&database, &[&["as-of", "--json"], arguments].concat()).failed(1);
        let document: Value = serde_json::from_str(&stderr).unwrap();
        assert_eq!(document["error"]["code"], code, "{stderr}");
    }
}

#[test]
fn a_table_that_is_gone_still_has_its_history() {
    let database = story();
    database.execute("DROP TABLE posts").unwrap();
    assert_eq!(timeline(&database, &["--table", "posts"]).len(), 3);
    let page = on(&database, &["history", "posts", "7", "--json"]).json();
    assert_eq!(page["entries"].as_array().unwrap().len(), 3);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let database = story();
    let mut command = crate::support::command(&["timeline"]);
    command.env("DATABASE_URL", database.url()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
