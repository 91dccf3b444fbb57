//! `install` and `uninstall`.

use threadline_core::kernel::LATEST;

use crate::support::{bare, empty, installed, on, story};

#[test]
fn a_kernel_is_installed_once() {
    let database = empty();
    let first = on(&database, &["install"]).text();
    assert_eq!(first, format!("Installed kernel version {LATEST} in schema \"threadline\".\n"));
    let again = on(&database, &["install"]).text();
    assert_eq!(again, format!("Kernel version {LATEST} in schema \"threadline\" is up to date.\n"));
}

#[test]
fn as_json_it_tells_the_versions() {
    let database = empty();
    let first = on(&database, &["install", "--json"]).json();
    insta::assert_snapshot!(
        "install_json",
        first.to_string().replace(&format!("\"version\":{LATEST}"), "\"version\":[latest]")
    );
    let again = on(&database, &["install", "--json"]).json();
    assert_eq!(again["previous"], LATEST);
}

#[test]
fn an_older_kernel_is_upgraded() {
    let database = empty();
    let schema = threadline_core::Schema::default();
    let older = threadline_core::kernel::install_script_to(&schema, LATEST - 1);
    database.execute(&older).unwrap();
    let text = on(&database, &["install"]).text();
    assert!(text.starts_with("Upgraded the kernel"), "{text}");
}

#[test]
fn any_schema_will_do() {
    let database = empty();
    let schema = r#"Audit "trail""#;
    let text = on(&database, &["install", "--schema", schema]).text();
    assert!(text.contains(r#""Audit ""trail""""#), "{text}");
    database.execute("CREATE TABLE posts (id int PRIMARY KEY)").unwrap();
    on(&database, &["--schema", schema, "enable", "posts"]).text();
    database.execute("INSERT INTO posts VALUES (7)").unwrap();
    let page = on(&database, &["--schema", schema, "timeline", "--json"]).json();
    assert_eq!(page["entries"][0]["change"]["table_name"], "posts");
    on(&database, &["timeline"]).failed(3);
}

#[test]
fn a_dry_run_prints_a_script_and_needs_no_database() {
    let database = empty();
    for command in ["install", "uninstall"] {
        let script = bare(&[command, "--dry-run"]).text();
        assert!(script.starts_with("BEGIN;\n") && script.ends_with("\nCOMMIT;\n"), "{script}");
        database.execute(&script).unwrap();
        let there = database.query_text("SELECT to_regclass('threadline.audit_changes') IS NOT NULL").unwrap();
        assert_eq!(there[0][0].as_deref(), Some(if command == "install" { "t" } else { "f" }));
    }
}

#[test]
fn a_trail_is_removed_on_a_clear_yes_only() {
    let database = story();
    let stderr = on(&database, &["uninstall"]).failed(2);
    assert!(stderr.contains("--yes"), "{stderr}");
    on(&database, &["timeline"]).text();
    let text = on(&database, &["uninstall", "--yes"]).text();
    assert_eq!(text, format!("Removed kernel version {LATEST} and the trail from schema \"threadline\".\n"));
    assert_eq!(database.query_text("SELECT title FROM posts").unwrap()[0][0].as_deref(), Some("Ship it"));
    let again = on(&database, &["uninstall", "--yes", "--json"]).json();
    assert!(again["version"].is_null(), "{again}");
}

#[test]
fn a_newer_kernel_is_left_alone() {
    let database = installed();
    database.execute("INSERT INTO threadline.kernel_versions VALUES (1000, 'future')").unwrap();
    let stderr = on(&database, &["install"]).failed(2);
    assert!(stderr.contains("version 1000"), "{stderr}");
}
