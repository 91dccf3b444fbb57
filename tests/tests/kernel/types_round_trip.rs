//! No value of any type aborts a write, and every value comes back as it was.

use std::collections::BTreeSet;

use crate::programs::has_extensions;
use crate::support::{database_with, records};
use crate::type_trip::Trip;
use crate::type_values::{ARRAYS, BUILT_IN, Column, OBJECTS, USER_MADE};

#[track_caller]
fn nothing_is_lost(columns: &[Column]) {
    for (table, partitioned) in [("plain", false), ("parted", true)] {
        let (_database, mut session) = database_with(OBJECTS);
        let trip = Trip::begin(&mut session, table, columns, partitioned);
        trip.write(&mut session);
        trip.is_complete(&mut session);
        let losses = trip.losses(&mut session);
        assert!(losses.is_empty(), "{} of table {table}: {:#?}", losses.len(), &losses[..losses.len().min(20)]);
    }
}

#[test]
fn built_in_types_come_back_as_they_were() {
    nothing_is_lost(BUILT_IN);
}

#[test]
fn arrays_of_built_in_types_come_back_as_they_were() {
    nothing_is_lost(ARRAYS);
}

#[test]
fn user_made_types_come_back_as_they_were() {
    nothing_is_lost(USER_MADE);
}

#[test]
fn an_altered_table_loses_nothing_either() {
    for columns in [BUILT_IN, ARRAYS, USER_MADE] {
        for (table, partitioned) in [("plain", false), ("parted", true)] {
            let (_database, mut session) = database_with(OBJECTS);
            let trip = Trip::begin(&mut session, table, columns, partitioned);
            session.run(&format!(
                "ALTER TABLE {table} ADD COLUMN later int; ALTER TABLE {table}_source ADD COLUMN later int"
            ));
            trip.write(&mut session);
            let losses = trip.losses(&mut session);
            assert!(losses.is_empty(), "{} of table {table}: {:#?}", losses.len(), &losses[..losses.len().min(20)]);
        }
    }
}

#[test]
fn the_list_of_built_in_types_is_complete() {
    let (_database, mut session) = database_with(OBJECTS);
    let known: BTreeSet<String> = BUILT_IN
        .iter()
        .map(|(_, of_type, _)| session.value(&format!("SELECT '{}'::regtype::oid::text", of_type.replace('\'', "''"))))
        .collect();
    let all: BTreeSet<String> = session
        .column(
            "SELECT oid::text FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype IN ('b', 'r', 'm') AND typisdefined
                 AND typcategory <> 'A' AND typname NOT LIKE 'pg\\_%\\_%' -- statistics and parse trees: no user makes one
                 AND typname NOT IN ('gtsvector', 'pg_node_tree', 'pg_ndistinct', 'pg_dependencies')",
        )
        .into_iter()
        .collect();
    let unknown: Vec<String> =
        all.difference(&known).map(|oid| session.value(&format!("SELECT {oid}::regtype::text"))).collect();
    assert_eq!(unknown, [""; 0]);
}

#[test]
fn an_array_of_every_built_in_type_comes_back_as_it_was() {
    // Made by the server from the values of the scalar columns: NULL among them, two dimensions, none.
    let arrays: Vec<(String, String, Vec<String>)> = BUILT_IN
        .iter()
        .filter(|(_, of_type, _)| !of_type.contains('('))
        .map(|(name, of_type, values)| {
            let element = |value: &str| {
                value.strip_prefix("SQL:").map_or_else(
                    || format!("'{}'::{of_type}", value.replace('\'', "''")),
                    |sql| format!("({sql})::{of_type}"),
                )
            };
            let list: Vec<String> =
                values.iter().filter(|value| !value.contains("repeat")).map(|value| element(value)).collect();
            let list = list.join(", ");
            (
                (*name).to_owned(),
                format!("{of_type}[]"),
                vec![format!("SQL:ARRAY[{list}, NULL]"), format!("SQL:ARRAY[[{list}], [{list}]]"), "{}".to_owned()],
            )
        })
        .collect();
    // What a test leaks, it leaks once.
    let columns: Vec<Column> = arrays
        .into_iter()
        .map(|(name, of_type, values)| {
            let values: Vec<&'static str> = values.into_iter().map(|value| &*value.leak()).collect();
            (&*name.leak(), &*of_type.leak(), &*values.leak())
        })
        .collect();
    nothing_is_lost(&columns);
}

#[test]
fn array_lower_bounds_are_the_only_thing_normalised() {
    let (_database, mut session) =
        database_with("CREATE TABLE t (id int PRIMARY KEY, a int[]); SELECT threadline.enable_capture('t')");
    records(
        &mut session,
        "INSERT INTO t VALUES (1, '[0:2]={1,2,3}'); UPDATE t SET a = '{1,2,3}'",
        &[
            r#"insert t {"id": 1} after {"a": [1, 2, 3], "id": 1}"#,
            r#"update t {"id": 1} after {"a": [1, 2, 3], "id": 1} fields a from {"a": [1, 2, 3]}"#,
        ],
    );
}

#[test]
fn generated_and_identity_columns_are_recorded_as_stored() {
    let (_database, mut session) = database_with(
        "CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, s serial, n numeric, twice numeric GENERATED ALWAYS AS (n * 2.0) STORED,
             d timestamptz DEFAULT '2000-01-01 00:00+00', e text DEFAULT 'x');
         SELECT threadline.enable_capture('t')",
    );
    records(
        &mut session,
        "INSERT INTO t (n) VALUES (1.50); UPDATE t SET n = 2",
        &[
            r#"insert t {"id": 1} after {"d": "2000-01-01T00:00:00+00:00", "e": "x", "n": 1.50, "s": 1, "id": 1, "twice": 3.000}"#,
            r#"update t {"id": 1} after {"d": "2000-01-01T00:00:00+00:00", "e": "x", "n": 2, "s": 1, "id": 1, "twice": 4.0} fields n,twice from {"n": 1.50, "twice": 3.000}"#,
        ],
    );
}

