//! From filters to conditions on a change `c`, and on the audit transaction `t` it belongs to.

use time::OffsetDateTime;

use super::cursor::Cursor;
use crate::{ActionId, ActionStatus, ActorKind, ActorRef, ChangeOp, Error, TransactionId, instant};

/// Conditions under construction, with the parameters they use. `{schema}` is filled in by and by.
#[derive(Clone, Default)]
pub(super) struct Conditions {
    params: Vec<String>,
    /// On `c`.
    change: Vec<String>,
    /// The fields of which a change has to have changed one.
    fields: Option<Fields>,
    /// On `t`.
    transaction: Vec<OnTransaction>,
    /// The one audit transaction that is meant.
    only: Option<String>,
}

/// A condition on the fields that a change changed.
#[derive(Clone)]
struct Fields {
    /// Which of the conditions on `c` it is.
    index: usize,
    /// An array of the fields.
    array: String,
}

/// One condition in two forms.
#[derive(Clone)]
struct OnTransaction {
    /// From which an index finds the transactions.
    search: String,
    /// That tells of one transaction whether it is meant, with no more than look-ups by id.
    check: String,
    /// How an index finds them, the newest first.
    way: Option<Way>,
}

/// How an index finds the transactions that meet a condition, newest first. The first of several is taken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// An index of `t` that ends with its time.
    Own,
    /// The two ways to be under a correlation id.
    Correlation { id: String },
    /// The index of actors.
    Actor,
    /// Actions, with conditions on `a`.
    Action { conditions: String },
}

/// The row of a change's transaction, as `t`. It is looked for around the time of the change first, which is in one or two
/// partitions, and only then everywhere: a transaction can last.
pub(super) const LOOK_UP: &str = "(SELECT t.* FROM {schema}.audit_transactions AS t WHERE t.id = c.transaction_id \
     AND t.occurred_at BETWEEN c.captured_at - interval '24 hours' AND c.captured_at + interval '24 hours' \
     UNION ALL SELECT t.* FROM {schema}.audit_transactions AS t WHERE t.id = c.transaction_id \
     AND NOT t.occurred_at BETWEEN c.captured_at - interval '24 hours' AND c.captured_at + interval '24 hours' LIMIT 1) AS t";

/// The same within `find_changes`, which says between which instants it lies, so that few partitions are planned.
const LOOK_UP_IN_REACH: &str = "(SELECT t.* FROM {schema}.audit_transactions AS t WHERE t.id = c.transaction_id \
     AND t.occurred_at BETWEEN c.captured_at - interval '24 hours' AND c.captured_at + interval '24 hours' \
     AND t.occurred_at BETWEEN @since@ AND @until@ LIMIT 1) AS t";

/// What stands for the parameters of `find_changes`, and which they are.
const SINCE: &str = "@since@";
const UNTIL: &str = "@until@";
const MOST: &str = "@most@";
const DAY_BEFORE: &str = "@day_before@";
const DAY_AFTER: &str = "@day_after@";
pub(super) const PLACES: [(&str, &str); 5] =
    [(SINCE, "$2"), (UNTIL, "$3"), (MOST, "$4"), (DAY_BEFORE, "$5"), (DAY_AFTER, "$6")];

impl Conditions {
    /// No condition yet, but the parameters so far.
    pub(super) fn with_params(self) -> Self {
        Self { params: self.params, ..Self::default() }
    }

    /// Adds a parameter and gives its placeholder, to be followed by a cast.
    pub(super) fn param(&mut self, value: impl Into<String>) -> String {
        self.params.push(value.into());
        format!("${}", self.params.len())
    }

    /// Adds a parameter of type text.
    pub(super) fn text(&mut self, value: impl Into<String>) -> String {
        format!("{}::text", self.param(value))
    }

    /// How many parameters there are.
    pub(super) fn params(&self) -> usize {
        self.params.len()
    }

    pub(super) fn into_params(self) -> Vec<String> {
        self.params
    }

