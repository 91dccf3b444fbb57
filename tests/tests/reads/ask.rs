//! Random questions, and the comparison of the answers with the history's.

use fastrand::Rng;
use futures_util::TryStreamExt;
use serde_json::Value;
use threadline::sqlx::{Error, Trail};
use threadline::{
    ActionId, ActionStatus, ActorRef, AsOf, ChangeOp, CountChanges, Export, Json, LinkedChange, RowAsOf, RowHistory,
    RowKey, Scope, TableAsOf, Timeline, TransactionId,
};
use time::{Duration, OffsetDateTime};

use crate::exports::export_agrees;
use crate::history::{Bounds, Then, Wanted, value};
use crate::world::{ACTIONS, CATEGORIES, TENANTS, Table, WORLD, World, actors, an_id};

impl Wanted {
    /// Any combination of filters, with values that occur and values that do not.
    pub(crate) fn random(world: &mut World) -> Self {
        let instants = world.instants();
        let random = &mut world.random;
        let mut wanted = Self::default();
        let some = |random: &mut Rng, one_in: u8| random.u8(0..one_in) == 0;
        if some(random, 2) {
            for _ in 0..random.usize(1..3) {
                let table = &WORLD[random.usize(..WORLD.len())];
                wanted
                    .tables
                    .push(*random.choice(&[(table.schema, table.name), ("", table.name), (table.schema, "")]).unwrap());
            }
            // A schema alone stands for all tables, so it is said once and on its own.
            if wanted.tables.iter().any(|(_, table)| table.is_empty()) {
                wanted.tables.truncate(1);
            }
        }
        if let ([(schema, table)], true) = (wanted.tables.as_slice(), some(random, 3))
            && !schema.is_empty()
            && !table.is_empty()
        {
            wanted.key = Some(a_key(random, table));
        }
        if some(random, 4) {
            let ops = [ChangeOp::Insert, ChangeOp::Update, ChangeOp::Delete, ChangeOp::Truncate];
            wanted.ops = (0..random.usize(1..3)).map(|_| *random.choice(&ops).unwrap()).collect();
        }
        if some(random, 4) {
            let mut actors = actors();
            actors.push(Some(ActorRef::user("nobody").unwrap()));
            actors.push(Some(ActorRef::admin("1").unwrap()));
            wanted.actor = random.choice(actors);
        }
        if some(random, 6) {
            wanted.action = random.choice(ACTIONS.into_iter().chain(["never"]).collect::<Vec<_>>());
        }
        if some(random, 12) {
            wanted.action_id = Some(random.i64(1..40));
        }
        if some(random, 8) {
            wanted.category = random.choice(CATEGORIES);
        }
        if some(random, 8) {
            wanted.status = random.choice(["ok", "error"]);
        }
        if some(random, 6) {
            wanted.correlation_id = Some(an_id(random, "c"));
        }
        if some(random, 8) {
            wanted.request_id = Some(an_id(random, "r"));
        }
        if some(random, 8) {
            wanted.job_id = Some(an_id(random, "j"));
        }
        if some(random, 12) {
            wanted.transaction = Some(random.i64(1..60));
        }
        if some(random, 6) {
            wanted.changed_fields =
                (0..random.usize(1..3)).map(|_| *random.choice(&["n", "id", "title", "gone"]).unwrap()).collect();
        }
        if some(random, 5) {
            wanted.since = random.choice(&instants).copied();
        }
        if some(random, 5) {
            wanted.until = random.choice(&instants).copied();
        }
        if wanted.since > wanted.until && wanted.until.is_some() {
            std::mem::swap(&mut wanted.since, &mut wanted.until);
        }
        if some(random, 4) {
            let tenant = TENANTS[random.usize(..TENANTS.len())];
            wanted.scope = random.choice([
                Bounds::Meta(tenant),
                Bounds::Field(tenant),
                Bounds::Schema("app"),
                Bounds::Schema("public"),
            ]);
        }
        wanted
    }

