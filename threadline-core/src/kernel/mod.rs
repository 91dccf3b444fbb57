//! The SQL kernel: what lives in PostgreSQL, and the script that installs, upgrades and removes it.
//!
//! Whatever must hold for every client (capture, grouping, context, actions, redaction, the append-only rule) is SQL in
//! one schema, so psql, another language and every ORM get the same semantics. The installation is a sequence of
//! numbered steps: a database remembers in `kernel_versions` which it has, and [`install_script`] runs the others.

use crate::{Schema, quote_literal};

/// One upgrade step. A released step never changes: a correction is a new step.
struct Step {
    version: u32,
    name: &'static str,
    parts: &'static [&'static str],
}

const STEPS: &[Step] = &[
    Step { version: 1, name: "trail", parts: &[include_str!("sql/trail.sql")] },
    Step { version: 2, name: "context and actions", parts: &[include_str!("sql/context.sql")] },
    Step {
        version: 3,
        name: "capture",
        parts: &[
            include_str!("sql/capture_columns.sql"),
            include_str!("sql/capture_policy.sql"),
            include_str!("sql/capture_order.sql"),
            include_str!("sql/capture_row.sql"),
            include_str!("sql/capture_statement.sql"),
            include_str!("sql/capture_enable.sql"),
        ],
    },
    Step {
        version: 4,
        name: "reads",
        parts: &[
            include_str!("sql/reads.sql"),
            include_str!("sql/reads_table.sql"),
            include_str!("sql/reads_find.sql"),
            include_str!("sql/reads_rows.sql"),
        ],
    },
];

/// The newest kernel version this crate installs.
pub const LATEST: u32 = 4;

/// The script that installs the kernel into `schema`, or upgrades an older one in place; a current one is left as it is.
///
/// The script is several statements and belongs into one transaction. It takes a transaction-level advisory lock, so two
/// installers at once do not collide. It needs the right to create schemas in the database; with the right to create
/// roles too, everything is given to a role without login (`threadline_owner`).
///
/// # Examples
/// ```
/// use threadline_core::{Schema, kernel};
///
/// let script = kernel::install_script(&Schema::default());
/// assert!(script.contains(r#"CREATE SCHEMA IF NOT EXISTS "threadline""#));
/// ```
#[must_use]
pub fn install_script(schema: &Schema) -> String {
    install_script_to(schema, LATEST)
}

/// [`install_script`] as it was when `version` was the newest: for testing upgrades from it.
///
/// Versions above [`LATEST`] give the script of [`LATEST`].
#[must_use]
pub fn install_script_to(schema: &Schema, version: u32) -> String {
    let mut script = String::from(
        "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('threadline install', 0));\n",
    );
    script.push_str(include_str!("sql/before_install.sql"));
    script.push_str(
        "CREATE SCHEMA IF NOT EXISTS @schema@;\n\
         CREATE TABLE IF NOT EXISTS @schema@.kernel_versions (\n    \
             version integer PRIMARY KEY,\n    \
             name text NOT NULL,\n    \
             installed_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()\n\
         );\n",
    );
    for step in STEPS.iter().filter(|step| step.version <= version) {
        script.push_str(&format!(
            "DO $threadline_install$ BEGIN\n\
             IF NOT EXISTS (SELECT FROM @schema@.kernel_versions WHERE version = {version}) THEN\n\
             EXECUTE $threadline_step$\n{sql}\n$threadline_step$;\n\
             INSERT INTO @schema@.kernel_versions (version, name) VALUES ({version}, '{name}');\n\
             END IF;\n\
             END $threadline_install$;\n",
            version = step.version,
            sql = step.parts.join("\n"),
            name = step.name,
        ));
    }
    script.push_str(include_str!("sql/rights.sql"));
    expand(&with_own_settings(&script), schema)
}

/// The statement with which an adapter's transaction waits until it is alone in changing this kernel, or what it captures.
///
/// The lock is the transaction's, not the session's: behind a transaction pooler a session has no owner.
///
/// # Examples
/// ```
/// use threadline_core::{Schema, kernel};
///
/// assert!(kernel::change_lock(&Schema::default()).starts_with("SELECT pg_catalog.pg_advisory_xact_lock("));
/// ```
#[must_use]
pub fn change_lock(schema: &Schema) -> String {
    let name = literal(schema.name());
    format!("SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended({name}, 7212836150948131671))")
}

/// The script that removes the kernel, the trail and every capture trigger. Host tables keep their rows and everything
/// that is theirs. **The trail is gone afterwards**: export it first.
#[must_use]
pub fn uninstall_script(schema: &Schema) -> String {
    expand(&with_own_settings(include_str!("sql/uninstall.sql")), schema)
}

/// Runs `script` with settings of its own and puts the caller's back. Names must not be looked up through a `search_path`
/// in which somebody else may create operators and functions: the installer is often a superuser.
fn with_own_settings(script: &str) -> String {
    const SETTINGS: [(&str, &str); 2] = [("search_path", "pg_catalog, pg_temp"), ("client_min_messages", "warning")];
    let set = |name: &str, value: &str| format!("SELECT pg_catalog.set_config('{name}', {value}, true);\n");
    let mut sql = String::new();
    for (name, value) in SETTINGS {
        sql.push_str(&set(&format!("threadline.caller_{name}"), &format!("pg_catalog.current_setting('{name}')")));
        sql.push_str(&set(name, &format!("'{value}'")));
    }
    sql.push_str(script);
    sql.push('\n');
    for (name, _) in SETTINGS {
        sql.push_str(&set(name, &format!("pg_catalog.current_setting('threadline.caller_{name}')")));
    }
    sql
}

/// Replaces the placeholders of the kernel's SQL.
fn expand(template: &str, schema: &Schema) -> String {
    let suffix = setting_suffix(schema);
    let letters: String = schema.name().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(16).collect();
    template
        .replace("@schema@", schema.quoted())
        .replace("@schema_name@", &literal(schema.quoted()))
        .replace("@schema_text@", &literal(schema.name()))
        .replace("@tx_setting@", &literal(&format!("threadline.tx{suffix}")))
        .replace("@units_setting@", &literal(&format!("threadline.units{suffix}")))
        .replace("@action_setting@", &literal(&format!("threadline.action{suffix}")))
        .replace("@order_setting@", &literal(&format!("threadline.order{suffix}")))
        .replace("@prefix@", &format!("{letters}{suffix}"))
}

/// Schema names hold no NUL character, the one thing a literal cannot.
fn literal(text: &str) -> String {
    quote_literal(text).unwrap_or_default()
}

/// Two kernels in one database must not take each other's audit transactions or triggers for their own. A setting's name
/// allows letters, digits and underscores only, so a schema other than the default contributes a hash.
fn setting_suffix(schema: &Schema) -> String {
    if *schema == Schema::default() {
        return String::new();
    }
    let hash = schema
        .name()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("_{hash:016x}")
}
