//! Names that try to be code: in tables, columns, schemas and placeholders, enabled by a superuser.

use threadline_core::{quote_identifier, quote_literal};
use threadline_testkit::Database;

use crate::baits::{self, as_mallory, nothing_stolen};
use crate::session::Session;
use crate::support::MALLORY;

/// Names that break out of quotes, formats, comments and dollar quotes if anything lets them.
const HOSTILE: [&str; 26] = [
    "'); SELECT mallory.steal('injected'); --",
    "\"; SELECT mallory.steal('injected'); --",
    "\" int); SELECT mallory.steal('injected'); --",
    "$threadline$; SELECT mallory.steal('injected'); --",
    "$threadline1$; SELECT mallory.steal('injected'); --",
    "$body$; SELECT mallory.steal('injected'); --",
    "\\'; SELECT mallory.steal('injected'); --",
    "\\",
    "\n; SELECT mallory.steal('injected');\n--",
    "x\nBEGIN\n    PERFORM mallory.steal('injected');",
    "*/ SELECT mallory.steal('injected') /*",
    "/*",
    "-- x",
    "%s %L %I %1$s %%",
    "%",
    "%1$I",
    "{}",
    "{\"a\",NULL}",
    "NULL",
    "@schema@.@prefix@",
    "dot.ted",
    "a,b",
    " leading and trailing ",
    "Ünïcödé ☃",
    "tab\tand\rreturn",
    "sixty-three bytes long, which is as long as a name can ever be.",
];

/// Names that generated code uses itself, or that mean something to SQL or PL/pgSQL.
const FAMILIAR: [&str; 64] = [
    "capture",
    "mark",
    "state",
    "xid",
    "tx",
    "at",
    "count",
    "altered",
    "saved",
    "changed_row",
    "i",
    "k",
    "p",
    "o",
    "n",
    "a",
    "t",
    "c",
    "u",
    "r",
    "e",
    "host",
    "keys",
    "name",
    "names",
    "pk",
    "image",
    "absent",
    "position",
    "previous_pk",
    "changed_fields",
    "changed_from",
    "data_after",
    "new_rows",
    "old_rows",
    "first_rows",
    "n1",
    "o1",
    "d1",
    "c1",
    "new",
    "old",
    "tg_op",
    "tg_relid",
    "found",
    "select",
    "table",
    "user",
    "session_user",
    "value",
    "key",
    "units",
    "threadline_tx",
    "threadline_at",
    "threadline_xid",
    "threadline.json",
    "session_time_zone",
    "policy",
    "target",
    "all",
    "row",
    "record",
    "pg_catalog",
    "threadline",
];

fn quoted(name: &str) -> String {
    quote_identifier(name).expect("a name")
}

fn literal(text: &str) -> String {
    quote_literal(text).expect("a text")
}

/// Creates a table whose columns have these names, captures it, and writes each column's own name into it.
fn write_names(database: &Database, schema: &str, table: &str, names: &[&str], partitioned: bool, policy: &str) {
    let label = format!("{}.{}", quoted(schema), quoted(table));
    let columns: String = names.iter().map(|name| format!(", {} text", quoted(name))).collect();
    let own = if partitioned {
        format!(
            "CREATE TABLE {label} (\"the id\" int PRIMARY KEY{columns}) PARTITION BY RANGE (\"the id\");
             CREATE TABLE {}.{} PARTITION OF {label} DEFAULT;",
            quoted(schema),
            quoted(&format!("p{}", &table[..table.floor_char_boundary(62)])),
        )
    } else {
        format!("CREATE TABLE {label} (\"the id\" int PRIMARY KEY{columns})")
    };
    as_mallory(database, &own);
    let mut admin = Session::open(database);
    admin.run(&format!("SELECT threadline.enable_capture({}, {})", literal(&label), literal(policy)));
    let list: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    let values: Vec<String> = names.iter().map(|name| literal(name)).collect();
    let mut session = Session::open_as(database, MALLORY);
    let set: Vec<String> = list.iter().map(|name| format!("{name} = 'changed'")).collect();
    session.run(&format!("INSERT INTO {label} (\"the id\", {}) VALUES (1, {})", list.join(", "), values.join(", ")));
    session.run(&format!(
        "INSERT INTO {label} (\"the id\") VALUES (2), (3); UPDATE {label} SET {} WHERE \"the id\" = 2",
        set.join(", ")
    ));
    session.run(&format!("UPDATE {label} SET {} = 'all'", list[0]));
    session.run(&format!("DELETE FROM {label} WHERE \"the id\" = 1; DELETE FROM {label}"));
}

