//! The library inside another program, with a manifest: `examples/embedded.rs`.

use std::path::Path;
use std::process::Command;

use threadline_testkit::Database;

use crate::support::{self, Run, installed, pretty};

/// Cargo builds examples together with tests.
fn shop(database: &Database, arguments: &[&str]) -> Run {
    let folder = Path::new(env!("CARGO_BIN_EXE_threadline")).parent().unwrap();
    let program = folder.join("examples").join(format!("embedded{}", std::env::consts::EXE_SUFFIX));
    assert!(program.exists(), "build the example first: cargo build -p threadline-cli --example embedded");
    let mut command = Command::new(program);
    command.arg("audit").args(arguments).env("DATABASE_URL", database.url()).env_remove("COLUMNS");
    support::run(command)
}

fn captured(database: &Database) -> Vec<String> {
    let sql = "SELECT table_schema || '.' || table_name FROM threadline.audited_tables ORDER BY id";
    database.query_text(sql).unwrap().into_iter().filter_map(|mut row| row.remove(0)).collect()
}

#[test]
fn install_also_captures_the_manifests_tables() {
    let database = installed();
    database.execute("DROP SCHEMA threadline CASCADE").unwrap();
    let text = shop(&database, &["install"]).text();
    insta::assert_snapshot!(
        "embedded_install",
        text.replace(&format!("version {}", threadline_core::kernel::LATEST), "version [latest]")
    );
    assert_eq!(captured(&database), ["public.posts", "billing.lines"]);
}

#[test]
fn install_does_everything_or_nothing() {
    let database = installed();
    database.execute("DROP SCHEMA threadline CASCADE; ALTER TABLE posts DROP author_email").unwrap();
    let stderr = shop(&database, &["install"]).failed(2);
    assert!(stderr.contains("mask names column author_email"), "{stderr}");
    let there = database.query_text("SELECT to_regnamespace('threadline') IS NOT NULL").unwrap();
    assert_eq!(there[0][0].as_deref(), Some("f"));
}

#[test]
fn plan_and_enable_act_on_all_of_them() {
    let database = installed();
    let plan = shop(&database, &["plan"]).text();
    assert!(plan.contains(r#"ON "public"."posts""#) || plan.contains("ON public.posts"), "{plan}");
    assert!(plan.contains("billing.lines") || plan.contains(r#""billing"."lines""#), "{plan}");
    assert!(captured(&database).is_empty());
    let done = shop(&database, &["enable", "--json"]).json();
    insta::assert_snapshot!("embedded_enable_json", pretty(done, &database));
    assert_eq!(captured(&database), ["public.posts", "billing.lines"]);
}

#[test]
fn a_table_of_the_manifest_has_the_manifests_policy() {
    let database = installed();
    let done = shop(&database, &["enable", "posts", "--json"]).json();
    assert_eq!(done["tables"][0]["policy"]["mask"][0], "author_email");
    let stderr = shop(&database, &["enable", "posts", "--mask", "title"]).failed(2);
    assert!(stderr.contains("the policy of posts is part of this program's manifest"), "{stderr}");
    let stderr = shop(&database, &["enable", "--mask", "title"]).failed(2);
    assert!(stderr.contains("a policy is given, but no table"), "{stderr}");
    shop(&database, &["enable", "plain", "--mask", "note"]).text();
}

#[test]
fn what_was_done_before_a_failure_is_told() {
    let database = installed();
    database.execute("DROP TABLE billing.lines").unwrap();
    let stderr = shop(&database, &["enable"]).failed(2);
    assert!(stderr.contains("there is no table billing.lines"), "{stderr}");
    assert!(captured(&database).is_empty());
    database.execute("CREATE VIEW billing.lines AS SELECT 1 AS id").unwrap();
    let stderr = shop(&database, &["enable"]).failed(2);
    assert!(stderr.contains("billing.lines is a view (1 table before it is captured)"), "{stderr}");
    assert_eq!(captured(&database), ["public.posts"]);
}

#[test]
fn help_shows_its_name_and_that_a_table_is_optional() {
    let database = installed();
    let help = shop(&database, &["enable", "--help"]).text();
    assert!(help.contains("Usage: shop audit enable [OPTIONS] [TABLE]"), "{help}");
}
