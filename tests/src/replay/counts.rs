//! Counts changes without Threadline: row triggers in a mirror of the schema.

use std::collections::BTreeMap;

use super::run::in_schema;
use super::schema::Schema;
use super::session::{Failure, Session};
use super::sql::{SCHEMA, ident};

/// How many changes of which operation each table saw, by the table's index.
pub type Counts = BTreeMap<(usize, String), u64>;

/// The statements that make a schema count its changes. The mirror does without capture what the policy for TRUNCATE
/// says: it deletes the rows first, and fails if triggers kept some.
#[must_use]
pub fn counting_ddl(schema: &Schema, mirror: bool) -> String {
    let mut ddl = format!(
        "CREATE TABLE {SCHEMA}.\"seen changes\" (t integer, op text);\n\
         CREATE FUNCTION {SCHEMA}.\"count change\"() RETURNS trigger LANGUAGE plpgsql AS $count$\n\
         BEGIN\n\
         IF TG_OP = 'UPDATE' THEN IF NOT OLD *<> NEW THEN RETURN NULL; END IF; END IF;\n\
         INSERT INTO {SCHEMA}.\"seen changes\" VALUES (TG_ARGV[0]::integer, lower(TG_OP));\n\
         RETURN NULL;\nEND $count$;\n\
         CREATE FUNCTION {SCHEMA}.\"delete rows\"() RETURNS trigger LANGUAGE plpgsql AS $count$\n\
         DECLARE left_over bigint;\n\
         BEGIN\n\
         EXECUTE format('DELETE FROM %s %I.%I', TG_ARGV[0], TG_TABLE_SCHEMA, TG_TABLE_NAME);\n\
         EXECUTE format('SELECT 1 FROM %s %I.%I', TG_ARGV[0], TG_TABLE_SCHEMA, TG_TABLE_NAME);\n\
         GET DIAGNOSTICS left_over = ROW_COUNT;\n\
         IF left_over > 0 THEN RAISE EXCEPTION 'rows are left' USING ERRCODE = 'TL007'; END IF;\n\
         RETURN NULL;\nEND $count$;\n"
    );
    for (at, table) in schema.tables.iter().enumerate() {
        let target = table.sql();
        ddl.push_str(&format!(
            "CREATE TRIGGER \"zz count\" AFTER INSERT OR UPDATE OR DELETE ON {target} FOR EACH ROW EXECUTE FUNCTION {SCHEMA}.\"count change\"({at});\n"
        ));
        if !table.truncate_rows {
            ddl.push_str(&format!(
                "CREATE TRIGGER \"zz count truncate\" AFTER TRUNCATE ON {target} FOR EACH STATEMENT EXECUTE FUNCTION {SCHEMA}.\"count change\"({at});\n"
            ));
        } else if mirror {
            let leaves = table.leaves.iter().map(|leaf| (format!("{SCHEMA}.{}", ident(&leaf.name)), "ONLY"));
            let root = (target, if table.leaves.is_empty() { "ONLY" } else { "" });
            for (relation, only) in leaves.chain([root]) {
                ddl.push_str(&format!(
                    "CREATE TRIGGER \"00_delete\" BEFORE TRUNCATE ON {relation} FOR EACH STATEMENT EXECUTE FUNCTION {SCHEMA}.\"delete rows\"('{only}');\n"
                ));
            }
        }
    }
    ddl
}

/// What the counting triggers of a schema have counted.
///
/// # Errors
///
/// When the server cannot be asked.
pub fn read_counts(session: &mut Session, quoted_schema: &str) -> Result<Counts, Failure> {
    let sql = in_schema(&format!("SELECT t, op, count(*) FROM {SCHEMA}.\"seen changes\" GROUP BY 1, 2"), quoted_schema);
    let mut counts = Counts::new();
    for row in session.rows(&sql)? {
        if let [Some(table), Some(op), Some(count)] = row.as_slice() {
            let number = |text: &str| text.parse::<u64>().map_err(|error| Failure::new(error.to_string()));
            counts.insert((usize::try_from(number(table)?).unwrap_or(usize::MAX), op.clone()), number(count)?);
        }
    }
    Ok(counts)
}