/// Checks what [`write_names`] wrote: filed under the right names, with the right values.
#[track_caller]
fn names_were_captured(database: &Database, schema: &str, table: &str, names: &[&str]) {
    nothing_stolen(database);
    let mut admin = Session::open(database);
    let of_table = format!("table_schema = {} AND table_name = {}", literal(schema), literal(table));
    assert_eq!(
        admin.value(&format!("SELECT count(*) FROM threadline.audit_changes WHERE {of_table}")),
        "10",
        "{table}"
    );
    for name in names {
        let image = admin.value(&format!(
            "SELECT data_after ->> {} FROM threadline.audit_changes WHERE {of_table} AND op = 'insert' ORDER BY captured_at, id LIMIT 1",
            literal(name)
        ));
        assert_eq!(image, *name);
    }
    // jsonb sorts names by length first; changed_fields sorts them as text.
    let mut sorted = names.to_vec();
    sorted.sort_unstable();
    let fields = admin.value(&format!(
        "SELECT changed_fields = ARRAY[{}] FROM threadline.audit_changes WHERE {of_table} AND op = 'update' ORDER BY captured_at, id LIMIT 1",
        sorted.iter().map(|name| literal(name)).collect::<Vec<_>>().join(", ")
    ));
    assert_eq!(fields, "t");
}

#[test]
fn columns_with_hostile_names_are_captured_as_data() {
    let database = baits::database();
    for (table, partitioned) in [("plain", false), ("parted", true)] {
        write_names(&database, "mallory", table, &HOSTILE, partitioned, "{}");
        names_were_captured(&database, "mallory", table, &HOSTILE);
    }
}

#[test]
fn columns_named_like_our_variables_and_aliases_are_captured_as_data() {
    let database = baits::database();
    for (table, partitioned) in [("plain", false), ("parted", true)] {
        write_names(&database, "mallory", table, &FAMILIAR, partitioned, "{}");
        names_were_captured(&database, "mallory", table, &FAMILIAR);
    }
}

#[test]
fn a_key_column_may_have_any_name() {
    let database = baits::database();
    let mut admin = Session::open(&database);
    for (number, name) in HOSTILE.iter().chain(&FAMILIAR).enumerate() {
        let (name, parted) = (quoted(name), number % 2 == 1);
        as_mallory(
            &database,
            &format!(
                "CREATE TABLE mallory.t{number} ({name} int PRIMARY KEY, \"the value\" text) {};
                 CREATE TABLE {}",
                if parted { format!("PARTITION BY RANGE ({name})") } else { String::new() },
                if parted {
                    format!("mallory.p{number} PARTITION OF mallory.t{number} DEFAULT")
                } else {
                    format!("mallory.p{number} ()")
                },
            ),
        );
        admin.run(&format!("SELECT threadline.enable_capture('mallory.t{number}')"));
        as_mallory(
            &database,
            &format!(
                "INSERT INTO mallory.t{number} VALUES (7, 'v'); UPDATE mallory.t{number} SET {name} = 8; DELETE FROM mallory.t{number}"
            ),
        );
    }
    nothing_stolen(&database);
    assert_eq!(
        admin.value("SELECT count(*) FROM threadline.audit_changes WHERE table_pk = previous_pk OR (SELECT array_agg(value::text) <> '{8}' FROM jsonb_each(table_pk)) AND op <> 'insert'"),
        "0"
    );
    assert_eq!(
        admin.value("SELECT count(*) FROM threadline.audit_changes"),
        (3 * (HOSTILE.len() + FAMILIAR.len())).to_string()
    );
}