    pub(crate) fn timeline(&self) -> Timeline {
        let mut timeline = Timeline::new();
        for (schema, table) in &self.tables {
            timeline = match (*schema, *table) {
                ("", table) => timeline.table(table),
                (schema, "") => timeline.schema(schema),
                (schema, table) => timeline.table_in(schema, table),
            };
        }
        if let Some(key) = &self.key {
            timeline = timeline.key(key.clone());
        }
        timeline = self.ops.iter().fold(timeline, |timeline, op| timeline.op(*op));
        timeline = self.changed_fields.iter().fold(timeline, |timeline, field| timeline.changed_field(*field));
        if let Some(actor) = &self.actor {
            timeline = timeline.actor(actor.as_ref());
        }
        if let Some(name) = self.action {
            timeline = timeline.action(name);
        }
        if let Some(id) = self.action_id {
            timeline = timeline.action_id(ActionId(id));
        }
        if let Some(category) = self.category {
            timeline = timeline.action_category(category);
        }
        match self.status {
            Some("ok") => timeline = timeline.action_status(ActionStatus::Ok),
            Some(_) => timeline = timeline.action_status(ActionStatus::Error),
            None => {}
        }
        if let Some(id) = &self.correlation_id {
            timeline = timeline.correlation_id(id);
        }
        if let Some(id) = &self.request_id {
            timeline = timeline.request_id(id);
        }
        if let Some(id) = &self.job_id {
            timeline = timeline.job_id(id);
        }
        if let Some(id) = self.transaction {
            timeline = timeline.transaction_id(TransactionId(id));
        }
        if let Some(at) = self.since {
            timeline = timeline.since(at);
        }
        if let Some(at) = self.until {
            timeline = timeline.until(at);
        }
        match &self.scope {
            Some(scope) => timeline.scope(&scope.scope()),
            None => timeline,
        }
    }
}

impl Bounds {
    pub(crate) fn scope(&self) -> Scope {
        match self {
            Self::Meta(tenant) => Scope::meta("tenant", *tenant),
            Self::Field(tenant) => Scope::field("tenant", *tenant),
            Self::Schema(schema) => Scope::schemas([*schema]),
        }
    }
}

fn a_key(random: &mut Rng, table: &str) -> Value {
    match table {
        "Odd lines" => serde_json::json!({"owner": random.choice(["a", "b'\"\\"]), "line": random.i32(1..7)}),
        _ => serde_json::json!({"id": random.i32(1..7)}),
    }
}

fn ids(entries: &[LinkedChange]) -> Vec<i64> {
    entries.iter().map(|entry| entry.change.id.get()).collect()
}

impl World {
    /// The same, perhaps between two instants, perhaps in a scope.
    pub(crate) fn bounded(&mut self, mut wanted: Wanted) -> Wanted {
        let other = Wanted::random(self);
        (wanted.since, wanted.until, wanted.scope) = (other.since, other.until, other.scope);
        wanted
    }

    /// Instants at which something happened, and right before and after.
    pub(crate) fn instants(&self) -> Vec<OffsetDateTime> {
        let at = |entry: &LinkedChange| entry.change.captured_at;
        self.history
            .entries
            .iter()
            .flat_map(|entry| [-1, 0, 1].map(|micros| at(entry) + Duration::microseconds(micros)))
            .collect()
    }

    fn truncated(&self, table: &Table, when: impl Fn(OffsetDateTime) -> bool) -> bool {
        let truncates =
            self.history.entries.iter().map(|entry| &entry.change).filter(|change| change.op == ChangeOp::Truncate);
        truncates.into_iter().any(|change| change.table_name == table.name && when(change.captured_at))
    }

