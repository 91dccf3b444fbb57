//! Keys of every type: found again by their hash, whatever the session that wrote or reads them.

use crate::session::Session;
use crate::support::{database_with, records};
use crate::type_values::{BUILT_IN, OBJECTS, USER_MADE};

#[test]
fn a_key_of_any_type_hashes_alike_in_every_session() {
    let (database, mut admin) = database_with(OBJECTS);
    let mut tables = 0;
    for (name, of_type, values) in BUILT_IN.iter().chain(USER_MADE) {
        let created = admin.attempt(&format!("CREATE TABLE key_{name} (k {of_type} PRIMARY KEY, v int)"));
        if created.is_err_and(|refusal| refusal.sqlstate == "42704") {
            continue; // a type without an order is no key
        }
        tables += 1;
        admin.run(&format!("SELECT threadline.enable_capture('key_{name}')"));
        for value in values.iter().filter(|value| !value.contains("repeat")) {
            let literal =
                value.strip_prefix("SQL:").map_or_else(|| format!("'{}'", value.replace('\'', "''")), str::to_owned);
            let inserted = admin
                .attempt(&format!("INSERT INTO key_{name} VALUES ({literal}::{of_type}, 0) ON CONFLICT DO NOTHING"));
            // An array or a composite of a type without an order.
            assert!(inserted.is_ok() || name.starts_with('d'), "{name}: {inserted:?}");
        }
    }
    assert!(tables > 60, "{tables}");
    let update = "SET search_path = pg_catalog; DO $$ DECLARE t text; BEGIN
        FOR t IN SELECT format('%I.%I', table_schema, table_name) FROM threadline.audited_tables LOOP EXECUTE format('UPDATE %s SET v = v + 1', t); END LOOP; END $$";
    for set in [
        "SELECT 1",
        "SET TimeZone = 'Asia/Kathmandu'; SET DateStyle = 'SQL, DMY'; SET IntervalStyle = 'sql_standard'; SET bytea_output = 'escape'; SET extra_float_digits = -15; SET quote_all_identifiers = on",
    ] {
        let mut session = Session::open(&database);
        session.run(set);
        session.run(update);
    }
    assert_eq!(
        admin.column(
            "SELECT DISTINCT table_name FROM threadline.audit_changes GROUP BY table_name, table_pk HAVING count(DISTINCT key_hash) <> 1 OR count(*) <> 3 OR bool_or(key_hash IS NULL)"
        ),
        [""; 0]
    );
    // The hash is the documented one: a reader computes it from the key and the table's name.
    assert_eq!(
        admin.column(
            "SELECT DISTINCT format('%s %s: %s is not %s', table_name, left(table_pk::text, 80), key_hash, threadline.key_hash(table_schema, table_name, table_pk))
             FROM threadline.audit_changes WHERE key_hash <> threadline.key_hash(table_schema, table_name, table_pk)"
        ),
        [""; 0]
    );
}

#[test]
fn a_key_too_large_for_an_index_entry_is_captured_and_found() {
    // PostgreSQL indexes a long key if it compresses; our index must not be the one that fails.
    let (_database, mut session) =
        database_with("CREATE TABLE t (k text PRIMARY KEY, v int); SELECT threadline.enable_capture('t')");
    session.run(
        "INSERT INTO t VALUES (repeat('k', 200000), 1); UPDATE t SET v = 2; UPDATE t SET k = k || 'x'; DELETE FROM t",
    );
    assert_eq!(
        session.value("SELECT count(*) FROM threadline.audit_changes WHERE key_hash = threadline.key_hash('public', 't', jsonb_build_object('k', repeat('k', 200000)))"),
        "2"
    );
    assert_eq!(
        session.value("SELECT count(*) FROM threadline.audit_changes WHERE previous_key_hash = threadline.key_hash('public', 't', jsonb_build_object('k', repeat('k', 200000)))"),
        "1"
    );
}

#[test]
fn equal_keys_of_two_tables_have_different_hashes() {
    let (_database, mut session) = database_with(
        "CREATE SCHEMA a; CREATE SCHEMA \"a.b\"; CREATE TABLE a.\"b.c\" (id int PRIMARY KEY); CREATE TABLE \"a.b\".c (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY);
         SELECT threadline.enable_capture('a.\"b.c\"'), threadline.enable_capture('\"a.b\".c'), threadline.enable_capture('c')",
    );
    session.run("INSERT INTO a.\"b.c\" VALUES (1); INSERT INTO \"a.b\".c VALUES (1); INSERT INTO c VALUES (1)");
    assert_eq!(session.value("SELECT count(DISTINCT key_hash) FROM threadline.audit_changes"), "3");
}

#[test]
fn a_key_keeps_the_json_types_of_its_columns() {
    let (_database, mut session) = database_with(
        "CREATE TABLE t (i int, n numeric, t text, b bool, d date, u uuid, PRIMARY KEY (t, n, i, b, d, u)); SELECT threadline.enable_capture('t')",
    );
    records(
        &mut session,
        "INSERT INTO t VALUES (1, 1.50, '1', true, '2024-02-29', '00000000-0000-0000-0000-000000000001')",
        &[
            r#"insert t {"b": true, "d": "2024-02-29", "i": 1, "n": 1.50, "t": "1", "u": "00000000-0000-0000-0000-000000000001"} after {"b": true, "d": "2024-02-29", "i": 1, "n": 1.50, "t": "1", "u": "00000000-0000-0000-0000-000000000001"}"#,
        ],
    );
}
