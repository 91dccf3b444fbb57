//! Partitioned tables are captured under the parent's name, wherever the write goes; inheritance trees per member.

use crate::support::{changes, database_with, records};

const PARTED: &str = "
    CREATE TABLE p (id int, region text, v int, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
    CREATE TABLE p_eu PARTITION OF p FOR VALUES IN ('eu');
    CREATE TABLE p_us PARTITION OF p FOR VALUES IN ('us') PARTITION BY RANGE (id);
    CREATE TABLE p_us_1 PARTITION OF p_us FOR VALUES FROM (0) TO (100);
    CREATE TABLE p_us_2 (v int, region text NOT NULL, id int NOT NULL);
    ALTER TABLE p_us ATTACH PARTITION p_us_2 DEFAULT;
    SELECT threadline.enable_capture('p');";

#[test]
fn writes_are_filed_under_the_parent_wherever_they_go() {
    let (_database, mut session) = database_with(PARTED);
    records(
        &mut session,
        "INSERT INTO p VALUES (1, 'eu', 1), (1, 'us', 1), (500, 'us', 1)",
        &[
            r#"insert p {"id": 1, "region": "eu"} after {"v": 1, "id": 1, "region": "eu"}"#,
            r#"insert p {"id": 1, "region": "us"} after {"v": 1, "id": 1, "region": "us"}"#,
            r#"insert p {"id": 500, "region": "us"} after {"v": 1, "id": 500, "region": "us"}"#,
        ],
    );
    records(
        &mut session,
        "INSERT INTO p_eu VALUES (2, 'eu', 2); INSERT INTO p_us_2 (id, region, v) VALUES (600, 'us', 2); UPDATE p_us SET v = 3 WHERE id = 600; DELETE FROM p_us_2 WHERE id = 600",
        &[
            r#"insert p {"id": 2, "region": "eu"} after {"v": 2, "id": 2, "region": "eu"}"#,
            r#"insert p {"id": 600, "region": "us"} after {"v": 2, "id": 600, "region": "us"}"#,
            r#"update p {"id": 600, "region": "us"} after {"v": 3, "id": 600, "region": "us"} fields v from {"v": 2}"#,
            r#"delete p {"id": 600, "region": "us"} from {"v": 3, "id": 600, "region": "us"}"#,
        ],
    );
    records(
        &mut session,
        "UPDATE p SET v = v + 10 WHERE id = 1; UPDATE p SET v = v",
        &[
            r#"update p {"id": 1, "region": "eu"} after {"v": 11, "id": 1, "region": "eu"} fields v from {"v": 1}"#,
            r#"update p {"id": 1, "region": "us"} after {"v": 11, "id": 1, "region": "us"} fields v from {"v": 1}"#,
        ],
    );
}

#[test]
fn a_row_that_moves_is_deleted_and_inserted() {
    let (_database, mut session) = database_with(PARTED);
    session.run("INSERT INTO p VALUES (1, 'eu', 1)");
    records(
        &mut session,
        "UPDATE p SET region = 'us', v = 2",
        &[
            r#"delete p {"id": 1, "region": "eu"} from {"v": 1, "id": 1, "region": "eu"}"#,
            r#"insert p {"id": 1, "region": "us"} after {"v": 2, "id": 1, "region": "us"}"#,
        ],
    );
    records(
        &mut session,
        "UPDATE p SET id = 50; UPDATE p SET id = 500",
        &[
            r#"update p {"id": 50, "region": "us"} was {"id": 1, "region": "us"} after {"v": 2, "id": 50, "region": "us"} fields id from {"id": 1}"#,
            r#"delete p {"id": 50, "region": "us"} from {"v": 2, "id": 50, "region": "us"}"#,
            r#"insert p {"id": 500, "region": "us"} after {"v": 2, "id": 500, "region": "us"}"#,
        ],
    );
}

#[test]
fn partitions_made_later_are_captured() {
    let (_database, mut session) = database_with(PARTED);
    session.run("CREATE TABLE p_as PARTITION OF p FOR VALUES IN ('as')");
    session.run("CREATE TABLE p_af (extra_first int, v int, id int NOT NULL, region text NOT NULL); INSERT INTO p_af VALUES (0, 1, 1, 'af'); ALTER TABLE p_af DROP extra_first; ALTER TABLE p ATTACH PARTITION p_af FOR VALUES IN ('af')");
    records(
        &mut session,
        "INSERT INTO p VALUES (1, 'as', 1); UPDATE p_af SET v = 2; DELETE FROM p WHERE region = 'af'",
        &[
            r#"insert p {"id": 1, "region": "as"} after {"v": 1, "id": 1, "region": "as"}"#,
            r#"update p {"id": 1, "region": "af"} after {"v": 2, "id": 1, "region": "af"} fields v from {"v": 1}"#,
            r#"delete p {"id": 1, "region": "af"} from {"v": 2, "id": 1, "region": "af"}"#,
        ],
    );
}

#[test]
fn upserts_merges_and_copies_into_partitions_are_recorded() {
    let (_database, mut session) = database_with(PARTED);
    session.run("INSERT INTO p VALUES (1, 'eu', 1)");
    records(
        &mut session,
        "INSERT INTO p VALUES (1, 'eu', 5), (2, 'eu', 5) ON CONFLICT (id, region) DO UPDATE SET v = excluded.v",
        &[
            r#"update p {"id": 1, "region": "eu"} after {"v": 5, "id": 1, "region": "eu"} fields v from {"v": 1}"#,
            r#"insert p {"id": 2, "region": "eu"} after {"v": 5, "id": 2, "region": "eu"}"#,
        ],
    );
    session.copy_in("COPY p FROM STDIN", "7\tus\t7\n");
    assert_eq!(
        changes(&mut session)[3],
        r#"insert p {"id": 7, "region": "us"} after {"v": 7, "id": 7, "region": "us"}"#
    );
    if session.value("SELECT current_setting('server_version_num')::int >= 150000") == "t" {
        session.run("MERGE INTO p USING (VALUES (7), (8)) s (id) ON p.id = s.id AND p.region = 'us' WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.id, 'us', 8)");
        let mut merged = changes(&mut session)[4..].to_vec();
        merged.sort();
        assert_eq!(
            merged,
            [
                r#"delete p {"id": 7, "region": "us"} from {"v": 7, "id": 7, "region": "us"}"#,
                r#"insert p {"id": 8, "region": "us"} after {"v": 8, "id": 8, "region": "us"}"#,
            ]
        );
    }
}

#[test]
fn truncating_the_parent_is_one_event_and_truncating_a_part_of_it_is_refused() {
    let (_database, mut session) = database_with(PARTED);
    session.run("INSERT INTO p VALUES (1, 'eu', 1), (1, 'us', 1)");
    for part in ["p_eu", "p_us_1", "p_us_2"] {
        let refusal = session.refusal(&format!("TRUNCATE {part}"));
        refusal.has_code("TL007", "truncate_refused");
        refusal.is_about("public", part, "");
    }
    session.refusal("TRUNCATE p_us").has_code("TL007", "truncate_refused");
    assert_eq!(session.value("SELECT count(*) FROM p"), "2");
    records(&mut session, "TRUNCATE p", &["truncate p keyless"]);
    // What the parent allowed in one statement does not allow the next.
    session.run("INSERT INTO p VALUES (1, 'eu', 1)");
    session
        .refusal("BEGIN; TRUNCATE p; INSERT INTO p VALUES (2, 'eu', 1); TRUNCATE p_eu; COMMIT")
        .has_code("TL007", "truncate_refused");
    session.run("ROLLBACK");
}

#[test]
fn truncating_a_part_records_its_rows_where_the_policy_says_so() {
    let (_database, mut session) = database_with(PARTED);
    session.run(r#"SELECT threadline.enable_capture('p', '{"truncate": "rows"}'); INSERT INTO p VALUES (1, 'eu', 1), (1, 'us', 1), (500, 'us', 1)"#);
    records(
        &mut session,
        "TRUNCATE p_us_1",
        &[r#"delete p {"id": 1, "region": "us"} from {"v": 1, "id": 1, "region": "us"}"#],
    );
    records(
        &mut session,
        "TRUNCATE p",
        &[
            r#"delete p {"id": 1, "region": "eu"} from {"v": 1, "id": 1, "region": "eu"}"#,
            r#"delete p {"id": 500, "region": "us"} from {"v": 1, "id": 500, "region": "us"}"#,
        ],
    );
    session.run(r#"SELECT threadline.enable_capture('p', '{"truncate": "refuse"}')"#);
    for table in ["p", "p_eu", "p_us_1", "p_us_2"] {
        session.refusal(&format!("TRUNCATE {table}")).has_code("TL007", "truncate_refused");
    }
}

#[test]
fn a_partition_of_its_own_cannot_be_captured() {
    let (_database, mut session) = database_with(PARTED);
    for part in ["p_eu", "p_us", "p_us_1"] {
        let refusal = session.refusal(&format!("SELECT threadline.enable_capture('{part}')"));
        refusal.has_code("TL005", "unsupported_table");
        refusal.is_about("public", part, "");
        assert!(refusal.hint.contains('p'), "{refusal:?}");
    }
}

#[test]
fn partitions_keep_capture_through_detach_and_attach() {
    let (_database, mut session) = database_with(PARTED);
    session.run("INSERT INTO p VALUES (1, 'eu', 1); ALTER TABLE p DETACH PARTITION p_eu");
    // Alone it is another table: what was recorded stays under the parent.
    session.run("UPDATE p_eu SET v = 2; ALTER TABLE p ATTACH PARTITION p_eu FOR VALUES IN ('eu')");
    records(
        &mut session,
        "UPDATE p SET v = 3; INSERT INTO p_eu VALUES (2, 'eu', 2)",
        &[
            r#"update p {"id": 1, "region": "eu"} after {"v": 3, "id": 1, "region": "eu"} fields v from {"v": 2}"#,
            r#"insert p {"id": 2, "region": "eu"} after {"v": 2, "id": 2, "region": "eu"}"#,
        ],
    );
}

#[test]
fn a_captured_table_that_becomes_a_partition_is_captured_once() {
    let (_database, mut session) = database_with(PARTED);
    session.run("CREATE TABLE alone (id int NOT NULL, region text NOT NULL, v int); SELECT threadline.enable_capture('alone'); INSERT INTO alone VALUES (1, 'af', 1);
        ALTER TABLE p ATTACH PARTITION alone FOR VALUES IN ('af')");
    let before = changes(&mut session).len();
    session.run("INSERT INTO p VALUES (2, 'af', 2)");
    assert_eq!(
        changes(&mut session)[before..],
        [r#"insert p {"id": 2, "region": "af"} after {"v": 2, "id": 2, "region": "af"}"#]
    );
    session.run("SELECT threadline.refresh_capture('p'); INSERT INTO alone VALUES (3, 'af', 3)");
    assert_eq!(
        changes(&mut session)[before + 1..],
        [r#"insert p {"id": 3, "region": "af"} after {"v": 3, "id": 3, "region": "af"}"#]
    );
}

#[test]
fn members_of_an_inheritance_tree_are_captured_each_under_its_name() {
    let (_database, mut session) = database_with(
        "CREATE TABLE base (id int PRIMARY KEY, v int); CREATE TABLE derived (extra text, PRIMARY KEY (id)) INHERITS (base);
         SELECT threadline.enable_capture('base'), threadline.enable_capture('derived')",
    );
    records(
        &mut session,
        "INSERT INTO base VALUES (1, 1); INSERT INTO derived VALUES (2, 2, 'x'); UPDATE base SET v = v + 1; DELETE FROM base WHERE id = 2",
        &[
            r#"insert base {"id": 1} after {"v": 1, "id": 1}"#,
            r#"insert derived {"id": 2} after {"v": 2, "id": 2, "extra": "x"}"#,
            r#"update base {"id": 1} after {"v": 2, "id": 1} fields v from {"v": 1}"#,
            r#"update derived {"id": 2} after {"v": 3, "id": 2, "extra": "x"} fields v from {"v": 2}"#,
            r#"delete derived {"id": 2} from {"v": 3, "id": 2, "extra": "x"}"#,
        ],
    );
    assert_eq!(session.column("SELECT level FROM threadline.audited_tables ORDER BY id"), ["row", "row"]);
}
