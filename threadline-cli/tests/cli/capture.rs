//! `plan` and `enable`.

use crate::support::{installed, on, pretty, with_setting};

fn captured(database: &threadline_testkit::Database) -> usize {
    database.query_text("SELECT FROM threadline.audited_tables").unwrap().len()
}

#[test]
fn a_plan_is_what_enable_would_run_and_runs_nothing() {
    let database = installed();
    let plan = on(&database, &["plan", "posts", "--mask", "author_email"]).text();
    assert!(plan.contains("CREATE OR REPLACE FUNCTION") && plan.contains("[REDACTED]"), "{plan}");
    assert_eq!(captured(&database), 0);
    let dry = on(&database, &["enable", "posts", "--mask", "author_email", "--dry-run"]).text();
    assert_eq!(plan, dry);
    assert_eq!(captured(&database), 0);
    // It is complete: running it by hand captures the table.
    database.execute(&plan).unwrap();
    assert_eq!(captured(&database), 1);
}

#[test]
fn a_plan_as_json_holds_the_policy_and_the_sql() {
    let database = installed();
    let mut plan = on(&database, &["plan", "posts", "--exclude", "note", "--json"]).json();
    let sql = plan["tables"][0]["sql"].take();
    assert!(sql.as_str().unwrap().contains("CREATE TRIGGER"), "{sql}");
    plan["tables"][0]["sql"] = "[sql]".into();
    insta::assert_snapshot!("plan_json", pretty(plan, &database));
}

#[test]
fn enabling_tells_what_is_captured_and_what_was_before() {
    let database = installed();
    let enable = |arguments: &[&str]| on(&database, &[&["enable", "posts"], arguments].concat()).text();
    let text = [
        enable(&[]),
        enable(&[]),
        enable(&["--mask", "author_email", "--exclude", "note", "--except", "price"]),
        enable(&["--images", "lean", "--truncate", "refuse", "--require-actor"]),
        enable(&["--before-values", "false", "--mask", "title", "--mask-placeholder", "***"]),
    ]
    .concat();
    insta::assert_snapshot!("enable", text);
}

#[test]
fn enabling_as_json_tells_both_policies() {
    let database = installed();
    on(&database, &["enable", "billing.lines", "--mask", "amount"]).text();
    let done = on(&database, &["enable", "billing.lines", "--images", "lean", "--json"]).json();
    insta::assert_snapshot!("enable_json", pretty(done, &database));
}

#[test]
fn every_option_reaches_the_policy() {
    let database = installed();
    let options = "--mask title --mask author_email --exclude note --except price --mask-placeholder ### --images full \
                   --before-values false --truncate rows --require-actor";
    let arguments: Vec<&str> = ["enable", "posts"].into_iter().chain(options.split_whitespace()).collect();
    on(&database, &arguments).text();
    let policy = database.query_text("SELECT policy FROM threadline.audited_tables").unwrap();
    insta::assert_snapshot!("policy", policy[0][0].as_deref().unwrap());
}

#[test]
fn names_that_need_quoting_reach_the_server_as_they_are() {
    let database = installed();
    let name = r#""Odd ""name"""."T; DROP TABLE posts; --""#;
    let done = on(&database, &["enable", name, "--mask", "Größe", "--json"]).json();
    assert_eq!(done["tables"][0]["table_schema"], r#"Odd "name""#);
    assert_eq!(done["tables"][0]["table_name"], "T; DROP TABLE posts; --");
    assert_eq!(done["tables"][0]["policy"]["mask"][0], "Größe");
    assert_eq!(captured(&database), 1);
}

#[test]
fn unquoted_names_are_folded_and_found_by_the_search_path() {
    let database = installed();
    let url = with_setting(&database, "search_path", "billing");
    let mut command = crate::support::command(&["enable", "LINES", "--json"]);
    command.env("DATABASE_URL", url);
    let done = crate::support::run(command).json();
    assert_eq!(
        (&done["tables"][0]["table_schema"], &done["tables"][0]["table_name"]),
        (&"billing".into(), &"lines".into())
    );
}

#[test]
fn a_table_that_is_not_there_is_wrong_input() {
    let database = installed();
    for command in ["plan", "enable"] {
        let stderr = on(&database, &[command, "postss"]).failed(2);
        assert!(stderr.contains("there is no table postss"), "{stderr}");
    }
    database.execute(r#"CREATE TABLE "Capital" (id int PRIMARY KEY)"#).unwrap();
    let stderr = on(&database, &["enable", "Capital"]).failed(2);
    assert!(stderr.contains(r#"write '"Capital"'"#), "{stderr}");
    on(&database, &["enable", "\"Capital\""]).text();
}

#[test]
fn a_policy_that_cannot_be_is_refused_with_its_remedy() {
    let database = installed();
    let cases: [(&[&str], &str); 6] = [
        (&["--mask", "no_such"], "mask names column no_such, which table public.posts does not have"),
        (&["--mask", "title", "--exclude", "title"], "column title is both excluded and masked"),
        (&["--mask", "id"], "column id belongs to the key of public.posts"),
        (&["--images", "lean", "--before-values", "false"], "lean images cannot be rebuilt without before-values"),
        (&["--mask-placeholder", " "], "the mask placeholder is empty"),
        (&["--exclude", ""], "exclude names a column that cannot exist"),
    ];
    for (options, message) in cases {
        let stderr = on(&database, &[&["enable", "posts"], options].concat()).failed(2);
        assert!(stderr.starts_with(&format!("error: {message}")), "{stderr}");
        assert!(stderr.contains("\nhelp: "), "{stderr}");
    }
    assert_eq!(captured(&database), 0);
}

#[test]
fn what_cannot_be_captured_is_refused() {
    let database = installed();
    database.execute("CREATE VIEW v AS SELECT 1 AS id; CREATE SEQUENCE s").unwrap();
    for (name, message) in
        [("v", "public.v is a view"), ("s", "public.s is not a table"), ("threadline.audit_changes", "own tables")]
    {
        let stderr = on(&database, &["enable", name]).failed(2);
        assert!(stderr.contains(message), "{stderr}");
    }
}

#[test]
fn as_json_a_refusal_names_table_and_column() {
    let database = installed();
    let stderr = on(&database, &["enable", "posts", "--mask", "no_such", "--json"]).failed(2);
    let document: serde_json::Value = serde_json::from_str(&stderr).unwrap();
    assert_eq!(document["error"]["code"], "unknown_column");
    assert_eq!(document["error"]["table"], "public.posts");
    assert_eq!(document["error"]["column"], "no_such");
    assert_eq!(document["error"]["sqlstate"], "TL006");
}