#[test]
fn changes_that_equality_does_not_see_are_changes() {
    let (_database, mut session) = database_with(
        "CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
         CREATE TABLE t (id int PRIMARY KEY, n numeric, i interval, f float8, b box, t text COLLATE blind, c bpchar, j json, x xml, p point);
         INSERT INTO t VALUES (1, 1.0, '1 day', 0, '((0,0),(1,4))', 'A', 'a', '{}', '<a/>', '(0,0)');
         SELECT threadline.enable_capture('t')",
    );
    for change in [
        "n = 1.00",
        "i = '24:00'",
        "f = '-0'",
        "b = '((0,0),(2,2))'",
        "t = 'a'",
        "c = 'a '",
        "j = '{ }'",
        "x = '<a></a>'",
        "p = '(-0,0)'",
    ] {
        session.run(&format!("UPDATE t SET {change}; UPDATE t SET {change}"));
    }
    assert_eq!(
        session.column(
            "SELECT array_to_string(changed_fields, ',') FROM threadline.audit_changes ORDER BY captured_at, id"
        ),
        ["n", "i", "f", "b", "t", "c", "j", "x", "p"]
    );
}

#[test]
fn a_wide_table_and_a_large_value_are_captured() {
    let columns: String = (0..1000).map(|n| format!(", c{n} int")).collect();
    let (_database, mut session) = database_with(&format!(
        "CREATE TABLE wide (id int PRIMARY KEY{columns}); CREATE TABLE large (id text PRIMARY KEY, v text, b bytea);
         CREATE TABLE parted (id int PRIMARY KEY{columns}) PARTITION BY RANGE (id); CREATE TABLE part PARTITION OF parted DEFAULT;
         SELECT threadline.enable_capture('wide'), threadline.enable_capture('parted'), threadline.enable_capture('large')"
    ));
    for table in ["wide", "parted"] {
        session.run(&format!(
            "INSERT INTO {table} (id, c999) VALUES (1, 7); UPDATE {table} SET c0 = 1, c999 = 8; DELETE FROM {table}"
        ));
    }
    // Keys may not be as long: an index entry has a limit, and what is repeated compresses.
    session.run(
        "INSERT INTO large VALUES (repeat('k', 100000), repeat('v', 10000000), decode(repeat('00', 1000000), 'hex'));
        UPDATE large SET v = v || 'w'; DELETE FROM large",
    );
    assert_eq!(
        session.column("SELECT op FROM threadline.audit_changes ORDER BY captured_at, id"),
        ["insert", "update", "delete", "insert", "update", "delete", "insert", "update", "delete"]
    );
    assert_eq!(session.value("SELECT (data_after ->> 'v') = repeat('v', 10000000) || 'w' FROM threadline.audit_changes WHERE op = 'update' AND table_name = 'large'"), "t");
    assert_eq!(
        session.column("SELECT array_to_string(changed_fields, ',') FROM threadline.audit_changes WHERE op = 'update' AND table_name IN ('wide', 'parted')"),
        ["c0,c999", "c0,c999"]
    );
    // Statement by statement and row by row the images are the same, to the last column.
    assert_eq!(
        session.value("SELECT count(DISTINCT (op, data_after, changed_from)) FROM threadline.audit_changes WHERE table_name IN ('wide', 'parted')"),
        "3"
    );
    assert_eq!(
        session.value("SELECT count(*) FROM threadline.audit_changes, jsonb_object_keys(data_after) WHERE op = 'insert' AND table_name = 'parted'"),
        "1001"
    );
}

#[test]
fn extension_types_come_back_as_they_were() {
    let (_database, mut session) = database_with("SELECT 1");
    if !has_extensions(&mut session, &["citext", "hstore", "ltree", "cube", "isn", "seg"]) {
        return;
    }
    session.run("CREATE SCHEMA extensions; CREATE EXTENSION citext SCHEMA extensions; CREATE EXTENSION hstore SCHEMA extensions; CREATE EXTENSION ltree SCHEMA extensions;
        CREATE EXTENSION cube SCHEMA extensions; CREATE EXTENSION isn SCHEMA extensions; CREATE EXTENSION seg SCHEMA extensions");
    let columns: &[Column] = &[
        ("citext_", "extensions.citext", &["", "MiXeD", "null"]),
        ("hstore_", "extensions.hstore", &["", "a=>1, b=>NULL, \"c d\"=>\"\"", "n=>1.0, t=>true, \"\\\"\"=>\"=>\""]),
        ("ltree_", "extensions.ltree", &["", "a.b.c"]),
        ("cube_", "extensions.cube", &["(1,2.5),(3,0.1)", "(0)"]),
        ("isbn_", "extensions.isbn", &["978-0-393-04002-9"]),
        ("seg_", "extensions.seg", &["1.00 .. 2.50", "<3"]),
        ("citexts", "extensions.citext[]", &["{}", "{Ab,NULL,\"\"}"]),
        ("hstores", "extensions.hstore[]", &["{}", "{\"a=>1\",NULL}"]),
    ];
    for (table, partitioned) in [("plain", false), ("parted", true)] {
        let trip = Trip::begin(&mut session, table, columns, partitioned);
        trip.write(&mut session);
        trip.is_complete(&mut session);
        assert_eq!(trip.losses(&mut session), [""; 0]);
    }
}
