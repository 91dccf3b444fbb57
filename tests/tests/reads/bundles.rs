//! What an actor did, what a transaction was, what belongs to a correlation id: compared with the history's.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use threadline::sqlx::Trail;
use threadline::{
    ActorHistory, ChangeDiff, Correlation, Incident, LinkedTransaction, TransactionId, TransactionLookup,
};

use crate::history::{Bounds, Wanted};
use crate::world::{TENANTS, World, actors, an_id};

impl World {
    pub(crate) async fn ask_actor_history(&mut self) {
        let actor = self.random.choice(actors()).unwrap();
        let bounds = self.bounded(Wanted::default());
        let wanted = Wanted { actor: Some(actor.clone()), scope: bounds.scope.clone(), ..Wanted::default() };
        let mut history = ActorHistory::of(actor.as_ref());
        let mut expected: BTreeMap<Reverse<_>, _> = BTreeMap::new();
        for entry in self.history.matching(&wanted) {
            let transaction = entry.transaction.unwrap();
            let at = transaction.occurred_at;
            if bounds.since.is_none_or(|since| at >= since) && bounds.until.is_none_or(|until| at <= until) {
                expected.insert(Reverse((at, transaction.id.get())), (transaction, entry.action));
            }
        }
        if let Some(at) = bounds.since {
            history = history.since(at);
        }
        if let Some(at) = bounds.until {
            history = history.until(at);
        }
        if let Some(scope) = &bounds.scope {
            history = history.scope(&scope.scope());
        }
        let mut found = Vec::new();
        let pages = history.clone().limit(2);
        let mut page = self.db.actor_history(&pages).await.unwrap();
        loop {
            found.extend(page.entries.into_iter().map(|entry| (entry.transaction, entry.action)));
            let Some(cursor) = page.next else { break };
            page = self.db.actor_history(&pages.clone().cursor(cursor)).await.unwrap();
        }
        let expected: Vec<_> = expected.into_values().collect();
        assert_eq!(found, expected, "{actor:?} {bounds:?}");
        let streamed: Vec<LinkedTransaction> = self.db.stream(history).try_collect().await.unwrap();
        let streamed: Vec<_> = streamed.into_iter().map(|entry| (entry.transaction, entry.action)).collect();
        assert_eq!(streamed, expected, "{actor:?} {bounds:?}");
    }

    pub(crate) async fn ask_incident(&mut self) {
        let id = TransactionId(self.random.i64(1..60));
        let scope =
            self.random.choice([None, Some(Bounds::Meta(TENANTS[0])), Some(Bounds::Field(TENANTS[0]))]).unwrap();
        let wanted = Wanted { transaction: Some(id.get()), scope: scope.clone(), ..Wanted::default() };
        let expected = self.history.matching(&wanted);
        let mut incident = Incident::of(id).limit(self.random.u32(1..5));
        let mut lookup = TransactionLookup::new(id);
        if let Some(scope) = &scope {
            (incident, lookup) = (incident.scope(&scope.scope()), lookup.scope(&scope.scope()));
        }
        let mut bundle = match (self.db.incident(&incident).await, self.db.run(&lookup).await) {
            (Ok(bundle), Ok(found)) => {
                assert_eq!((Some(found.transaction), &found.action), (bundle.transaction.clone(), &expected[0].action));
                bundle
            }
            (Err(one), Err(other)) => {
                assert!(
                    one.as_core().unwrap().is_not_found() && other.as_core().unwrap().is_not_found(),
                    "{one} {other}"
                );
                assert!(expected.is_empty(), "{wanted:?}");
                return;
            }
            (one, other) => panic!("{wanted:?}: {one:?} {other:?}"),
        };
        let mut found = Vec::new();
        loop {
            assert_eq!((&bundle.transaction, &bundle.action), (&expected[0].transaction, &expected[0].action));
            found.extend(bundle.changes);
            let Some(cursor) = bundle.next else { break };
            bundle = self.db.incident(&incident.clone().cursor(cursor)).await.unwrap();
        }
        assert_eq!(found.len(), expected.len(), "{wanted:?}");
        for (change, expected) in found.iter().zip(&expected) {
            assert_eq!(change.change, expected.change);
            assert_eq!(change.diff, ChangeDiff::of(&expected.change));
        }
    }

    pub(crate) async fn ask_correlation(&mut self) {
        let id = an_id(&mut self.random, "c");
        let scope = self.bounded(Wanted::default()).scope;
        let wanted = Wanted { correlation_id: Some(id.clone()), scope: scope.clone(), ..Wanted::default() };
        let expected = self.history.matching(&wanted);
        let mut correlation = Correlation::of(&id);
        let actions: Vec<i64> = match &scope {
            // Those of the changes on the first page, which has all of them.
            Some(scope) => {
                correlation = correlation.scope(&scope.scope());
                let actions = expected.iter().filter_map(|entry| entry.action.as_ref());
                let mut actions: Vec<_> = actions.map(|action| (action.recorded_at, action.id.get())).collect();
                actions.sort_unstable();
                actions.dedup();
                actions.into_iter().rev().map(|(_, id)| id).collect()
            }
            // Also those that cover no change.
            None => {
                let sql = format!(
                    "SELECT id::text FROM threadline.audit_actions WHERE correlation_id = '{id}' ORDER BY recorded_at DESC, id DESC"
                );
                let rows = self.database.query_text(&sql).unwrap();
                rows.into_iter().map(|row| row[0].as_deref().unwrap().parse().unwrap()).collect()
            }
        };
        let bundle = self.db.correlation(&correlation.clone().limit(1_000)).await.unwrap();
        assert_eq!(bundle.changes.entries, expected, "{wanted:?}");
        assert_eq!(bundle.actions.iter().map(|action| action.id.get()).collect::<Vec<_>>(), actions, "{wanted:?}");

        let pages = correlation.limit(2);
        let mut found = Vec::new();
        let mut page = self.db.correlation(&pages).await.unwrap().changes;
        loop {
            found.extend(page.entries);
            let Some(cursor) = page.next else { break };
            page = self.db.correlation(&pages.clone().cursor(cursor)).await.unwrap().changes;
        }
        assert_eq!(found, expected, "{wanted:?}");
    }
}