    /// A condition on `c`.
    pub(super) fn on_change(&mut self, condition: impl Into<String>) {
        self.change.push(condition.into());
    }

    /// A condition on `t` that no index helps with.
    pub(super) fn on_transaction(&mut self, condition: impl Into<String>) {
        let check = condition.into();
        self.transaction.push(OnTransaction { search: check.clone(), check, way: None });
    }

    fn search_transaction(&mut self, search: String, check: String, way: Way) {
        self.transaction.push(OnTransaction { search, check, way: Some(way) });
    }

    pub(super) fn ops(&mut self, ops: &[ChangeOp]) {
        if !ops.is_empty() {
            let ops: Vec<String> = ops.iter().map(|op| self.text(op.as_str())).collect();
            self.on_change(format!("c.op IN ({})", ops.join(", ")));
        }
    }

    pub(super) fn changed_fields(&mut self, fields: &[String]) {
        if !fields.is_empty() {
            let fields: Vec<String> = fields.iter().map(|field| self.text(field)).collect();
            let array = format!("ARRAY[{}]", fields.join(", "));
            let condition = format!("c.changed_fields && {array}");
            self.fields = Some(Fields { index: self.change.len(), array });
            self.on_change(condition);
        }
    }

    /// The fields of which a change has to have changed one, as an array.
    pub(super) fn fields(&self) -> Option<&str> {
        self.fields.as_ref().map(|fields| fields.array.as_str())
    }

    /// The same conditions, but that the change has to have changed `field`, an expression, in place of any of the fields.
    pub(super) fn with_field(&self, field: &str) -> Self {
        let mut one = self.clone();
        if let Some(condition) = self.fields.as_ref().and_then(|fields| one.change.get_mut(fields.index)) {
            *condition = format!("{field} = ANY (c.changed_fields)");
        }
        one
    }

    pub(super) fn transaction(&mut self, id: TransactionId) {
        let id = self.param(id.to_string());
        let id = format!("{id}::text::bigint");
        self.on_change(format!("c.transaction_id = {id}"));
        self.only = Some(id);
    }

    pub(super) fn between(
        &mut self,
        since: Option<OffsetDateTime>,
        until: Option<OffsetDateTime>,
    ) -> Result<(), Error> {
        if let Some(since) = since {
            let at = self.param(instant::ceil(since, "since")?);
            self.on_change(format!("c.captured_at >= {at}::text::timestamptz"));
        }
        if let Some(until) = until {
            let at = self.param(instant::floor(until, "until")?);
            self.on_change(format!("c.captured_at <= {at}::text::timestamptz"));
        }
        Ok(())
    }

    /// Only changes after this position, in the order newest first.
    pub(super) fn go_on_after(&mut self, cursor: &Cursor) -> Result<(), Error> {
        let at = self.param(instant::floor(cursor.captured_at(), "cursor")?);
        let id = self.param(cursor.id().to_string());
        self.on_change(format!("(c.captured_at, c.id) < ({at}::text::timestamptz, {id}::text::bigint)"));
        Ok(())
    }

    pub(super) fn actor(&mut self, actor: &ActorRef) {
        let kind = self.text(actor.kind().as_str());
        let mut condition = format!("t.actor_ref ->> 'type' = {kind}");
        if actor.kind() != ActorKind::Anonymous {
            let id = self.text(actor.id().unwrap_or_default());
            condition.push_str(&format!(" AND t.actor_ref ->> 'id' = {id}"));
        }
        if let Some(principal) = actor.principal() {
            let principal = self.text(principal.to_json());
            condition.push_str(&format!(" AND t.actor_ref -> 'on_behalf_of' = {principal}::jsonb"));
        }
        self.search_transaction(condition.clone(), condition, Way::Actor);
    }

    pub(super) fn nobody(&mut self) {
        // The first half has the index.
        let condition = "t.actor_ref ->> 'type' IS NULL AND t.actor_ref IS NULL".to_owned();
        self.search_transaction(condition.clone(), condition, Way::Actor);
    }

