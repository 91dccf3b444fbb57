//! A large trail, and the questions that must be answered from it without looking at all of it.

use threadline_core::{
    ActionStatus, ActorHistory, ActorRef, AsOf, ChangeOp, Correlation, Error, Incident, Operation, RowHistory, Schema,
    Statement, Timeline, TransactionId, quote_literal,
};
use time::OffsetDateTime;

/// The script that makes a trail of so many changes over so many months, in a database with a fresh kernel.
#[must_use]
pub fn seed_sql(changes: u64, months: u32) -> String {
    include_str!("seed.sql")
        .replace("{changes}", &changes.to_string())
        .replace("{transactions}", &transactions(changes).to_string())
        .replace("{months}", &months.to_string())
}

/// How many transactions there are.
fn transactions(changes: u64) -> u64 {
    changes * 2 / 5
}

/// One question.
#[derive(Clone, Debug)]
pub struct Question {
    /// What is asked.
    pub name: &'static str,
    /// How.
    pub statement: Statement,
}

/// Questions about a trail of so many changes, each with values that are rare and values that are not.
///
/// # Errors
/// When a question is malformed.
pub fn questions(changes: u64, now: OffsetDateTime) -> Result<Vec<Question>, Error> {
    let schema = Schema::default();
    let mut questions = Vec::new();
    let mut ask = |name: &'static str, statement: Result<Statement, Error>| {
        questions.push(Question { name, statement: statement? });
        Ok::<(), Error>(())
    };
    let middle = transactions(changes) / 2;
    let user = ActorRef::user;
    let month_ago = now - time::Duration::days(30);
    let posts = || Timeline::new().schema("public").table("posts");
    for (name, timeline) in [
        ("newest", Timeline::new()),
        ("table, busy", posts()),
        ("table, rare", Timeline::new().table("settings")),
        ("tables", posts().table("settings")),
        ("table and op", posts().op(ChangeOp::Insert)),
        ("table and changed field", posts().changed_field("title")),
        ("key", posts().key(77)),
        ("key without a row", posts().key(-1)),
        ("transaction", Timeline::new().transaction_id(TransactionId(middle.cast_signed()))),
        ("actor, busy", Timeline::new().actor(&user("1")?)),
        ("actor, usual", Timeline::new().actor(&user("77")?)),
        ("actor, rare", Timeline::new().actor(&user("rare")?)),
        ("actor, none", Timeline::new().actor(&user("never")?)),
        ("actor, long gone", Timeline::new().actor(&user("gone")?)),
        ("correlation", Timeline::new().correlation_id(format!("c-{middle}"))),
        ("request", Timeline::new().request_id(format!("r-{middle}"))),
        ("job", Timeline::new().job_id(format!("j-{}", middle / 1000))),
        ("action, busy", Timeline::new().action("post.updated")),
        ("action, rare", Timeline::new().action("post.purged")),
        ("action, none", Timeline::new().action("never")),
        ("status since a month", Timeline::new().action_status(ActionStatus::Error).since(month_ago)),
        ("op since a month", Timeline::new().op(ChangeOp::Delete).since(month_ago)),
        ("actor and table", posts().actor(&user("1")?)),
    ] {
        ask(name, timeline.statement(&schema))?;
    }
    ask("row history", RowHistory::by_id("public", "posts", 77).statement(&schema))?;
    ask("as of", AsOf::by_id("public", "posts", 77, month_ago).statement(&schema))?;
    ask("actor history", ActorHistory::of(&user("1")?).statement(&schema))?;
    ask("actor history, rare", ActorHistory::of(&user("rare")?).statement(&schema))?;
    ask("correlation bundle", Correlation::of(format!("c-{middle}")).statement(&schema))?;
    ask("incident", Incident::of(TransactionId(middle.cast_signed())).statement(&schema))?;
    Ok(questions)
}

/// The statement with its parameters written into it, to be sent as one message.
///
/// # Errors
/// When a value cannot be a literal.
pub fn with_literals(statement: &Statement) -> Result<String, Error> {
    let mut sql = statement.sql().to_owned();
    for (index, value) in statement.params().iter().enumerate().rev() {
        let literal = value.as_deref().map_or(Ok("NULL".to_owned()), quote_literal)?;
        sql = sql.replace(&format!("${}::text", index + 1), &format!("{literal}::text"));
    }
    Ok(sql)
}
