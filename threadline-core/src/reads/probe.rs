//! Asserting in a test that code wrote with an actor and an action.

use std::{collections::BTreeMap, fmt};

use serde_json::value::RawValue;

use super::{
    filters::Filters,
    query::{expand, linked_changes},
};
use crate::{Error, LinkedChange, Operation, Schema, Statement, decode, error::Kind};

/// What tells one database transaction from every other: a session has one at a time.
const TRANSACTION: &str = "pg_catalog.concat(pg_catalog.pg_backend_pid(), ' ', \
    (pg_catalog.date_part('epoch', pg_catalog.transaction_timestamp()) * 1000000)::bigint)";

/// An instant before anything that this transaction has captured, also when the clock was set back meanwhile.
const BEGIN: &str = "pg_catalog.transaction_timestamp() - interval '1 day'";

/// Begins to watch what the code under test writes; for tests.
///
/// Run it in the test's own transaction before the code under test and [`FinishProbe`] after it. It sees what a look at
/// the whole transaction cannot: from here on the transaction has **no context and no action**, so code that forgets to
/// bring its own is found out, although the test has already written under a context of its own, or still has one.
///
/// | run | the probe covers |
/// |---|---|
/// | both in one open transaction, which the test may roll back afterwards | what that transaction captured in between, without what savepoints rolled back |
/// | both on a pool or an idle connection, for code that commits by itself | everything that was captured in between, by anyone: give the test a database of its own |
///
/// The role needs the rights of a reader.
///
/// # Examples
/// ```
/// use threadline_core::{BlockingConnection, Error, FinishProbe, Schema, StartProbe};
///
/// /// With any adapter: `let probe = tx.run(&StartProbe).await?;` and so on.
/// fn publishing_is_attributed<C: BlockingConnection>(tx: &mut C, publish: impl Fn(&mut C)) -> Result<(), C::Error> {
///     let probe = tx.run(&Schema::default(), &StartProbe)?;
///     publish(tx);
///     let probed = tx.run(&Schema::default(), &FinishProbe(&probe))?;
///     Ok(probed.verify()?)
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct StartProbe;

/// The place in the trail where a probe begins, and the context to put back when it ends.
#[derive(Clone)]
#[must_use = "the transaction has no context until FinishProbe runs with this"]
pub struct Probe(String);

/// Does not show the context: it names an actor.
impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Probe(..)")
    }
}

impl Operation for StartProbe {
    type Output = Probe;

    fn statement(&self, schema: &Schema) -> Result<Statement, Error> {
        let sql = "SELECT pg_catalog.json_build_object('previous', {schema}.enter_context(NULL, NULL), \
            'transaction', {transaction}, \
            'since', (SELECT (pg_catalog.date_part('epoch', GREATEST(pg_catalog.max(c.captured_at), pg_catalog.clock_timestamp())) \
                * 1000000)::bigint FROM {schema}.audit_changes AS c), \
            'last', (SELECT COALESCE(pg_catalog.max(c.id), 0) FROM {schema}.audit_changes AS c \
                WHERE c.xid = pg_catalog.pg_current_xact_id_if_assigned() AND c.captured_at >= {begin}))::text";
        Ok(Statement::new(schema.expand(&sql.replace("{transaction}", TRANSACTION).replace("{begin}", BEGIN))))
    }

    fn decode(&self, rows: Vec<String>) -> Result<Probe, Error> {
        decode::only_row::<Box<RawValue>>(&rows, "the mark of a probe").map(|mark| Probe(mark.get().to_owned()))
    }
}

/// Ends a probe: tells what was captured since [`StartProbe`], and puts the context back that the transaction had.
///
/// # Errors
/// [`is_not_installed`](Error::is_not_installed) without a kernel. That something is not attributed is no error here but
/// in [`Probed::verify`].
#[derive(Clone, Copy, Debug)]
pub struct FinishProbe<'a>(pub &'a Probe);

impl Operation for FinishProbe<'_> {
    type Output = Probed;

    fn statement(&self, schema: &Schema) -> Result<Statement, Error> {
        let sql = format!(
            "{}{}) AS r\nORDER BY r.captured_at, r.id\n",
            include_str!("probe.sql").replace("{transaction}", TRANSACTION).replace("{begin}", BEGIN),
            expand(include_str!("linked_change.sql")),
        );
        Ok(Statement::new(schema.expand(&sql)).bind(self.0.0.as_str()))
    }

    fn decode(&self, rows: Vec<String>) -> Result<Probed, Error> {
        Ok(Probed { changes: linked_changes(&Filters::default(), &rows)? })
    }
}