    pub(super) fn action(
        &mut self,
        id: Option<ActionId>,
        name: Option<&str>,
        category: Option<&str>,
        status: Option<ActionStatus>,
    ) {
        if let Some(id) = id {
            let id = self.param(id.to_string());
            let condition = format!("t.action_id = {id}::text::bigint");
            self.search_transaction(condition.clone(), condition, Way::Own);
        }
        let fields = [("name", name), ("category", category), ("status", status.map(ActionStatus::as_str))];
        let conditions: Vec<String> = fields
            .into_iter()
            .filter_map(|(column, value)| value.map(|value| format!("a.{column} = {}", self.text(value))))
            .collect();
        if conditions.is_empty() {
            return;
        }
        let conditions = conditions.join(" AND ");
        let search = format!("t.action_id IN (SELECT a.id FROM {{schema}}.audit_actions AS a WHERE {conditions})");
        let check =
            format!("EXISTS (SELECT FROM {{schema}}.audit_actions AS a WHERE a.id = t.action_id AND {conditions})");
        let way = name.map(|_| Way::Action { conditions });
        self.transaction.push(OnTransaction { search, check, way });
    }

    pub(super) fn correlation(&mut self, id: &str) {
        let id = self.text(id);
        // A union, not OR: each side has its index. An array, which no plan turns into a scan of all transactions.
        let search = format!(
            "t.id = ANY (ARRAY(SELECT s.id FROM {{schema}}.audit_transactions AS s WHERE s.correlation_id = {id} UNION \
             SELECT s.id FROM {{schema}}.audit_actions AS a JOIN {{schema}}.audit_transactions AS s ON s.action_id = a.id \
             WHERE a.correlation_id = {id}))"
        );
        // Not EXISTS, for which a plan may read every action of that id.
        let check = format!(
            "(t.correlation_id = {id} OR (SELECT a.correlation_id FROM {{schema}}.audit_actions AS a \
             WHERE a.id = t.action_id) = {id})"
        );
        self.search_transaction(search, check, Way::Correlation { id });
    }

    /// The transaction has this id in this column, which has an index.
    pub(super) fn of_transaction(&mut self, column: &str, id: &str) {
        let condition = format!("t.{column} = {}", self.text(id));
        self.search_transaction(condition.clone(), condition, Way::Own);
    }

    /// Whether an index finds the transactions that are meant.
    pub(super) fn is_searchable(&self) -> bool {
        self.transaction.iter().any(|condition| condition.way.is_some())
    }

