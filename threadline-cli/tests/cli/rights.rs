//! As roles that own nothing.

use threadline_testkit::Database;

use crate::support::{Run, command, run, story, with_setting};

/// A role of this test alone, for as long as the value lives.
struct Role<'a> {
    database: &'a Database,
    name: String,
}

impl<'a> Role<'a> {
    fn create(database: &'a Database) -> Self {
        let name = format!("role_of_{}", database.name());
        database.execute(&format!("CREATE ROLE {name}")).unwrap();
        Self { database, name }
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let mut command = command(arguments);
        command.env("DATABASE_URL", with_setting(self.database, "role", &self.name));
        run(command)
    }
}

impl Drop for Role<'_> {
    fn drop(&mut self) {
        let name = &self.name;
        self.database.execute(&format!("DROP OWNED BY {name}; DROP ROLE {name}")).unwrap();
    }
}

#[test]
fn a_role_without_the_right_is_told_so() {
    let database = story();
    let role = Role::create(&database);
    for arguments in [&["enable", "posts"][..], &["plan", "posts"], &["timeline"], &["install"]] {
        let stderr = role.run(arguments).failed(1);
        assert!(stderr.contains("permission denied") && stderr.contains("\nhelp: "), "{arguments:?}: {stderr}");
    }
}

#[test]
fn a_reader_of_the_trail_needs_no_right_on_the_tables() {
    let database = story();
    let role = Role::create(&database);
    database.execute(&format!("SELECT threadline.grant_reader('{}')", role.name)).unwrap();
    let line = r#"{"invoice": "A-1", "line": 1}"#;
    for arguments in [
        &["timeline"][..],
        &["timeline", "--table", "billing.lines"],
        &["history", "posts", "7"],
        &["history", "billing.lines", line],
        &["as-of", "posts", "7", "--at", "now"],
        &["as-of", "billing.lines", line, "--at", "now"],
        &["count", "--table", "posts"],
        &["transaction", "1"],
        &["incident", "1"],
        &["correlation", "corr-1"],
        &["actor", "user:42"],
        &["diff", "1"],
        &["export", "--table", "posts"],
    ] {
        assert!(!role.run(arguments).text().is_empty(), "{arguments:?}");
    }
    role.run(&["enable", "plain"]).failed(1);
}
