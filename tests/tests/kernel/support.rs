//! What the tests share: a database with the kernel, and the trail as lines of text.

use std::sync::OnceLock;

use threadline_core::{Schema, kernel};
use threadline_testkit::{Database, require_server};

use crate::session::Session;

/// An ordinary role of the test server, with no rights of its own.
pub(crate) const APP: &str = "threadline_test_app";

/// Another ordinary role, with bad intentions.
pub(crate) const MALLORY: &str = "threadline_test_mallory";

/// An empty database on a server that has the roles.
pub(crate) fn bare_database() -> Database {
    roles();
    require_server().database().expect("a database is created")
}

/// A database with the kernel in the schema `threadline`.
pub(crate) fn database() -> Database {
    database_like("kernel", "")
}

/// A database with the kernel and more, made once and copied for each test.
pub(crate) fn database_like(template_key: &str, setup: &str) -> Database {
    roles();
    let kernel = kernel::install_script(&Schema::default());
    require_server().database_from(template_key, &format!("{kernel}\n{setup}")).expect("the kernel installs")
}

/// [`database`], then the statements in `setup`, and a session in it.
#[track_caller]
pub(crate) fn database_with(setup: &str) -> (Database, Session) {
    let database = database();
    let mut session = Session::open(&database);
    session.run(setup);
    (database, session)
}

fn roles() {
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| {
        let database = require_server().database().expect("a database is created");
        for role in [APP, MALLORY] {
            // Roles belong to the server, which another process may be using too.
            let sql = format!(
                "DO $$ BEGIN CREATE ROLE {role}; \
                 EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
            );
            database.execute(&sql).expect("a role is created");
        }
    });
}

/// Every change in the order of the trail, one line each:
/// `update t {"id": 1} was {"id": 0} after {..} fields a,b from {..} withheld ..`.
/// What is NULL is left out, `keyless` stands for no key, and the schema is named unless it is `public`.
pub(crate) const CHANGES: &str = "
    SELECT concat_ws(' ', op, CASE table_schema WHEN 'public' THEN '' ELSE table_schema || '.' END || table_name,
        coalesce(table_pk::text, 'keyless'), 'was ' || previous_pk::text, 'after ' || data_after::text,
        'fields ' || array_to_string(changed_fields, ','), 'from ' || changed_from::text, 'withheld ' || withheld)
    FROM threadline.audit_changes ORDER BY captured_at, id";

/// [`CHANGES`] of a session's database.
#[track_caller]
pub(crate) fn changes(session: &mut Session) -> Vec<String> {
    session.column(CHANGES)
}

/// Runs statements and checks which changes they add to the trail.
#[track_caller]
pub(crate) fn records(session: &mut Session, sql: &str, expected: &[&str]) {
    let known = changes(session).len();
    session.run(sql);
    let all = changes(session);
    assert_eq!(all[known..], *expected, "recorded by {sql}");
}