    /// Page by page, while more is written; then counted and streamed.
    pub(crate) async fn ask_timeline(&mut self) {
        let wanted = Wanted::random(self);
        let timeline = wanted.timeline();
        if wanted.is_too_broad() {
            let error = self.db.timeline(&timeline).await.unwrap_err();
            assert!(error.as_core().unwrap().is_invalid_input(), "{wanted:?}: {error}");
            return;
        }
        let unknown = wanted.unknown_fields();
        if !unknown.is_empty() {
            let limit = self.random.u32(1..8);
            for error in self.refusals(&timeline, limit).await {
                let core = error.as_core().unwrap();
                let told = core.is_unknown_column() && unknown.contains(&core.column().unwrap());
                assert!(told, "{wanted:?}: {error}");
            }
            return;
        }
        let expected = self.history.matching(&wanted);
        let limit = self.random.u32(1..8);
        let mut found = Vec::new();
        let mut cursor = None;
        loop {
            let page = timeline.clone().limit(limit);
            let page = match cursor {
                Some(cursor) => page.cursor(cursor),
                None => page,
            };
            let page = self.db.timeline(&page).await.unwrap_or_else(|error| panic!("{wanted:?}: {error:?}"));
            assert!(page.entries.len() <= limit as usize);
            assert_eq!(page.next.is_some(), found.len() + page.entries.len() < expected.len(), "{wanted:?}");
            found.extend(page.entries);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
            if self.random.u8(0..16) == 0 && wanted.until.is_none() {
                self.write().await;
            }
        }
        assert_eq!(ids(&found), ids(&expected), "{wanted:?}");
        assert_eq!(found, expected);

        let expected = self.history.matching(&wanted);
        let cap = self.random.u32(1..12);
        let count = self.db.count_changes(&CountChanges::of(timeline.clone()).cap(cap)).await.unwrap();
        assert_eq!(
            (count.count, count.is_capped()),
            ((expected.len() as u64).min(cap.into()), expected.len() > cap as usize)
        );
        let streamed: Vec<LinkedChange> = self.db.stream(timeline.clone()).try_collect().await.unwrap();
        assert_eq!(ids(&streamed), ids(&expected), "{wanted:?}");
        assert_eq!(streamed, expected);
        let max_rows = self.random.u64(1..12);
        let export = Export::new(timeline).max_rows(max_rows);
        export_agrees(&self.db, export, &expected[..expected.len().min(max_rows as usize)], expected.len()).await;
    }

    /// What each read of changes says to a wrong question.
    async fn refusals(&self, timeline: &Timeline, most: u32) -> [Error; 4] {
        let export = Export::new(timeline.clone()).max_rows(most.into());
        [
            self.db.timeline(&timeline.clone().limit(most)).await.unwrap_err(),
            self.db.count_changes(&CountChanges::of(timeline.clone()).cap(most)).await.unwrap_err(),
            self.db.stream(timeline.clone()).try_collect::<Vec<_>>().await.unwrap_err(),
            self.db.export_to(export, Vec::new()).await.unwrap_err(),
        ]
    }

