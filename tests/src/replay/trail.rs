//! Reads the trail as plain SQL.

use std::fmt;

use super::session::{Failure, Session};
use super::sql::literal;

/// One row of `audit_changes`. JSON stays text: `jsonb` writes equal values alike, and no number passes through a float.
#[derive(Clone, Debug)]
pub struct Change {
    /// The second part of the trail's order.
    pub id: u64,
    /// The database transaction.
    pub xid: String,
    /// Microseconds since 1970: the first part of the trail's order.
    pub at: i64,
    /// The table's name.
    pub table: String,
    /// insert, update, delete or truncate.
    pub op: String,
    /// The key after the change; the key of a deleted row.
    pub key: Option<String>,
    /// The key before, where the change changed it.
    pub previous_key: Option<String>,
    /// The row after the change.
    pub after: Option<String>,
    /// The row before the change: what was stored, completed with what did not change.
    pub before: Option<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |text: &Option<String>| text.as_deref().unwrap_or("-").chars().take(160).collect::<String>();
        write!(f, "{} +{} {} {}", self.id, self.at % 10_000_000, self.op, short(&self.key))?;
        if self.previous_key.is_some() {
            write!(f, " was {}", short(&self.previous_key))?;
        }
        write!(f, ": {} -> {}", short(&self.before), short(&self.after))
    }
}

/// The changes of all tables of one schema, in the trail's order.
///
/// # Errors
///
/// When the trail cannot be read, or when a change does not belong to an audit transaction of its database transaction.
pub fn read_trail(session: &mut Session, schema_name: &str) -> Result<Vec<Change>, Failure> {
    let rows = session.rows(&format!(
        "SELECT c.id, c.xid, (extract(epoch FROM c.captured_at) * 1000000)::bigint, c.table_name, c.op, c.table_pk, c.previous_pk, c.data_after,
                CASE c.op WHEN 'update' THEN c.data_after || c.changed_from WHEN 'delete' THEN c.changed_from END,
                c.withheld, t.xid
         FROM threadline.audit_changes AS c LEFT JOIN threadline.audit_transactions AS t ON t.id = c.transaction_id
         WHERE c.table_schema = {}
         ORDER BY c.captured_at, c.id",
        literal(schema_name)
    ))?;
    let mut changes = Vec::with_capacity(rows.len());
    for row in rows {
        let mut fields = row.into_iter();
        let mut next = || fields.next().flatten();
        let change = (|| {
            Some(Change {
                id: next()?.parse().ok()?,
                xid: next()?,
                at: next()?.parse().ok()?,
                table: next()?,
                op: next()?,
                key: next(),
                previous_key: next(),
                after: next(),
                before: next(),
            })
        })();
        let change = change.ok_or_else(|| Failure::new("a row of audit_changes has NULL where it must not"))?;
        if let Some(withheld) = next() {
            return Err(Failure::new(format!("change {} has no image: {withheld}", change.id)));
        }
        if next().as_ref() != Some(&change.xid) {
            return Err(Failure::new(format!(
                "change {} has no audit transaction, or one of another database transaction",
                change.id
            )));
        }
        changes.push(change);
    }
    Ok(changes)
}

impl Change {
    /// The row before it; none for an insert.
    ///
    /// # Errors
    ///
    /// When the trail does not have it.
    pub fn before(&self) -> Result<Option<&str>, Failure> {
        self.image(&self.before, "insert")
    }

    /// The row after it; none for a delete.
    ///
    /// # Errors
    ///
    /// When the trail does not have it.
    pub fn after(&self) -> Result<Option<&str>, Failure> {
        self.image(&self.after, "delete")
    }

    fn image<'a>(&self, image: &'a Option<String>, op_without: &str) -> Result<Option<&'a str>, Failure> {
        match image {
            None if self.op == op_without => Ok(None),
            None => Err(Failure::new(format!("change {} ({}) lacks an image", self.id, self.op))),
            Some(image) => Ok(Some(image)),
        }
    }
}
