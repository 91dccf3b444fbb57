//! Bytes that are no character. Before version 15, `"char"` writes them as they are, and so does what is made of it.

use crate::session::Session;
use crate::support::{changes, database_with};

const TYPES: &str = r#"
    CREATE TYPE pair AS (byte "char", word text);
    CREATE DOMAIN letter AS "char";
    CREATE TYPE span AS RANGE (subtype = "char");
    CREATE TABLE t (id int PRIMARY KEY, c "char", l letter, cs "char"[], ls letter[], p pair, ps pair[], s span);
    CREATE TABLE parted (LIKE t, PRIMARY KEY (id)) PARTITION BY RANGE (id);
    CREATE TABLE parted_1 PARTITION OF parted DEFAULT;
"#;

/// Every column with the first byte of é, the last value beside words outside ASCII.
const VALUES: &str = r#"(1, 'é', 'é', ARRAY['é', 'a']::"char"[], ARRAY['é']::letter[], ROW('é', 'é')::pair,
    ARRAY[ROW('é', 'Ω')::pair], span('A', 'é'))"#;

/// Checks that everything in the trail is text, the way a client and a dump see it.
#[track_caller]
fn all_of_it_is_text(session: &mut Session) {
    // The session checks that what it reads is UTF-8.
    changes(session);
    let valid = "SELECT count(*) FROM threadline.audit_changes
        WHERE convert_to(concat(data_after, changed_from), getdatabaseencoding()) IS NULL";
    assert_eq!(session.value(valid), "0");
}

#[test]
fn they_do_not_break_the_trail() {
    for table in ["t", "parted"] {
        let (_database, mut session) = database_with(&format!("{TYPES} SELECT threadline.enable_capture('{table}')"));
        session.run(&format!("INSERT INTO {table} VALUES {VALUES}; UPDATE {table} SET c = 'u', p = ROW('u', 'é')"));
        session.run(&format!("DELETE FROM {table}"));
        assert_eq!(session.value("SELECT count(*) FROM threadline.audit_changes"), "3");
        all_of_it_is_text(&mut session);
    }
}

#[test]
fn they_do_not_break_the_trail_of_an_altered_table() {
    for table in ["t", "parted"] {
        let (_database, mut session) = database_with(&format!("{TYPES} SELECT threadline.enable_capture('{table}')"));
        session.run(&format!("ALTER TABLE {table} ADD COLUMN later int; INSERT INTO {table} VALUES {VALUES}"));
        // Where the row type cannot be seen, types come from the catalog.
        session.run("REVOKE USAGE ON SCHEMA public FROM PUBLIC");
        session.run(&format!("ALTER TABLE {table} ADD COLUMN latest int; UPDATE {table} SET id = 2"));
        assert_eq!(session.value("SELECT count(*) FROM threadline.audit_changes"), "2");
        all_of_it_is_text(&mut session);
    }
}

#[test]
fn each_is_stored_as_three_octal_digits_and_comes_back() {
    for partitioned in ["", "PARTITION BY RANGE (id); CREATE TABLE part PARTITION OF t DEFAULT"] {
        let (_database, mut session) = database_with(&format!(
            r#"CREATE DOMAIN letter AS "char"; CREATE TABLE t (id int PRIMARY KEY, c "char", l letter) {partitioned};
            CREATE TABLE source AS SELECT byte + 129 AS id, byte::"char" AS c FROM generate_series(-128, -1) AS byte;
            SELECT threadline.enable_capture('t');
            INSERT INTO t SELECT id, c, c FROM source; UPDATE t SET c = 'a', l = 'a'; DELETE FROM t WHERE id = 1;
            UPDATE t SET c = s.c, l = s.c FROM source s WHERE s.id = t.id; DELETE FROM t"#
        ));
        for (op, image, expected) in
            [("insert", "data_after", "128"), ("update", "changed_from", "128"), ("delete", "changed_from", "127")]
        {
            let of_a_byte = format!(
                "FROM threadline.audit_changes a JOIN source s ON s.id = (a.table_pk ->> 'id')::int
                 WHERE a.op = '{op}' AND a.{image} ->> 'c' <> 'a'"
            );
            let stored = r"encode(set_byte('\x00', 0, s.id + 127), 'escape')";
            let stored = format!("{of_a_byte} AND a.{image} ->> 'c' = {stored} AND a.{image} ->> 'l' = {stored}");
            assert_eq!(session.value(&format!("SELECT count(*) {stored}")), expected, "{op}");
            let back = of_a_byte.replace(
                "WHERE",
                &format!(
                    "CROSS JOIN LATERAL threadline.row_from_image(NULL::t, 'public', 't', a.{image}, '{{c,l}}', '{{c,l}}') AS r
                     WHERE r.c = s.c AND r.l = s.c AND"
                ),
            );
            assert_eq!(session.value(&format!("SELECT count(*) {back}")), expected, "{op}");
        }
        let again = "SELECT count(*) FROM threadline.audit_changes WHERE op = 'update' AND changed_fields = '{c,l}'";
        assert_eq!(session.value(again), "255");
    }
}

#[test]
fn one_inside_a_composite_or_an_array_is_refused_rather_than_read_wrongly() {
    let (_database, mut session) = database_with(&format!("{TYPES} SELECT threadline.enable_capture('t')"));
    session.run(&format!("INSERT INTO t VALUES {VALUES}"));
    let is_old = session.value("SELECT current_setting('server_version_num')::int < 150000") == "t";
    for column in ["cs", "ls", "p", "ps", "s"] {
        let read = format!(
            "SELECT count(*) FROM threadline.audit_changes a JOIN t ON true
             CROSS JOIN LATERAL threadline.row_from_image(NULL::t, 'public', 't', a.data_after, '{{{column}}}', '{{}}') AS r
             WHERE ROW(r.{column})::record *= ROW(t.{column})::record"
        );
        match session.attempt(&read) {
            Ok(_) => assert!(!is_old, "{column} came back"),
            Err(refusal) => assert!(is_old && refusal.sqlstate == "TL012", "{column}: {refusal:?}"),
        }
    }
    // What holds no such byte comes back on every version.
    session.run("UPDATE t SET p = ROW('b', 'é'), cs = ARRAY['a', 'b']::\"char\"[]");
    let read = "SELECT count(*) FROM threadline.audit_changes a JOIN t ON true
        CROSS JOIN LATERAL threadline.row_from_image(NULL::t, 'public', 't', a.data_after, '{p,cs}', '{}') AS r
        WHERE a.op = 'update' AND ROW(r.p, r.cs)::record *= ROW(t.p, t.cs)::record";
    assert_eq!(session.value(read), "1");
}