    pub(crate) async fn ask_row_history(&mut self) {
        let table = &WORLD[self.random.usize(..WORLD.len())];
        let key = a_key(&mut self.random, table.name);
        let wanted = self.bounded(Wanted {
            tables: vec![(table.schema, table.name)],
            key: Some(key.clone()),
            ..Wanted::default()
        });
        let expected = self.history.matching(&wanted);
        let mut history = RowHistory::new(table.schema, table.name, key);
        if let Some(at) = wanted.since {
            history = history.since(at);
        }
        if let Some(at) = wanted.until {
            history = history.until(at);
        }
        if let Some(scope) = &wanted.scope {
            history = history.scope(&scope.scope());
        }
        let mut found = Vec::new();
        let mut cursor = None;
        loop {
            let page = history.clone().limit(3);
            let page = match cursor {
                Some(cursor) => page.cursor(cursor),
                None => page,
            };
            let page = self.db.row_history(&page).await.unwrap();
            found.extend(page.entries);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(found, expected, "{wanted:?}");
        let streamed: Vec<LinkedChange> = self.db.stream(history).try_collect().await.unwrap();
        assert_eq!(streamed, expected, "{wanted:?}");
    }

    /// Every key of a table at some instant.
    pub(crate) async fn ask_as_of(&mut self) {
        let table = &WORLD[self.random.usize(..WORLD.len())];
        let Some(at) = self.random.choice(self.instants()) else { return };
        let known = self.history.at(table.schema, table.name, at);
        for _ in 0..4 {
            let key = a_key(&mut self.random, table.name);
            let then = known.get(&key.to_string()).cloned().unwrap_or(Then::Never);
            let as_of = AsOf::new(table.schema, table.name, key.clone(), at);
            let found = match self.db.as_of_json(&as_of).await {
                Ok(row) => Then::Row(row.decode().unwrap()),
                Err(error) => match error.as_core() {
                    Some(core) if core.is_never_existed() => Then::Never,
                    Some(core) if core.is_deleted_record() => Then::Deleted,
                    // Whether there was a row that was older than capture, nothing tells once a TRUNCATE took it.
                    Some(core)
                        if core.is_image_unavailable()
                            && (then == Then::Never && self.truncated(table, |truncated| truncated > at)
                                || self.history.is_lost(table.schema, table.name, &key.to_string(), at)) =>
                    {
                        then.clone()
                    }
                    Some(core) if core.is_moved_key() => Then::Moved(value(core.moved_to())),
                    _ => panic!("{table:?} {key} at {at}: {error:?}"),
                },
            };
            assert_eq!(found, then, "{table:?} {key} at {at}");
        }
    }

    /// All rows of a table at some instant.
    pub(crate) async fn ask_table_as_of(&mut self) {
        let table = &WORLD[self.random.usize(..WORLD.len())];
        let Some(at) = self.random.choice(self.instants()) else { return };
        let read = TableAsOf::new(table.schema, table.name, at);
        let lost = |key: &str| self.history.is_lost(table.schema, table.name, key, at);
        let known = self.history.at(table.schema, table.name, at).into_iter();
        let expected = known.filter(|(key, _)| !lost(key)).filter_map(|(_, then)| match then {
            Then::Row(row) => Some(Value::Object(row).to_string()),
            _ => None,
        });
        let mut expected: Vec<String> = expected.collect();
        expected.sort();
        let sorted = |rows: Vec<RowAsOf<Json>>| {
            let mut rows: Vec<String> = rows.iter().map(|row| value(Some(row)).to_string()).collect();
            rows.sort();
            rows
        };
        let rows = self.db.stream(read.clone().known_rows()).try_collect::<Vec<_>>().await;
        assert_eq!(
            sorted(rows.unwrap_or_else(|error| panic!("{table:?} at {at}: {error:?}"))),
            expected,
            "{table:?} at {at}"
        );
        let is_unsure =
            self.truncated(table, |truncated| truncated > at) && !self.truncated(table, |truncated| truncated <= at);
        match self.db.stream(read).try_collect::<Vec<_>>().await {
            Ok(rows) => assert!(!is_unsure && sorted(rows) == expected),
            Err(error) => {
                assert!(is_unsure && error.as_core().unwrap().is_image_unavailable(), "{table:?} at {at}: {error:?}");
            }
        }
    }

    /// A question about what is not there is an error, whatever else it asks.
    pub(crate) async fn ask_wrong_questions(&mut self) {
        let wanted = Wanted::random(self);
        if wanted.key.is_none() {
            let error = self.db.timeline(&wanted.timeline().table_in("public", "postss")).await.unwrap_err();
            let core = error.as_core().unwrap();
            assert!(core.is_not_captured() && core.table() == Some("public.postss"), "{error}");
        }
        let key = RowKey::columns([("id", Value::from("1"))]);
        let error = self.db.row_history(&RowHistory::new("public", "posts", key)).await.unwrap_err();
        assert!(error.as_core().unwrap().is_invalid_input(), "{error}");
    }
}
