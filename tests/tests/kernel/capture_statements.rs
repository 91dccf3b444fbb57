//! Every kind of statement records exactly the rows it changed.

use crate::support::{database_with, records};

const TABLE: &str = "
    CREATE TABLE t (id int PRIMARY KEY, a text, b int);
    SELECT threadline.enable_capture('t')";

#[test]
fn insert_records_the_row() {
    let (_database, mut session) = database_with(TABLE);
    records(
        &mut session,
        "INSERT INTO t VALUES (1, 'x', NULL)",
        &[r#"insert t {"id": 1} after {"a": "x", "b": null, "id": 1}"#],
    );
}