    /// The query of the transactions that are meant, rows `(id, at)`, newest first, as `find_changes` takes it; if an
    /// index finds them.
    pub(super) fn newest_transactions(&self) -> Option<String> {
        const OF_TRANSACTION: &str = "SELECT t.id, t.occurred_at AS at FROM {schema}.audit_transactions AS t WHERE";
        if let Some(id) = &self.only {
            // The changes may be there still when the transaction's row has expired.
            return Some(match self.checks(None).as_str() {
                "" => format!(
                    "SELECT {id} AS id, coalesce((SELECT t.occurred_at FROM {{schema}}.audit_transactions AS t \
                     WHERE t.id = {id} LIMIT 1), '-infinity') AS at"
                ),
                checks => format!("{OF_TRANSACTION} t.id = {id} AND {checks}"),
            });
        }
        let searched = self.transaction.iter().filter(|condition| condition.way.is_some());
        let chosen = searched.min_by_key(|condition| &condition.way)?;
        // Each action with its transactions, which began about then; one by one, whatever the planner thinks of it. Also a
        // bound for all, so that few partitions are planned.
        let of_actions = |conditions: &str| {
            let others = match self.checks(Some(chosen)).as_str() {
                "" => String::new(),
                checks => format!(" AND {checks}"),
            };
            format!(
                "SELECT t.id, a.at FROM (SELECT a.id, a.recorded_at AS at FROM {{schema}}.audit_actions AS a WHERE {conditions} \
                 AND a.recorded_at BETWEEN {SINCE} AND {UNTIL} ORDER BY a.recorded_at DESC LIMIT {MOST}) AS a \
                 LEFT JOIN LATERAL (SELECT t.id FROM {{schema}}.audit_transactions AS t WHERE t.action_id = a.id \
                 AND t.occurred_at BETWEEN a.at - interval '1 day' AND a.at + interval '1 day' \
                 AND t.occurred_at BETWEEN {DAY_BEFORE} AND {DAY_AFTER}{others} OFFSET 0) AS t ON true"
            )
        };
        let newest = format!("t.occurred_at BETWEEN {SINCE} AND {UNTIL} ORDER BY");
        Some(match chosen.way.as_ref()? {
            Way::Own => {
                format!("{OF_TRANSACTION} {} AND {newest} t.occurred_at DESC LIMIT {MOST}", self.checks(None))
            }
            // Everything the index is ordered by, for those of whom not everything is given.
            Way::Actor => format!(
                "{OF_TRANSACTION} {} AND {newest} t.actor_ref ->> 'type' DESC, t.actor_ref ->> 'id' DESC, \
                 t.occurred_at DESC LIMIT {MOST}",
                self.checks(None)
            ),
            Way::Correlation { id } => {
                let mut own = format!("t.correlation_id = {id}");
                if let Some(others) = Some(self.checks(Some(chosen))).filter(|others| !others.is_empty()) {
                    own.push_str(&format!(" AND {others}"));
                }
                format!(
                    "SELECT u.id, u.at FROM (({OF_TRANSACTION} {own} AND {newest} t.occurred_at DESC LIMIT {MOST}) \
                     UNION ALL ({})) AS u ORDER BY u.at DESC LIMIT {MOST}",
                    of_actions(&format!("a.correlation_id = {id}"))
                )
            }
            Way::Action { conditions } => format!("{} ORDER BY a.at DESC", of_actions(conditions)),
        })
    }

    /// Every condition on the transaction but one, for a transaction that is there.
    fn checks(&self, without: Option<&OnTransaction>) -> String {
        let others =
            self.transaction.iter().filter(|condition| !without.is_some_and(|other| std::ptr::eq(*condition, other)));
        others.map(|condition| condition.check.as_str()).collect::<Vec<_>>().join(" AND ")
    }

    /// How the transactions are found.
    pub(super) fn search(&self) -> String {
        let all: Vec<&str> = self.transaction.iter().map(|condition| condition.search.as_str()).collect();
        all.join("\n      AND ")
    }

    /// These conditions, and all on the change.
    pub(super) fn of_change<'a>(&'a self, conditions: &[&'a str]) -> String {
        let mine = self.change.iter().map(String::as_str);
        conditions.iter().copied().chain(mine).collect::<Vec<_>>().join("\n      AND ")
    }

    /// The same, and those on its transaction, which is looked up.
    pub(super) fn of_change_and_transaction(&self, conditions: &[&str]) -> String {
        self.with_look_up(LOOK_UP, conditions)
    }

    /// The same, as `find_changes` takes them.
    pub(super) fn of_change_in_reach(&self) -> String {
        self.with_look_up(LOOK_UP_IN_REACH, &[])
    }

    fn with_look_up(&self, look_up: &str, conditions: &[&str]) -> String {
        if self.transaction.is_empty() {
            return self.of_change(conditions);
        }
        let checks: Vec<&str> = self.transaction.iter().map(|condition| condition.check.as_str()).collect();
        let look_up = format!("EXISTS (SELECT FROM {look_up} WHERE {})", checks.join(" AND "));
        let mut text = self.of_change(conditions);
        if !text.is_empty() {
            text.push_str("\n      AND ");
        }
        text.push_str(&look_up);
        text
    }
}