/// What was captured while a probe was open, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "verify() says whether all of it is attributed"]
pub struct Probed {
    changes: Vec<LinkedChange>,
}

impl Probed {
    /// Every change, with who and why.
    #[must_use]
    pub fn changes(&self) -> &[LinkedChange] {
        &self.changes
    }

    /// The changes that name nobody.
    pub fn without_actor(&self) -> impl Iterator<Item = &LinkedChange> {
        self.changes.iter().filter(|linked| linked.transaction.as_ref().is_none_or(|by| by.actor.is_none()))
    }

    /// The changes that no action explains.
    pub fn without_action(&self) -> impl Iterator<Item = &LinkedChange> {
        self.changes.iter().filter(|linked| linked.action.is_none())
    }

    /// Whether something was written, and all of it with an actor and an action.
    ///
    /// # Errors
    /// [`is_unattributed`](Error::is_unattributed) when not; the message names the tables and never a row.
    pub fn verify(&self) -> Result<(), Error> {
        let missing: Vec<String> = [list("an actor", self.without_actor()), list("an action", self.without_action())]
            .into_iter()
            .flatten()
            .collect();
        let problem = match (self.changes.is_empty(), missing.is_empty()) {
            (true, _) => "nothing was captured".to_owned(),
            (false, false) => format!("of {} changes, {}", self.changes.len(), missing.join(", ")),
            (false, true) => return Ok(()),
        };
        Err(Error::new(Kind::Unattributed, format!("while the probe was open, {problem}")).remedy_text(
            "Write inside an audited transaction, a nested scope or an attached context, and record an action there",
        ))
    }
}

/// Such changes, counted by table and kind; none when there is no such change.
fn list<'a>(what: &str, changes: impl Iterator<Item = &'a LinkedChange>) -> Option<String> {
    let mut counted = BTreeMap::new();
    let mut total = 0;
    for LinkedChange { change, .. } in changes {
        *counted.entry((&change.table_schema, &change.table_name, change.op)).or_insert(0_usize) += 1;
        total += 1;
    }
    let tables: Vec<String> =
        counted.iter().map(|((schema, table, op), count)| format!("{count} {op} of {schema}.{table}")).collect();
    (total > 0).then(|| format!("{total} without {what} ({})", tables.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trail::tests::LINKED;

    #[test]
    fn statements() {
        insta::assert_snapshot!("start_probe", StartProbe.statement(&Schema::default()).unwrap().snapshot());
        let probe = Probe(r#"{"previous": "{}"}"#.to_owned());
        insta::assert_snapshot!("finish_probe", FinishProbe(&probe).statement(&Schema::default()).unwrap().snapshot());
        assert_eq!(format!("{probe:?}"), "Probe(..)");
    }

    fn probed(rows: &[&str]) -> Probed {
        let probe = Probe(String::new());
        FinishProbe(&probe).decode(rows.iter().map(|row| (*row).to_owned()).collect()).unwrap()
    }

    #[test]
    fn nothing_written_is_not_attributed() {
        let error = probed(&[]).verify().unwrap_err();
        assert!(error.is_unattributed());
        assert!(error.to_string().contains("nothing was captured"), "{error}");
    }

    #[test]
    fn what_is_missing_is_counted_by_table() {
        assert!(probed(&[LINKED]).verify().is_ok());
        let no_actor = LINKED.replacen(
            r#""actor_ref": {"id": "42", "type": "user"}, "action_id""#,
            r#""actor_ref": null, "action_id""#,
            1,
        );
        let no_action =
            LINKED.split_once(r#""action": {"#).map(|(before, _)| format!(r#"{before}"action": null}}"#)).unwrap();
        let probed = probed(&[LINKED, &no_actor, &no_action, &no_action]);
        assert_eq!((probed.without_actor().count(), probed.without_action().count()), (1, 2));
        let error = probed.verify().unwrap_err();
        insta::assert_snapshot!("unattributed", error.to_string());
    }
}