#[test]
fn tables_and_schemas_with_hostile_names_are_captured_under_their_names() {
    let database = baits::database();
    let mut admin = Session::open(&database);
    for (number, table) in HOSTILE.iter().enumerate() {
        write_names(&database, "mallory", table, &["v"], number % 2 == 1, "{}");
        names_were_captured(&database, "mallory", table, &["v"]);
        let schema = format!("s{}", &table[..table.floor_char_boundary(62)]);
        admin.run(&format!("CREATE SCHEMA {} AUTHORIZATION {MALLORY}", quoted(&schema)));
        write_names(
            &database,
            &schema,
            "t",
            &["v"],
            number % 2 == 0,
            r#"{"require_actor": false, "truncate": "refuse"}"#,
        );
        names_were_captured(&database, &schema, "t", &["v"]);
    }
}

#[test]
fn errors_about_hostile_names_quote_them_and_run_nothing() {
    let database = baits::database();
    let mut admin = Session::open(&database);
    for (number, name) in HOSTILE.iter().enumerate() {
        let label = format!("mallory.{}", quoted(name));
        as_mallory(&database, &format!("CREATE TABLE {label} (id int PRIMARY KEY, {} text)", quoted(name)));
        let refusal = admin.refusal(&format!(
            "SELECT threadline.enable_capture({}, jsonb_build_object('mask', jsonb_build_array({})))",
            literal(&label),
            literal(&format!("no{number}{}", &name[..name.floor_char_boundary(40)]))
        ));
        refusal.has_code("TL006", "unknown_column");
        assert_eq!(refusal.table, *name);
        admin.run(&format!(
            "SELECT threadline.enable_capture({}, '{}')",
            literal(&label),
            r#"{"require_actor": true, "truncate": "refuse"}"#
        ));
        let mut session = Session::open_as(&database, MALLORY);
        let refusal = session.refusal(&format!("INSERT INTO {label} VALUES (1)"));
        refusal.has_code("TL001", "missing_actor");
        assert_eq!(refusal.table, *name);
        let refusal = session.refusal(&format!("TRUNCATE {label}"));
        refusal.has_code("TL007", "truncate_refused");
        assert_eq!(refusal.table, *name);
    }
    nothing_stolen(&database);
}

#[test]
fn policies_with_hostile_names_and_placeholders_redact_exactly() {
    let database = baits::database();
    let placeholder = r#"[it's "%s" $threadline$ \ '); SELECT mallory.steal('injected'); --]"#;
    let mut admin = Session::open(&database);
    for (table, partitioned) in [("plain", false), ("parted", true)] {
        let (masked, rest) = HOSTILE.split_at(9);
        let (excluded, excepted) = rest.split_at(9);
        let policy = admin.value(&format!(
            "SELECT jsonb_build_object('mask', ARRAY[{}], 'exclude', ARRAY[{}], 'except_columns', ARRAY[{}], 'mask_placeholder', {})",
            masked.iter().map(|n| literal(n)).collect::<Vec<_>>().join(","),
            excluded.iter().map(|n| literal(n)).collect::<Vec<_>>().join(","),
            excepted.iter().map(|n| literal(n)).collect::<Vec<_>>().join(","),
            literal(placeholder),
        ));
        write_names(&database, "mallory", table, &HOSTILE, partitioned, &policy);
        // The same through the generic path.
        as_mallory(
            &database,
            &format!(
                "ALTER TABLE mallory.{table} ADD late text; INSERT INTO mallory.{table} SELECT * FROM mallory.{table}; INSERT INTO mallory.{table} (\"the id\", late) VALUES (50, 'late')"
            ),
        );
        for op in ["op = 'insert' AND table_pk ->> 'the id' = '1'", "table_pk ->> 'the id' = '50'"] {
            let image = |name: &str| {
                format!(
                    "SELECT data_after -> {} FROM threadline.audit_changes WHERE table_name = '{table}' AND {op}",
                    literal(name)
                )
            };
            for name in masked {
                let shown = admin.value(&format!("SELECT ({}) #>> '{{}}'", image(name)));
                assert_eq!(shown, placeholder, "{name}");
            }
            for name in excluded {
                assert_eq!(admin.value(&image(name)), "NULL", "{name}");
            }
        }
    }
    nothing_stolen(&database);
}
