//! `transaction`, `incident`, `correlation`, `actor` and `diff`.

use threadline_core::{
    ActorHistory, ChangeDiff, ChangeId, Correlation, DiffOptions, Incident, TransactionId, TransactionLookup,
};

use super::read::more;
use crate::args::{ActorArgs, CorrelationArgs, DiffArgs, IncidentArgs, TransactionArgs};
use crate::database::Database;
use crate::failure::Failure;
use crate::lookup::{FindChange, Place};
use crate::output::{self, Output};
use crate::render;

pub(crate) async fn transaction(
    database: &Database,
    arguments: &TransactionArgs,
    output: Output,
) -> Result<(), Failure> {
    let found = database.read(&TransactionLookup::new(TransactionId(arguments.id))).await?;
    output.result(&found, |found| render::transaction(&found.transaction, found.action.as_ref()))?;
    output.remark(&format!("Its changes: incident {}", arguments.id));
    Ok(())
}

pub(crate) async fn incident(database: &Database, arguments: &IncidentArgs, output: Output) -> Result<(), Failure> {
    let mut incident = Incident::of(TransactionId(arguments.id)).limit(arguments.limit);
    if let Some(cursor) = arguments.cursor {
        incident = incident.cursor(cursor);
    }
    let bundle = database.read(&incident).await?;
    output.result(&bundle, |bundle| {
        let mut text = match &bundle.transaction {
            Some(transaction) => render::transaction(transaction, bundle.action.as_ref()),
            None => format!("transaction {}, which expired before its changes\n", arguments.id),
        };
        for entry in &bundle.changes {
            text.push('\n');
            text.push_str(&render::diff(&ChangeDiff::with(&entry.change, whole())));
        }
        text
    })?;
    more(bundle.next.as_ref(), output);
    Ok(())
}

pub(crate) async fn correlation(
    database: &Database,
    arguments: &CorrelationArgs,
    output: Output,
) -> Result<(), Failure> {
    let mut correlation = Correlation::of(&*arguments.id).limit(arguments.limit);
    if let Some(cursor) = arguments.cursor {
        correlation = correlation.cursor(cursor);
    }
    let bundle = database.read(&correlation).await?;
    output.result(&bundle, |bundle| {
        let mut text = render::actions(&bundle.actions);
        if !bundle.actions.is_empty() && !bundle.changes.is_empty() {
            text.push('\n');
        }
        text.push_str(&render::entries(&bundle.changes.entries, output::width()));
        text
    })?;
    if bundle.actions.is_empty() && bundle.changes.is_empty() {
        output.remark("Nothing was recorded under that id.");
    }
    more(bundle.changes.next.as_ref(), output);
    Ok(())
}

pub(crate) async fn actor(database: &Database, arguments: &ActorArgs, output: Output) -> Result<(), Failure> {
    let mut history = ActorHistory::of(arguments.actor.0.as_ref()).limit(arguments.limit);
    if let Some(at) = arguments.since {
        history = history.since(at);
    }
    if let Some(at) = arguments.until {
        history = history.until(at);
    }
    if let Some(cursor) = arguments.cursor {
        history = history.cursor(cursor);
    }
    let page = database.read(&history).await?;
    output.result(&page, |page| render::transactions(&page.entries, output::width()))?;
    if page.is_empty() {
        output.remark("No transactions.");
    }
    more(page.next.as_ref(), output);
    Ok(())
}

pub(crate) async fn diff(database: &Database, arguments: &DiffArgs, output: Output) -> Result<(), Failure> {
    let place = match (arguments.transaction, arguments.at) {
        (Some(id), _) => Place::InTransaction(TransactionId(id)),
        (None, Some(at)) => Place::At(at),
        (None, None) => Place::AmongNewest,
    };
    let id = ChangeId(arguments.id);
    let Some(change) = database.read(&FindChange { id, place }).await? else {
        let not_found = |message: String| Failure::failed("not_found", message);
        return Err(match place {
            Place::AmongNewest => not_found(format!("there is no change {id} among the newest {}", FindChange::NEWEST))
                .remedy("For an older one, give --at or --transaction as JSON and exports tell them"),
            Place::At(_) => not_found(format!("there is no change {id} of that time"))
                .remedy("Give the captured_at of the change; older changes may have expired"),
            Place::InTransaction(of) => not_found(format!("there is no change {id} in transaction {of}"))
                .remedy("Check the ids; older changes may have expired"),
        });
    };
    let options = if arguments.expand { whole() } else { DiffOptions::new() };
    output.result(&ChangeDiff::with(&change, options), render::diff)
}

/// Every column that the trail holds.
fn whole() -> DiffOptions {
    DiffOptions::new().with_inserts().with_deletes()
}
